//! Echo by hand over the best ring known: DEFER_TASKRUN, multishot accept, multishot receive from a buffer ring, the
//! ring's own descriptor registered. Bytes are sent from the buffer they arrived in.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use servers::ring::{
    ACCEPT_MULTISHOT, ANY_FILE, BUFFER_SELECT, Cqe, F_BUFFER, F_MORE, FIXED_FILE, OP_ACCEPT, OP_CLOSE, OP_RECV,
    OP_SEND, Pool, RECV_MULTISHOT, Ring, SETUP_DEFER_TASKRUN, SETUP_SINGLE_ISSUER, Sqe,
};
use servers::{ENTRIES, close, flag, listen};

/// Places in the table of files.
const FILES: u32 = 4096;

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
    /// Are connections places in the table?
    fixed: bool,
    /// By descriptor, or place.
    conns: Vec<Conn>,
    /// Connections whose receive ended because every buffer was in use; each returned buffer revives one.
    starved: Vec<RawFd>,
}

fn entry(opcode: u8, fd: RawFd) -> Sqe {
    Sqe { opcode, fd, user_data: u64::from(opcode) << 32 | fd as u64, ..Sqe::default() }
}

impl Echo {
    fn accept(&mut self) -> io::Result<()> {
        let file_index = if self.fixed { ANY_FILE } else { 0 };
        self.ring.push(Sqe { ioprio: ACCEPT_MULTISHOT, file_index, ..entry(OP_ACCEPT, self.listener) })
    }

    fn flags(&self) -> u8 {
        if self.fixed { FIXED_FILE } else { 0 }
    }

    fn receive(&mut self, fd: RawFd) -> io::Result<()> {
        let flags = BUFFER_SELECT | self.flags();
        self.ring.push(Sqe { flags, ioprio: RECV_MULTISHOT, ..entry(OP_RECV, fd) })
    }

    /// Sends the oldest waiting buffer whole: with MSG_WAITALL the kernel goes on after a partial send.
    fn send(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(&(id, len)) = self.conns[fd as usize].out.front() else { return Ok(()) };
        let op_flags = (libc::MSG_WAITALL | libc::MSG_NOSIGNAL) as u32;
        let (addr, flags) = (self.pool.address(id), self.flags());
        self.ring.push(Sqe { addr, len, flags, op_flags, ..entry(OP_SEND, fd) })
    }

    fn accepted(&mut self, cqe: Cqe) -> io::Result<()> {
        if cqe.flags & F_MORE == 0 {
            self.accept()?;
        }
        let Ok(slot) = usize::try_from(cqe.res) else { return Ok(()) };
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
                self.settle(fd)
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
        self.settle(fd)
    }

    /// Closes a connection that is neither receiving nor sending any more.
    fn settle(&mut self, fd: RawFd) -> io::Result<()> {
        let conn = &self.conns[fd as usize];
        if conn.ended && conn.out.is_empty() {
            if self.fixed {
                return self.ring.push(Sqe { fd: 0, file_index: fd as u32 + 1, ..entry(OP_CLOSE, fd) });
            }
            close(fd);
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    let mut ring = Ring::new(ENTRIES, SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN)?;
    let (pool, fixed) = (ring.buffers(256)?, flag("--fixed"));
    if fixed {
        ring.files(FILES)?;
    }
    ring.register_self()?;
    let listener = listener.as_raw_fd();
    let mut echo = Echo { ring, pool, listener, fixed, conns: Vec::new(), starved: Vec::new() };
    echo.accept()?;
    loop {
        echo.ring.enter(1)?;
        while let Some(cqe) = echo.ring.pop() {
            let fd = cqe.user_data as u32 as RawFd;
            match (cqe.user_data >> 32) as u8 {
                OP_ACCEPT => echo.accepted(cqe)?,
                OP_RECV => echo.received(fd, cqe)?,
                OP_SEND => echo.sent(fd)?,
                _ => {}
            }
        }
    }
}
