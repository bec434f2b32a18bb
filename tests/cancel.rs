//! Each kind of operation, cancelled while it waits: it answers `ECANCELED` with its buffer, and afterwards everything
//! is as if it had never been begun. On both drivers.

use annulus::{
    buf::VecBuf,
    io::{
        AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, BufWriter, CancelableAsyncReadRent, CancelableAsyncWriteRent,
        Canceller, EarlyEnd,
    },
    net::{
        ListenerOpts, TcpListener, TcpStream, UnixDatagram, UnixListener, UnixStream, udp::UdpSocket, unix::new_pipe,
    },
    time::{Duration, sleep, timeout},
};
use socket2::SockRef;
use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    task::Poll,
};

const SOON: Duration = Duration::from_secs(5);

/// Polls until what is to wait does so for certain, cancels it, and gives its answer.
async fn cancelled<F: Future>(what: &str, canceller: Canceller, waiting: F) -> F::Output {
    let mut waiting = pin!(waiting);
    for _ in 0..2 {
        let pending = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
        assert!(pending, "{what} does not wait");
        sleep(Duration::from_millis(2)).await;
    }
    canceller.cancel();
    timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("{what} waits on"))
}

/// The same for any future.
async fn given_up<F: Future>(what: &str, waiting: F) -> F::Output {
    let canceller = Canceller::new();
    let handle = canceller.handle();
    cancelled(what, canceller, waiting.cancelable(handle)).await
}

#[track_caller]
fn ended<T: Debug>(res: io::Result<T>) {
    assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
}

/// Writes until there is no more room, and says how much that was. What is acknowledged late makes some once more.
async fn fill(stream: &mut impl AsyncWriteRent) -> usize {
    let mut filled = 0;
    loop {
        let (res, _) = stream.write(vec![1; 1 << 16]).time_limit(Duration::from_millis(60)).await;
        match res {
            Ok(n) => filled += n,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                return filled;
            }
        }
    }
}

/// Two ends whose buffers do not grow: what is full stays full.
async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let b = listener.accept().await.unwrap().0;
    for stream in [&a, &b] {
        let socket = SockRef::from(stream);
        socket.set_send_buffer_size(1 << 16).unwrap();
        socket.set_recv_buffer_size(1 << 16).unwrap();
    }
    (a, b)
}

/// A path of this test alone.
fn path(name: &str) -> PathBuf {
    let path =
        std::env::temp_dir().join(format!("annulus-cancel-{}-{name}-{}", std::process::id(), annulus::driver().kind()));
    let _ = std::fs::remove_file(&path);
    path
}

/// Reads and writes of a stream that is full in one direction and empty in the other.
async fn stream<S>(name: &str, mut a: S, mut b: S)
where
    S: CancelableAsyncReadRent + CancelableAsyncWriteRent,
{
    let filled = fill(&mut a).await;
    let new = || {
        let canceller = Canceller::new();
        let handle = canceller.handle();
        (canceller, handle)
    };
    let parts = || VecBuf::from(vec![vec![7; 4], vec![7; 5]]);
    let (c, handle) = new();
    let (res, buf) = cancelled(&format!("{name}: read"), c, a.cancelable_read(vec![7; 9], handle)).await;
    ended(res);
    assert_eq!(buf, [7; 9]);
    let (c, handle) = new();
    let (res, back) = cancelled(&format!("{name}: readv"), c, a.cancelable_readv(parts(), handle)).await;
    ended(res);
    assert_eq!(Vec::from(back), Vec::from(parts()));
    let (c, handle) = new();
    let (res, buf) = cancelled(&format!("{name}: write"), c, a.cancelable_write(vec![7; 9], handle)).await;
    ended(res);
    assert_eq!(buf, [7; 9]);
    let (c, handle) = new();
    let (res, back) = cancelled(&format!("{name}: writev"), c, a.cancelable_writev(parts(), handle)).await;
    ended(res);
    assert_eq!(Vec::from(back), Vec::from(parts()));

    // What was held back waits for room, and goes out once, whole.
    const HELD: usize = 1 << 20;
    let mut writer = BufWriter::with_capacity(2 * HELD, a);
    writer.write(vec![2; HELD]).await.0.unwrap();
    let (c, handle) = new();
    ended(cancelled(&format!("{name}: flush"), c, writer.cancelable_flush(handle)).await);
    let (c, handle) = new();
    ended(cancelled(&format!("{name}: shutdown"), c, writer.cancelable_shutdown(handle)).await);
    let both = async {
        annulus::join!(async { writer.shutdown().await.unwrap() }, async {
            let (res, got) = b.read_exact(vec![0; filled + HELD]).await;
            res.unwrap();
            assert!(got[..filled].iter().all(|byte| *byte == 1), "{name}: what was cancelled was sent");
            assert!(got[filled..].iter().all(|byte| *byte == 2), "{name}: what was held back is not the same");
            assert_eq!(b.read(vec![0; 1]).await.0.unwrap(), 0, "{name}: something was sent twice");
        })
    };
    timeout(SOON, both).await.unwrap_or_else(|_| panic!("{name}: something is lost"));
}

/// Red when a stream's operation is not reached by its canceller, gives no buffer, or has done something.
#[annulus::test]
async fn streams_are_as_they_were() {
    let (a, b) = tcp_pair().await;
    stream("tcp", a, b).await;
    let (a, b) = UnixStream::pair().unwrap();
    stream("unix", a, b).await;
}

/// The same of pipes, which have one direction each.
#[annulus::test]
async fn pipes_are_as_they_were() {
    let (mut reader, mut writer) = new_pipe().unwrap();
    let (res, buf) = given_up("read", reader.read(vec![7; 9])).await;
    ended(res);
    assert_eq!(buf, [7; 9]);
    let (res, _) = given_up("readv", reader.readv(VecBuf::from(vec![vec![0; 4]]))).await;
    ended(res);
    ended(given_up("readable", reader.readable()).await);
    let filled = fill(&mut writer).await;
    let (res, buf) = given_up("write", writer.write(vec![7; 9000])).await;
    ended(res);
    assert_eq!(buf.len(), 9000);
    let (res, _) = given_up("writev", writer.writev(VecBuf::from(vec![vec![7; 9000]]))).await;
    ended(res);
    ended(given_up("writable", writer.writable()).await);
    drop(writer);
    let (res, got) = reader.read_exact(vec![0; filled]).await;
    assert!(res.unwrap() == filled && got.iter().all(|byte| *byte == 1));
    assert_eq!(reader.read(vec![0; 1]).await.0.unwrap(), 0, "what was cancelled was written");
}

/// Red when a connection goes to an accept that was cancelled, and is lost with it.
#[annulus::test]
async fn the_next_accept_has_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let canceller = Canceller::new();
    let handle = canceller.handle();
    ended(cancelled("accept", canceller, listener.cancelable_accept(handle)).await);
    ended(given_up("readable", listener.readable(false)).await);
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_, peer) = timeout(SOON, listener.accept()).await.expect("it is lost").unwrap();
    assert_eq!(peer, client.local_addr().unwrap());

    let path = path("accept");
    let listener = UnixListener::bind(&path).unwrap();
    let canceller = Canceller::new();
    let handle = canceller.handle();
    ended(cancelled("accept of a path", canceller, listener.cancelable_accept(handle)).await);
    let _client = UnixStream::connect(&path).await.unwrap();
    timeout(SOON, listener.accept()).await.expect("it is lost").unwrap();
    std::fs::remove_file(path).unwrap();
}

/// Connects until one waits, which is cancelled. Gives those that were made.
async fn until_one_waits<S, F>(connect: impl Fn() -> F) -> Vec<S>
where
    S: Debug,
    F: Future<Output = io::Result<S>>,
{
    let mut made = Vec::new();
    for _ in 0..64 {
        match connect().time_limit(Duration::from_millis(50)).await {
            Ok(stream) => made.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                ended(given_up("connect", connect()).await);
                return made;
            }
        }
    }
    panic!("a queue without end");
}

/// Red when a connect that waits for room in the listener's queue is not reached. Elsewhere a full queue refuses.
#[annulus::test]
async fn connects_are_given_up() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let opts = ListenerOpts::new().backlog(1);
    let listener = TcpListener::bind_with_config("127.0.0.1:0", &opts).unwrap();
    let addr = listener.local_addr().unwrap();
    for client in until_one_waits(|| TcpStream::connect_addr(addr)).await {
        let (_, peer) = timeout(SOON, listener.accept()).await.expect("it is lost").unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }

    let path = path("connect");
    let listener = UnixListener::bind_with_config(&path, &opts).unwrap();
    for _ in until_one_waits(|| UnixStream::connect(&path)).await {
        timeout(SOON, listener.accept()).await.expect("it is lost").unwrap();
    }
    assert!(listener.accept().time_limit(Duration::from_millis(5)).await.is_err(), "one was cancelled and came");
    std::fs::remove_file(path).unwrap();
}

/// Red when a datagram goes to a receive that was cancelled, or one that was cancelled is sent.
#[annulus::test]
async fn datagrams_are_neither_lost_nor_sent() {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let at_b: SocketAddr = b.local_addr().unwrap();
    let canceller = Canceller::new();
    let handle = canceller.handle();
    let (res, buf) = cancelled("recv", canceller, b.cancelable_recv(vec![7; 9], handle)).await;
    ended(res);
    assert_eq!(buf, [7; 9]);
    let canceller = Canceller::new();
    let handle = canceller.handle();
    let (res, buf) = cancelled("recv_from", canceller, b.cancelable_recv_from(vec![7; 9], handle)).await;
    ended(res);
    assert_eq!(buf, [7; 9]);
    ended(given_up("readable", b.readable(false)).await);
    // A datagram to this machine finds room at once: none of these waits. Cancelled before, they send nothing.
    let canceller = Canceller::new();
    let late = canceller.handle();
    canceller.cancel();
    ended(a.cancelable_send_to("one", at_b, late.clone()).await.0);
    a.connect(at_b).await.unwrap();
    ended(a.cancelable_send("two", late).await.0);
    a.send("three").await.0.unwrap();
    assert_eq!(b.recv(Vec::with_capacity(9)).await.1, b"three");
}

/// The same between two processes of one machine, where a send waits for the other's queue.
#[annulus::test]
async fn datagrams_of_one_machine_wait_and_are_given_up() {
    let (a, b) = UnixDatagram::pair().unwrap();
    let (res, buf) = given_up("recv", b.recv(vec![7; 9])).await;
    ended(res);
    assert_eq!(buf, [7; 9]);
    let (res, _) = given_up("recv_from", b.recv_from(vec![7; 9])).await;
    ended(res);
    let mut sent = 0;
    while a.send(vec![1; 8]).time_limit(Duration::from_millis(20)).await.0.is_ok() {
        sent += 1;
    }
    let (res, buf) = given_up("send", a.send(vec![2; 8])).await;
    ended(res);
    assert_eq!(buf, [2; 8]);
    for _ in 0..sent {
        assert_eq!(timeout(SOON, b.recv(Vec::with_capacity(9))).await.expect("one is lost").1, [1; 8]);
    }
    assert!(b.recv(vec![0; 9]).time_limit(Duration::from_millis(5)).await.0.is_err(), "one was cancelled and sent");
}
