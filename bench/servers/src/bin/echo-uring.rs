//! Echo by hand over a ring: one receive or one send in flight per connection, everything that a turn produces submitted
//! by one enter. Plain: no setup flags. `--defer` sets SINGLE_ISSUER and DEFER_TASKRUN; with `--poll-first` a receive waits
//! before it tries; with `--send` an answer is sent by a direct call, and the ring has only what that left.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use servers::ring::{
    Cqe, OP_ACCEPT, OP_RECV, OP_SEND, RECV_POLL_FIRST, Ring, SETUP_DEFER_TASKRUN, SETUP_SINGLE_ISSUER, Sqe,
};
use servers::{BUF, ENTRIES, close, flag, listen, send};

struct Echo {
    /// By descriptor: the buffer that the entry in flight names. A connection has one entry in flight at any time, so its
    /// buffer is free again when that entry's completion is seen.
    buffers: Vec<Box<[u8]>>,
    poll_first: bool,
    send: bool,
}

/// An entry whose completion carries its opcode and its descriptor.
fn entry(opcode: u8, fd: RawFd) -> Sqe {
    Sqe { opcode, fd, user_data: u64::from(opcode) << 32 | fd as u64, ..Sqe::default() }
}

impl Echo {
    fn accepted(&mut self, fd: RawFd) -> Sqe {
        self.buffers.resize_with(self.buffers.len().max(fd as usize + 1), Box::default);
        self.buffers[fd as usize] = vec![0; BUF].into();
        self.receive(fd)
    }

    fn receive(&mut self, fd: RawFd) -> Sqe {
        let addr = self.buffers[fd as usize].as_mut_ptr() as u64;
        let ioprio = if self.poll_first { RECV_POLL_FIRST } else { 0 };
        Sqe { addr, len: BUF as u32, ioprio, ..entry(OP_RECV, fd) }
    }

    /// Echoes the first `len` bytes of the buffer.
    fn received(&mut self, fd: RawFd, len: usize) -> io::Result<Sqe> {
        let bytes = &self.buffers[fd as usize][..len];
        let sent = if self.send { send(fd, bytes)? } else { 0 };
        if sent == len {
            return Ok(self.receive(fd));
        }
        let rest = &bytes[sent..];
        // MSG_WAITALL lets the kernel go on after a partial send.
        let op_flags = (libc::MSG_WAITALL | libc::MSG_NOSIGNAL) as u32;
        Ok(Sqe { addr: rest.as_ptr() as u64, len: rest.len() as u32, op_flags, ..entry(OP_SEND, fd) })
    }

    /// What follows a completion: the next entry of the same connection, or its end.
    fn next(&mut self, cqe: Cqe) -> Option<Sqe> {
        let fd = cqe.user_data as u32 as RawFd;
        let next = match ((cqe.user_data >> 32) as u8, usize::try_from(cqe.res)) {
            (OP_RECV, Ok(len @ 1..)) => self.received(fd, len).ok(),
            (OP_SEND, Ok(_)) => Some(self.receive(fd)),
            _ => None,
        };
        if next.is_none() {
            close(fd);
        }
        next
    }
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    let accept = entry(OP_ACCEPT, listener.as_raw_fd());
    let flags = if flag("--defer") { SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN } else { 0 };
    let mut ring = Ring::new(ENTRIES, flags)?;
    let mut echo = Echo { buffers: Vec::new(), poll_first: flag("--poll-first"), send: flag("--send") };
    ring.push(accept)?;
    loop {
        ring.enter(1)?;
        while let Some(cqe) = ring.pop() {
            if cqe.user_data != accept.user_data {
                echo.next(cqe).map_or(Ok(()), |sqe| ring.push(sqe))?;
                continue;
            }
            ring.push(accept)?;
            if cqe.res >= 0 {
                ring.push(echo.accepted(cqe.res))?;
            }
        }
    }
}
