//! `connect(2)`: `IORING_OP_CONNECT`, since Linux 5.5. The twin's second call asks what came of the first.

use crate::{
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Target, Twin},
    op::{Op, Submit, submit},
    sys::{
        self,
        sockaddr::SockAddr,
        unix::{self, ret},
    },
};
use std::{io, net::SocketAddr, os::fd::AsRawFd, path::Path};

impl Sqe {
    /// Connects to the address of `len` bytes at `addr`, which is read when this is submitted.
    ///
    /// *Result*: 0, when the connection is there; a socket that does not block is waited for all the same. *Since*
    /// Linux 5.5. *Cancel*: while it waits, and the socket is good for nothing but closing. *Twin*: `connect(2)`.
    #[must_use]
    pub fn connect(fd: impl Target, addr: *const libc::sockaddr, len: libc::socklen_t) -> Sqe {
        let (addr, off) = (addr as u64, u64::from(len));
        fd.aim(Sqe { opcode: sys::IORING_OP_CONNECT as u8, addr, off, ..Sqe::default() })
    }
}

static TWIN: Twin = Twin::ready(Interest::Write, call);

/// A Unix socket whose listener has a full queue answers EAGAIN, begins nothing, and counts as writable all the while.
static UNIX_TWIN: Twin = Twin::retry(|sqe, _| {
    // SAFETY: Lent, by the twin's contract; each attempt is a first one.
    unsafe { call(sqe, 0) }
});

unsafe fn call(sqe: &Sqe, attempt: u32) -> i32 {
    let again = attempt > 0;
    match if again { unix::socket_error(sqe.fd) } else { 0 } {
        0 => {}
        failed => return failed,
    }
    let (addr, len) = (sqe.addr as *const libc::sockaddr, sqe.off as libc::socklen_t);
    // SAFETY: Lent: the address stays until completion.
    match -ret(unsafe { libc::connect(sqe.fd, addr, len) } as isize) {
        // An interrupted connect goes on by itself, just as one that was started.
        libc::EINPROGRESS | libc::EALREADY | libc::EINTR => -libc::EAGAIN,
        libc::EISCONN if again => 0,
        error => -error,
    }
}

/// A connect, as an operation.
#[derive(Debug)]
pub struct Connect {
    fd: Fd,
    addr: Box<SockAddr>,
    twin: &'static Twin,
}

// SAFETY: Lent: the kernel only reads the address, and the box that has it does not move with the operation.
unsafe impl Op for Connect {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        self.twin
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::connect(self.fd.as_raw_fd(), self.addr.as_ptr(), self.addr.len())
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        cqe.result().map(drop)
    }
}

/// Connects a socket to `addr`.
///
/// Where a twin does the work (on the poll driver, and on a ring without the opcode) the socket has to be non-blocking,
/// or else this blocks the thread; [`socket`](crate::op::socket()) makes such a one where a twin makes it.
///
/// # Errors
/// Those of `connect(2)`: `ECONNREFUSED` when nobody listens there, `ENETUNREACH` without a way to it.
///
/// # Cancellation
/// **Lossy**: the connection may have been made, and the socket is good for nothing but closing.
pub fn connect(fd: &Fd, addr: SocketAddr) -> Submit<Connect> {
    connect_to(fd, addr.into())
}

/// As [`connect`], for an address of any family; for those of Unix sockets see [`connect_unix`].
///
/// # Errors
/// Those of `connect(2)`.
///
/// # Cancellation
/// **Lossy**: the connection may have been made, and the socket is good for nothing but closing.
pub fn connect_to(fd: &Fd, addr: SockAddr) -> Submit<Connect> {
    let twin = if addr.family() == libc::AF_UNIX { &UNIX_TWIN } else { &TWIN };
    submit(Connect { fd: fd.clone(), addr: Box::new(addr), twin })
}

/// Connects a Unix socket to the one that is named `path` in the file system.
///
/// While the listener's queue is full it waits; a non-blocking socket tries again every millisecond at first and ten
/// times a second at last, because nothing tells when there is room. Where a twin does the work the socket has to be
/// non-blocking, as for [`connect`].
///
/// # Errors
/// At once: `InvalidInput` for a path that no address can hold. From the operation: those of `connect(2)`: `ENOENT`
/// when there is no such socket, `ECONNREFUSED` when nobody listens there.
///
/// # Cancellation
/// **Lossy**: the connection may have been made, and the socket is good for nothing but closing.
pub fn connect_unix(fd: &Fd, path: impl AsRef<Path>) -> io::Result<Submit<Connect>> {
    Ok(connect_to(fd, SockAddr::unix(path.as_ref())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::socket;
    use std::{
        net::TcpListener,
        time::{Duration, Instant},
    };

    async fn stream() -> Fd {
        Fd::new(stream_of(libc::AF_INET).await)
    }

    async fn stream_of(family: i32) -> std::os::fd::OwnedFd {
        socket(family, libc::SOCK_STREAM, 0).await.unwrap()
    }

    #[crate::test]
    async fn reaches_a_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = stream().await;
        connect(&fd, listener.local_addr().unwrap()).await.unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, unix::socket_addr(fd.as_raw_fd(), unix::End::Local).unwrap().to_std().unwrap());
        let again = connect(&fd, listener.local_addr().unwrap()).await;
        assert_eq!(again.unwrap_err().raw_os_error(), Some(libc::EISCONN));
    }

    #[crate::test]
    async fn nobody_there_is_an_error() {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = connect(&stream().await, addr).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    /// Red when a full queue is waited for as if it were readiness: the connect never ends.
    #[crate::test]
    async fn a_full_queue_of_a_unix_listener_is_waited_for() {
        let path = crate::testing::temp_path();
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        unix::listen(listener.as_raw_fd(), 0).unwrap();
        let first = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let (before, start) = (crate::metrics().driver.turns, Instant::now());
        for flags in [0, unix::SOCK_NONBLOCK] {
            let fd = Fd::new(socket(libc::AF_UNIX, libc::SOCK_STREAM | flags, 0).await.unwrap());
            let mut connecting = connect_unix(&fd, &path).unwrap();
            let early = crate::time::timeout(Duration::from_millis(20), &mut connecting).await;
            assert!(early.is_err(), "there is no room yet: {early:?}");
            drop(listener.accept().unwrap());
            let connected = crate::time::timeout(Duration::from_secs(5), connecting).await;
            connected.expect("there is room").unwrap();
        }
        let (turns, took) = (crate::metrics().driver.turns - before, start.elapsed());
        assert!(turns < 200 && took < Duration::from_millis(700), "{turns} turns in {took:?}");
        let mut given_up = connect_unix(&Fd::new(stream_of(libc::AF_UNIX).await), &path).unwrap();
        crate::testing::poll_once(&mut given_up).await;
        drop(given_up);
        drop((first, listener));
        crate::testing::settle().await;
        let nobody = connect_unix(&Fd::new(stream_of(libc::AF_UNIX).await), &path).unwrap().await;
        assert_eq!(nobody.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let nowhere = connect_unix(&Fd::new(stream_of(libc::AF_UNIX).await), &path).unwrap().await;
        assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(connect_unix(&Fd::new(stream_of(libc::AF_UNIX).await), "").is_err());
    }
}
