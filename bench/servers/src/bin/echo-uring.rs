//! Echo by hand over a plain ring: no setup flags, one receive or one send in flight per connection, everything that a
//! turn produces submitted by one enter.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use servers::ring::{Cqe, OP_ACCEPT, OP_RECV, OP_SEND, Ring, Sqe};
use servers::{BUF, close, listen, nodelay};

/// By descriptor: the buffer that the entry in flight names. A connection has one entry in flight at any time, so its
/// buffer is free again when that entry's completion is seen.
type Buffers = Vec<Box<[u8]>>;

/// An entry whose completion carries its opcode and its descriptor.
fn entry(opcode: u8, fd: RawFd) -> Sqe {
    Sqe { opcode, fd, user_data: u64::from(opcode) << 32 | fd as u64, ..Sqe::default() }
}

fn transfer(opcode: u8, fd: RawFd, buffers: &mut Buffers, len: usize, op_flags: i32) -> Sqe {
    let addr = buffers[fd as usize].as_mut_ptr() as u64;
    Sqe { addr, len: len as u32, op_flags: op_flags as u32, ..entry(opcode, fd) }
}

/// What follows a completion: the next entry of the same connection, or its end.
fn next(cqe: Cqe, buffers: &mut Buffers) -> Option<Sqe> {
    let fd = cqe.user_data as u32 as RawFd;
    match ((cqe.user_data >> 32) as u8, usize::try_from(cqe.res)) {
        (OP_RECV, Ok(len @ 1..)) => {
            // MSG_WAITALL lets the kernel go on after a partial send.
            Some(transfer(OP_SEND, fd, buffers, len, libc::MSG_WAITALL | libc::MSG_NOSIGNAL))
        }
        (OP_SEND, Ok(_)) => Some(transfer(OP_RECV, fd, buffers, BUF, 0)),
        _ => {
            close(fd);
            None
        }
    }
}

fn main() -> io::Result<()> {
    let listener = listen()?;
    let accept = entry(OP_ACCEPT, listener.as_raw_fd());
    let (mut ring, mut buffers) = (Ring::new(1024, 0)?, Buffers::new());
    ring.push(accept)?;
    loop {
        ring.enter(1)?;
        while let Some(cqe) = ring.pop() {
            if cqe.user_data != accept.user_data {
                next(cqe, &mut buffers).map_or(Ok(()), |sqe| ring.push(sqe))?;
                continue;
            }
            ring.push(accept)?;
            let fd = cqe.res;
            if fd >= 0 {
                nodelay(fd)?;
                buffers.resize_with(buffers.len().max(fd as usize + 1), Box::default);
                buffers[fd as usize] = vec![0; BUF].into();
                ring.push(transfer(OP_RECV, fd, &mut buffers, BUF, 0))?;
            }
        }
    }
}
