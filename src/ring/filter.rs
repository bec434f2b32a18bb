//! Programs that look at entries before they are carried out: `IORING_REGISTER_BPF_FILTER`.

use super::Ring;
use crate::sys::{self, io_uring_bpf, io_uring_bpf_filter, registrations::filter_command, uring as calls};
use std::{ffi::c_void, io};

/// A program that decides whether an entry is carried out. It is in the language of `seccomp(2)` and
/// `SO_ATTACH_FILTER`, reads the entry's description (opcode, flags, user data, and for some opcodes what follows, such
/// as the domain and type of a socket), and refuses it by returning 0: its completion is `EACCES`.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    opcode: u8,
    flags: u32,
    described: u8,
    program: &'a [libc::sock_filter],
}

impl<'a> Filter<'a> {
    /// `program` decides of entries with `opcode`, an `IORING_OP_*`, beside the programs that do already: one that
    /// refuses is enough.
    #[must_use]
    pub const fn new(opcode: u8, program: &'a [libc::sock_filter]) -> Filter<'a> {
        Filter { opcode, flags: 0, described: 0, program }
    }

    /// No entry of this opcode is carried out.
    #[must_use]
    pub const fn deny(opcode: u8) -> Filter<'static> {
        const REFUSE: &[libc::sock_filter] =
            &[libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
        Filter::new(opcode, REFUSE)
    }

    /// Entries of all opcodes that no program decides of are refused.
    #[must_use]
    pub const fn deny_rest(mut self) -> Filter<'a> {
        self.flags |= sys::IO_URING_BPF_FILTER_DENY_REST;
        self
    }

    /// The program was written for a description of that opcode that has so many bytes: a kernel that has more to say
    /// refuses the program, instead of letting it overlook that.
    #[must_use]
    pub const fn described(mut self, bytes: u8) -> Filter<'a> {
        self.described = bytes;
        self.flags |= sys::IO_URING_BPF_FILTER_SZ_STRICT;
        self
    }

    fn command(&self) -> io_uring_bpf {
        let filter = io_uring_bpf_filter {
            opcode: self.opcode.into(),
            flags: self.flags,
            // More than the kernel takes stays more than it takes.
            filter_len: u32::try_from(self.program.len()).unwrap_or(u32::MAX),
            pdu_size: self.described,
            filter_ptr: self.program.as_ptr() as u64,
            ..io_uring_bpf_filter::default()
        };
        filter_command(sys::IO_URING_BPF_CMD_FILTER, filter)
    }
}

impl Ring {
    /// Lets `filter` decide of the entries of this ring, for good. Since Linux 7.0.
    ///
    /// # Errors
    /// `EINVAL` before Linux 7.0, where the kernel was built without it, and for a program that is empty, too long, or
    /// does what such a program may not; `EMSGSIZE` for a description of another size; `Other` in a forked child.
    pub fn register_filter(&self, filter: &Filter<'_>) -> io::Result<()> {
        let mut command = filter.command();
        let arg: *mut c_void = (&raw mut command).cast();
        // SAFETY: Kernel's word: one structure, and the program that it names with its length; both are read before the
        // call returns.
        unsafe { self.register(sys::IORING_REGISTER_BPF_FILTER, arg, 1) }.map(drop)
    }
}

/// Lets `filter` decide of the entries of all rings that this thread makes from now on, and of those of the threads and
/// processes that it begins, for good. Since Linux 7.0.
///
/// # Errors
/// `EACCES` without `CAP_SYS_ADMIN` or the promise to gain no privileges (`PR_SET_NO_NEW_PRIVS`); `EINVAL` or `EBADF`
/// before Linux 7.0; else those of [`Ring::register_filter`].
pub fn filter_thread(filter: &Filter<'_>) -> io::Result<()> {
    let mut command = filter.command();
    let arg: *mut c_void = (&raw mut command).cast();
    // SAFETY: Kernel's word: a structure and a program of the length that it says, only read, and before this returns.
    unsafe { calls::register_nothing(sys::IORING_REGISTER_BPF_FILTER, arg, 1) }.map(drop)
}
