//! A proxy by hand over epoll: level-triggered, one shared buffer, a syscall each for receive and send. What the other
//! side would not take is parked, and nothing more is received for it meanwhile.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use servers::{BUF, check};

/// One side of a pair, under its descriptor.
struct Side {
    stream: TcpStream,
    peer: RawFd,
    /// What this side's peer sent, and this side would not take yet.
    parked: Vec<u8>,
    /// This side has said its last.
    ended: bool,
}

struct Proxy {
    epoll: RawFd,
    sides: Vec<Option<Side>>,
    buf: Vec<u8>,
}

fn control(epoll: RawFd, op: i32, fd: RawFd, events: i32) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: fd as u64 };
    // SAFETY: `event` outlives the call.
    check(unsafe { libc::epoll_ctl(epoll, op, fd, &raw mut event) }.into()).map(drop)
}

/// `None` for what would block.
fn now(res: isize) -> io::Result<Option<usize>> {
    match check(res as i64) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}

fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of `bytes`.
    Ok(now(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })?.unwrap_or(0))
}

impl Proxy {
    fn side(&mut self, fd: RawFd) -> io::Result<&mut Side> {
        let side = self.sides.get_mut(fd as usize).and_then(Option::as_mut);
        side.ok_or_else(|| io::Error::other("an event of nobody"))
    }

    /// Watches what a side can do: receive if its peer has taken everything, send if something is parked.
    fn watch(&mut self, fd: RawFd) -> io::Result<()> {
        let (epoll, side) = (self.epoll, self.side(fd)?);
        let (peer, ended, out) = (side.peer, side.ended, !side.parked.is_empty());
        let input = !ended && self.side(peer)?.parked.is_empty();
        let events = if input { libc::EPOLLIN } else { 0 } | if out { libc::EPOLLOUT } else { 0 };
        control(epoll, libc::EPOLL_CTL_MOD, fd, events)
    }

    fn add(&mut self, stream: TcpStream, peer: RawFd) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let fd = stream.as_raw_fd();
        self.sides.resize_with(self.sides.len().max(fd as usize + 1), || None);
        self.sides[fd as usize] = Some(Side { stream, peer, parked: Vec::new(), ended: false });
        control(self.epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN)
    }

    /// Serves one event of a side; `false` ends the pair.
    fn turn(&mut self, fd: RawFd) -> io::Result<bool> {
        let side = self.side(fd)?;
        let (peer, ended) = (side.peer, side.ended);
        if !side.parked.is_empty() {
            let sent = send(fd, &side.parked)?;
            side.parked.drain(..sent);
            if side.parked.is_empty() {
                self.watch(fd)?;
                self.watch(peer)?;
            }
            return Ok(true);
        }
        if ended || !self.side(peer)?.parked.is_empty() {
            return Ok(true);
        }
        // SAFETY: pointer and length are those of `buf`.
        let res = unsafe { libc::recv(fd, self.buf.as_mut_ptr().cast(), self.buf.len(), 0) };
        let Some(got) = now(res)? else { return Ok(true) };
        if got == 0 {
            self.side(fd)?.ended = true;
            self.watch(fd)?;
            let other = self.side(peer)?;
            other.stream.shutdown(Shutdown::Write)?;
            return Ok(!other.ended);
        }
        let sent = send(peer, &self.buf[..got])?;
        if sent < got {
            let rest = self.buf[sent..got].to_vec();
            self.side(peer)?.parked = rest;
            self.watch(fd)?;
            self.watch(peer)?;
        }
        Ok(true)
    }

    fn accept(&mut self, listener: &TcpListener, backend: SocketAddr) -> io::Result<()> {
        let (here, there) = (listener.accept()?.0, TcpStream::connect(backend)?);
        let (fd, peer) = (here.as_raw_fd(), there.as_raw_fd());
        self.add(here, peer)?;
        self.add(there, fd)
    }
}

fn main() -> io::Result<()> {
    let listener = servers::listen()?;
    let backend = net::backend(listener.local_addr()?);
    // SAFETY: takes no pointers.
    let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())? as RawFd;
    control(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN)?;
    let mut proxy = Proxy { epoll, sides: Vec::new(), buf: vec![0; BUF] };
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        // SAFETY: pointer and length are those of `events`.
        let res = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..check(res.into())?] {
            let fd = event.u64 as RawFd;
            if fd == listener.as_raw_fd() {
                proxy.accept(&listener, backend)?;
            } else if proxy.sides[fd as usize].is_some() && !proxy.turn(fd).unwrap_or(false) {
                // Both close here.
                let gone = proxy.sides[fd as usize].take();
                gone.into_iter().for_each(|side| proxy.sides[side.peer as usize] = None);
            }
        }
    }
}
