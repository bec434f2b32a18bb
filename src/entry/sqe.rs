//! The submission entry: one request, as 64 bytes of plain data.

use crate::sys::{self, io_uring_sqe};
use std::fmt;

bitflags::bitflags! {
    /// `IOSQE_*`: how an entry is to be carried out.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct SqeFlags: u8 {
        /// `fd` is an index into the ring's table of direct descriptors. Since Linux 5.1.
        const FIXED_FILE = sys::IOSQE_FIXED_FILE as u8;
        /// Start after all earlier entries completed. Since Linux 5.2.
        const IO_DRAIN = sys::IOSQE_IO_DRAIN as u8;
        /// The next entry starts when this one succeeded in full. Since Linux 5.3.
        const IO_LINK = sys::IOSQE_IO_LINK as u8;
        /// The next entry starts when this one is done, whatever came of it. Since Linux 5.5.
        const IO_HARDLINK = sys::IOSQE_IO_HARDLINK as u8;
        /// Hand to a kernel worker thread without trying first. Since Linux 5.6.
        const ASYNC = sys::IOSQE_ASYNC as u8;
        /// Take the buffer from the group `buf_index`. Since Linux 5.7.
        const BUFFER_SELECT = sys::IOSQE_BUFFER_SELECT as u8;
        /// Post no completion on success. Since Linux 5.17.
        const CQE_SKIP_SUCCESS = sys::IOSQE_CQE_SKIP_SUCCESS as u8;
    }
}

/// `struct io_uring_sqe`: one request to the kernel, or to the twin that stands in for it.
///
/// The fields that the kernel overlays with others (`off` and `addr2`, `file_index` and `splice_fd_in`, the flag word
/// of each operation) have one name here; the constructors, one per operation, put the right value into each.
///
/// ```
/// use annulus::entry::Sqe;
/// let sqe = Sqe::nop().user_data(7);
/// assert!(format!("{sqe:?}").starts_with("NOP {"));
/// ```
#[repr(C, align(8))]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Sqe {
    /// `IORING_OP_*`.
    pub opcode: u8,
    /// `IOSQE_*`.
    pub flags: SqeFlags,
    /// An I/O priority; for the send, receive and accept families their own flags.
    pub ioprio: u16,
    /// The descriptor, or the index of a direct one.
    pub fd: i32,
    /// A file offset, or a second address.
    pub off: u64,
    /// A pointer, as a number.
    pub addr: u64,
    /// A length, in bytes or in elements.
    pub len: u32,
    /// The flag word of the operation (`rw_flags`, `msg_flags`, `open_flags`, …).
    pub op_flags: u32,
    /// Returned in the completion as it is.
    pub user_data: u64,
    /// A registered buffer's index, or a buffer group.
    pub buf_index: u16,
    /// A registered personality, or 0.
    pub personality: u16,
    /// A direct descriptor's slot + 1, or `splice_fd_in`.
    pub file_index: u32,
    /// A third address.
    pub addr3: u64,
    /// Not used by any 64-byte request except `attr_type_mask`.
    pub pad: u64,
}

static_assertions::assert_eq_size!(Sqe, io_uring_sqe);
static_assertions::assert_eq_align!(Sqe, io_uring_sqe);
macro_rules! same_offset {
    ($($ours:ident = $theirs:ident),* $(,)?) => {
        $(static_assertions::const_assert_eq!(
            std::mem::offset_of!(Sqe, $ours),
            std::mem::offset_of!(io_uring_sqe, $theirs)
        );)*
    };
}
// The anonymous unions are numbered in the order of the header; what each holds is said beside it.
same_offset! {
    opcode = opcode,
    flags = flags,
    ioprio = ioprio,
    fd = fd,
    off = __bindgen_anon_1,        // off, addr2, cmd_op
    addr = __bindgen_anon_2,       // addr, splice_off_in
    len = len,
    op_flags = __bindgen_anon_3,   // rw_flags, msg_flags, …
    user_data = user_data,
    buf_index = __bindgen_anon_4,  // buf_index, buf_group
    personality = personality,
    file_index = __bindgen_anon_5, // file_index, splice_fd_in, addr_len
    addr3 = __bindgen_anon_6,      // addr3, cmd
}

impl Sqe {
    /// The name of the operation, without its `IORING_OP_`; `None` for a number this ABI does not know.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        sys::names::OPCODES.get(usize::from(self.opcode)).copied()
    }

    /// Sets what the completion will carry.
    #[must_use]
    pub const fn user_data(mut self, user_data: u64) -> Sqe {
        self.user_data = user_data;
        self
    }

    /// Adds `flags` to the entry's.
    #[must_use]
    pub const fn flags(mut self, flags: SqeFlags) -> Sqe {
        self.flags = self.flags.union(flags);
        self
    }
}

/// An entry of 128 bytes, for the commands that do not fit into 64, on a ring with `SQE128` or `SQE_MIXED`.
///
/// A command of `URING_CMD` or `URING_CMD128` begins in the first half, at [`Sqe::addr3`], and goes on to the end:
///
/// ```
/// use annulus::entry::{Sqe, Sqe128};
/// let mut command = [0; 80];
/// command[79] = 7;
/// let entry = Sqe128::from(Sqe::nop()).command(&command);
/// assert_eq!((entry.sqe.addr3, entry.rest[7].to_ne_bytes()[7]), (0, 7));
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sqe128 {
    /// The first half, which every entry has.
    pub sqe: Sqe,
    /// The second half.
    pub rest: [u64; 8],
}

static_assertions::const_assert_eq!(size_of::<Sqe128>(), 2 * size_of::<io_uring_sqe>());

impl Sqe128 {
    /// How many bytes a command has.
    pub const COMMAND: usize = 80;

    /// Puts a command in its place, as the bytes that the device knows.
    #[must_use]
    pub fn command(mut self, bytes: &[u8; Sqe128::COMMAND]) -> Sqe128 {
        let word = |i: usize| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[8 * i + byte]));
        (self.sqe.addr3, self.sqe.pad) = (word(0), word(1));
        self.rest = std::array::from_fn(|i| word(2 + i));
        self
    }

    /// Sets what the completion will carry.
    #[must_use]
    pub const fn user_data(mut self, user_data: u64) -> Sqe128 {
        self.sqe.user_data = user_data;
        self
    }
}

/// With a second half of zeros.
impl From<Sqe> for Sqe128 {
    fn from(sqe: Sqe) -> Sqe128 {
        Sqe128 { sqe, rest: [0; 8] }
    }
}

/// `RECV { fd: 3, addr: 0x7f…, len: 64 }`: the name, then every field that is not zero.
impl fmt::Debug for Sqe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = format!("op {}", self.opcode);
        let mut out = f.debug_struct(self.name().unwrap_or(&unknown));
        out.field("fd", &self.fd);
        if !self.flags.is_empty() {
            out.field("flags", &self.flags);
        }
        let words = [
            ("ioprio", u64::from(self.ioprio)),
            ("off", self.off),
            ("addr", self.addr),
            ("len", u64::from(self.len)),
            ("op_flags", u64::from(self.op_flags)),
            ("user_data", self.user_data),
            ("buf_index", u64::from(self.buf_index)),
            ("personality", u64::from(self.personality)),
            ("file_index", u64::from(self.file_index)),
            ("addr3", self.addr3),
            ("pad", self.pad),
        ];
        for (name, value) in words.into_iter().filter(|&(_, value)| value != 0) {
            let hex = matches!(name, "addr" | "addr3" | "op_flags");
            if hex {
                out.field(name, &format_args!("{value:#x}"))
            } else {
                out.field(name, &value)
            };
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_the_operation_and_hides_zeros() {
        let sqe = Sqe { opcode: sys::IORING_OP_RECV as u8, fd: 3, addr: 0x10, len: 64, ..Sqe::default() };
        assert_eq!(format!("{sqe:?}"), "RECV { fd: 3, addr: 0x10, len: 64 }");
        let sqe = Sqe { opcode: 200, ..Sqe::default() }.flags(SqeFlags::IO_LINK);
        assert_eq!(format!("{sqe:?}"), "op 200 { fd: 0, flags: SqeFlags(IO_LINK) }");
    }

    #[test]
    fn every_opcode_has_a_name() {
        assert_eq!(sys::names::OPCODES.len(), sys::IORING_OP_LAST as usize);
        assert_eq!(sys::names::OPCODES[sys::IORING_OP_OPENAT as usize], "OPENAT");
    }
}
