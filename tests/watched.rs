//! Receives that wait for a socket which is watched: nothing is lost, overtaken or held open by that, whoever comes,
//! goes or ends. The poll driver watches all that it waits for; the ring does while turns bring few completions.

#[path = "outside/limits.rs"]
mod limits;

use annulus::{
    Builder, Counters, DriverKind, Runtime,
    io::{AsyncReadRent, AsyncWriteRentExt, CancelableAsyncReadRent, Canceller, Split},
    net::TcpStream,
    op,
    rt::Next,
    time::{self, timeout},
};
use socket2::SockRef;
use std::{
    env, fs,
    future::{Future, poll_fn},
    io::{self, Read, Write},
    net::{Shutdown, TcpListener},
    os::fd::AsRawFd,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

/// Longer than anything takes that ends.
const LONG: Duration = Duration::from_secs(30);

fn on_ring() -> bool {
    annulus::driver().kind() == DriverKind::Uring
}

/// Whether receives are watched on this driver's ring.
fn watches() -> bool {
    let hidden = env::var("ANNULUS_HIDE_OPS").unwrap_or_default();
    let hides = |name: &str| matches!(name, "INLINE" | "POLL_ADD" | "POLL_ADD_MULTI" | "RECV" | "SENDMSG_ZC");
    // Since Linux 6.1, which is known by this opcode.
    let knows = || annulus::probe().ring().is_ok_and(|ring| ring.supports(annulus::sys::IORING_OP_SENDMSG_ZC as u8));
    on_ring() && knows() && !hidden.split(',').any(hides)
}

/// A runtime on this driver; where there is none, says why its half of a test is left out.
fn made(builder: Builder, kind: DriverKind) -> Option<Runtime> {
    let thread = std::thread::current();
    let skip = |e| drop(writeln!(io::stderr(), "SKIP {}: {e}", thread.name().unwrap_or("a test of watches")));
    builder.driver(kind).build().map_err(skip).ok()
}

fn counters() -> Counters {
    annulus::metrics().driver
}

/// Two ends of a TCP connection: ours, and one of std.
fn tcp_pair() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let b = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    b.set_read_timeout(Some(LONG)).unwrap();
    b.set_nodelay(true).unwrap();
    (TcpStream::from_std(listener.accept().unwrap().0).unwrap(), b)
}

/// Polls once, and says what came of it.
async fn polled<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// What is received next, within a time that is long.
async fn next(stream: &TcpStream, room: usize) -> io::Result<Vec<u8>> {
    let (n, buf) = timeout(LONG, stream.shared_read(Vec::with_capacity(room))).await.expect("nobody tells");
    n.map(|_| buf)
}

/// Receives once, so that the next receive is known to have to wait.
async fn drained(stream: &TcpStream, peer: &mut std::net::TcpStream) {
    peer.write_all(b"first").unwrap();
    assert_eq!(next(stream, 64).await.unwrap(), b"first");
}

/// Two ends, of which ours has been watched, and is.
async fn watched_pair() -> (TcpStream, std::net::TcpStream) {
    let (a, mut b) = tcp_pair();
    drained(&a, &mut b).await;
    let before = counters().watched;
    {
        let mut receiving = pin!(next(&a, 64));
        assert!(polled(receiving.as_mut()).await.is_pending());
        b.write_all(b"second").unwrap();
        assert_eq!(receiving.await.unwrap(), b"second");
    }
    assert_eq!(counters().watched - before, u64::from(watches()));
    (a, b)
}

/// Has turns bring many completions, so that nothing new is watched.
async fn crowd() {
    for _ in 0..12 {
        let all: Vec<_> = (0..64).map(|_| annulus::spawn(op::nop())).collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
    }
}

/// Has turns bring few.
async fn calm() {
    for _ in 0..40 {
        op::nop().await.unwrap();
    }
}

/// Red when the first is not served first, when only one is for each event, and when those who wait are not tried
/// again.
#[annulus::test]
async fn who_waits_longest_is_served_first() {
    let (a, mut b) = watched_pair().await;
    for round in 0..20u8 {
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(next(&a, 1))).collect();
        for receiving in &mut waiting {
            assert!(polled(receiving.as_mut()).await.is_pending());
        }
        annulus::yield_now().await;
        // All at once, or one by one, or with one that finds nothing at first.
        match round % 3 {
            0 => b.write_all(b"abcde").unwrap(),
            1 => {
                for byte in b"abcde" {
                    b.write_all(&[*byte]).unwrap();
                    annulus::yield_now().await;
                }
            }
            _ => {
                b.write_all(b"ab").unwrap();
                time::sleep(Duration::from_millis(1)).await;
                b.write_all(b"cde").unwrap();
            }
        }
        let mut came = Vec::new();
        for receiving in waiting {
            came.extend(receiving.await.unwrap());
        }
        if !on_ring() || watches() {
            assert_eq!(came, b"abcde");
        }
        // A full buffer tells nothing: so that the next round is watched, one that comes short.
        drained(&a, &mut b).await;
    }
}

/// Red when one that is gone is still called, or takes another with it.
#[annulus::test]
async fn a_receive_that_was_given_up_takes_nothing_with_it() {
    let (a, mut b) = watched_pair().await;
    for n in 0..50u32 {
        {
            let (mut first, mut second) = (Box::pin(next(&a, 64)), Box::pin(next(&a, 64)));
            assert!(polled(first.as_mut()).await.is_pending() && polled(second.as_mut()).await.is_pending());
            if n % 2 == 0 {
                annulus::yield_now().await;
            }
            drop(first);
            if n % 3 == 0 {
                // The ring's own receives end a little later than they are asked to.
                time::sleep(Duration::from_millis(1)).await;
                b.write_all(&n.to_le_bytes()).unwrap();
                assert_eq!(second.await.unwrap(), n.to_le_bytes());
                continue;
            }
        }
        time::sleep(Duration::from_millis(1)).await;
        b.write_all(&n.to_le_bytes()).unwrap();
        assert_eq!(next(&a, 64).await.unwrap(), n.to_le_bytes());
    }
}

/// A cancelled receive says so, and what comes later is the next one's.
#[annulus::test]
async fn a_receive_that_was_cancelled_says_so() {
    let (mut a, mut b) = watched_pair().await;
    for _ in 0..5 {
        let canceller = Canceller::new();
        {
            let mut receiving = pin!(a.cancelable_read(Vec::with_capacity(8), canceller.handle()));
            assert!(polled(receiving.as_mut()).await.is_pending());
            annulus::yield_now().await;
            let _fresh = canceller.cancel();
            let (res, buf) = timeout(LONG, receiving).await.expect("it does not end");
            assert_eq!((res.unwrap_err().raw_os_error(), buf.capacity()), (Some(libc::ECANCELED), 8));
        }
        b.write_all(b"later").unwrap();
        assert_eq!(next(&a, 64).await.unwrap(), b"later");
    }
}

/// Whether our end of a connection is still established, as the system's own list says. `None`: there is no such list.
fn is_established(peer: &std::net::TcpStream) -> Option<bool> {
    let (ours, theirs) = (peer.peer_addr().unwrap().port(), peer.local_addr().unwrap().port());
    let list = fs::read_to_string("/proc/self/net/tcp").ok()?;
    let line = list.lines().find(|line| {
        let ports: Vec<_> = line.split_whitespace().skip(1).take(2).filter_map(|addr| addr.split(':').nth(1)).collect();
        ports == [format!("{ours:04X}"), format!("{theirs:04X}")]
    });
    Some(line.is_some_and(|line| line.split_whitespace().nth(3) == Some("01")))
}

/// Waits for the end that the peer is to see.
fn sees_the_end(mut peer: std::net::TcpStream) {
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the connection is held open");
}

/// Red when a watch keeps the connection open beyond the turn that closes it.
#[annulus::test]
async fn a_close_is_the_end_at_once() {
    for crowded in [false, true, false] {
        let (a, b) = watched_pair().await;
        if crowded {
            crowd().await;
        }
        drop(a);
        op::nop().await.unwrap();
        // Nobody else has to do anything for that.
        assert_ne!(is_established(&b), Some(true));
        sees_the_end(b);
        if crowded {
            calm().await;
        }
    }
}

/// Red when a watch outlives its stream where its runtime does not run.
#[test]
fn a_stream_that_goes_elsewhere_ends_at_once() {
    type Leaves = fn(TcpStream);
    let ways: [Leaves; 4] = [
        drop,
        |a| drop(a.into_std().unwrap()),
        |a| drop(a.try_into_owned().unwrap()),
        |a| Runtime::new().unwrap().block_on(async { drop(a) }),
    ];
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Some(runtime) = made(Builder::new(), kind) else { continue };
        for leaves in ways {
            let (a, b) = runtime.block_on(watched_pair());
            leaves(a);
            assert_ne!(is_established(&b), Some(true), "{kind}");
            sees_the_end(b);
        }
        runtime.block_on(watched_pair());
    }
}

/// Red when what was asked for last is left, as so much else is pending.
#[test]
fn a_stream_that_goes_elsewhere_ends_though_much_is_pending() {
    const MANY: usize = 300;
    limits::set_soft(libc::RLIMIT_NOFILE, 4096);
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Some(runtime) = made(Builder::new(), kind) else { continue };
        let (mut others, (a, b)) = runtime.block_on(async {
            let mut others = Vec::new();
            for _ in 0..MANY {
                others.push(watched_pair().await);
            }
            (others, watched_pair().await)
        });
        others.iter_mut().for_each(|(_, peer)| peer.write_all(b"x").unwrap());
        drop(a);
        assert_ne!(is_established(&b), Some(true), "{kind}");
        sees_the_end(b);
        runtime.block_on(async { drop(others) });
    }
}

/// Red when a watch outlives its runtime, and when a runtime waits for whom nobody will tell.
#[test]
fn the_end_of_a_runtime_ends_its_connections() {
    let kinds = [DriverKind::Uring, DriverKind::Poll];
    for (kind, way) in kinds.iter().flat_map(|&kind| (0..3).map(move |way| (kind, way))) {
        let Some(runtime) = made(Builder::new(), kind) else { continue };
        let (peers, kept) = runtime.block_on(async {
            let mut peers = Vec::new();
            for _ in 0..8 {
                let (a, b) = watched_pair().await;
                peers.push(b);
                // A task waits, or keeps it, or has given up what it waited for.
                annulus::spawn(async move {
                    let mut receiving = Box::pin(next(&a, 64));
                    match way {
                        0 => drop(receiving.await),
                        1 => std::future::pending().await,
                        _ => {
                            assert!(polled(receiving.as_mut()).await.is_pending());
                            drop(receiving);
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
            let kept = watched_pair().await;
            // Whatever ends has ended.
            time::sleep(Duration::from_millis(1)).await;
            (peers, kept)
        });
        drop(runtime);
        for peer in peers {
            assert_ne!(is_established(&peer), Some(true), "{kind}, {way}");
            sees_the_end(peer);
        }
        // What no task had has outlived it, and ends by itself.
        assert_ne!(is_established(&kept.1), Some(false));
        drop(kept.0);
        assert_ne!(is_established(&kept.1), Some(true), "{kind}, {way}: after its runtime");
        sees_the_end(kept.1);
    }
}

/// A forgotten receive keeps its buffer and its connection, and harms nobody.
#[test]
fn a_forgotten_receive_harms_nobody() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Some(runtime) = made(Builder::new(), kind) else { continue };
        runtime.block_on(async {
            let (a, mut b) = watched_pair().await;
            let mut forgotten = op::recv(a.fd(), Vec::with_capacity(64));
            let mut read = Box::pin(a.shared_read(Vec::with_capacity(64)));
            assert!(polled(Pin::new(&mut forgotten)).await.is_pending());
            assert!(polled(read.as_mut()).await.is_pending());
            std::mem::forget((forgotten, read));
            b.write_all(b"x").unwrap();
            time::sleep(Duration::from_millis(2)).await;
            b.write_all(b"y").unwrap();
            time::sleep(Duration::from_millis(2)).await;
        });
    }
}

/// Red when the watch of a number that was closed is taken for that of its next owner.
#[annulus::test]
async fn a_number_that_comes_again_is_another_connection() {
    let mut numbers = Vec::new();
    for n in 0..200u32 {
        let (a, mut b) = watched_pair().await;
        numbers.push(a.fd().as_raw_fd());
        if n % 3 == 0 {
            // The old one has news when it goes, and the new one has none.
            b.write_all(b"stale").unwrap();
        }
        if n % 2 == 0 {
            op::nop().await.unwrap();
        }
        drop(a);
        if n % 4 == 0 {
            op::nop().await.unwrap();
        }
        drop(b);
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() < 100, "no number came again");
    let before = counters().slots;
    assert!(before <= 64, "{before}");
}

/// Red when a receive is lost between the two ways, and when nobody goes from one to the other.
#[annulus::test]
async fn what_comes_while_the_way_changes_is_not_lost() {
    let (a, mut b) = watched_pair().await;
    let start = counters();
    for n in 0..60u32 {
        let mut receiving = pin!(next(&a, 64));
        // It waits before, after, or while it changes.
        let early = n % 4 < 2;
        if early {
            assert!(polled(receiving.as_mut()).await.is_pending());
        }
        if n % 2 == 0 {
            crowd().await
        } else {
            calm().await
        }
        if !early {
            assert!(polled(receiving.as_mut()).await.is_pending());
        }
        b.write_all(&n.to_le_bytes()).unwrap();
        assert_eq!(receiving.await.unwrap(), n.to_le_bytes());
    }
    let end = counters();
    if watches() {
        assert!(end.watched - start.watched >= 15, "{end:?}");
        assert!(end.sqes_of("RECV") - start.sqes_of("RECV") >= 10, "{end:?}");
        assert!(end.watches - start.watches >= 5, "watched anew: {end:?}");
    }
}

/// Red when a watch goes on though nobody receives.
#[annulus::test]
async fn a_watch_that_nobody_needs_ends() {
    let (a, mut b) = watched_pair().await;
    let before = counters();
    let ends = || counters().sqes_of("ASYNC_CANCEL") - before.sqes_of("ASYNC_CANCEL");
    let (mut sent, mut came) = (0, 0);
    while sent < 10 || (watches() && ends() == 0 && sent < 10_000) {
        b.write_all(b"x").unwrap();
        sent += 1;
        time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..20 {
        b.write_all(b"x").unwrap();
        sent += 1;
        time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ends(), u64::from(watches()));
    while came < sent {
        came += next(&a, 64).await.unwrap().len();
    }
    b.write_all(b"more").unwrap();
    assert_eq!(next(&a, 64).await.unwrap(), b"more");
}

/// The completion queue is small, and everybody's peer speaks at once. Red when an event that found no room is lost.
#[test]
fn more_events_than_there_is_room_for() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Some(runtime) = made(Builder::new().entries(2), kind) else { continue };
        runtime.block_on(async {
            let mut pairs = Vec::new();
            for _ in 0..64 {
                pairs.push(watched_pair().await);
            }
            for round in 0..20u8 {
                calm().await;
                let (mut tasks, mut back) = (Vec::new(), Vec::new());
                for (a, b) in pairs.drain(..) {
                    back.push(b);
                    tasks.push(annulus::spawn(async move {
                        let got = next(&a, 64).await.unwrap();
                        (a, got)
                    }));
                }
                annulus::yield_now().await;
                for b in &mut back {
                    b.write_all(&[round; 3]).unwrap();
                }
                for (task, b) in tasks.into_iter().zip(back) {
                    let (a, got) = task.await.unwrap();
                    assert_eq!(got, [round; 3]);
                    pairs.push((a, b));
                }
            }
        });
    }
}

/// Red when a short receive is believed though an end stands behind what it gave.
#[annulus::test]
async fn an_end_behind_the_last_bytes_is_seen() {
    for n in 0..300 {
        let (mut a, mut b) = watched_pair().await;
        let mut receiving = Box::pin(next(&a, 64));
        if n % 2 == 0 {
            assert!(polled(receiving.as_mut()).await.is_pending());
            if n % 4 == 0 {
                annulus::yield_now().await;
            }
        }
        b.write_all(b"last words").unwrap();
        if n % 3 == 0 {
            annulus::yield_now().await;
        }
        b.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receiving.await.unwrap(), b"last words");
        for _ in 0..3 {
            assert_eq!(next(&a, 64).await.unwrap(), b"");
        }
        // The other direction is open.
        a.write_all(b"answer").await.0.unwrap();
        let mut answer = [0; 6];
        b.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
    }
}

/// Urgent data divides what is there. Red when a short receive is believed though it stopped at such.
#[annulus::test]
async fn what_stands_behind_urgent_data_is_seen() {
    for n in 0..300 {
        let (a, mut b) = watched_pair().await;
        let mut receiving = pin!(next(&a, 64));
        if n % 2 == 0 {
            assert!(polled(receiving.as_mut()).await.is_pending());
        }
        b.write_all(b"before").unwrap();
        assert_eq!(SockRef::from(&b).send_out_of_band(b"!").unwrap(), 1);
        b.write_all(b"behind").unwrap();
        let mut came = receiving.await.unwrap();
        while came.len() < 12 {
            came.extend(next(&a, 64).await.unwrap());
        }
        assert_eq!(came, b"beforebehind");
    }
}

/// Red when an error is lost, or is another one.
#[annulus::test]
async fn a_reset_is_the_same_error() {
    for waits in [true, false] {
        let (a, b) = watched_pair().await;
        let mut receiving = pin!(next(&a, 64));
        if waits {
            assert!(polled(receiving.as_mut()).await.is_pending());
        }
        SockRef::from(&b).set_linger(Some(Duration::ZERO)).unwrap();
        drop(b);
        assert_eq!(receiving.await.unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
        assert_eq!(next(&a, 64).await.unwrap(), b"", "it is told once");
    }
}

/// Our own end is one, too.
#[annulus::test]
async fn a_receive_ends_when_we_shut_down() {
    let (a, _b) = watched_pair().await;
    let mut receiving = pin!(next(&a, 64));
    assert!(polled(receiving.as_mut()).await.is_pending());
    annulus::yield_now().await;
    op::shutdown(a.fd(), Shutdown::Read).await.unwrap();
    assert_eq!(receiving.await.unwrap(), b"");
}

/// A ring in somebody else's loop wakes for a watched socket as for anything.
#[test]
fn a_pollable_runtime_is_told() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Some(runtime) = made(Builder::new().pollable(true), kind) else { continue };
        let (a, mut b) = runtime.block_on(watched_pair());
        let task = runtime.spawn(async move { next(&a, 64).await.unwrap() });
        let rest = || while runtime.turn(Duration::ZERO).unwrap() == Next::Now {};
        rest();
        b.write_all(b"told").unwrap();
        let mut waiting =
            libc::pollfd { fd: runtime.pollable().unwrap().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: a plain call with one place to write to.
        assert_eq!(unsafe { libc::poll(&raw mut waiting, 1, LONG.as_millis() as libc::c_int) }, 1);
        rest();
        assert_eq!(runtime.block_on(task).unwrap(), b"told");
    }
}

/// Much at once, in pieces of any size, both ways. Red when a byte is lost or comes twice.
#[annulus::test]
async fn every_byte_comes_once() {
    const TOTAL: usize = 400_000;
    let (mut a, mut b) = watched_pair().await;
    let writer = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..TOTAL).map(|n| (n % 251) as u8).collect();
        let (mut sent, mut dice) = (0, 7usize);
        while sent < TOTAL {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) & 0xffff_ffff;
            let piece = (1 + (dice >> 16) % 700).min(TOTAL - sent);
            b.write_all(&bytes[sent..sent + piece]).unwrap();
            sent += piece;
            if dice >> 28 == 0 {
                std::thread::yield_now();
            }
        }
    });
    let mut came = 0;
    loop {
        let room = 1 + came % 997;
        let (n, buf) = timeout(LONG, a.read(Vec::with_capacity(room))).await.expect("nobody tells");
        if n.unwrap() == 0 {
            break;
        }
        assert!(buf.iter().zip(came..).all(|(&byte, n)| byte == (n % 251) as u8));
        came += buf.len();
    }
    assert_eq!(came, TOTAL);
    writer.join().unwrap();
}
