//! Things to watch.

use std::{
    io::{self, Read, Write},
    mem::zeroed,
    net::{SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

/// A connection, neither side of which blocks.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (b, _) = listener.accept().unwrap();
    for stream in [&a, &b] {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    (a, b)
}

/// A connection whose first side has something to read.
pub(crate) fn ready_pair() -> (TcpStream, TcpStream) {
    let (a, mut b) = pair();
    b.write_all(b"ready").unwrap();
    settle();
    (a, b)
}

/// A stream socket that was never connected.
pub(crate) fn fresh() -> TcpStream {
    // SAFETY: No memory is named.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    assert!(fd >= 0);
    // SAFETY: The kernel just made it, and nobody else has it.
    let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    stream.set_nonblocking(true).unwrap();
    stream
}

pub(crate) fn connect(stream: &TcpStream, to: SocketAddrV4) -> io::Result<()> {
    // SAFETY: Numbers, which zero is a value of.
    let mut address: libc::sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as _;
    address.sin_port = to.port().to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
    let (place, length) = ((&raw const address).cast(), size_of_val(&address) as libc::socklen_t);
    // SAFETY: The address lives until the call returns.
    let result = unsafe { libc::connect(stream.as_raw_fd(), place, length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes a connection so that the peer gets a reset.
pub(crate) fn reset(stream: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (place, length) = ((&raw const linger).cast(), size_of_val(&linger) as libc::socklen_t);
    // SAFETY: The option lives until the call returns.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, place, length) };
    assert_eq!(result, 0);
}

pub(crate) fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

pub(crate) fn port_of(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().unwrap() {
        std::net::SocketAddr::V4(address) => address,
        other => panic!("{other}"),
    }
}

/// Reads all that is there, and gives its length. Ends at the first error.
pub(crate) fn drain(mut from: impl Read) -> usize {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        total += n;
    }
    total
}

/// Writes until there is no room, and gives the length of what was taken.
pub(crate) fn fill(mut to: impl Write) -> usize {
    let bytes = vec![0; 1 << 16];
    let mut total = 0;
    while let Ok(n @ 1..) = to.write(&bytes) {
        total += n;
    }
    total
}

pub(crate) fn set_nonblocking(fd: RawFd) {
    // SAFETY: No memory is named.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: As above; the flags are the old ones and one more.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }, 0);
}

/// Makes `number`, whatever it is now, the same open file as `file`.
pub(crate) fn put_at(file: &impl AsRawFd, number: RawFd) -> OwnedFd {
    // SAFETY: No memory is named.
    assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
    // SAFETY: The number was given up by its owner, as every caller here says by passing it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// What poll(2) says of `fd` at once.
pub(crate) fn is_readable(fd: RawFd) -> bool {
    let mut place = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: One place, which lives until the call returns.
    unsafe { libc::poll(&mut place, 1, 0) == 1 && place.revents & libc::POLLIN != 0 }
}

/// Time for the loopback to deliver.
pub(crate) fn settle() {
    std::thread::sleep(Duration::from_millis(20));
}
