//! The completion: the 16 bytes that answer an entry.

use crate::sys::{self, io_uring_cqe};
use std::io;

bitflags::bitflags! {
    /// `IORING_CQE_F_*`: what a completion says beside its result.
    ///
    /// The upper 16 bits are a buffer id when `BUFFER` is set, and are kept as unnamed bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct CqeFlags: u32 {
        /// The upper 16 bits name the buffer that was used. Since Linux 5.7.
        const BUFFER = sys::IORING_CQE_F_BUFFER;
        /// More completions of the same request follow. Since Linux 5.13.
        const MORE = sys::IORING_CQE_F_MORE;
        /// The socket holds more data. Since Linux 5.19.
        const SOCK_NONEMPTY = sys::IORING_CQE_F_SOCK_NONEMPTY;
        /// Zero-copy send: the kernel is done with the memory. Since Linux 6.0.
        const NOTIF = sys::IORING_CQE_F_NOTIF;
        /// The buffer is not used up; its next part follows. Since Linux 6.12.
        const BUF_MORE = sys::IORING_CQE_F_BUF_MORE;
        /// Padding before the ring's end; means nothing. Since Linux 6.18.
        const SKIP = sys::IORING_CQE_F_SKIP;
        /// The completion takes 32 bytes on a mixed ring. Since Linux 6.18.
        const BIG = sys::IORING_CQE_F_32;
        const _ = !0;
    }
}

/// `struct io_uring_cqe`: the answer to one [`Sqe`](crate::entry::Sqe).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cqe {
    /// What the entry carried.
    pub user_data: u64,
    /// The result: what the system call would return, or `-errno`.
    pub res: i32,
    /// What the kernel says beside the result.
    pub flags: CqeFlags,
}

static_assertions::assert_eq_size!(Cqe, io_uring_cqe);
static_assertions::assert_eq_align!(Cqe, io_uring_cqe);
static_assertions::const_assert_eq!(
    std::mem::offset_of!(Cqe, user_data),
    std::mem::offset_of!(io_uring_cqe, user_data)
);
static_assertions::const_assert_eq!(std::mem::offset_of!(Cqe, res), std::mem::offset_of!(io_uring_cqe, res));
static_assertions::const_assert_eq!(std::mem::offset_of!(Cqe, flags), std::mem::offset_of!(io_uring_cqe, flags));

/// A completion of 32 bytes: what a request says beside its result, on a ring with `CQE32` or `CQE_MIXED`.
///
/// On a mixed ring only those with [`CqeFlags::BIG`] have something there; with `CQE32` all of them do, and the flag is
/// not set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BigCqe {
    /// The first half, which every completion has.
    pub cqe: Cqe,
    /// The second half; zeros if the completion has none.
    pub extra: [u64; 2],
}

static_assertions::const_assert_eq!(size_of::<BigCqe>(), 2 * size_of::<io_uring_cqe>());

/// The kernel's `-ERESTARTSYS`, an internal number that some kernels let out (splice on Linux 6.18).
const RESTARTED: i32 = -512;

impl Cqe {
    /// A completion made here and not by the kernel.
    pub(crate) fn new(user_data: u64, res: i32) -> Cqe {
        Cqe { user_data, res, flags: CqeFlags::empty() }
    }

    /// The notification of a zero-copy send, as the kernel makes it.
    pub(crate) fn notification(user_data: u64, copied: bool) -> Cqe {
        let usage = if copied { sys::IORING_NOTIF_USAGE_ZC_COPIED } else { 0 };
        Cqe { user_data, res: usage as i32, flags: CqeFlags::NOTIF }
    }

    /// The result as Rust has it: the one place where `-errno` becomes an [`io::Error`].
    ///
    /// # Errors
    /// The error that the system call of the same name would give.
    pub fn result(self) -> io::Result<u32> {
        match self.res {
            RESTARTED => Err(io::Error::from_raw_os_error(libc::EINTR)),
            res => u32::try_from(res).map_err(|_| io::Error::from_raw_os_error(res.wrapping_neg())),
        }
    }

    /// Whether no further completion of the same request follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        !self.flags.contains(CqeFlags::MORE)
    }

    /// Whether a zero-copy send's notification says that the kernel copied the bytes after all. Only told to those that
    /// ask for it: [`RecvSendFlags::REPORT_USAGE`](crate::entry::RecvSendFlags::REPORT_USAGE).
    #[must_use]
    pub fn was_copied(self) -> bool {
        self.flags.contains(CqeFlags::NOTIF) && self.res as u32 & sys::IORING_NOTIF_USAGE_ZC_COPIED != 0
    }

    /// The id of the provided buffer that was used, if one was.
    #[must_use]
    pub fn buffer(self) -> Option<u16> {
        let id = (self.flags.bits() >> sys::IORING_CQE_BUFFER_SHIFT) as u16;
        self.flags.contains(CqeFlags::BUFFER).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_decoded_once() {
        assert_eq!(Cqe::new(0, 5).result().unwrap(), 5);
        assert_eq!(Cqe::new(0, -libc::ENOENT).result().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Cqe::new(0, -512).result().unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(Cqe::new(0, i32::MIN).result().unwrap_err().raw_os_error(), Some(i32::MIN));
    }

    #[test]
    fn buffer_ids_are_the_upper_half() {
        let flags = CqeFlags::from_bits_retain(CqeFlags::BUFFER.bits() | 0xabcd << 16);
        assert_eq!(Cqe { flags, ..Cqe::default() }.buffer(), Some(0xabcd));
        assert_eq!(Cqe::default().buffer(), None);
    }
}
