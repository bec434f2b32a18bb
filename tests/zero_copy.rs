//! Zero-copy sends: memory that is lent for longer than until the result, whatever is dropped when.

#[path = "outside/again.rs"]
mod again;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind, Fd,
    buf::{IoBuf, VecBuf},
    net::TcpStream,
    op::{self, Usage},
    time::{sleep, timeout},
};
use std::{
    cell::Cell,
    io::{ErrorKind, Read},
    net::{TcpListener, TcpStream as Std},
    os::fd::OwnedFd,
    rc::Rc,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(30);

/// Bytes that note when they are freed.
struct Noted {
    bytes: Box<[u8]>,
    freed: Rc<Cell<u32>>,
}

impl Noted {
    fn new(len: usize, freed: &Rc<Cell<u32>>) -> Noted {
        Noted { bytes: (0..len).map(|n| n as u8).collect(), freed: freed.clone() }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.freed.set(self.freed.get() + 1);
    }
}

// SAFETY: the bytes lie in a box, which is not touched while it is lent.
unsafe impl IoBuf for Noted {
    fn read_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.bytes.len()
    }
}

/// A connection: ours, and the peer's end.
fn pair() -> (Fd, Std) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Std::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(SOON)).unwrap();
    (Fd::new(OwnedFd::from(listener.accept().unwrap().0)), peer)
}

/// Whether this driver and this kernel have such a send.
fn lends() -> bool {
    annulus::metrics().driver.sqes_of("SEND_ZC") > 0
}

/// Reads `len` bytes, which are those of a [`Noted`] again and again.
fn read(peer: &mut Std, len: usize, period: usize) {
    let mut all = vec![0; len];
    peer.read_exact(&mut all).unwrap();
    assert!(all.iter().enumerate().all(|(n, &b)| b == (n % period) as u8), "other bytes");
}

async fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < SOON, "it does not come");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Red when memory is freed at the result, or with its last future, while the kernel still reads it.
#[annulus::test]
async fn what_is_dropped_is_freed_when_nobody_reads_it() {
    for after_result in [true, false] {
        let ((a, mut peer), freed) = (pair(), Rc::new(Cell::new(0)));
        let mut sending = op::send_zc(&a, Noted::new(300_000, &freed));
        let sent = if after_result {
            let (res, lent) = (&mut sending).await;
            drop(lent);
            res.unwrap()
        } else {
            let early = timeout(Duration::ZERO, &mut sending).await;
            drop(early);
            300_000
        };
        drop(sending);
        if lends() && after_result {
            sleep(Duration::from_millis(20)).await;
            assert_eq!(freed.get(), 0, "the peer has not read it");
            assert_eq!(annulus::metrics().driver.cancels, 0, "there is nothing to cancel");
        }
        let reader = thread::spawn(move || {
            peer.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let (mut all, mut buf) = (0, vec![0; sent]);
            while let Ok(n @ 1..) = peer.read(&mut buf) {
                all += n;
            }
            all
        });
        until(|| freed.get() == 1).await;
        assert!(reader.join().unwrap() <= 300_000);
    }
}

/// Red when the end of the peer does not end the wait, and when the buffer is freed twice.
#[annulus::test]
async fn a_peer_that_goes_away_lets_go_of_the_memory() {
    let ((a, peer), freed) = (pair(), Rc::new(Cell::new(0)));
    let (res, lent) = op::send_zc(&a, Noted::new(300_000, &freed)).await;
    assert!(res.unwrap() > 0);
    drop(peer);
    let buf = timeout(SOON, lent).await.expect("the memory stays away");
    assert_eq!((buf.bytes.len(), freed.get()), (300_000, 0));
    drop(buf);
    assert_eq!(freed.get(), 1);
    let (res, lent) = op::send_zc(&a, Noted::new(300_000, &freed)).await;
    assert!(matches!(res.unwrap_err().kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
    drop(timeout(SOON, lent).await.expect("the memory stays away"));
    assert_eq!(freed.get(), 2);
}

/// A send that waits for room, and what notes its buffer's end.
async fn waiting(a: &Fd) -> (op::ZeroCopy<op::SendZc<Noted>>, Rc<Cell<u32>>) {
    let bytes: &'static [u8] = &[0; 1 << 16];
    // The kernel moves bytes on to the peer's side for a while, so there may be room again.
    for _ in 0..100 {
        while let Ok(sent) = timeout(Duration::from_millis(20), op::send(a, bytes)).await {
            sent.0.unwrap();
        }
        let freed = Rc::new(Cell::new(0));
        let mut sending = op::send_zc(a, Noted::new(20_000, &freed));
        if timeout(Duration::from_millis(10), &mut sending).await.is_err() {
            return (sending, freed);
        }
    }
    panic!("it is never full");
}

#[annulus::test]
async fn a_send_that_waits_can_be_cancelled_and_gives_the_buffer_back() {
    let (a, _peer) = pair();
    let (mut sending, freed) = waiting(&a).await;
    sending.cancel();
    let (res, lent) = timeout(SOON, &mut sending).await.expect("a cancelled send ends");
    assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    drop(timeout(SOON, lent).await.expect("the buffer comes back"));
    assert_eq!(freed.get(), 1);
    let (dropped, freed) = waiting(&a).await;
    drop(dropped);
    until(|| freed.get() == 1).await;
}

/// Red when notifications are mixed up or lost among many.
#[annulus::test]
async fn a_thousand_in_flight_all_come_back() {
    const EACH: usize = 20_480;
    let (mut peers, mut lent, freed) = (Vec::new(), Vec::new(), Rc::new(Cell::new(0)));
    for _ in 0..100 {
        let (a, peer) = pair();
        for _ in 0..10 {
            let (res, buf) = op::send_zc(&a, Noted::new(EACH, &freed)).await;
            assert_eq!(res.unwrap(), EACH);
            lent.push(buf);
        }
        peers.push(peer);
    }
    if lends() {
        assert!(lent.iter().filter(|lent| lent.is_lent()).count() > 500);
    }
    let reader = thread::spawn(move || peers.iter_mut().for_each(|peer| read(peer, EACH * 10, 256)));
    for (n, lent) in lent.into_iter().enumerate() {
        let (buf, usage) = timeout(SOON, lent.with_usage()).await.expect("a buffer is lost");
        assert_eq!((buf.bytes.len(), usage, freed.get()), (EACH, Usage::Copied, n as u32));
    }
    reader.join().unwrap();
    let driver = annulus::metrics().driver;
    assert_eq!(
        (driver.zero_copies, driver.zero_copies_copied, driver.strays),
        (driver.sqes_of("SEND_ZC"), driver.sqes_of("SEND_ZC"), 0)
    );
}

/// Red when a short send is taken for all.
#[annulus::test]
async fn all_of_a_large_buffer_is_sent_to_a_slow_reader() {
    const LEN: usize = 10_000_000;
    let (a, mut peer) = pair();
    let mut stream = TcpStream::from_std(Std::from(a.duplicate().unwrap())).unwrap();
    drop(a);
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        read(&mut peer, LEN, 256);
        tell.send(()).unwrap();
        read(&mut peer, 256 * 3, 256);
        peer.read_exact(&mut [0; 30_000]).unwrap();
        read(&mut peer, 5, 5);
    });
    let text: Vec<u8> = (0..LEN).map(|n| n as u8).collect();
    let (res, text) = timeout(SOON, stream.write_all_zc(text)).await.expect("it hangs");
    assert_eq!((res.unwrap(), text.len()), (LEN, LEN));
    // From now on there is room for all at once.
    annulus::spawn_blocking(move || told.recv_timeout(SOON).unwrap()).await.unwrap();
    let parts = VecBuf::from(vec![text[..256].to_vec(); 3]);
    assert_eq!(stream.writev_zc(parts).await.0.unwrap(), 256 * 3);
    let part = vec![1; 15_000];
    let (sent, lent) = stream.send_vectored_zc(VecBuf::from(vec![part.clone(), part])).await;
    assert_eq!(sent.unwrap(), 30_000);
    drop(lent.await);
    assert_eq!(stream.write_zc(vec![0, 1, 2, 3, 4]).await.0.unwrap(), 5);
    reader.join().unwrap();
}

/// The end of a runtime with notifications outstanding: with a peer that reads, they come, and the memory is freed;
/// with one that does not, the runtime ends at its deadline and leaks what the kernel still reads.
///
/// Red when the end frees lent memory, and when it does not wait for a notification.
#[test]
fn the_end_of_a_runtime_waits_for_notifications_and_frees_nothing_that_is_lent() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        for reads in [true, false] {
            let deadline = if reads { SOON } else { Duration::from_millis(100) };
            let Ok(runtime) = Builder::new().driver(kind).shutdown_deadline(deadline).build() else { continue };
            let freed = Rc::new(Cell::new(0));
            let (lends, mut peer, forgotten) = runtime.block_on(async {
                let (a, peer) = pair();
                // More than what the peer's end takes in by itself.
                assert_eq!(op::send(&a, vec![7; 100_000]).await.0.unwrap(), 100_000);
                for _ in 0..2 {
                    let (res, lent) = op::send_zc(&a, Noted::new(20_000, &freed)).await;
                    assert_eq!(res.unwrap(), 20_000);
                    drop(lent);
                }
                let (res, kept) = op::send_zc(&a, Noted::new(20_000, &freed)).await;
                assert_eq!(res.unwrap(), 20_000);
                (lends(), peer, kept)
            });
            let before = if lends { 0 } else { 2 };
            assert_eq!(freed.get(), before, "{kind}");
            let reader = thread::spawn(move || {
                if reads {
                    thread::sleep(Duration::from_millis(50));
                    peer.read_exact(&mut vec![0; 120_000]).unwrap();
                }
                peer
            });
            let start = Instant::now();
            drop(runtime);
            assert!(start.elapsed() < SOON / 2, "{kind}: the end hangs");
            let after = if lends && !reads { 0 } else { 2 };
            assert_eq!(freed.get(), after, "{kind}, reads: {reads}");
            drop(forgotten);
            assert_eq!(freed.get(), if lends && !reads { 0 } else { 3 }, "{kind}, reads: {reads}");
            drop(reader.join());
        }
    }
}

/// What kernels before 6.2 do not tell is not made up. Red when it is.
#[test]
fn without_a_report_the_usage_is_unknown() {
    const NAME: &str = "without_a_report_the_usage_is_unknown";
    match role() {
        None => drop(passes(again(NAME, "old").env("ANNULUS_HIDE_OPS", "SEND_ZC_REPORT_USAGE"))),
        Some(_) => annulus::run(async {
            let (a, mut peer) = pair();
            let (res, lent) = op::send_zc(&a, vec![7u8; 20_000]).await;
            let n = res.unwrap();
            peer.read_exact(&mut vec![0; n]).unwrap();
            let lends = lent.is_lent();
            let (_, usage) = lent.with_usage().await;
            assert_eq!(usage, if lends { Usage::Unknown } else { Usage::Copied });
            let driver = annulus::metrics().driver;
            assert_eq!((driver.zero_copies, driver.zero_copies_copied), (u64::from(lends), 0));
        }),
    }
}
