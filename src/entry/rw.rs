//! What reads and writes can be told beside what and where.

use crate::{entry::Sqe, sys};

/// For the entries that read and write: `read`, `readv`, `read_fixed`, `readv_fixed`, `read_multishot`, and those that
/// write.
impl Sqe {
    /// How the kernel is to do it: `RWF_*`, as for `preadv2(2)`. `RWF_NOWAIT` answers `EAGAIN` instead of waiting,
    /// `RWF_APPEND` writes at the end, `RWF_DSYNC` has the bytes on the device when it completes. `EOPNOTSUPP` for one
    /// that the file or the kernel does not know. Since Linux 5.1.
    #[must_use]
    pub const fn rw_flags(mut self, flags: i32) -> Sqe {
        self.op_flags = flags as u32;
        self
    }

    /// The priority at the device: that of `ioprio_set(2)`. Without it, the thread's. Since Linux 5.1.
    #[must_use]
    pub const fn io_priority(mut self, priority: u16) -> Sqe {
        self.ioprio = priority;
        self
    }

    /// Which of the streams of a file's data a write belongs to, from 1 on: what is deleted together is best written
    /// together, and devices that know of it keep it so. 0 says nothing. `EINVAL` for a file that has fewer. Since
    /// Linux
    /// 6.16.
    #[must_use]
    pub const fn write_stream(mut self, stream: u8) -> Sqe {
        // The first of the bytes that other entries have a number in.
        self.file_index = u32::from_ne_bytes([stream, 0, 0, 0]);
        self
    }

    /// With protection information (T10 PI) for each block, which lies at what `attr` says and is checked or filled in
    /// by the device. For files that are open with `O_DIRECT`; `EINVAL` for others, `EOPNOTSUPP` where the device has
    /// no such thing. The structure is read when the entry is submitted; what it points to is lent until the
    /// completion. Since Linux 6.14.
    #[must_use]
    pub fn protection(mut self, attr: *const sys::io_uring_attr_pi) -> Sqe {
        (self.addr3, self.pad) = (attr as u64, sys::IORING_RW_ATTR_FLAG_PI.into());
        self
    }
}
