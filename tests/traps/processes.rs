//! Other processes: what they inherit, what a forked child may do to its parent, and their ends.

#[cfg(not(annulus_kqueue))]
use super::child::in_child;
use super::{
    again::{again, passes, role},
    on_both, pair, poll,
};
use annulus::{
    Builder, DriverKind, Runtime,
    fs::File,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    op, spawn_blocking,
    time::{sleep, timeout},
};
use std::{
    collections::BTreeSet,
    fs,
    future::Future,
    io::Write,
    pin::Pin,
    process::Command,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

fn runtime(kind: DriverKind) -> Runtime {
    Builder::new().driver(kind).entries(8).build().unwrap()
}

/// Runs `test` on each driver, alone in a process.
fn alone_on_both(name: &str, test: fn(DriverKind)) {
    match role().as_deref() {
        Some("uring") => test(DriverKind::Uring),
        Some(_) => test(DriverKind::Poll),
        None => on_both(name, |kind| drop(passes(&mut again(name, &kind.to_string())))),
    }
}

fn descriptors() -> BTreeSet<i32> {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let numbers: Vec<i32> = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect();
    // The folder itself was open while it was read, and its number will be somebody else's.
    numbers.into_iter().filter(|&fd| flags(fd) >= 0).collect()
}

fn flags(fd: i32) -> i32 {
    // SAFETY: a plain call, which any number may be given to.
    unsafe { libc::fcntl(fd, libc::F_GETFD) }
}

/// Those that an `exec` would leave open.
fn inherited(all: &BTreeSet<i32>) -> Vec<String> {
    let leaks = all.iter().filter(|&&fd| flags(fd) & libc::FD_CLOEXEC == 0);
    leaks.map(|fd| format!("{fd}: {:?}", fs::read_link(format!("/proc/self/fd/{fd}")))).collect()
}

/// One of everything that has a descriptor, all at once.
async fn everything(before: &BTreeSet<i32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let file = File::open("Cargo.toml").await.unwrap();
    let socket = op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
    let copy = socket.try_clone().unwrap();
    spawn_blocking(|| ()).await.unwrap();
    sleep(Duration::from_millis(2)).await;
    client.write_all(b"abc").await.0.unwrap();
    server.read(vec![0; 8]).await.0.unwrap();
    // A wait that the poll driver looks after by its alarm.
    assert!(timeout(Duration::from_millis(5), server.read(vec![0; 8])).await.is_err());
    let new: BTreeSet<i32> = descriptors().difference(before).copied().collect();
    assert!(new.len() >= 7, "{new:?}");
    assert_eq!(inherited(&new), Vec::<String>::new());
    drop((file, socket, copy));
}

/// T21. Red when one of them is made without CLOEXEC.
#[test]
fn t21_no_descriptor_survives_an_exec() {
    alone_on_both("processes::t21_no_descriptor_survives_an_exec", |kind| {
        let before = descriptors();
        runtime(kind).block_on(everything(&before));
    });
}

/// T21. A child that drops what it inherited takes nothing from its parent: no answer, no watch, no wake, no timer.
/// Red when a child takes its parent's watch out of the queue that both have, when it leaves a file open, and when it
/// says what it had to leak. (A kqueue is not inherited, but its emulation is.)
#[cfg(not(annulus_kqueue))]
#[test]
fn t21_a_forked_child_may_drop_what_it_inherited() {
    use std::{io::Read, os::fd::AsRawFd};
    alone_on_both("processes::t21_a_forked_child_may_drop_what_it_inherited", |kind| {
        let (runtime, (fd, mut peer)) = (runtime(kind), pair());
        let mut receiving = Box::pin(op::recv(&fd, vec![0; 8]));
        let sleeping = runtime.block_on(async {
            let mut sleeping = Box::pin(sleep(Duration::from_millis(50)));
            assert!(poll(receiving.as_mut()).is_pending() && poll(sleeping.as_mut()).is_pending());
            spawn_blocking(|| ()).await.unwrap();
            [sleeping]
        });
        let file = runtime.block_on(File::open("Cargo.toml")).unwrap();
        let received_from = fd.as_raw_fd();
        let mut all = Some((receiving, sleeping, fd, runtime));
        let begun = Instant::now();
        let mut file = Some(file);
        let (mut said, speech) = std::io::pipe().unwrap();
        assert!(in_child(|| {
            // Its number is the child's to close: nobody else will.
            let number = file.as_ref().unwrap().as_raw_fd();
            all.as_ref().unwrap().3.block_on(async { drop(file.take()) });
            let closed = flags(number) < 0;
            // SAFETY: Plain call: two numbers that the kernel checks.
            assert_eq!(unsafe { libc::dup2(speech.as_raw_fd(), 2) }, 2);
            drop(all.take());
            // What a ring has, the kernel owes to the parent alone: that is leaked.
            closed && (kind == DriverKind::Uring || flags(received_from) < 0)
        }));
        drop(speech);
        let mut words = String::new();
        said.read_to_string(&mut words).unwrap();
        assert_eq!(words, "", "another thread may have had the lock of the standard error");
        let file = file.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3), "the child waits for what it does not have");
        let (receiving, sleeping, _fd, runtime) = all.unwrap();
        runtime.block_on(async {
            let begun = Instant::now();
            peer.write_all(b"abc").unwrap();
            assert!(file.read_at(vec![0; 8], 0).await.0.unwrap() > 0);
            let (n, buf) = timeout(Duration::from_secs(20), receiving).await.expect("the child took it");
            assert_eq!((n.unwrap(), &buf[..3]), (3, &b"abc"[..]));
            // Less than the poll driver takes to find a watch that is gone.
            assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
            let [sleeping] = sleeping;
            sleeping.await;
            // And a wake from another thread arrives.
            spawn_blocking(|| ()).await.unwrap();
        });
    });
}

/// T21. A child has none of its parent's threads: what needs one makes its own. Red when the child takes the watchdog
/// or the reaper that it knows of for its own. (Whether it may wait for a lock that one of them has, the tests of each
/// say: here that takes luck.)
#[cfg(not(annulus_kqueue))]
#[test]
fn t21_a_forked_child_has_threads_of_its_own() {
    alone_on_both("processes::t21_a_forked_child_has_threads_of_its_own", |kind| {
        let stalls = || std::sync::Arc::new(AtomicUsize::new(0));
        let watched = |told: std::sync::Arc<AtomicUsize>| {
            let builder = Builder::new().driver(kind).entries(8).stall_detector(Duration::from_millis(50));
            let count = move |_: &annulus::rt::Stall| _ = told.fetch_add(1, SeqCst);
            builder.on_stall(count).build().unwrap()
        };
        let blocks = |runtime: &Runtime| runtime.block_on(async { std::thread::sleep(Duration::from_millis(400)) });
        let orphan = || {
            let child = annulus::process::Command::new("sleep").arg("0.2").spawn().unwrap();
            child.id().unwrap()
        };
        let gone = |pid: u32| {
            let begun = Instant::now();
            // SAFETY: Plain call: no signal is sent.
            while unsafe { libc::kill(pid as i32, 0) } == 0 {
                assert!(begun.elapsed() < Duration::from_secs(10), "{pid} is left");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let told = stalls();
        let first = watched(told.clone());
        blocks(&first);
        let mine = first.block_on(async { orphan() });
        assert!(in_child(|| {
            let told = stalls();
            let runtime = watched(told.clone());
            blocks(&runtime);
            std::thread::sleep(Duration::from_millis(200));
            assert!(told.load(SeqCst) > 0, "nobody watches a child");
            gone(runtime.block_on(async { orphan() }));
            true
        }));
        gone(mine);
        assert!(told.load(SeqCst) > 0);
    });
}

static CHILDREN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: libc::c_int) {
    CHILDREN.fetch_add(1, SeqCst);
}

/// T21. Children that end interrupt nobody: no operation says EINTR, and no timer is early.
#[test]
fn t21_the_ends_of_children_are_no_errors() {
    alone_on_both("processes::t21_the_ends_of_children_are_no_errors", |kind| {
        // SAFETY: zeros are a valid value: no flags (so no SA_RESTART), an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler adds to an atomic number and does nothing else.
        assert_eq!(unsafe { libc::sigaction(libc::SIGCHLD, &action, ptr::null_mut()) }, 0);
        runtime(kind).block_on(async {
            let (fd, mut peer) = pair();
            for round in 0..20u8 {
                let mut child = Command::new("true").spawn().unwrap();
                let begun = Instant::now();
                let mut receiving: Pin<Box<dyn Future<Output = _>>> = Box::pin(op::recv(&fd, vec![0; 8]));
                assert!(poll(receiving.as_mut()).is_pending());
                let bytes = spawn_blocking(|| fs::read("Cargo.toml").unwrap().len());
                let file = File::open("Cargo.toml").await.unwrap();
                assert!(file.read_at(vec![0; 64], 0).await.0.unwrap() > 0);
                sleep(Duration::from_millis(5)).await;
                assert!(begun.elapsed() >= Duration::from_millis(5) && bytes.await.unwrap() > 0);
                peer.write_all(&[round]).unwrap();
                let (n, buf) = receiving.await;
                assert_eq!((n.unwrap(), buf[0]), (1, round));
                assert!(spawn_blocking(move || child.wait()).await.unwrap().unwrap().success());
            }
        });
        assert!(CHILDREN.load(SeqCst) > 0);
    });
}
