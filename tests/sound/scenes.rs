//! One operation of each kind, and what makes it come to an end.

#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

use super::sound::{CANARY, DATA, FRESH, Guarded, Parts, Yard, path, socket_pair};
use annulus::{
    Fd,
    entry::Interest,
    op::{self, OpenHow},
};
use std::{
    ffi::CString,
    fs::{self, File},
    future::Future,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    pin::Pin,
    rc::Rc,
};

/// An operation that checks its own output: what was asked for, or ECANCELED, and never garbage.
pub(crate) type Flight = Pin<Box<dyn Future<Output = ()>>>;

/// How much is sent or received at a time.
const LEN: usize = 4096;

pub(crate) struct Scene {
    pub(crate) flight: Flight,
    /// Makes the operation end. Called before or after it was abandoned, and then whatever it still touches is not its.
    pub(crate) trigger: Box<dyn FnMut()>,
    /// The trigger does so at once, so that a wait for the output makes sense.
    pub(crate) ends: bool,
    /// It may keep a thread until the trigger comes.
    pub(crate) blocks: bool,
}

fn scene(flight: impl Future<Output = ()> + 'static, trigger: impl FnMut() + 'static) -> Scene {
    Scene { flight: Box::pin(flight), trigger: Box::new(trigger), ends: true, blocks: false }
}

/// Makes a scene, with buffers from the yard.
type Make = fn(&Rc<Yard>) -> Scene;

/// Every kind of operation.
pub(crate) const SCENES: &[(&str, Make)] = &[
    ("recv", recv),
    ("send", send),
    ("read a file", read_file),
    ("read a pipe", read_pipe),
    ("readv", readv),
    ("writev", writev),
    ("accept", accept),
    ("connect", connect),
    ("connect to a full backlog", connect_stuck),
    ("openat", openat),
    ("close", close),
    ("poll", poll),
    ("nop", nop),
];

#[track_caller]
fn cancelled(error: &io::Error) {
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED), "{error}");
}

fn received((res, buf): (io::Result<usize>, Guarded)) {
    match res {
        Ok(n) => assert!(n > 0 && buf.has(n), "{n} bytes are said to be there and are not"),
        Err(e) => cancelled(&e),
    }
}

fn recv(yard: &Rc<Yard>) -> Scene {
    let (fd, mut peer) = socket_pair();
    let op = op::recv(&fd, yard.buffer(LEN));
    scene(async { received(op.await) }, move || drop(peer.write(&[DATA; 100])))
}

fn read_file(yard: &Rc<Yard>) -> Scene {
    let path = path("scene");
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file.write_all(&[DATA; LEN]).unwrap();
    let op = op::read_at(&Fd::new(file.into()), yard.buffer(LEN), 0);
    scene(async { received(op.await) }, || ())
}

fn pipe() -> (File, File) {
    let (reader, writer) = io::pipe().unwrap();
    (OwnedFd::from(reader).into(), OwnedFd::from(writer).into())
}

fn read_pipe(yard: &Rc<Yard>) -> Scene {
    let (reader, mut writer) = pipe();
    let op = op::read(&Fd::new(reader.into()), yard.buffer(LEN));
    scene(async { received(op.await) }, move || drop(writer.write(&[DATA; 100])))
}

fn readv(yard: &Rc<Yard>) -> Scene {
    let (reader, mut writer) = pipe();
    let op = op::readv(&Fd::new(reader.into()), Parts::from([yard.buffer(60), yard.buffer(LEN)]));
    let flight = async {
        match op.await {
            (Ok(n), parts) => assert!(n > 60 && parts.bufs[0].has(60) && parts.bufs[1].has(n - 60)),
            (Err(e), _) => cancelled(&e),
        }
    };
    scene(flight, move || drop(writer.write(&[DATA; 100])))
}

/// Fills what a descriptor can hold, so that the next write has to wait.
fn fill(fd: &impl AsRawFd) {
    let with = |flag: i32| {
        // SAFETY: plain calls on a descriptor that is open.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_RDWR | flag) };
    };
    with(libc::O_NONBLOCK);
    for len in [LEN, 1] {
        let some = [b'f'; LEN];
        // SAFETY: `len` bytes of `some` are read during the call.
        while unsafe { libc::write(fd.as_raw_fd(), some.as_ptr().cast(), len) } > 0 {}
    }
    with(0);
}

/// Reads what is there. Nothing of it may be memory that was given back.
fn drain(from: &mut impl Read) {
    let mut all = [0; 1 << 16];
    for _ in 0..100 {
        match from.read(&mut all) {
            Ok(n) if n > 0 => {
                let stray = all[..n].iter().find(|&&b| b == CANARY || b == FRESH);
                assert_eq!(stray, None, "the peer got bytes that nobody sent");
            }
            _ => return,
        }
    }
}

fn sent(res: io::Result<usize>) {
    match res {
        Ok(n) => assert!(n > 0 && n <= LEN),
        Err(e) => cancelled(&e),
    }
}

fn send(yard: &Rc<Yard>) -> Scene {
    let (ours, mut peer): (UnixStream, UnixStream) = UnixStream::pair().unwrap();
    fill(&ours);
    peer.set_nonblocking(true).unwrap();
    let op = op::send(&Fd::new(ours.into()), yard.message(LEN));
    scene(async { sent(op.await.0) }, move || drain(&mut peer))
}

fn writev(yard: &Rc<Yard>) -> Scene {
    let (mut reader, writer) = pipe();
    fill(&writer);
    // SAFETY: a plain call on an open descriptor.
    unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let op = op::writev(&Fd::new(writer.into()), Parts::from([yard.message(60), yard.message(LEN - 60)]));
    scene(async { sent(op.await.0) }, move || drain(&mut reader))
}

fn accept(_: &Rc<Yard>) -> Scene {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let op = op::accept(&Fd::new(listener.into()));
    let flight = async {
        match op.await {
            (Ok(_), peer) => assert!(peer.ip().is_ok_and(|addr| addr.ip().is_loopback())),
            (Err(e), _) => cancelled(&e),
        }
    };
    // A listener that is closed already refuses.
    scene(flight, move || drop(TcpStream::connect(addr)))
}

fn tcp_socket() -> Fd {
    // SAFETY: a plain call.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    assert!(fd >= 0);
    // SAFETY: the kernel just made it.
    let socket = TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    socket.set_nonblocking(true).unwrap();
    Fd::new(socket.into())
}

fn connect(_: &Rc<Yard>) -> Scene {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let op = op::connect(&tcp_socket(), listener.local_addr().unwrap());
    let flight = async {
        if let Err(e) = op.await {
            cancelled(&e);
        }
    };
    scene(flight, move || drop(listener.local_addr()))
}

fn connect_stuck(_: &Rc<Yard>) -> Scene {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: a plain call on an open socket.
    unsafe { libc::listen(listener.as_raw_fd(), 0) };
    let addr = listener.local_addr().unwrap();
    let filler = TcpStream::connect(addr).unwrap();
    let op = op::connect(&tcp_socket(), addr);
    let flight = async {
        if let Err(e) = op.await {
            cancelled(&e);
        }
    };
    let trigger = move || drop((filler.local_addr(), listener.local_addr()));
    Scene { ends: false, ..scene(flight, trigger) }
}

fn openat(_: &Rc<Yard>) -> Scene {
    let path = path("fifo");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    drop(fs::remove_file(&path));
    // SAFETY: `name` ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    // O_CREAT keeps the kernel from trying without waiting first.
    let op = op::openat(&path, OpenHow { flags: libc::O_RDONLY | libc::O_CREAT, mode: 0o600 }).unwrap();
    let flight = async {
        match op.await {
            Ok(fd) => assert!(File::from(fd).metadata().is_ok()),
            Err(e) => assert!(matches!(e.raw_os_error(), Some(libc::ECANCELED | libc::EINTR)), "{e}"),
        }
    };
    // A FIFO that is open for both lets everybody in.
    let mut other_ends = Vec::new();
    let trigger = move || other_ends.extend(File::options().read(true).write(true).open(&path));
    Scene { blocks: true, ..scene(flight, trigger) }
}

fn close(_: &Rc<Yard>) -> Scene {
    let (fd, peer) = socket_pair();
    let op = op::close(fd).unwrap();
    let flight = async {
        if let Err(e) = op.await {
            cancelled(&e);
        }
    };
    scene(flight, move || drop(peer.peer_addr()))
}

fn poll(_: &Rc<Yard>) -> Scene {
    let (fd, mut peer) = socket_pair();
    let op = op::poll(&fd, Interest::Read);
    let flight = async {
        if let Err(e) = op.await {
            cancelled(&e);
        }
    };
    scene(flight, move || drop(peer.write(&[DATA; 100])))
}

fn nop(_: &Rc<Yard>) -> Scene {
    let flight = async {
        if let Err(e) = op::nop().await {
            cancelled(&e);
        }
    };
    scene(flight, || ())
}
