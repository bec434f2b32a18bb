//! Signals at any moment: no operation says EINTR, no byte is lost or doubled, and no timer is early.

#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

use super::sound::{on_both, terminal};
use annulus::{
    Builder, DriverKind, Fd,
    buf::IoBuf,
    fs::File as AsyncFile,
    io::{AsyncReadRent, AsyncWriteRent},
    net::{TcpListener, TcpStream},
    op, spawn,
    time::sleep,
};
use std::{
    fs::{self, File},
    io::{self, Write, pipe},
    os::fd::AsRawFd,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Sends SIGUSR1 to this thread and to those of the pool, every 50 µs or so, until dropped. Calls that it interrupts
/// are not restarted.
struct Storm {
    over: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
}

impl Storm {
    fn start() -> Storm {
        // SAFETY: zeros are a valid value: no flags (so no SA_RESTART), an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler adds to an atomic number and does nothing else.
        assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) }, 0);
        // SAFETY: a plain call.
        let owner = unsafe { libc::gettid() };
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let sender = Some(thread::spawn(move || bombard(owner, &until)));
        Storm { over, sender }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.sender.take().into_iter().for_each(|sender| sender.join().unwrap());
    }
}

fn bombard(owner: i32, over: &AtomicBool) {
    let begun = Instant::now();
    let mut targets = vec![owner];
    for round in 0u32.. {
        if over.load(Ordering::Relaxed) || begun.elapsed() > Duration::from_secs(60) {
            return;
        }
        if round % 64 == 0 {
            targets.truncate(1);
            targets.extend(pool_threads());
        }
        for &thread in &targets {
            let process = std::process::id();
            // SAFETY: a plain call; a thread that is gone is an error that nobody asks for.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
        }
        thread::sleep(Duration::from_micros(50));
    }
}

fn pool_threads() -> Vec<i32> {
    let is_pool = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("annulus-pool"))
    };
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten().filter(is_pool);
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// Byte `at` of a stream that never repeats itself where it matters.
fn byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

fn bytes(at: u64, len: usize) -> Vec<u8> {
    (at..at + len as u64).map(byte).collect()
}

/// Lengths from 1 to `most`, one after the other.
fn length(round: u64, most: u64) -> usize {
    1 + (round.wrapping_mul(7919) % most) as usize
}

/// Writes all, by calls that are not repeated for being interrupted.
async fn send(stream: &mut TcpStream, mut data: Vec<u8>) {
    let mut done = 0;
    while done < data.len() {
        let (n, rest) = stream.write(data.slice(done..)).await;
        done += n.expect("write");
        data = rest.into_inner();
    }
}

/// Receives what stands in the stream from `at` on.
async fn expect(stream: &mut TcpStream, at: u64, len: usize) {
    let mut got = 0;
    while got < len {
        let (n, buf) = stream.read(Vec::with_capacity(len - got)).await;
        let n = n.expect("read");
        assert!(n > 0 && buf == bytes(at + got as u64, n), "lost or doubled at {}", at + got as u64);
        got += n;
    }
}

async fn echo(end: Instant) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.expect("connect");
    let (mut server, _) = listener.accept().await.expect("accept");
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    spawn(async move {
        loop {
            let (n, buf) = server.read(Vec::with_capacity(5000)).await;
            if n.expect("read") == 0 {
                return;
            }
            send(&mut server, buf).await;
        }
    });
    let (mut rounds, mut at) = (0, 0);
    while Instant::now() < end {
        let len = length(rounds, 20_000);
        send(&mut client, bytes(at, len)).await;
        expect(&mut client, at, len).await;
        sleep(Duration::from_millis(rounds % 4)).await;
        (rounds, at) = (rounds + 1, at + len as u64);
    }
    rounds
}

async fn connections(end: Instant) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut rounds = 0;
    while Instant::now() < end {
        let connecting = spawn(async move { TcpStream::connect_addr(addr).await.expect("connect") });
        let (mut server, peer) = listener.accept().await.expect("accept");
        let mut client = connecting.await.unwrap();
        assert_eq!(client.local_addr().unwrap(), peer);
        send(&mut server, bytes(rounds, 1)).await;
        expect(&mut client, rounds, 1).await;
        sleep(Duration::from_millis(1)).await;
        rounds += 1;
    }
    rounds
}

async fn file(end: Instant, path: std::path::PathBuf) -> u64 {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    let file = AsyncFile::from_std(file).unwrap();
    let mut rounds = 0;
    while Instant::now() < end {
        let (at, len) = (rounds % 100 * 10_000, length(rounds, 10_000));
        let (n, data) = file.write_at(bytes(rounds, len), at).await;
        assert_eq!(n.expect("write_at"), len);
        let (n, back) = file.read_at(Vec::with_capacity(len), at).await;
        assert!(n.expect("read_at") == len && back == data);
        if rounds % 16 == 0 {
            file.sync_data().await.expect("fdatasync");
        }
        sleep(Duration::from_millis(rounds % 4)).await;
        rounds += 1;
    }
    file.close().await.expect("close");
    rounds
}

async fn through_a_pipe(end: Instant) -> u64 {
    let (reader, writer) = pipe().unwrap();
    let (reader, writer) = (Fd::new(reader.into()), Fd::new(writer.into()));
    let writing = spawn(async move {
        let (mut rounds, mut at) = (0, 0);
        while Instant::now() < end {
            let (n, _) = op::write(&writer, bytes(at, length(rounds, 70_000))).await;
            at += n.expect("write") as u64;
            rounds += 1;
            // The runtime has to sleep, too, and to be interrupted in that.
            sleep(Duration::from_millis(rounds % 4)).await;
        }
        at
    });
    let (mut rounds, mut at) = (0, 0);
    loop {
        let (n, buf) = op::read(&reader, Vec::with_capacity(length(rounds, 50_000))).await;
        let n = n.expect("read");
        if n == 0 {
            assert_eq!(writing.await.unwrap(), at, "lost at the end");
            return rounds;
        }
        assert!(buf == bytes(at, n), "lost or doubled at {at}");
        (rounds, at) = (rounds + 1, at + n as u64);
    }
}

/// Lines that are typed. On the poll driver, whoever reads them waits on a thread of the pool.
async fn typing(end: Instant) -> u64 {
    let (mut keyboard, screen) = terminal();
    let mut rounds = 0;
    while Instant::now() < end {
        let line = format!("line {rounds}\n");
        let screen = screen.clone();
        let reading = spawn(async move { op::read(&screen, Vec::with_capacity(100)).await });
        sleep(Duration::from_millis(3)).await;
        keyboard.write_all(line.as_bytes()).unwrap();
        let (n, buf) = reading.await.unwrap();
        assert_eq!((n.expect("read of a terminal"), buf), (line.len(), line.into_bytes()));
        rounds += 1;
    }
    rounds
}

async fn sleepers(end: Instant) -> u64 {
    let mut rounds = 0;
    while Instant::now() < end {
        let (asked, begun) = (Duration::from_micros(length(rounds, 5000) as u64), Instant::now());
        sleep(asked).await;
        assert!(begun.elapsed() >= asked, "{asked:?} were over after {:?}", begun.elapsed());
        rounds += 1;
    }
    rounds
}

#[test]
fn signals_interrupt_nothing() {
    on_both("signals_interrupt_nothing", |kind| {
        let a = Builder::new().driver(kind).entries(64).build().unwrap();
        let (before, storm) = (HANDLED.load(Ordering::Relaxed), Storm::start());
        let rounds: Vec<(&str, u64)> = a.block_on(async {
            let end = Instant::now() + Duration::from_millis(1500);
            let tasks = [
                ("echo", spawn(echo(end))),
                ("connections", spawn(connections(end))),
                ("file", spawn(file(end, super::sound::path("signals")))),
                ("pipe", spawn(through_a_pipe(end))),
                ("terminal", spawn(typing(end))),
                ("timers", spawn(sleepers(end))),
            ];
            let mut rounds = Vec::new();
            for (name, task) in tasks {
                rounds.push((name, task.await.unwrap_or_else(|e| panic!("{kind}, {name}: {e}"))));
            }
            // The storm may keep the kernel from making its first worker, and the pool does what it gave up then; but
            // on the ring all began as entries.
            let (driver, pool, file) = (annulus::metrics().driver, annulus::metrics().pool, rounds[2].1);
            match kind {
                DriverKind::Poll => assert!(pool.twins_run > 0),
                _ => assert!(driver.sqes_of("WRITE") >= file && driver.sqes_of("FSYNC") >= file / 16, "{driver:?}"),
            }
            rounds
        });
        super::sound::end(a, "a storm of signals");
        drop(storm);
        let handled = HANDLED.load(Ordering::Relaxed) - before;
        println!("{kind}: {handled} signals; rounds: {rounds:?}");
        assert!(handled > 500, "{kind}: only {handled} signals came");
        assert!(rounds.iter().all(|&(_, n)| n >= 3), "{kind}: {rounds:?}");
    });
}

/// The control: a call of one's own is interrupted at once.
#[test]
fn the_storm_interrupts_what_can_be_interrupted() {
    let _alone = super::sound::alone();
    let (reader, _writer) = pipe().unwrap();
    let _storm = Storm::start();
    // SAFETY: there is room for the one byte that never comes.
    let n = unsafe { libc::read(reader.as_raw_fd(), [0u8; 1].as_mut_ptr().cast(), 1) };
    assert_eq!((n, io::Error::last_os_error().kind()), (-1, io::ErrorKind::Interrupted));
}
