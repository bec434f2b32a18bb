//! Echo by hand over the best ring known: DEFER_TASKRUN, multishot accept, multishot receive from a buffer ring, the
//! ring's own descriptor registered. Bytes are sent from the buffer they arrived in.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use servers::ring::{
    ACCEPT_MULTISHOT, BUFFER_SELECT, Cqe, F_BUFFER, F_MORE, OP_ACCEPT, OP_RECV, OP_SEND, Pool, RECV_MULTISHOT, Ring,
    SETUP_DEFER_TASKRUN, SETUP_SINGLE_ISSUER, Sqe,
};
use servers::{close, listen, nodelay};

/// Buffers that wait to be echoed, the first of them being sent: sends of one connection must not overtake each other.
#[derive(Default)]
struct Conn {
    out: VecDeque<(u16, u32)>,
    ended: bool,
}

struct Echo {
    ring: Ring,
    pool: Pool,
    listener: RawFd,
    /// By descriptor.
    conns: Vec<Conn>,
    /// Connections whose receive ended because every buffer was in use; each returned buffer revives one.
    starved: Vec<RawFd>,
}

fn entry(opcode: u8, fd: RawFd) -> Sqe {
    Sqe { opcode, fd, user_data: u64::from(opcode) << 32 | fd as u64, ..Sqe::default() }
}

impl Echo {
    fn accept(&mut self) -> io::Result<()> {
        self.ring.push(Sqe { ioprio: ACCEPT_MULTISHOT, ..entry(OP_ACCEPT, self.listener) })
    }

    fn receive(&mut self, fd: RawFd) -> io::Result<()> {
        self.ring.push(Sqe { flags: BUFFER_SELECT, ioprio: RECV_MULTISHOT, ..entry(OP_RECV, fd) })
    }

    /// Sends the oldest waiting buffer whole: with MSG_WAITALL the kernel goes on after a partial send.
    fn send(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(&(id, len)) = self.conns[fd as usize].out.front() else { return Ok(()) };
        let op_flags = (libc::MSG_WAITALL | libc::MSG_NOSIGNAL) as u32;
        self.ring.push(Sqe { addr: self.pool.address(id), len, op_flags, ..entry(OP_SEND, fd) })
    }

    fn accepted(&mut self, cqe: Cqe) -> io::Result<()> {
        if cqe.flags & F_MORE == 0 {
            self.accept()?;
        }
        let Ok(slot) = usize::try_from(cqe.res) else { return Ok(()) };
        nodelay(cqe.res)?;
        self.conns.resize_with(self.conns.len().max(slot + 1), Conn::default);
        self.conns[slot] = Conn::default();
        self.receive(cqe.res)
    }

    fn received(&mut self, fd: RawFd, cqe: Cqe) -> io::Result<()> {
        let (id, len) = ((cqe.flags >> 16) as u16, cqe.res);
        let conn = &mut self.conns[fd as usize];
        if cqe.flags & F_BUFFER != 0 && len > 0 {
            conn.out.push_back((id, len as u32));
            if conn.out.len() == 1 {
                self.send(fd)?;
            }
        }
        match len {
            _ if cqe.flags & F_MORE != 0 => Ok(()),
            1.. => self.receive(fd),
            len if len == -libc::ENOBUFS => {
                self.starved.push(fd);
                Ok(())
            }
            _ => {
                self.conns[fd as usize].ended = true;
                self.settle(fd);
                Ok(())
            }
        }
    }

    fn sent(&mut self, fd: RawFd) -> io::Result<()> {
        if let Some((id, _)) = self.conns[fd as usize].out.pop_front() {
            self.pool.give_back(id);
        }
        if let Some(starved) = self.starved.pop() {
            self.receive(starved)?;
        }
        self.send(fd)?;
        self.settle(fd);
        Ok(())
    }

    /// Closes a connection that is neither receiving nor sending any more.
    fn settle(&mut self, fd: RawFd) {
        let conn = &self.conns[fd as usize];
        if conn.ended && conn.out.is_empty() {
            close(fd);
        }
    }
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    let mut ring = Ring::new(1024, SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN)?;
    let pool = ring.buffers(256)?;
    ring.register_self()?;
    let mut echo = Echo { ring, pool, listener: listener.as_raw_fd(), conns: Vec::new(), starved: Vec::new() };
    echo.accept()?;
    loop {
        echo.ring.enter(1)?;
        while let Some(cqe) = echo.ring.pop() {
            let fd = cqe.user_data as u32 as RawFd;
            match (cqe.user_data >> 32) as u8 {
                OP_ACCEPT => echo.accepted(cqe)?,
                OP_RECV => echo.received(fd, cqe)?,
                _ => echo.sent(fd)?,
            }
        }
    }
}
