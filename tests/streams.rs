//! Streams in the hands of somebody careless: given up, forgotten and left over in each of their states, on rings that
//! are too small, without descriptors, and across runtimes. All tests here hold one lock: they count what the whole
//! process has open.

#[path = "outside/again.rs"]
mod again;

use again::{again, passes, role};
use annulus::{
    Builder, Counters, DriverKind, Fd, Runtime,
    entry::Interest,
    op,
    pool::RecvPool,
    time::{sleep, timeout},
};
use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(10);

fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `test` alone with a runtime of each driver, and compares the open descriptors before and after.
#[track_caller]
fn on_each(name: &str, entries: u32, test: impl AsyncFn()) {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let before = descriptors();
        match Builder::new().driver(kind).entries(entries).build() {
            Ok(runtime) => in_time(&runtime, &test),
            Err(e) => {
                let _ = writeln!(io::stderr(), "SKIP {name}: {e}");
                continue;
            }
        }
        assert_eq!(descriptors(), before, "{kind}: descriptors were left behind");
    }
}

fn in_time(runtime: &Runtime, test: impl AsyncFn()) {
    runtime.block_on(async { timeout(SOON, test()).await.expect("it hangs") });
}

/// The descriptors that are open.
fn descriptors() -> usize {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    fs::read_dir(folder).unwrap().count()
}

fn listener() -> (Fd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    (Fd::new(listener.as_raw_copy()), TcpListener::local_addr(&listener).unwrap())
}

/// A second descriptor for the same socket.
trait Copy {
    fn as_raw_copy(&self) -> std::os::fd::OwnedFd;
}

impl Copy for TcpListener {
    fn as_raw_copy(&self) -> std::os::fd::OwnedFd {
        self.try_clone().unwrap().into()
    }
}

fn pair() -> (Fd, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    (Fd::new(a.into()), b)
}

fn counters() -> Counters {
    annulus::metrics().driver
}

/// Asks a stream once, for no longer than a moment.
macro_rules! ask {
    ($stream:expr) => {
        timeout(Duration::from_millis(2), $stream.next()).await
    };
}

/// The runtime ends while streams have not begun, wait, starve, rest, and hold what nobody took.
#[test]
fn a_runtime_ends_with_streams_in_every_state() {
    on_each("a_runtime_ends_with_streams", 64, async || {
        let (listener, addr) = listener();
        let bufs = RecvPool::new(2, 16).unwrap();
        bufs.set_stream_limit(2);
        let (a, mut b) = pair();
        let (c, _c) = pair();
        let fresh = op::accept_multi(&listener);
        let mut waiting = op::recv_multi(&c, &bufs);
        assert!(ask!(waiting).is_err());
        let mut ticking = op::timeout_multi(Duration::from_millis(1));
        ticking.next().await.unwrap().unwrap();
        let mut starving = op::recv_multi(&a, &bufs);
        b.write_all(&[7; 100]).unwrap();
        let kept = [starving.next().await.unwrap().unwrap(), starving.next().await.unwrap().unwrap()];
        assert!(ask!(starving).is_err());
        assert_eq!(bufs.offered(), 0);
        let mut holding = op::accept_multi(&listener);
        let _clients: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(addr).unwrap()).collect();
        drop(holding.next().await.unwrap().unwrap());
        sleep(Duration::from_millis(5)).await;
        // The tasks are dropped by the runtime, with all that they hold.
        annulus::spawn(async move {
            let _all = (fresh, waiting, ticking, starving, holding, kept, bufs);
            std::future::pending::<()>().await;
        });
        annulus::yield_now().await;
    });
}

/// A forgotten stream leaks itself, and keeps nobody from anything.
#[test]
fn a_forgotten_stream_is_no_danger() {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Ok(runtime) = Builder::new().driver(kind).build() else { continue };
        let (a, mut b) = pair();
        let kept = runtime.block_on(async {
            let bufs = RecvPool::new(4, 16).unwrap();
            let mut stream = op::recv_multi(&a, &bufs);
            b.write_all(b"first").unwrap();
            let kept = stream.next().await.unwrap().unwrap();
            std::mem::forget(stream);
            b.write_all(b"second").unwrap();
            sleep(Duration::from_millis(5)).await;
            kept
        });
        drop(runtime);
        assert_eq!(&kept[..], b"first", "{kind}");
        drop(kept);
        // Whoever is forgotten goes on holding its descriptor: the peer sees no end.
        drop(a);
        b.set_nonblocking(true).unwrap();
        assert_eq!(b.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock, "{kind}");
    }
}

/// Buffers outlive their group's handle, its streams and its runtime.
#[test]
fn a_buffer_outlives_everything() {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Ok(runtime) = Builder::new().driver(kind).build() else { continue };
        let mut kept = runtime.block_on(async {
            let (a, mut b) = pair();
            b.write_all(b"hello").unwrap();
            let bufs = RecvPool::new(1, 16).unwrap();
            op::recv_provided(&a, &bufs).await.unwrap().unwrap()
        });
        drop(runtime);
        kept[0] = b'j';
        assert_eq!(&kept[..], b"jello", "{kind}");
    }
}

/// Each group has an id of its own, given again when the group has gone.
#[test]
fn groups_come_and_go() {
    on_each("groups_come_and_go", 64, async || {
        let (a, mut b) = pair();
        for round in 0..200u8 {
            let (one, two) = (RecvPool::new(1, 8).unwrap(), RecvPool::new(1, 16).unwrap());
            b.write_all(&[round; 20]).unwrap();
            let first = op::recv_provided(&a, &one).await.unwrap().unwrap();
            let second = op::recv_provided(&a, &two).await.unwrap().unwrap();
            assert_eq!((&first[..], &second[..]), (&[round; 8][..], &[round; 12][..]));
            drop(two);
            drop(first);
            drop(one);
        }
    });
}

/// A completion queue that overflows ends multishots; nothing is lost, and nobody above notices.
#[test]
fn a_tiny_ring_loses_nothing() {
    on_each("a_tiny_ring_loses_nothing", 1, async || {
        let (listener, addr) = listener();
        let (a, mut b) = pair();
        let bufs = RecvPool::new(64, 4).unwrap();
        let mut accepting = op::accept_multi(&listener);
        let mut receiving = op::recv_multi(&a, &bufs);
        assert!(ask!(accepting).is_err() && ask!(receiving).is_err());
        let clients: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let sent: Vec<u8> = (0..=255).collect();
        b.write_all(&sent).unwrap();
        let mut got = Vec::new();
        while got.len() < sent.len() {
            got.extend_from_slice(&receiving.next().await.unwrap().unwrap());
        }
        assert_eq!(got, sent);
        for _ in &clients {
            accepting.next().await.unwrap().unwrap();
        }
        assert!(ask!(accepting).is_err(), "more connections than clients");
    });
}

/// A panic of whoever takes the items is the stream's end, and no more.
#[test]
fn a_task_that_panics_drops_its_stream() {
    on_each("a_task_that_panics", 64, async || {
        let (listener, addr) = listener();
        let mut client = TcpStream::connect(addr).unwrap();
        let (task, socket) = (listener.clone(), Fd::clone(&listener));
        let failed = annulus::spawn(async move {
            let mut accepting = op::accept_multi(&task);
            let _connection = accepting.next().await.unwrap().unwrap();
            panic!("as the test wants it");
        });
        assert!(failed.await.is_err());
        client.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        let _next = TcpStream::connect(addr).unwrap();
        op::accept(&socket).await.0.unwrap();
    });
}

/// Two streams on one descriptor, and one-shot operations beside them: each item goes to one of them.
#[test]
fn streams_and_operations_share_a_descriptor() {
    on_each("streams_and_operations_share", 64, async || {
        let (listener, addr) = listener();
        let (mut one, mut two) = (op::accept_multi(&listener), op::accept_multi(&listener));
        let mut readable = op::poll_multi(&listener, Interest::Read);
        assert!(ask!(one).is_err() && ask!(two).is_err() && ask!(readable).is_err());
        let single = annulus::spawn(op::accept(&listener));
        annulus::yield_now().await;
        let mut taken = 0;
        let clients: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(addr).unwrap()).collect();
        readable.next().await.unwrap().unwrap();
        while let Ok(Some(item)) = ask!(one) {
            item.unwrap();
            taken += 1;
        }
        while let Ok(Some(item)) = ask!(two) {
            item.unwrap();
            taken += 1;
        }
        if taken < clients.len() {
            single.await.unwrap().0.unwrap();
            taken += 1;
        } else {
            single.abort();
        }
        assert_eq!(taken, clients.len(), "{} {:?}", annulus::driver(), counters());
    });
}

/// Without descriptors a listener pauses, and goes on when there are some; it neither fails nor spins.
#[test]
fn an_accept_without_descriptors_waits_for_some() {
    const NAME: &str = "an_accept_without_descriptors_waits_for_some";
    let Some(driver) = role() else {
        let _alone = alone();
        for driver in ["uring", "poll"] {
            passes(&mut again(NAME, driver));
        }
        return;
    };
    let kind = if driver == "uring" { DriverKind::Uring } else { DriverKind::Poll };
    match Builder::new().driver(kind).build() {
        Ok(runtime) => in_time(&runtime, without_descriptors),
        Err(e) => drop(writeln!(io::stderr(), "SKIP {NAME}: {e}")),
    }
}

async fn without_descriptors() {
    let (listener, addr) = listener();
    // What the driver opens when it first waits is there before there is nothing left for it.
    timeout(Duration::from_millis(100), op::poll(&listener, Interest::Read)).await.unwrap_err();
    let mut accepting = op::accept_multi(&listener);
    let mut clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(addr).unwrap()).collect();
    // Every descriptor that there may be but four is in use.
    let limit = descriptors() as u64 + 32;
    lower_limit(limit);
    let mut hoard: Vec<fs::File> = std::iter::from_fn(|| fs::File::open("Cargo.toml").ok()).collect();
    hoard.truncate(hoard.len() - 4);
    let mut accepted = Vec::new();
    while let Ok(Some(item)) = ask!(accepting) {
        accepted.push(item.unwrap());
    }
    assert_eq!(accepted.len(), 4);
    let (start, cpu) = (Instant::now(), cpu_time());
    assert!(timeout(Duration::from_millis(300), accepting.next()).await.is_err(), "there is no descriptor");
    let (wall, used) = (start.elapsed(), cpu_time() - cpu);
    assert!(used < wall / 4, "{used:?} of CPU in {wall:?}");
    let driver = counters();
    assert!((4..30).contains(&driver.pauses), "{driver:?}");
    hoard.clear();
    while accepted.len() < clients.len() {
        accepted.push(accepting.next().await.unwrap().unwrap());
    }
    let mut last = clients.pop().unwrap();
    drop((accepted, clients));
    last.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap(), 0);
}

fn lower_limit(soft: u64) {
    // SAFETY: Plain bytes: all-zero is a limit.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: Kernel's word: the limit is written before the call returns.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = soft as libc::rlim_t;
    // SAFETY: Kernel's word: the limit is read before the call returns.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// What this process has used of the CPUs.
fn cpu_time() -> Duration {
    // SAFETY: Plain bytes: all-zero is a usage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: Kernel's word: the usage is written before the call returns.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) }, 0);
    let time = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}
