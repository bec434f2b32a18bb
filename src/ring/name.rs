//! What a ring is called in system calls: its descriptor, its index in a thread's table of rings, or both.

use super::{flags::EnterFlags, fork::Birth, ring_fd::Registered};
use crate::sys;
use std::{
    ffi::c_void,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

/// At least one of the two is there; an index is used on its own thread only.
pub(crate) struct Name {
    pub(crate) fd: Option<OwnedFd>,
    pub(crate) registered: Option<Registered>,
    pub(crate) birth: Birth,
}

impl Name {
    /// The number for an enter, and the flag that says which kind it is: the index where there is one.
    #[inline(always)] // for each enter
    pub(crate) fn for_enter(&self) -> io::Result<(RawFd, EnterFlags)> {
        match (self.registered.as_ref().and_then(Registered::index), &self.fd) {
            (Some(index), _) => Ok((index as RawFd, EnterFlags::REGISTERED_RING)),
            (None, Some(fd)) => Ok((fd.as_raw_fd(), EnterFlags::empty())),
            (None, None) => elsewhere(),
        }
    }

    /// `io_uring_register(2)`, by the descriptor where there is one.
    ///
    /// # Safety
    /// `arg` and `nr` are what `opcode` asks for, and stay valid for as long as it says.
    pub(crate) unsafe fn register(&self, opcode: u32, arg: *mut c_void, nr: u32) -> io::Result<u32> {
        match (&self.fd, self.registered.as_ref().and_then(Registered::index)) {
            // SAFETY: Kernel's word: by this function's contract.
            (Some(fd), _) => unsafe { sys::uring::register(fd.as_fd(), opcode, arg, nr) },
            // SAFETY: Kernel's word: by this function's contract, as above.
            (None, Some(index)) => unsafe { sys::uring::register_by_index(index, opcode, arg, nr) },
            (None, None) => elsewhere(),
        }
    }

    /// Gives the index back, on its own thread.
    pub(crate) fn release(&self, registered: Registered) -> io::Result<()> {
        let mut update = registered.release();
        let arg = (&raw mut update).cast();
        let opcode = sys::IORING_UNREGISTER_RING_FDS;
        match (&self.fd, registered.index()) {
            // SAFETY: Kernel's word: one structure, which is only read.
            (Some(fd), _) => unsafe { sys::uring::register(fd.as_fd(), opcode, arg, 1) }.map(drop),
            // SAFETY: Kernel's word: one structure, which is only read; the kernel holds the ring during the call.
            (None, Some(index)) => unsafe { sys::uring::register_by_index(index, opcode, arg, 1) }.map(drop),
            (None, None) => elsewhere(),
        }
    }
}

fn elsewhere<T>() -> io::Result<T> {
    Err(io::Error::other("a ring without a descriptor works on the thread that made it, and on no other"))
}

impl Drop for Name {
    fn drop(&mut self) {
        let here = self.birth.is_here();
        if let Some(registered) = self.registered.take_if(|registered| here && registered.is_here()) {
            // It can only fail if somebody took the index away already.
            let _ = self.release(registered);
        }
    }
}
