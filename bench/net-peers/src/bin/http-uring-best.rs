//! HTTP by hand over the best ring known: DEFER_TASKRUN, multishot accept, multishot receive from a buffer ring, the
//! ring's own descriptor registered. A buffer is free again as soon as its requests are answered.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use servers::ring::{
    ACCEPT_MULTISHOT, BUFFER_SELECT, Cqe, F_BUFFER, F_MORE, OP_ACCEPT, OP_RECV, OP_SEND, Pool, RECV_MULTISHOT, Ring,
    SETUP_DEFER_TASKRUN, SETUP_SINGLE_ISSUER, Sqe,
};
use servers::{close, listen, nodelay};

#[derive(Default)]
struct Conn {
    /// A request that is not whole yet.
    part: Vec<u8>,
    /// Answers that are being sent, and those that follow.
    sending: Vec<u8>,
    next: Vec<u8>,
    ended: bool,
}

struct Http {
    ring: Ring,
    pool: Pool,
    listener: RawFd,
    /// By descriptor.
    conns: Vec<Conn>,
}

fn entry(opcode: u8, fd: RawFd) -> Sqe {
    Sqe { opcode, fd, user_data: u64::from(opcode) << 32 | fd as u64, ..Sqe::default() }
}

impl Http {
    fn accept(&mut self) -> io::Result<()> {
        self.ring.push(Sqe { ioprio: ACCEPT_MULTISHOT, ..entry(OP_ACCEPT, self.listener) })
    }

    fn receive(&mut self, fd: RawFd) -> io::Result<()> {
        self.ring.push(Sqe { flags: BUFFER_SELECT, ioprio: RECV_MULTISHOT, ..entry(OP_RECV, fd) })
    }

    /// Sends what there is, if nothing is on its way: with MSG_WAITALL the kernel goes on after a partial send.
    fn send(&mut self, fd: RawFd) -> io::Result<()> {
        let conn = &mut self.conns[fd as usize];
        if !conn.sending.is_empty() || conn.next.is_empty() {
            return Ok(());
        }
        std::mem::swap(&mut conn.sending, &mut conn.next);
        let (addr, len) = (conn.sending.as_ptr() as u64, conn.sending.len() as u32);
        let op_flags = (libc::MSG_WAITALL | libc::MSG_NOSIGNAL) as u32;
        self.ring.push(Sqe { addr, len, op_flags, ..entry(OP_SEND, fd) })
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

    /// Answers what came. Whoever sends no requests ends this program.
    fn answer(&mut self, fd: RawFd, id: u16, len: usize) -> io::Result<()> {
        let (conn, at) = (&mut self.conns[fd as usize], self.pool.address(id) as *const u8);
        // SAFETY: the kernel wrote `len` bytes into this buffer, and touches it again only after it is given back.
        let bytes = unsafe { std::slice::from_raw_parts(at, len) };
        let wrong = || io::Error::other("this is no HTTP");
        if conn.part.is_empty() {
            let done = net::http::answer(bytes, &mut conn.next).ok_or_else(wrong)?;
            conn.part.extend_from_slice(&bytes[done..]);
        } else {
            conn.part.extend_from_slice(bytes);
            let done = net::http::answer(&conn.part, &mut conn.next).ok_or_else(wrong)?;
            conn.part.drain(..done);
        }
        Ok(())
    }

    fn received(&mut self, fd: RawFd, cqe: Cqe) -> io::Result<()> {
        if cqe.flags & F_BUFFER != 0 {
            let id = (cqe.flags >> 16) as u16;
            self.answer(fd, id, cqe.res.max(0) as usize)?;
            self.pool.give_back(id);
            self.send(fd)?;
        }
        match cqe.res {
            _ if cqe.flags & F_MORE != 0 => Ok(()),
            // All buffers were in use, and are given back by now.
            len if len > 0 || len == -libc::ENOBUFS => self.receive(fd),
            _ => {
                self.conns[fd as usize].ended = true;
                self.settle(fd);
                Ok(())
            }
        }
    }

    fn sent(&mut self, fd: RawFd) -> io::Result<()> {
        self.conns[fd as usize].sending.clear();
        self.send(fd)?;
        self.settle(fd);
        Ok(())
    }

    /// Closes a connection that is neither receiving nor sending any more.
    fn settle(&mut self, fd: RawFd) {
        let conn = &self.conns[fd as usize];
        if conn.ended && conn.sending.is_empty() {
            close(fd);
        }
    }
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    let mut ring = Ring::new(1024, SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN)?;
    let pool = ring.buffers(256)?;
    ring.register_self()?;
    let mut http = Http { ring, pool, listener: listener.as_raw_fd(), conns: Vec::new() };
    http.accept()?;
    loop {
        http.ring.enter(1)?;
        while let Some(cqe) = http.ring.pop() {
            let fd = cqe.user_data as u32 as RawFd;
            match (cqe.user_data >> 32) as u8 {
                OP_ACCEPT => http.accepted(cqe)?,
                OP_RECV => http.received(fd, cqe)?,
                _ => http.sent(fd)?,
            }
        }
    }
}
