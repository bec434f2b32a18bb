//! Fixed buffers against the system: files past the page cache, a limit on locked memory, forks, and an end in which an
//! operation is stuck.

#[cfg(not(annulus_kqueue))]
#[path = "outside/again.rs"]
mod again;
#[path = "outside/child.rs"]
mod child;
#[cfg(not(annulus_kqueue))]
#[path = "outside/limits.rs"]
mod limits;
#[path = "sound/mod.rs"]
mod sound;

use annulus::{Builder, DriverKind, buf::IoBuf, op, pool::FixedPool, spawn};
use child::in_child;
use sound::{alone, peek, poll_once, terminal};
use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

/// Red when the classes are laid out in another order: buffers start at odd addresses then.
#[cfg(target_os = "linux")]
#[annulus::test]
async fn files_are_read_and_written_past_the_page_cache() {
    use std::{fs, io, os::unix::fs::OpenOptionsExt};
    let path = sound::path(&format!("direct-{}", annulus::driver().kind()));
    let file = fs::File::options().read(true).write(true).create_new(true).custom_flags(libc::O_DIRECT).open(&path);
    let file = match file {
        Ok(file) => annulus::fs::File::from_std(file).unwrap(),
        Err(e) => return drop(writeln!(io::stderr(), "SKIP files_are_read_and_written_past_the_page_cache: {e}")),
    };
    fs::remove_file(&path).unwrap();
    // Whatever a class is, it does not move the others.
    let pool = FixedPool::builder().class(1, 3).class(4096, 3).class(65536, 3).class(12288, 3).build().unwrap();
    let mut at = 0;
    for size in [4096, 65536, 12288] {
        let (mut buf, mut other) = (pool.take(size).await.unwrap(), pool.take(size).await.unwrap());
        let text: Vec<u8> = (0..size).map(|n| (n / 7) as u8).collect();
        buf.extend_from_slice(&text);
        let (n, buf) = file.write_at(buf, at).await;
        assert_eq!(n.unwrap(), size);
        let n;
        (n, other) = file.read_at(other, at).await;
        assert_eq!(n.unwrap(), size);
        assert!(buf[..] == other[..], "what was read is not what was written");
        at += size as u64;
    }
    let driver = annulus::metrics().driver;
    let fixed = if pool.is_registered() { 3 } else { 0 };
    assert_eq!((driver.sqes_of("READ_FIXED"), driver.sqes_of("WRITE_FIXED")), (fixed, fixed));
}

/// The role of the second process: a user who may lock 64 KiB.
#[cfg(not(annulus_kqueue))]
fn with_little_locked_memory() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    limits::set_soft(libc::RLIMIT_MEMLOCK, 64 << 10);
    // SAFETY: Plain call: it asks who runs this.
    if unsafe { libc::geteuid() } == 0 {
        // SAFETY: Plain call: the limit is nothing to root; this user has no other processes.
        assert_eq!(unsafe { libc::setuid(64_321) }, 0);
    }
    let runtime = Builder::new().driver(DriverKind::Uring).entries(8).build().unwrap();
    runtime.block_on(async {
        let pool = FixedPool::builder().class(4096, 256).build().unwrap();
        assert!(!pool.is_registered());
        let refusal = pool.refusal().unwrap().to_string();
        if refusal.contains("5.19") {
            let _ = writeln!(std::io::stderr(), "SKIP a_limit_on_locked_memory_is_told_and_no_error: {refusal}");
            return;
        }
        assert!(refusal.contains("RLIMIT_MEMLOCK"), "{refusal}");
        let file = annulus::fs::File::from_std(file).unwrap();
        let (n, buf) = file.read_at(pool.take(4096).await.unwrap(), 0).await;
        assert_eq!((n.unwrap(), &buf[..11]), (buf.len(), &b"[workspace]"[..]));
        let driver = annulus::metrics().driver;
        // What is in memory needs no entry.
        assert_eq!((driver.sqes_of("READ") + driver.inline, driver.sqes_of("READ_FIXED")), (1, 0));
        // What fits is registered, and what is added and does not fit is not.
        let little = FixedPool::builder().class(4096, 1).build().unwrap();
        assert!(little.is_registered(), "{:?}", little.refusal());
        little.grow(4096, 256).unwrap();
        assert!(!little.is_registered());
        let both = [little.take(1).await.unwrap(), little.take(1).await.unwrap()];
        for buf in both {
            assert!(file.read_at(buf, 0).await.0.unwrap() > 11);
        }
    });
}

/// Red when a pool that cannot be registered is an error, or its buffers are taken for registered ones.
#[cfg(not(annulus_kqueue))]
#[test]
fn a_limit_on_locked_memory_is_told_and_no_error() {
    const NAME: &str = "a_limit_on_locked_memory_is_told_and_no_error";
    match again::role() {
        Some(_) => with_little_locked_memory(),
        None if sound::try_runtime(NAME, Builder::new().driver(DriverKind::Uring)).is_none() => {}
        None => drop(again::passes(&mut again::again(NAME, "poor"))),
    }
}

/// Red when the memory of a pool is freed with its runtime, while a call that nobody could stop still has a buffer.
#[test]
fn what_is_stuck_keeps_the_memory() {
    let _alone = alone();
    let builder = Builder::new().driver(DriverKind::Poll).shutdown_deadline(Duration::from_millis(50));
    let runtime = builder.build().unwrap();
    let (mut keyboard, fd) = terminal();
    let start = runtime.block_on(async {
        let pool = FixedPool::builder().class(4096, 1).build().unwrap();
        let buf = pool.take(4096).await.unwrap();
        let start = buf.read_ptr();
        drop(spawn(async move { drop(op::read(&fd, buf).await) }));
        annulus::time::sleep(Duration::from_millis(20)).await;
        start
    });
    drop(runtime);
    keyboard.write_all(b"late\n").unwrap();
    let is_there = || (0..5).all(|i| peek(start, i) == b"late\n"[i]);
    let until = Instant::now() + Duration::from_secs(2);
    while !is_there() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(is_there(), "the late read went elsewhere");
}

/// Red when a child's memory is gone (it would die of it), and when it is the parent's.
#[annulus::test]
async fn a_forked_child_has_memory_of_its_own() {
    let pool = FixedPool::builder().class(4096, 1).build().unwrap();
    let mut buf = pool.take(4096).await.unwrap();
    buf.resize(4096, b'p');
    assert!(in_child(|| {
        let plausible = buf.iter().all(|&byte| byte == b'p' || byte == 0);
        buf.fill(b'c');
        plausible && buf.iter().all(|&byte| byte == b'c')
    }));
    assert!(buf.iter().all(|&byte| byte == b'p'));
    // The registered pages are still those that the parent sees.
    let (rx, mut tx) = std::io::pipe().unwrap();
    tx.write_all(b"new").unwrap();
    let mut reading = op::read(&annulus::Fd::new(rx.into()), buf);
    let (n, buf) = match poll_once(&mut reading).await {
        Some(done) => done,
        None => reading.await,
    };
    assert_eq!((n.unwrap(), &buf[..]), (3, &b"new"[..]));
}
