//! Making a TCP connection.

use super::{TcpConnectOpts, TcpStream, ToSocketAddrs, domain, nothing, prepare, set};
use crate::{
    driver::Fd,
    io::EarlyEnd,
    op,
    sys::unix,
    time::{Instant, sleep},
};
use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    io, iter,
    net::SocketAddr,
    os::fd::AsRawFd,
    pin::Pin,
    task::Poll,
    time::Duration,
};

impl TcpStream {
    /// Connects to `addr`; of several addresses, to the first that answers. A name is looked up on the pool.
    ///
    /// As RFC 8305 has it, the two families take turns, each address is given a quarter of a second before the next one
    /// is tried as well, and the rest is given up when one has answered.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut` and whatever else `connect(2)` says of the address that failed last; the text
    /// names all addresses and what they said, and the error's [`source`](std::error::Error::source) is that of the
    /// system. Those of [`lookup_host`](super::lookup_host); `InvalidInput` for an empty slice.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        TcpStream::connect_with_config(addr, &TcpConnectOpts::default()).await
    }

    /// Connects to `addr` as `opts` say, and otherwise as [`connect`](TcpStream::connect) does.
    ///
    /// # Errors
    /// Those of [`connect`](TcpStream::connect), and those of options that the system does not have; `TimedOut` when
    /// the time that `opts` give is up; `InvalidInput` if the local address is of a family that no address has.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_with_config<A: ToSocketAddrs>(addr: A, opts: &TcpConnectOpts) -> io::Result<TcpStream> {
        within(opts.timeout, async {
            let query = addr.query()?;
            let found = query.addresses().await?;
            let fits = |addr: &&SocketAddr| opts.local_addr.is_none_or(|local| local.is_ipv4() == addr.is_ipv4());
            let addrs: Vec<SocketAddr> = found.iter().filter(fits).copied().collect();
            if let (Some(local), true, false) = (opts.local_addr, addrs.is_empty(), found.is_empty()) {
                return Err(stranger(local, &found));
            }
            race(&addrs, opts.stagger, |addr| attempt(addr, opts)).await.map_err(Tried::error)
        })
        .await
    }

    /// Connects to one address.
    ///
    /// # Errors
    /// Those of `socket(2)` and `connect(2)`, as the system has them.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_addr(addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_addr_with_config(addr, &TcpConnectOpts::default()).await
    }

    /// Connects to one address, as `opts` say.
    ///
    /// # Errors
    /// Those of [`TcpStream::connect_addr`], and those of options that the system does not have; `TimedOut` when the
    /// time that `opts` give is up.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_addr_with_config(addr: SocketAddr, opts: &TcpConnectOpts) -> io::Result<TcpStream> {
        within(opts.timeout, attempt(addr, opts)).await
    }
}

async fn within<F: Future>(limit: Option<Duration>, future: F) -> F::Output {
    match limit {
        Some(limit) => future.time_limit(limit).await,
        None => future.await,
    }
}

async fn attempt(addr: SocketAddr, opts: &TcpConnectOpts) -> io::Result<TcpStream> {
    let fd = Fd::socket(op::socket(domain(addr), libc::SOCK_STREAM, 0).await?);
    if opts.tcp_fast_open {
        set(&fd, libc::IPPROTO_TCP, unix::TCP_FASTOPEN_CONNECT, 1)?;
    }
    prepare(&fd, opts.send_buf_size, opts.recv_buf_size, opts.device, opts.mark)?;
    if let Some(local) = opts.local_addr {
        bind(&fd, local)?;
    }
    op::connect(&fd, addr).await?;
    Ok(TcpStream::from_fd(fd))
}

/// The addresses, by turns of the one family and the other, if there are both.
fn by_turns(addrs: &[SocketAddr]) -> impl Iterator<Item = SocketAddr> + '_ {
    let first = addrs.first().is_some_and(SocketAddr::is_ipv4);
    let of = |v4: bool| addrs.iter().copied().filter(move |addr| addr.is_ipv4() == v4);
    let (mut these, mut those, mut turn) = (of(first), of(!first), false);
    iter::from_fn(move || {
        turn = !turn;
        if turn { these.next().or_else(|| those.next()) } else { those.next().or_else(|| these.next()) }
    })
}

/// Tries one address after the other, without waiting for one longer than `stagger`; the first that succeeds counts.
async fn race<T, F>(addrs: &[SocketAddr], stagger: Duration, attempt: impl Fn(SocketAddr) -> F) -> Result<T, Tried>
where
    F: Future<Output = io::Result<T>>,
{
    let mut left = by_turns(addrs).peekable();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let (mut failed, mut pause) = (Vec::new(), sleep(stagger));
    poll_fn(|cx| {
        loop {
            let (before, mut won) = (failed.len(), None);
            running.retain_mut(|(addr, attempt)| match attempt.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(stream)) => {
                    won.get_or_insert(stream);
                    false
                }
                Poll::Ready(Err(error)) => {
                    failed.push((*addr, error));
                    false
                }
            });
            if let Some(won) = won {
                return Poll::Ready(Ok(won));
            }
            // What is to end early begins nothing more; the first one says why.
            let is_over = op::ending::is_ending() && !(running.is_empty() && failed.is_empty());
            let next = if is_over { None } else { left.peek().copied() };
            let Some(next) = next else {
                return if running.is_empty() {
                    Poll::Ready(Err(Tried(std::mem::take(&mut failed))))
                } else {
                    Poll::Pending
                };
            };
            let at_once = running.is_empty() || failed.len() > before;
            if !at_once && Pin::new(&mut pause).poll(cx).is_pending() {
                return Poll::Pending;
            }
            left.next();
            running.push((next, Box::pin(attempt(next))));
            Pin::new(&mut pause).reset(Instant::now().after(stagger));
        }
    })
    .await
}

/// What addresses said, the last one last.
#[derive(Debug)]
struct Tried(Vec<(SocketAddr, io::Error)>);

impl Tried {
    fn error(self) -> io::Error {
        match self.0.last() {
            Some((_, error)) => io::Error::new(error.kind(), self),
            None => nothing(),
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection")?;
        for (n, (addr, error)) in self.0.iter().enumerate() {
            write!(f, "{} to {addr}: {error}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Error for Tried {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.last().map(|(_, error)| error as _)
    }
}

fn stranger(local: SocketAddr, addrs: &[SocketAddr]) -> io::Error {
    let why = format!("the local address {local} is of another family than {addrs:?}");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Gives this end its address. Without a port, one is found with the peer's address in mind, where the system can wait.
fn bind(fd: &Fd, local: SocketAddr) -> io::Result<()> {
    if let Some(late) = unix::IP_BIND_ADDRESS_NO_PORT.filter(|_| local.port() == 0) {
        // Where that is not known after all, the port is found now.
        let _ = set(fd, libc::IPPROTO_IP, late, 1);
    }
    unix::bind(fd.as_raw_fd(), &local.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::TcpListener,
        testing::settle,
        time::{sleep_until, timeout},
    };
    use std::{cell::RefCell, rc::Rc};

    const MS: Duration = Duration::from_millis(1);

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[crate::test]
    async fn the_address_that_answers_is_taken() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let alive = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(&[dead, alive.local_addr().unwrap()][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive.local_addr().unwrap());
        assert_eq!(TcpStream::connect(dead).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(TcpStream::connect(&[][..]).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    /// Red when an address is not named, or the system's number is lost.
    #[crate::test]
    async fn an_error_names_the_addresses_and_keeps_its_number() {
        let dead = ["127.0.0.1:0", "[::1]:0"].map(|addr| std::net::TcpListener::bind(addr).unwrap());
        let dead = dead.map(|listener| listener.local_addr().unwrap());
        let error = TcpStream::connect(&dead[..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(dead.iter().all(|addr| text.contains(&addr.to_string())), "{text}");
        let source = error.get_ref().unwrap().source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.raw_os_error(), Some(libc::ECONNREFUSED));
        let bare = TcpStream::connect_addr(dead[0]).await.unwrap_err();
        assert_eq!(bare.raw_os_error(), Some(libc::ECONNREFUSED));
    }

    #[test]
    fn families_take_turns() {
        let order = |addrs: &[&str]| -> Vec<String> {
            let addrs: Vec<SocketAddr> = addrs.iter().map(|text| addr(text)).collect();
            by_turns(&addrs).map(|addr| addr.to_string()).collect()
        };
        let (v4, v6) = (["1.0.0.1:1", "1.0.0.2:1"], ["[::1]:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(order(&[v6[0], v6[1], v6[2], v4[0], v4[1]]), [v6[0], v4[0], v6[1], v4[1], v6[2]]);
        assert_eq!(order(&[v4[0], v4[1], v6[0]]), [v4[0], v6[0], v4[1]]);
        assert_eq!(order(&v4), v4);
        assert_eq!(order(&[]), [""; 0]);
    }

    /// An attempt that only takes its time: each address says after how many milliseconds, by its port, and those of
    /// IPv6 fail. What began and what was dropped is noted.
    struct Plays(Rc<RefCell<Vec<String>>>, Instant);

    impl Plays {
        fn new() -> Plays {
            Plays(Rc::default(), Instant::now())
        }

        fn attempt(&self, addr: SocketAddr) -> impl Future<Output = io::Result<u16>> + use<> {
            struct Gone(Rc<RefCell<Vec<String>>>, u16);
            impl Drop for Gone {
                fn drop(&mut self) {
                    self.0.borrow_mut().push(format!("end {}", self.1));
                }
            }
            let port = addr.port();
            self.0.borrow_mut().push(format!("{port} at {}", self.1.elapsed().as_millis()));
            let (gone, until) = (Gone(self.0.clone(), port), Instant::now() + u32::from(port) * MS);
            async move {
                sleep_until(until).await;
                let _gone = gone;
                if addr.is_ipv4() { Ok(port) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        }

        async fn run(self, addrs: &[&str]) -> (Result<u16, usize>, Vec<String>, u128) {
            let addrs: Vec<SocketAddr> = addrs.iter().map(|text| addr(text)).collect();
            let won = race(&addrs, 250 * MS, |addr| self.attempt(addr)).await.map_err(|tried| tried.0.len());
            (won, self.0.take(), self.1.elapsed().as_millis())
        }
    }

    /// Red when the next address does not wait, or waits for the end of the one before, or a loser goes on.
    #[crate::test(start_paused = true)]
    async fn the_next_address_is_tried_while_the_first_one_waits() {
        let (won, story, took) = Plays::new().run(&["1.0.0.1:900", "1.0.0.2:400", "1.0.0.3:300", "1.0.0.4:1"]).await;
        assert_eq!(story, ["900 at 0", "400 at 250", "300 at 500", "end 400", "end 900", "end 300"]);
        assert_eq!((won, took), (Ok(400), 650));
    }

    /// Red when a failure is waited out.
    #[crate::test(start_paused = true)]
    async fn a_failure_lets_the_next_begin_at_once() {
        let (won, story, took) = Plays::new().run(&["[::1]:10", "[::1]:20", "1.0.0.1:30"]).await;
        assert_eq!(story, ["10 at 0", "end 10", "30 at 10", "end 30"]);
        assert_eq!((won, took), (Ok(30), 40));
        let (won, story, took) = Plays::new().run(&["[::1]:300", "[::1]:10"]).await;
        assert_eq!((won, took), (Err(2), 300));
        assert_eq!(story, ["300 at 0", "10 at 250", "end 10", "end 300"]);
    }

    /// A listener whose queue is full: whoever connects waits for an answer. `None` where the system answers otherwise.
    async fn silent() -> Option<(std::net::TcpListener, Vec<TcpStream>)> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        unix::listen(listener.as_raw_fd(), 0).unwrap();
        let mut clients = Vec::new();
        for _ in 0..8 {
            match timeout(50 * MS, TcpStream::connect_addr(listener.local_addr().unwrap())).await {
                Ok(client) => clients.push(client.ok()?),
                Err(_) => return Some((listener, clients)),
            }
        }
        None
    }

    /// Red when the time is not heeded, or what was tried is not named, or goes on.
    #[crate::test]
    async fn a_connect_takes_no_longer_than_it_may() {
        let Some((silent, _clients)) = silent().await else { return };
        let addr = silent.local_addr().unwrap();
        let (start, opts) = (Instant::now(), TcpConnectOpts::new().timeout(20 * MS));
        let error = TcpStream::connect_with_config(addr, &opts).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::TimedOut && error.to_string().contains(&addr.to_string()), "{error}");
        let error = TcpStream::connect_addr_with_config(addr, &opts).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((40 * MS..Duration::from_secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
        settle().await;
    }

    /// Red when nobody else is tried while an address is silent.
    #[crate::test]
    async fn a_silent_address_is_passed() {
        let Some((silent, _clients)) = silent().await else { return };
        let alive = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addrs = [silent.local_addr().unwrap(), alive.local_addr().unwrap()];
        let (start, opts) = (Instant::now(), TcpConnectOpts::new().stagger(20 * MS));
        let stream = timeout(Duration::from_secs(5), TcpStream::connect_with_config(&addrs[..], &opts)).await;
        assert_eq!(stream.expect("only one is tried").unwrap().peer_addr().unwrap(), addrs[1]);
        assert!(start.elapsed() >= 20 * MS);
        settle().await;
    }

    /// Red when the local address is not bound, or one of the wrong family is tried.
    #[crate::test]
    async fn this_end_has_the_address_that_was_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let opts = TcpConnectOpts::new().local_addr(addr("127.0.0.1:0")).recv_buf_size(32 << 10);
        let stream = TcpStream::connect_with_config(&[addr("[::1]:1"), there][..], &opts).await.unwrap();
        let here = stream.local_addr().unwrap();
        assert!(here.ip() == there.ip() && here.port() != 0);
        assert!([32 << 10, 64 << 10].contains(&stream.recv_buffer_size().unwrap()));
        assert_eq!(listener.accept().await.unwrap().1, here);
        let taken = TcpConnectOpts::new().local_addr(here);
        let error = TcpStream::connect_addr_with_config(there, &taken).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let strange = TcpStream::connect_with_config(addr("[::1]:1"), &opts).await.unwrap_err();
        assert!(strange.kind() == io::ErrorKind::InvalidInput && strange.to_string().contains("[::1]:1"), "{strange}");
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let opts = TcpConnectOpts::new().local_addr(addr("[::1]:0"));
        TcpStream::connect_with_config(v6.local_addr().unwrap(), &opts).await.unwrap();
    }
}
