//! Defects of monoio that are not reproduced.

use monoio::{
    buf::{IoBufMut, VecBuf},
    io::{AsyncReadRentExt, AsyncWriteRentExt, copy},
    net::{TcpListener, TcpStream, UnixListener, UnixStream, unix::new_pipe},
    time::{Duration, sleep, timeout},
};
use std::{
    cell::Cell,
    future::{Future, pending, poll_fn},
    io::{Cursor, Write},
    net::SocketAddr,
    os::fd::AsRawFd,
    pin::Pin,
    rc::Rc,
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
};

const MS: Duration = Duration::from_millis(1);
const SOON: Duration = Duration::from_secs(10);

/// Red when a wake from another thread is lost: then a round waits for ever.
#[monoio::test_all(enable_timer = true)]
async fn a_handle_is_awaited_in_another_thread() {
    for round in 0..50 {
        let (send, receive) = std::sync::mpsc::channel();
        let task = monoio::spawn(async move {
            sleep(MS).await;
            round
        });
        let other = std::thread::spawn(move || {
            monoio::start::<monoio::LegacyDriver, _>(async move { send.send(task.await).unwrap() });
        });
        let answer = loop {
            match receive.try_recv() {
                Ok(answer) => break answer,
                Err(_) => timeout(SOON, sleep(MS)).await.unwrap(),
            }
        };
        assert_eq!(answer, round);
        other.join().unwrap();
    }
}

/// Far more than a socket holds, in parts of odd lengths, so that many calls stop within a part.
#[monoio::test_all(enable_timer = true)]
async fn vectored_transfers_go_on_where_they_stopped() {
    const LEN: usize = 3_000_017;
    let all: Vec<u8> = (0..LEN).map(|n| (n % 251) as u8).collect();
    let parts: Vec<Vec<u8>> = all.chunks(99_991).map(<[u8]>::to_vec).collect();
    let room: Vec<Vec<u8>> = all.chunks(77_773).map(|part| vec![0; part.len()]).collect();
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let both =
        async { monoio::join!(a.write_vectored_all(VecBuf::from(parts)), b.read_vectored_exact(VecBuf::from(room))) };
    let ((written, _), (read, room)) = timeout(SOON, both).await.unwrap();
    assert_eq!((written.unwrap(), read.unwrap()), (LEN, LEN));
    assert!(Vec::from(room).concat() == all, "a part was sent twice, or lost");
}

#[monoio::test_all(enable_timer = true)]
async fn a_cursor_comes_to_its_end() {
    let mut copied = Vec::new();
    let n = timeout(SOON, copy(&mut Cursor::new(vec![7; 100_000]), &mut copied)).await.unwrap();
    assert_eq!((n.unwrap(), copied.len()), (100_000, 100_000));
}

/// Always ready to go on.
struct Busy(Rc<Cell<bool>>);

impl Future for Busy {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        cx.waker().wake_by_ref();
        if self.0.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[monoio::test_all(enable_timer = true)]
async fn timers_fire_while_a_task_is_busy() {
    let done = Rc::new(Cell::new(false));
    let busy = monoio::spawn(Busy(done.clone()));
    sleep(2 * MS).await;
    done.set(true);
    busy.await;
}

#[monoio::test_all]
async fn descriptors_are_not_inherited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let (reader, writer) = new_pipe().unwrap();
    let file = monoio::fs::File::open("Cargo.toml").await.unwrap();
    let pipe_ends: [&dyn AsRawFd; 2] = [&reader, &writer];
    for fd in [&listener as &dyn AsRawFd, &client, &server, &file].into_iter().chain(pipe_ends) {
        // SAFETY: the call names no memory.
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }
}

#[monoio::test_all(enable_timer = true)]
async fn a_unix_listener_keeps_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("listener");
    let listener = UnixListener::bind(&path).unwrap();
    let client = monoio::spawn(async move {
        sleep(2 * MS).await;
        UnixStream::connect(&path).await.unwrap();
        sleep(2 * MS).await;
        UnixStream::connect(&path).await.unwrap()
    });
    timeout(SOON, listener.accept()).await.unwrap().unwrap();
    timeout(SOON, listener.accept()).await.unwrap().unwrap();
    client.await;
}

#[test]
fn the_end_of_a_runtime_drops_its_tasks() {
    let kept = Rc::new(());
    let mut runtime = monoio::RuntimeBuilder::<monoio::FusionDriver>::new().enable_timer().build().unwrap();
    runtime.block_on(async {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let one = kept.clone();
        monoio::spawn(async move {
            let _ = (reader.read_exact(vec![0; 1]).await, one, writer);
        });
        let other = kept.clone();
        monoio::spawn(async move {
            pending::<()>().await;
            drop(other);
        });
        sleep(MS).await;
    });
    assert!(Rc::strong_count(&kept) > 1);
    drop(runtime);
    assert_eq!(Rc::strong_count(&kept), 1);
}

/// Memory that outlives every buffer, so that whoever still writes to a buffer that was given up is seen.
struct Watched(&'static [AtomicU8], Rc<Cell<bool>>);

impl Watched {
    const LEN: usize = 32 << 20;

    /// Where a disk can write to by itself.
    fn memory() -> &'static [AtomicU8] {
        let all: &[AtomicU8] = Box::leak((0..Watched::LEN + 4096).map(|_| AtomicU8::new(0)).collect());
        &all[all.as_ptr().align_offset(4096)..][..Watched::LEN]
    }
}

// SAFETY: the bytes are never freed, and are only looked at as atomics and written by the kernel.
unsafe impl IoBufMut for Watched {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }

    fn bytes_total(&mut self) -> usize {
        self.0.len()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.1.set(true);
    }
}

/// Red when a buffer is given up while the kernel still writes to it, as it does to one that a disk fills by itself even
/// after the ring was closed.
#[cfg(target_os = "linux")]
#[test]
fn the_end_of_a_runtime_waits_for_what_the_kernel_has() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("defects");
    std::fs::write(&path, vec![7; Watched::LEN]).unwrap();
    let directly = |options: &mut std::fs::OpenOptions| {
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_DIRECT).read(true).open(&path)
    };
    let Ok(file) = directly(&mut std::fs::OpenOptions::new()) else {
        let _ = writeln!(std::io::stderr(), "SKIP defects: no file can be read without the cache here");
        return;
    };
    file.sync_all().unwrap();
    let memory = Watched::memory();
    for _ in 0..5 {
        let (gone, file) = (Rc::new(Cell::new(false)), file.try_clone().unwrap());
        memory.iter().step_by(4096).for_each(|byte| byte.store(0, Ordering::Relaxed));
        let mut runtime = monoio::RuntimeBuilder::<monoio::FusionDriver>::new().enable_timer().build().unwrap();
        runtime.block_on(async {
            let file = monoio::fs::File::from_std(file).unwrap();
            let read = file.read_at(Watched(memory, gone.clone()), 0);
            let _ = timeout(Duration::from_micros(1), read).await;
        });
        drop(runtime);
        assert!(gone.get());
        let written = || memory.iter().step_by(4096).filter(|byte| byte.load(Ordering::Relaxed) != 0).count();
        let before = written();
        std::thread::sleep(20 * MS);
        assert_eq!(written(), before, "somebody still writes");
    }
}

/// What belongs to the thread that it was made on.
struct Local(std::thread::ThreadId);

impl Drop for Local {
    fn drop(&mut self) {
        assert_eq!(self.0, std::thread::current().id());
    }
}

/// Red when whoever drops the last waker drops the future.
#[test]
fn a_future_is_dropped_on_its_own_thread() {
    let mut runtime = monoio::RuntimeBuilder::<monoio::FusionDriver>::new().enable_timer().build().unwrap();
    let (send, wakers) = std::sync::mpsc::channel();
    runtime.block_on(async {
        monoio::spawn(async move {
            let _local = Local(std::thread::current().id());
            poll_fn::<(), _>(|cx| {
                send.send(cx.waker().clone()).unwrap();
                Poll::Pending
            })
            .await;
        });
        sleep(MS).await;
    });
    let waker = wakers.recv().unwrap();
    drop(runtime);
    std::thread::spawn(move || drop(waker)).join().unwrap();
}

/// Red when a closure that waits keeps the runtime from sending what it waits for.
#[monoio::test_all(enable_timer = true)]
async fn a_closure_that_blocks_keeps_nobody() {
    let (send, receive) = std::sync::mpsc::channel();
    let closure = monoio::spawn_blocking(move || receive.recv_timeout(SOON).is_ok());
    sleep(MS).await;
    send.send(()).unwrap();
    assert!(closure.await.unwrap());
}

/// Nobody listens at the first.
#[monoio::test_all(enable_timer = true)]
async fn every_address_is_tried() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addrs: [SocketAddr; 2] = [gone, listener.local_addr().unwrap()];
    let stream = timeout(SOON, TcpStream::connect(&addrs[..])).await.unwrap().unwrap();
    assert_eq!(stream.peer_addr().unwrap(), addrs[1]);
}
