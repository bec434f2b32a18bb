//! Every function that can be cancelled, cancelled while it waits: it answers `ECANCELED`, 125 on Linux, with its
//! buffer, and nothing is lost.

use crate::{call, inventory};
use monoio::{
    buf::VecBuf,
    io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, BufWriter, CancelHandle, Canceller},
    net::{TcpListener, TcpStream, UnixListener, UnixStream, udp::UdpSocket},
    time::{Duration, sleep, timeout},
};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

const MS: Duration = Duration::from_millis(1);
const SOON: Duration = Duration::from_secs(5);

thread_local! {
    /// The functions that were cancelled.
    static CANCELLED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Has a function wait, cancels it, and gives its answer.
macro_rules! cancel {
    ($($name:ident)::+ ($($arg:expr),*)) => {{
        let canceller = Canceller::new();
        let waiting = call!($($name)::+)($($arg,)* canceller.handle());
        CANCELLED.with_borrow_mut(|names| names.insert(stringify!($($name)::+).replace(' ', "")));
        cancelled(canceller, waiting, stringify!($($name)::+)).await
    }};
}

async fn cancelled<F: Future>(canceller: Canceller, waiting: F, name: &str) -> F::Output {
    let mut waiting = pin!(waiting);
    for _ in 0..2 {
        let pending = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
        assert!(pending, "{name} does not wait");
        sleep(MS).await;
    }
    canceller.cancel();
    timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("{name} waits on"))
}

fn ended<T>(res: io::Result<T>) {
    assert_eq!(res.err().expect("it was cancelled").raw_os_error(), Some(libc::ECANCELED));
}

fn parts(lens: &[usize]) -> VecBuf {
    lens.iter().map(|len| vec![0; *len]).collect::<Vec<_>>().into()
}

/// A handle that was cancelled already.
fn too_late() -> CancelHandle {
    let canceller = Canceller::new();
    let handle = canceller.handle();
    canceller.cancel();
    handle
}

pub(crate) async fn all() {
    reads().await;
    numbers().await;
    writes().await;
    listeners().await;
    datagrams().await;
    let wanted = inventory(|kind| kind == "fn").into_iter();
    let wanted =
        wanted.filter(|name| name.contains("::cancelable_") || name.contains("::CancelableAsyncWriteRentExt::"));
    assert_eq!(CANCELLED.take(), wanted.collect::<BTreeSet<_>>());
}

async fn reads() {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let (res, buf) = cancel!(io::CancelableAsyncReadRent::cancelable_read(&mut b, vec![7; 4]));
    ended(res);
    assert_eq!(buf, [7; 4]);
    let (res, vector) = cancel!(io::CancelableAsyncReadRent::cancelable_readv(&mut b, parts(&[1, 3])));
    ended(res);
    assert_eq!(Vec::from(vector), [vec![0; 1], vec![0; 3]]);
    a.write("half").await.0.unwrap();
    let whole = Vec::with_capacity(8);
    let (res, buf) = cancel!(io::CancelableAsyncReadRentExt::cancelable_read_exact(&mut b, whole));
    ended(res);
    assert_eq!(buf, b"half");
    a.write("more").await.0.unwrap();
    let (res, vector) = cancel!(io::CancelableAsyncReadRentExt::cancelable_read_vectored_exact(&mut b, parts(&[3, 3])));
    ended(res);
    assert_eq!(Vec::from(vector)[0], b"mor");
    // What comes afterwards has nobody else to go to.
    a.write("after").await.0.unwrap();
    assert_eq!(b.read_exact(vec![0; 5]).await.1, b"after");
}

async fn numbers() {
    let (_a, mut b) = UnixStream::pair().unwrap();
    macro_rules! each {
        ($($name:ident)*) => {$(ended(cancel!(io::CancelableAsyncReadRentExt::$name(&mut b)));)*};
    }
    each! {
        cancelable_read_u8 cancelable_read_u16 cancelable_read_u32 cancelable_read_u64 cancelable_read_u128
        cancelable_read_i8 cancelable_read_i16 cancelable_read_i32 cancelable_read_i64 cancelable_read_i128
        cancelable_read_f32 cancelable_read_f64
        cancelable_read_u8_le cancelable_read_u16_le cancelable_read_u32_le cancelable_read_u64_le
        cancelable_read_u128_le cancelable_read_i8_le cancelable_read_i16_le cancelable_read_i32_le
        cancelable_read_i64_le cancelable_read_i128_le cancelable_read_f32_le cancelable_read_f64_le
    }
}

/// Writes until there is no more room, and says how much that was.
async fn fill(stream: &mut UnixStream) -> usize {
    let mut filled = 0;
    while let Ok((res, _)) = timeout(20 * MS, stream.write(vec![1; 1 << 16])).await {
        filled += res.unwrap();
    }
    filled
}

async fn writes() {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let filled = fill(&mut a).await;
    let (res, buf) = cancel!(io::CancelableAsyncWriteRent::cancelable_write(&mut a, vec![2; 9]));
    ended(res);
    assert_eq!(buf, [2; 9]);
    let (res, vector) = cancel!(io::CancelableAsyncWriteRent::cancelable_writev(&mut a, parts(&[4, 5])));
    ended(res);
    assert_eq!(Vec::from(vector), [vec![0; 4], vec![0; 5]]);
    let (res, buf) = cancel!(io::CancelableAsyncWriteRentExt::write_all(&mut a, vec![2; 9]));
    ended(res);
    assert_eq!(buf, [2; 9]);
    let (res, vector) = cancel!(io::CancelableAsyncWriteRentExt::write_vectored_all(&mut a, parts(&[4, 5])));
    ended(res);
    assert_eq!(Vec::from(vector), [vec![0; 4], vec![0; 5]]);

    // What is held back for a full stream waits, and is still there afterwards.
    let mut writer = BufWriter::with_capacity(64, a);
    writer.write("held back").await.0.unwrap();
    ended(cancel!(io::CancelableAsyncWriteRent::cancelable_flush(&mut writer)));
    ended(cancel!(io::CancelableAsyncWriteRent::cancelable_shutdown(&mut writer)));
    let (sent, (res, got)) =
        monoio::join!(async { writer.shutdown().await }, async { b.read_exact(vec![0; filled + 9]).await });
    sent.unwrap();
    res.unwrap();
    assert!(got[..filled].iter().all(|byte| *byte == 1) && &got[filled..] == b"held back");
    assert_eq!(b.read(vec![0; 1]).await.0.unwrap(), 0, "nothing was sent twice");
}

async fn listeners() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    ended(cancel!(net::TcpListener::cancelable_accept(&listener)));
    let client = TcpStream::connect_addr(listener.local_addr().unwrap()).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("listener")).unwrap();
    ended(cancel!(net::unix::UnixListener::cancelable_accept(&listener)));
    let mut client = UnixStream::connect(dir.path().join("listener")).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write("x").await.0.unwrap();
    assert_eq!(server.read(vec![0; 1]).await.1, b"x");
}

async fn datagrams() {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (at_a, at_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
    a.connect(at_b).await.unwrap();
    let (res, buf) = cancel!(net::udp::UdpSocket::cancelable_recv(&b, vec![7; 8]));
    ended(res);
    assert_eq!(buf, [7; 8]);
    let (res, buf) = cancel!(net::udp::UdpSocket::cancelable_recv_from(&b, vec![7; 8]));
    ended(res);
    assert_eq!(buf, [7; 8]);
    // A datagram to this machine finds room at once, so these cannot wait; cancelled before, they send nothing.
    let (res, buf) = call!(net::udp::UdpSocket::cancelable_send)(&a, "one", too_late()).await;
    ended(res);
    assert_eq!(buf, "one");
    let (res, buf) = call!(net::udp::UdpSocket::cancelable_send_to)(&a, "two", at_b, too_late()).await;
    ended(res);
    assert_eq!(buf, "two");
    let both = ["net::udp::UdpSocket::cancelable_send", "net::udp::UdpSocket::cancelable_send_to"];
    CANCELLED.with_borrow_mut(|names| names.extend(both.map(String::from)));
    a.send("three").await.0.unwrap();
    let (res, buf) = b.recv_from(Vec::with_capacity(8)).await;
    assert_eq!((res.unwrap().1, &buf[..]), (at_a, &b"three"[..]));
}
