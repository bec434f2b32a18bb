//! The three io_uring system calls. Everything that enters the kernel's ring goes through here.

use crate::sys::{self, io_uring_params};
use std::{
    ffi::c_void,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// `io_uring_setup(2)`, for a ring that has a descriptor.
pub(crate) fn setup(entries: u32, params: &mut io_uring_params) -> io::Result<OwnedFd> {
    let fd = setup_number(entries, params)?;
    // SAFETY: the kernel just made this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// `io_uring_setup(2)`. Gives a descriptor, or with `REGISTERED_FD_ONLY` an index in this thread's table.
pub(crate) fn setup_number(entries: u32, params: &mut io_uring_params) -> io::Result<u32> {
    // SAFETY: Kernel's word: `params` is a live, writable structure of exactly the ABI's size.
    let number = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, std::ptr::from_mut(params)) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// `io_uring_enter(2)`. `fd` is a descriptor, or a registered ring's index when `flags` say so.
///
/// # Safety
/// `arg` is null or points to `size` bytes in the form that `flags` announce, and whatever it points to in turn is
/// valid for the call. The entries this submits keep the Lent invariant.
pub(crate) unsafe fn enter(
    fd: RawFd,
    submit: u32,
    complete: u32,
    flags: u32,
    arg: *const c_void,
    size: usize,
) -> io::Result<u32> {
    // SAFETY: Lent, and the argument's form, by this function's contract.
    let n = unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, submit, complete, flags, arg, size) };
    u32::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// `io_uring_register(2)`.
///
/// # Safety
/// `arg` and `nr` are what `opcode` asks for, and stay valid for as long as it says.
pub(crate) unsafe fn register(fd: BorrowedFd<'_>, opcode: u32, arg: *mut c_void, nr: u32) -> io::Result<u32> {
    // SAFETY: Kernel's word: the argument is what the opcode asks for, by this function's contract.
    let n = unsafe { libc::syscall(libc::SYS_io_uring_register, fd.as_raw_fd(), opcode, arg, nr) };
    u32::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// `io_uring_register(2)` for the ring at `index` of this thread's table. Since Linux 6.3.
///
/// # Safety
/// As for [`register`].
pub(crate) unsafe fn register_by_index(index: u32, opcode: u32, arg: *mut c_void, nr: u32) -> io::Result<u32> {
    let opcode = opcode | sys::IORING_REGISTER_USE_REGISTERED_RING;
    // SAFETY: Kernel's word: by this function's contract; the bit says that the number is an index.
    let n = unsafe { libc::syscall(libc::SYS_io_uring_register, index, opcode, arg, nr) };
    u32::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// `io_uring_register(2)` of what belongs to no ring of the caller's.
///
/// # Safety
/// As for [`register`].
pub(crate) unsafe fn register_nothing(opcode: u32, arg: *mut c_void, nr: u32) -> io::Result<u32> {
    // SAFETY: Kernel's word, by this function's contract: -1 stands for no ring, and an old kernel says EBADF to it.
    let n = unsafe { libc::syscall(libc::SYS_io_uring_register, -1, opcode, arg, nr) };
    u32::try_from(n).map_err(|_| io::Error::last_os_error())
}
