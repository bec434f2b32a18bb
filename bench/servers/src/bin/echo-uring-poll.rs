//! Echo by hand, the ring as a better epoll: DEFER_TASKRUN, a multishot POLL for each connection that says when there is
//! something, and direct `recv` and `send` into one shared buffer. A connection whose peer reads too slowly parks the rest
//! of its bytes and waits for room.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use servers::ring::{
    ACCEPT_MULTISHOT, Cqe, F_MORE, OP_ACCEPT, OP_POLL_ADD, OP_POLL_REMOVE, POLL_MULTISHOT, Ring, SETUP_DEFER_TASKRUN,
    SETUP_SINGLE_ISSUER, Sqe,
};
use servers::{BUF, ENTRIES, close, listen, recv, send};

/// How completions tell what they are of, above the descriptor.
const ACCEPT: u64 = 0;
const READABLE: u64 = 1;
const WRITABLE: u64 = 2;
const REMOVED: u64 = 3;

#[derive(Default)]
struct Conn {
    /// Bytes that the socket would not take yet.
    parked: Vec<u8>,
    /// Over: it is closed when its multishot has ended, or its number could be another's while that still speaks.
    ended: bool,
}

struct Echo {
    ring: Ring,
    listener: RawFd,
    buf: Vec<u8>,
    /// By descriptor.
    conns: Vec<Conn>,
}

fn entry(opcode: u8, fd: RawFd, kind: u64) -> Sqe {
    Sqe { opcode, fd, user_data: kind << 32 | fd as u64, ..Sqe::default() }
}

impl Echo {
    fn accept(&mut self) -> io::Result<()> {
        self.ring.push(Sqe { ioprio: ACCEPT_MULTISHOT, ..entry(OP_ACCEPT, self.listener, ACCEPT) })
    }

    fn watch(&mut self, fd: RawFd) -> io::Result<()> {
        let op_flags = libc::POLLIN as u32;
        self.ring.push(Sqe { op_flags, len: POLL_MULTISHOT, ..entry(OP_POLL_ADD, fd, READABLE) })
    }

    fn accepted(&mut self, cqe: Cqe) -> io::Result<()> {
        if cqe.flags & F_MORE == 0 {
            self.accept()?;
        }
        let Ok(slot) = usize::try_from(cqe.res) else { return Ok(()) };
        self.conns.resize_with(self.conns.len().max(slot + 1), Conn::default);
        self.conns[slot] = Conn::default();
        self.watch(cqe.res)
    }

    /// Echoes until the socket is empty: the poll speaks once for each arrival.
    fn echo(&mut self, fd: RawFd) -> io::Result<()> {
        while self.conns[fd as usize].parked.is_empty() {
            let Some(got) = recv(fd, &mut self.buf)? else { break };
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let sent = send(fd, &self.buf[..got])?;
            if sent < got {
                self.conns[fd as usize].parked.extend_from_slice(&self.buf[sent..got]);
                self.await_room(fd)?;
            }
            if got < self.buf.len() {
                break;
            }
        }
        Ok(())
    }

    fn await_room(&mut self, fd: RawFd) -> io::Result<()> {
        let op_flags = libc::POLLOUT as u32;
        self.ring.push(Sqe { op_flags, ..entry(OP_POLL_ADD, fd, WRITABLE) })
    }

    fn writable(&mut self, fd: RawFd) -> io::Result<()> {
        let parked = &mut self.conns[fd as usize].parked;
        let sent = send(fd, parked)?;
        parked.drain(..sent);
        if parked.is_empty() { self.echo(fd) } else { self.await_room(fd) }
    }

    fn ready(&mut self, fd: RawFd, cqe: Cqe, kind: u64) -> io::Result<()> {
        if !self.conns[fd as usize].ended {
            let done = match kind {
                _ if cqe.res < 0 => Err(io::Error::from_raw_os_error(-cqe.res)),
                READABLE => self.echo(fd),
                _ => self.writable(fd),
            };
            if done.is_err() {
                self.conns[fd as usize].ended = true;
                self.ring.push(Sqe { addr: READABLE << 32 | fd as u64, ..entry(OP_POLL_REMOVE, 0, REMOVED) })?;
            }
        }
        match self.conns[fd as usize].ended {
            _ if kind != READABLE || cqe.flags & F_MORE != 0 => {}
            true => close(fd),
            false => self.watch(fd)?,
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    let mut ring = Ring::new(ENTRIES, SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN)?;
    ring.register_self()?;
    let mut echo = Echo { ring, listener: listener.as_raw_fd(), buf: vec![0; BUF], conns: Vec::new() };
    echo.accept()?;
    loop {
        echo.ring.enter(1)?;
        while let Some(cqe) = echo.ring.pop() {
            let fd = cqe.user_data as u32 as RawFd;
            match cqe.user_data >> 32 {
                ACCEPT => echo.accepted(cqe)?,
                REMOVED => {}
                kind => echo.ready(fd, cqe, kind)?,
            }
        }
    }
}
