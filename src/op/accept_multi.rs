//! `accept4(2)`: `IORING_OP_ACCEPT`, since Linux 5.5. Many times: as a multishot since 5.19.

use crate::{
    driver::Fd,
    entry::{AcceptFlags, After, Cqe, Flag, Multishot, Sqe, Target, Twin},
    op::{Multi, MultiOp, Op, accept, multi},
};
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

impl Sqe {
    /// Accepts connections without end; `flags` are `SOCK_*`, and close-on-exec is added. For fixed files it is
    /// [`accept_direct`](Sqe::accept_direct) with [`AcceptFlags::MULTISHOT`], to any place. Whose connection each is,
    /// `getpeername(2)` tells: one address for all of them would be written over.
    ///
    /// *Result*: a descriptor of each completion. It goes on as long as they have
    /// [`CqeFlags::MORE`](crate::entry::CqeFlags::MORE); an error ends it, and a completion queue that is full. *Since*
    /// Linux 5.19. *Cancel*: while it waits. Multishot; no group of buffers. *Twin*: `accept4(2)`, one by one.
    #[must_use]
    pub fn accept_multi(fd: impl Target, flags: i32) -> Sqe {
        Sqe::accept(fd, ptr::null_mut(), ptr::null_mut(), flags).accept_flags(AcceptFlags::MULTISHOT)
    }
}

pub(super) static MULTISHOT: Multishot = Multishot {
    flag: Some(Flag { name: "ACCEPT_MULTISHOT", set: |sqe| sqe.accept_flags(AcceptFlags::MULTISHOT) }),
    after,
};

/// A connection that failed before it was accepted is its own affair, and not the listener's.
fn after(res: i32) -> After {
    match -res {
        ..=0 | libc::ECONNABORTED | libc::EPROTO | libc::EPERM => After::More,
        libc::ENETDOWN | libc::EHOSTDOWN | libc::EHOSTUNREACH | libc::ENETUNREACH => After::More,
        _ => After::End,
    }
}

/// Accepts without end, as an operation.
#[derive(Debug)]
pub struct AcceptMulti {
    fd: Fd,
}

// SAFETY: Lent: the entry names a descriptor, which `fd` holds open, and no memory.
unsafe impl Op for AcceptMulti {
    type Output = Option<io::Result<OwnedFd>>;

    fn twin(&self) -> &'static Twin {
        &accept::TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::accept(self.fd.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), 0)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        if cqe.res == -libc::ECANCELED { None } else { Some(connection(cqe)) }
    }
}

// SAFETY: Lent: the entry names no memory at all.
unsafe impl MultiOp for AcceptMulti {
    type Item = io::Result<OwnedFd>;

    fn multishot(&self) -> &'static Multishot {
        &MULTISHOT
    }

    fn each(&mut self, cqe: Cqe) -> Self::Item {
        connection(cqe)
    }
}

fn connection(cqe: Cqe) -> io::Result<OwnedFd> {
    // SAFETY: Fresh descriptor: an accept that succeeds gives one that nobody else has.
    cqe.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Accepts connections from a listening socket, one after the other, by one request where the kernel can (since Linux
/// 5.19).
///
/// An item is a connection, or what became of one (`ECONNABORTED`: its peer had gone); the stream goes on then. When no
/// descriptor or no memory is left (`EMFILE`, `ENFILE`, `ENOMEM`) it gives nothing and tries again after a pause of a
/// millisecond to a tenth of a second, counted in [`Counters::pauses`](crate::Counters::pauses): the connections wait
/// in the listener's queue. Any other error is the last item. Who the peer is, `getpeername(2)` tells.
///
/// Where a twin does the work the listener has to be non-blocking: see [`accept()`](crate::op::accept()).
pub fn accept_multi(fd: &Fd) -> Multi<AcceptMulti> {
    multi(AcceptMulti { fd: fd.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::{self, unix},
        testing::{listener, poll_once, settle},
    };
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpStream},
        time::Duration,
    };

    fn connect(addr: SocketAddr, n: usize) -> Vec<TcpStream> {
        (0..n).map(|_| TcpStream::connect(addr).unwrap()).collect()
    }

    /// Red when a stream asks for each connection by an entry of its own.
    #[crate::test]
    async fn a_thousand_connections_are_one_request() {
        let (listener, addr) = listener();
        let mut accepting = accept_multi(&listener);
        let before = crate::metrics().driver;
        for _ in 0..10 {
            let clients = connect(addr, 100);
            for _ in 0..100 {
                accepting.next().await.unwrap().unwrap();
            }
            drop(clients);
        }
        let driver = crate::metrics().driver;
        if crate::driver().kind() == crate::DriverKind::Uring && driver.twins_ready == before.twins_ready {
            let (sqes, rearms) = (driver.sqes_of("ACCEPT") - before.sqes_of("ACCEPT"), driver.rearms - before.rearms);
            assert_eq!(sqes, 1 + rearms);
            // As old as multishot accepts.
            if !crate::driver::Driver::current().unwrap().on_ring(sys::IORING_OP_SOCKET as u8) {
                let _ = writeln!(io::stderr(), "SKIP a_thousand_connections: no multishot accept on this kernel");
                return;
            }
            let hidden = std::env::var("ANNULUS_HIDE_OPS").is_ok_and(|ops| ops.contains("ACCEPT_MULTISHOT"));
            assert!(if hidden { rearms >= 1000 } else { rearms < 20 }, "{rearms}");
        }
    }

    #[crate::test]
    async fn a_dropped_stream_closes_what_it_had_accepted() {
        let (listener, addr) = listener();
        let mut accepting = accept_multi(&listener);
        let mut clients = connect(addr, 3);
        drop(accepting.next().await.unwrap().unwrap());
        // The others are in the stream's queue by now, or on their way.
        crate::time::sleep(Duration::from_millis(10)).await;
        drop(accepting);
        drop(listener);
        settle().await;
        for client in &mut clients {
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            match client.read(&mut [0]) {
                Ok(0) => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
                other => panic!("the connection lives on: {other:?}"),
            }
        }
    }

    #[crate::test]
    async fn a_socket_that_does_not_listen_ends_the_stream_with_its_error() {
        let socket = crate::op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        let mut accepting = accept_multi(&Fd::new(socket));
        assert_eq!(accepting.next().await.unwrap().unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert!(accepting.next().await.is_none() && accepting.next().await.is_none());
    }

    #[crate::test]
    async fn a_cancelled_stream_gives_what_it_has_and_ends() {
        let (listener, addr) = listener();
        let mut accepting = accept_multi(&listener);
        let _clients = connect(addr, 2);
        accepting.next().await.unwrap().unwrap();
        crate::time::sleep(Duration::from_millis(10)).await;
        accepting.cancel();
        let mut left = 0;
        while let Some(item) = accepting.next().await {
            item.unwrap();
            left += 1;
        }
        assert!(left <= 1);
        settle().await;
        let again = accept_multi(&listener);
        drop(again);
        let mut idle = accept_multi(&listener);
        poll_idle(&mut idle).await;
        idle.cancel();
        if left == 0 {
            idle.next().await.unwrap().unwrap();
        }
        assert!(idle.next().await.is_none());
    }

    async fn poll_idle(stream: &mut Multi<AcceptMulti>) {
        let mut next = Box::pin(stream.next());
        poll_once(&mut next).await;
    }

    /// Red when a stream is not stopped, or not started again: nobody fetches, and the backlog is not accepted without
    /// end; later everything comes.
    #[crate::test]
    async fn nobody_fetches_and_the_stream_rests() {
        const MANY: usize = 700;
        let (listener, addr) = listener();
        unix::listen(listener.as_raw_fd(), 1024).unwrap();
        let mut accepting = accept_multi(&listener);
        poll_idle(&mut accepting).await;
        let _clients = connect(addr, MANY);
        for _ in 0..20 {
            crate::time::sleep(Duration::from_millis(1)).await;
        }
        let driver = crate::metrics().driver;
        // The kernel may have accepted all of them before it is told to stop.
        if crate::driver().kind() == crate::DriverKind::Poll {
            assert!(driver.cqes < 300, "{driver:?}");
        }
        for n in 0..MANY {
            let item = crate::time::timeout(Duration::from_secs(5), accepting.next()).await;
            item.unwrap_or_else(|_| panic!("nothing after {n}")).unwrap().unwrap();
        }
    }

    /// Red when one listener that was asked too early makes the driver believe that the kernel has no such flag.
    #[crate::test]
    async fn a_socket_that_listens_too_late_proves_nothing() {
        let listener = Fd::new(crate::op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap());
        crate::op::bind(&listener, SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let mut accepting = accept_multi(&listener);
        poll_idle(&mut accepting).await;
        for _ in 0..100_000 {
            if crate::metrics().driver.rearms > 0 {
                break;
            }
            crate::yield_now().await;
        }
        // As old as multishot accepts.
        let is_new = crate::driver::Driver::current().unwrap().on_ring(sys::IORING_OP_SOCKET as u8);
        if !is_new || crate::metrics().driver.rearms == 0 {
            // Asked one by one, it says at once that the socket does not listen.
            return;
        }
        unix::listen(listener.as_raw_fd(), 128).unwrap();
        let addr = unix::socket_addr(listener.as_raw_fd(), unix::End::Local).unwrap().to_std().unwrap();
        let _clients = connect(addr, 50);
        for _ in 0..50 {
            accepting.next().await.unwrap().unwrap();
        }
        assert!(crate::metrics().driver.rearms < 10, "{:?}", crate::metrics().driver);
    }
}
