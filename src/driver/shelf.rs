//! What copies use again: pipes that are empty, and buffers. A bounded number of each is kept until the runtime ends.

use crate::{
    driver::{Driver, Fd},
    sys::unix,
};
use std::{cell::RefCell, io};

/// How many of each are kept. What is beyond that in use is made and dropped.
const KEPT: usize = 32;

/// What a pipe has room for, if the system agrees: with 64 KiB, which it has by default, a copy costs a third more CPU,
/// and with 1 MiB no less.
const ROOM: i32 = 256 << 10;

/// The bytes of a buffer.
const BUFFER: usize = 64 << 10;

/// A pipe to move bytes through.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) reader: Fd,
    pub(crate) writer: Fd,
    /// How many bytes there is room for at most.
    pub(crate) room: usize,
}

/// What one runtime keeps.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pipes: RefCell<Vec<Pipe>>,
    buffers: RefCell<Vec<Vec<u8>>>,
}

impl Shelf {
    /// Lets everything go.
    pub(super) fn clear(&self) {
        // Closing a descriptor asks the driver, so nothing is borrowed meanwhile.
        let kept = (self.pipes.take(), self.buffers.take());
        drop(kept);
    }
}

/// An empty pipe.
///
/// # Errors
/// `EMFILE` when the process may have no more descriptors; `ENOSYS` where nothing moves through a pipe.
pub(crate) fn take_pipe() -> io::Result<Pipe> {
    let kept = Driver::current().and_then(|driver| driver.shelf.pipes.borrow_mut().pop());
    kept.map_or_else(new_pipe, Ok)
}

fn new_pipe() -> io::Result<Pipe> {
    let (reader, writer, room) = unix::roomy_pipe(ROOM)?;
    Ok(Pipe { reader: Fd::new(reader), writer: Fd::new(writer), room })
}

/// Keeps a pipe in which there is nothing.
pub(crate) fn keep_pipe(pipe: Pipe) {
    let Some(driver) = Driver::current().filter(|driver| !driver.is_closed()) else { return };
    let mut pipes = driver.shelf.pipes.borrow_mut();
    if pipes.len() < KEPT {
        pipes.push(pipe);
    }
}

/// A buffer with room for [`BUFFER`] bytes, and nothing in it.
pub(crate) fn take_buffer() -> Vec<u8> {
    let kept = Driver::current().and_then(|driver| driver.shelf.buffers.borrow_mut().pop());
    kept.unwrap_or_else(|| Vec::with_capacity(BUFFER))
}

/// Keeps a buffer for the next one.
pub(crate) fn keep_buffer(mut buffer: Vec<u8>) {
    let Some(driver) = Driver::current().filter(|driver| !driver.is_closed()) else { return };
    let mut buffers = driver.shelf.buffers.borrow_mut();
    if buffers.len() < KEPT && buffer.capacity() == BUFFER {
        buffer.clear();
        buffers.push(buffer);
    }
}
