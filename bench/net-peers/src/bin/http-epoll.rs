//! HTTP by hand over epoll: level-triggered, one shared buffer, a syscall each for receive and send. A connection whose
//! peer reads too slowly parks the rest of its answers and waits for room.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use servers::{BUF, check, close, listen, nodelay};

#[derive(Default)]
struct Conn {
    /// A request that is not whole yet.
    part: Vec<u8>,
    /// Answers that the socket would not take yet.
    parked: Vec<u8>,
}

fn control(epoll: RawFd, op: i32, fd: RawFd, events: i32) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: fd as u64 };
    // SAFETY: `event` outlives the call.
    check(unsafe { libc::epoll_ctl(epoll, op, fd, &raw mut event) }.into()).map(drop)
}

fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of `bytes`.
    match check(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) } as i64) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// Serves one event of a connection; `false` ends the connection.
fn turn(epoll: RawFd, fd: RawFd, buf: &mut [u8], out: &mut Vec<u8>, conn: &mut Conn) -> io::Result<bool> {
    if !conn.parked.is_empty() {
        let sent = send(fd, &conn.parked)?;
        conn.parked.drain(..sent);
        if conn.parked.is_empty() {
            control(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN)?;
        }
        return Ok(true);
    }
    // SAFETY: pointer and length are those of `buf`.
    let got = match check(unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), 0) } as i64) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
        other => other?,
    };
    out.clear();
    if conn.part.is_empty() {
        let Some(done) = net::http::answer(&buf[..got], out) else { return Ok(false) };
        conn.part.extend_from_slice(&buf[done..got]);
    } else {
        conn.part.extend_from_slice(&buf[..got]);
        let Some(done) = net::http::answer(&conn.part, out) else { return Ok(false) };
        conn.part.drain(..done);
    }
    let sent = send(fd, out)?;
    if sent < out.len() {
        conn.parked.extend_from_slice(&out[sent..]);
        control(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLOUT)?;
    }
    Ok(got > 0)
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    // SAFETY: takes no pointers.
    let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())? as RawFd;
    control(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN)?;
    let (mut buf, mut out, mut conns) = (vec![0; BUF], Vec::new(), Vec::<Conn>::new());
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        // SAFETY: pointer and length are those of `events`.
        let res = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..check(res.into())?] {
            let fd = event.u64 as RawFd;
            if fd == listener.as_raw_fd() {
                let stream = listener.accept()?.0;
                stream.set_nonblocking(true)?;
                let fd = stream.into_raw_fd();
                nodelay(fd)?;
                conns.resize_with(conns.len().max(fd as usize + 1), Conn::default);
                control(epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN)?;
            } else if !turn(epoll, fd, &mut buf, &mut out, &mut conns[fd as usize]).unwrap_or(false) {
                conns[fd as usize] = Conn::default();
                close(fd);
            }
        }
    }
}
