//! Echo by hand over epoll: level-triggered, one shared buffer, a syscall each for receive and send. A connection whose
//! peer reads too slowly parks the rest of its bytes and waits for room.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use servers::{BUF, check, close, listen, recv, send};

/// Bytes that the socket of this descriptor would not take yet.
type Parked = Vec<Vec<u8>>;

fn control(epoll: RawFd, op: i32, fd: RawFd, events: i32) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: fd as u64 };
    // SAFETY: `event` outlives the call.
    check(unsafe { libc::epoll_ctl(epoll, op, fd, &raw mut event) }.into()).map(drop)
}

/// Serves one event of a connection; `false` ends the connection.
fn turn(epoll: RawFd, fd: RawFd, buf: &mut [u8], parked: &mut Vec<u8>) -> io::Result<bool> {
    if !parked.is_empty() {
        let sent = send(fd, parked)?;
        parked.drain(..sent);
        if parked.is_empty() {
            control(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN)?;
        }
        return Ok(true);
    }
    let Some(got) = recv(fd, buf)? else { return Ok(true) };
    let sent = send(fd, &buf[..got])?;
    if sent < got {
        parked.extend_from_slice(&buf[sent..got]);
        control(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLOUT)?;
    }
    Ok(got > 0)
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    // SAFETY: takes no pointers.
    let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())? as RawFd;
    control(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN)?;
    let (mut buf, mut parked) = (vec![0; BUF], Parked::new());
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        // SAFETY: pointer and length are those of `events`.
        let res = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..check(res.into())?] {
            let fd = event.u64 as RawFd;
            if fd == listener.as_raw_fd() {
                let fd = listener.accept()?.0.into_raw_fd();
                parked.resize_with(parked.len().max(fd as usize + 1), Vec::new);
                control(epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN)?;
            } else if !turn(epoll, fd, &mut buf, &mut parked[fd as usize]).unwrap_or(false) {
                parked[fd as usize].clear();
                close(fd);
            }
        }
    }
}
