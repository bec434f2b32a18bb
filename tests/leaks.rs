//! Descriptors and threads that must not be left behind. All tests here hold one lock: they count what the whole
//! process has.
#![cfg(target_os = "linux")] // which tells both in /proc

use annulus::{
    Builder, DriverKind, Fd, Runtime,
    fs::File,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    op::{self, OpenHow},
    time::{sleep, timeout},
};
use std::{
    future::poll_fn,
    io::{self, Write},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd},
    path::Path,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// The descriptors that are open; reading the folder is one more, always.
fn descriptors() -> usize {
    entries("/proc/self/fd")
}

fn is_open(fd: RawFd) -> bool {
    Path::new(&format!("/proc/self/fd/{fd}")).symlink_metadata().is_ok()
}

/// Threads of annulus: the harness starts and ends its own as it likes.
fn pool_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    tasks.filter_map(name).filter(|name| name.starts_with("annulus")).count()
}

/// Runs `test` with a runtime of each driver, alone, and compares the descriptors before and after.
#[track_caller]
fn leaves_nothing(name: &str, test: impl AsyncFn()) {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let runtime = match Builder::new().driver(kind).build() {
            Ok(runtime) => runtime,
            Err(e) => {
                let _ = writeln!(io::stderr(), "SKIP {name}: {e}");
                continue;
            }
        };
        runtime.block_on(warm_up());
        let before = descriptors();
        runtime.block_on(async {
            test().await;
            settle().await;
        });
        assert_eq!(descriptors(), before, "{kind}: {:?}", runtime.metrics());
        drop(runtime);
    }
}

/// Lets the driver make what it makes when it first waits: for a socket, and asleep.
async fn warm_up() {
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let nothing = op::poll(&Fd::new(socket.into()), annulus::entry::Interest::Read);
    timeout(Duration::from_millis(5), nothing).await.unwrap_err();
    // So long that it does sleep, however slow the machine is.
    sleep(Duration::from_millis(100)).await;
    settle().await;
}

/// Waits until nothing is in flight.
async fn settle() {
    for _ in 0..2000 {
        if annulus::metrics().driver.slots == 0 {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("the driver does not come to rest: {:?}", annulus::metrics().driver);
}

/// Polls each once, and drops them all.
async fn abandon<F: Future + Unpin>(futures: impl IntoIterator<Item = F>) {
    let mut futures: Vec<F> = futures.into_iter().collect();
    poll_fn(|cx| {
        for future in &mut futures {
            let _ = Pin::new(future).poll(cx);
        }
        Poll::Ready(())
    })
    .await;
}

#[test]
fn abandoned_opens_leave_nothing() {
    leaves_nothing("abandoned_opens_leave_nothing", async || {
        let open = || op::openat(Path::new("Cargo.toml"), OpenHow { flags: libc::O_RDONLY, mode: 0 }).unwrap();
        abandon((0..50).map(|_| open())).await;
        // And such as complete before anybody looks.
        let mut late: Vec<_> = (0..50).map(|_| Box::pin(open())).collect();
        poll_fn(|cx| {
            for open in &mut late {
                let _ = open.as_mut().poll(cx);
            }
            Poll::Ready(())
        })
        .await;
        sleep(Duration::from_millis(20)).await;
        drop(late);
    });
}

#[test]
fn abandoned_accepts_leave_nothing() {
    leaves_nothing("abandoned_accepts_leave_nothing", async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let accept = || Box::pin(listener.accept());
        // Given up while nobody connects.
        abandon((0..50).map(|_| accept())).await;
        // Given up while somebody has connected, in the same turn.
        let mut waiting: Vec<_> = (0..50).map(|_| accept()).collect();
        poll_fn(|cx| {
            for accept in &mut waiting {
                let _ = accept.as_mut().poll(cx);
            }
            Poll::Ready(())
        })
        .await;
        let clients: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        drop(waiting);
        sleep(Duration::from_millis(20)).await;
        drop(clients);
    });
}

#[test]
fn abandoned_connects_and_sockets_leave_nothing() {
    leaves_nothing("abandoned_connects_and_sockets_leave_nothing", async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        abandon((0..50).map(|_| op::socket(libc::AF_INET, libc::SOCK_STREAM, 0))).await;
        abandon((0..50).map(|_| Box::pin(TcpStream::connect(addr)))).await;
        let mut pairs = Vec::new();
        for _ in 0..50 {
            let client = TcpStream::connect(addr).await.unwrap();
            pairs.push((client, listener.accept().await.unwrap().0));
        }
        // Dropped with a receive in flight that nobody will ever answer.
        abandon(pairs.iter_mut().map(|(client, _)| Box::pin(client.read(Vec::with_capacity(8))))).await;
        drop(pairs);
    });
}

#[test]
fn runtimes_come_and_go() {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let build = || Builder::new().entries(8).driver(kind).build();
        if let Err(e) = build() {
            let _ = writeln!(io::stderr(), "SKIP runtimes_come_and_go: {e}");
            continue;
        }
        no_pool_threads_left();
        let files = descriptors();
        for round in 0..300 {
            let runtime = build().unwrap();
            // Some never run, some leave tasks, operations and threads behind.
            if round % 3 > 0 {
                runtime.block_on(leave_something());
            }
            if round % 3 == 2 {
                runtime.block_on(async { annulus::spawn_blocking(|| ()).await.unwrap() });
            }
        }
        no_pool_threads_left();
        assert_eq!(descriptors(), files, "after 300 runtimes on {kind}");
    }
}

/// A pool has ended a moment before its threads are gone from the process.
fn no_pool_threads_left() {
    let deadline = Instant::now() + Duration::from_secs(5);
    while pool_threads() > 0 {
        assert!(Instant::now() < deadline, "{} threads of pools stay", pool_threads());
        thread::sleep(Duration::from_millis(1));
    }
}

async fn leave_something() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(annulus::spawn(async move {
        let _ = listener.accept().await;
    }));
    drop(annulus::spawn(sleep(Duration::from_secs(3600))));
    annulus::yield_now().await;
}

#[test]
fn what_is_dropped_outside_of_a_runtime_closes_at_once() {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Ok(runtime) = Builder::new().driver(kind).build() else { continue };
        let (file, stream, listener, fd) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            stream.write_all("x").await.0.unwrap();
            let fd = Fd::new(std::fs::File::open("Cargo.toml").unwrap().into());
            op::read(&fd, Vec::with_capacity(8)).await.0.unwrap();
            (File::open("Cargo.toml").await.unwrap(), stream, listener, fd)
        });
        let numbers = [file.as_raw_fd(), stream.as_raw_fd(), listener.as_raw_fd(), fd.as_raw_fd()];
        assert!(numbers.iter().all(|&fd| is_open(fd)));
        drop(file);
        drop(stream);
        drop(listener);
        assert!(!numbers[..3].iter().any(|&fd| is_open(fd)), "{kind}: still open");
        drop(runtime);
        drop(fd);
        assert!(!is_open(numbers[3]), "{kind}: still open after the runtime's end");
    }
}

#[test]
fn what_is_dropped_inside_of_a_runtime_closes_soon() {
    leaves_nothing("what_is_dropped_inside_of_a_runtime_closes_soon", async || {
        let file = File::open("Cargo.toml").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let numbers = [file.as_raw_fd(), listener.as_raw_fd(), stream.as_raw_fd()];
        drop((file, listener, stream));
        settle().await;
        assert!(!numbers.iter().any(|&fd| is_open(fd)));
    });
}

#[test]
fn a_raw_descriptor_is_the_callers() {
    leaves_nothing("a_raw_descriptor_is_the_callers", async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut a = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut b, _) = listener.accept().await.unwrap();
        // Wait once, so that the poll driver watches it.
        let reading = annulus::spawn(async move {
            let (n, _) = b.read(Vec::with_capacity(8)).await;
            assert_eq!(n.unwrap(), 1);
            b
        });
        annulus::yield_now().await;
        a.write_all("1").await.0.unwrap();
        let b = reading.await.unwrap();
        let (number, raw) = (b.as_raw_fd(), b.into_raw_fd());
        assert_eq!(raw, number, "nothing is in flight, so it is the number itself");
        settle().await;
        assert!(is_open(raw), "whoever asked for the number closes it");
        // SAFETY: Fresh descriptor: `into_raw_fd` gave it away.
        let mut b = unsafe { TcpStream::from_raw_fd(raw) };
        a.write_all("2").await.0.unwrap();
        assert_eq!(b.read(Vec::with_capacity(8)).await.1, b"2");
        // With a receive in flight the number has to stay, and the caller gets another one.
        abandon([Box::pin(b.read(Vec::with_capacity(8)))]).await;
        let raw = b.into_raw_fd();
        // SAFETY: Fresh descriptor: likewise.
        let mut std = unsafe { std::net::TcpStream::from_raw_fd(raw) };
        settle().await;
        a.write_all("3").await.0.unwrap();
        assert_eq!(io::Read::read(&mut std, &mut [0; 8]).unwrap(), 1, "the abandoned receive took it");
    });
}

#[test]
fn a_runtime_that_ends_with_work_in_flight_leaves_nothing() {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Ok(runtime) = Builder::new().driver(kind).build() else { continue };
        drop(runtime);
        let before = descriptors();
        let runtime: Runtime = Builder::new().driver(kind).build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            for _ in 0..50 {
                let mut client = TcpStream::connect(addr).await.unwrap();
                let (mut server, _) = listener.accept().await.unwrap();
                drop(annulus::spawn(async move { client.read(Vec::with_capacity(8)).await.0.map(drop) }));
                drop(annulus::spawn(async move { server.read(Vec::with_capacity(8)).await.0.map(drop) }));
                drop(annulus::spawn(async { File::open("Cargo.toml").await.map(drop) }));
            }
            annulus::yield_now().await;
        });
        drop(runtime);
        let done = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(1));
            descriptors() == before
        });
        assert!(done, "{kind}: {} descriptors, {before} before", descriptors());
    }
}
