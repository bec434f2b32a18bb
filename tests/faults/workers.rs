//! Work that a kernel has no thread for, because there are too many already. A ring answers ECANCELED then, which
//! nobody had asked for.

use super::{
    again::{again, passes, role},
    inotify::inotify,
    sound::{self, poll_once},
};
use annulus::{
    Builder, DriverKind, Fd,
    entry::{Cqe, Interest, Sqe, Twin},
    fs::File,
    op::{self, Op},
    ring::Cancel,
    spawn_blocking, time,
};
use std::{
    fs,
    io::{self, Write, pipe},
    net::{Ipv4Addr, Shutdown, TcpListener},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
    thread,
    time::Duration,
};

/// From now on this process gets no threads; or it says why it gets them all the same.
fn no_more_threads() -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: Kernel's word: the limit is read before the call returns.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &none) }, 0);
    // The administrator has no limit, and who is not cannot stop being it.
    // SAFETY: Plain call: the system call changes who this thread is, which is all that runs the test.
    unsafe { libc::syscall(libc::SYS_setresuid, 64321, 64321, 64321) };
    match thread::Builder::new().spawn(|| ()) {
        Ok(_) => Err(io::Error::other("a limit of threads does not hold here")),
        Err(_) => Ok(()),
    }
}

/// Runs a test on each driver, alone in a process that it may spoil.
fn spoiling(name: &str, test: impl AsyncFn() -> io::Result<()>) {
    let Some(role) = role() else {
        return ["uring", "poll"].iter().for_each(|kind| drop(passes(&mut again(name, kind))));
    };
    let kind = if role == "poll" { DriverKind::Poll } else { DriverKind::Uring };
    if let Err(e) = Builder::new().driver(kind).build().and_then(|runtime| runtime.block_on(test())) {
        let _ = writeln!(io::stderr(), "SKIP {name}: {e}");
    }
}

fn file(name: &str) -> File {
    let path = sound::path(name);
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    File::from_std(file).unwrap()
}

/// Red when a cancel that nobody asked for is handed on, when it is taken for the end of a socket's shutdown, and when
/// what only the ring can do is tried for ever.
#[test]
fn what_no_worker_can_be_had_for_is_done_all_the_same() {
    spoiling("workers::what_no_worker_can_be_had_for_is_done_all_the_same", async || {
        let file = file("workers");
        let ((from, mut source), (mut sink, to)) = (pipe().unwrap(), pipe().unwrap());
        let [from, to] = [from.into(), to.into()].map(Fd::new);
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = Fd::new(near.into());
        let told = [0, libc::IN_NONBLOCK].map(|flags| inotify(flags, Path::new("Cargo.toml"), libc::IN_OPEN));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let direct = op::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap();
        op::connect(&direct, listener.local_addr().unwrap()).await.unwrap();
        // One of the pool's is there already.
        spawn_blocking(|| ()).await.unwrap();
        no_more_threads()?;

        assert_eq!(file.write_at(b"abc".to_vec(), 5).await.0.unwrap(), 3);
        file.sync_data().await.unwrap();
        assert_eq!(file.read_at(Vec::with_capacity(9), 0).await.1, b"\0\0\0\0\0abc");
        file.close().await.unwrap();
        source.write_all(b"spliced").unwrap();
        assert_eq!(op::splice(&from, None, &to, None, 100).await.unwrap(), 7);
        assert_eq!(io::Read::read(&mut sink, &mut [0; 100]).unwrap(), 7);
        op::shutdown(&near, Shutdown::Write).await.unwrap();
        assert_eq!(io::Read::read(&mut far, &mut [0; 9]).unwrap(), 0);
        fs::read_to_string("Cargo.toml").unwrap();
        for inotify in told {
            // An event without a name.
            assert_eq!(op::read(&inotify, vec![0; 4096]).await.0.unwrap() % 16, 0);
        }
        let before = annulus::metrics();
        let ended = op::shutdown(&direct, Shutdown::Write).await;
        let after = annulus::metrics();
        assert!(after.pool.twins_run >= 2, "{after:?}");
        if direct.is_direct() {
            let tries = after.driver.sqes_total() - before.driver.sqes_total();
            assert_eq!((ended.unwrap_err().raw_os_error(), tries), (Some(libc::ECANCELED), 4));
        } else {
            ended.unwrap();
        }
        Ok(())
    });
}

/// Red when the one who has no thread is told that somebody had cancelled.
#[test]
fn where_nobody_has_a_thread_it_is_told_so() {
    spoiling("workers::where_nobody_has_a_thread_it_is_told_so", async || {
        let file = file("no-workers");
        no_more_threads()?;
        assert_eq!(file.sync_data().await.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        Ok(())
    });
}

/// An entry that no twin can stand for.
struct Bare(Sqe);

// SAFETY: Lent: the entries that it is made of here lend nothing.
unsafe impl Op for Bare {
    type Output = i32;

    fn twin(&self) -> &'static Twin {
        static NONE: Twin = Twin::here(|_, _| -libc::EOPNOTSUPP);
        &NONE
    }

    fn encode(&mut self) -> Sqe {
        self.0
    }

    fn finish(self, cqe: Cqe) -> i32 {
        cqe.res
    }
}

/// Red when what such an entry cancels is taken for what the kernel had no worker for, and waits on, or is told that
/// there is no twin.
#[annulus::test(driver = "uring")]
async fn what_an_entry_has_cancelled_does_not_go_on() {
    let ((reader, _writer), (near, far)) = (pipe().unwrap(), UnixStream::pair().unwrap());
    let [fd, socket, other] = [reader.into(), near.into(), far.into()].map(Fd::new);
    let mut reading = op::read(&fd, vec![0; 8]);
    let mut receiving = op::recv(&socket, vec![0; 8]);
    let mut polling = op::submit(Bare(Sqe::poll_add(other.as_raw_fd(), Interest::Read)));
    poll_once(&mut reading).await;
    poll_once(&mut receiving).await;
    poll_once(&mut polling).await;
    for fd in [&fd, &socket, &other] {
        match op::submit(Bare(Sqe::cancel(Cancel::fd(fd.as_raw_fd())))).await {
            0 => {}
            refused => {
                let name = "what_an_entry_has_cancelled_does_not_go_on";
                return drop(writeln!(io::stderr(), "SKIP {name}: {refused}, before Linux 5.19"));
            }
        }
    }
    let code = |res: io::Result<usize>| res.unwrap_err().raw_os_error();
    let all = async { [code(reading.await.0), code(receiving.await.0), Some(-polling.await)] };
    let ended = time::timeout(Duration::from_secs(5), all).await;
    assert_eq!(ended.expect("it waits on"), [Some(libc::ECANCELED); 3]);
}
