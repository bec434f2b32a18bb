//! The numbers that an entry names things by, one type for each kind, so that none is taken for another.

use crate::{
    entry::{Sqe, SqeFlags},
    sys,
};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// A place in the ring's table of registered files: what stands there is a *fixed file*, or direct descriptor. Since
/// Linux 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FixedFile(pub u32);

/// A place in the ring's table of registered buffers. Since Linux 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufIndex(pub u16);

/// The id of a group of provided buffers. Since Linux 5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufGroup(pub u16);

/// The id of registered credentials. Since Linux 5.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Personality(pub u16);

mod sealed {
    pub trait Sealed {}
}

/// The file that an entry is about: a descriptor of the process or a [`FixedFile`].
pub trait Target: Copy + sealed::Sealed {
    /// Points the entry at it.
    #[must_use]
    fn aim(self, sqe: Sqe) -> Sqe;
}

impl sealed::Sealed for RawFd {}
impl sealed::Sealed for BorrowedFd<'_> {}
impl sealed::Sealed for FixedFile {}

impl Target for RawFd {
    fn aim(self, sqe: Sqe) -> Sqe {
        Sqe { fd: self, ..sqe }
    }
}

impl Target for BorrowedFd<'_> {
    fn aim(self, sqe: Sqe) -> Sqe {
        self.as_raw_fd().aim(sqe)
    }
}

impl Target for FixedFile {
    fn aim(self, sqe: Sqe) -> Sqe {
        // A place beyond what the field holds is beyond every table, too: the kernel answers EBADF.
        (self.0 as RawFd).aim(sqe).flags(SqeFlags::FIXED_FILE)
    }
}

/// How an entry is carried out, beside what it does.
impl Sqe {
    /// What is opened goes to this place in the table of files and has no number; what stood there is closed. For the
    /// opcodes that open something: accept, openat, openat2, socket, pipe. The result is 0. Since Linux 5.15.
    ///
    /// `O_CLOEXEC` and its like are refused beside it (`EINVAL`): there is nothing to inherit. A place outside of the
    /// table is `EINVAL`, and without a table `ENXIO`.
    #[must_use]
    pub const fn direct(mut self, place: FixedFile) -> Sqe {
        // The kernel counts from 1, as 0 is none; the last number means whichever is free. So the last two places,
        // which no table has, have no number of their own; that of the one before them is as good: it is in no table,
        // either.
        const LAST: u32 = sys::IORING_FILE_INDEX_ALLOC as u32 - 1;
        self.file_index = if place.0 < LAST { place.0 + 1 } else { LAST };
        self
    }

    /// What is opened goes to a place that is free, which is the result. `ENFILE` if none is. Since Linux 5.19.
    #[must_use]
    pub const fn direct_any(mut self) -> Sqe {
        self.file_index = sys::IORING_FILE_INDEX_ALLOC as u32;
        self
    }

    /// The kernel takes the buffer from this group when there is something to put into it, and the completion says
    /// [which](crate::entry::Cqe::buffer). A length of 0 means all of it. `ENOBUFS` when the group is empty. Since
    /// Linux 5.7.
    #[must_use]
    pub const fn buffer_select(mut self, group: BufGroup) -> Sqe {
        self.buf_index = group.0;
        self.flags(SqeFlags::BUFFER_SELECT)
    }

    /// The next entry starts when this one has succeeded in full: an error or a short read cancels the rest of the
    /// chain. A chain has to be submitted by one enter. Since Linux 5.3.
    #[must_use]
    pub const fn link(self) -> Sqe {
        self.flags(SqeFlags::IO_LINK)
    }

    /// The next entry starts when this one is done, whatever came of it. Since Linux 5.5.
    #[must_use]
    pub const fn hardlink(self) -> Sqe {
        self.flags(SqeFlags::IO_HARDLINK)
    }

    /// Starts after all entries before it are done, and no later one starts before it. `EOPNOTSUPP` on a ring that was
    /// once given an entry with [`skip_success`](Sqe::skip_success). Since Linux 5.2.
    #[must_use]
    pub const fn drain(self) -> Sqe {
        self.flags(SqeFlags::IO_DRAIN)
    }

    /// Goes to a kernel's worker thread at once, instead of being tried first. Since Linux 5.6.
    #[must_use]
    pub const fn run_async(self) -> Sqe {
        self.flags(SqeFlags::ASYNC)
    }

    /// Gives no completion when it succeeds. Zero-copy sends and multishot polls refuse it (`EINVAL`). Whoever lends
    /// memory to such an entry has to learn of its end in another way. Since Linux 5.17.
    #[must_use]
    pub const fn skip_success(self) -> Sqe {
        self.flags(SqeFlags::CQE_SKIP_SUCCESS)
    }

    /// Acts with registered credentials instead of the thread's. `EINVAL` for an id that is not registered. Since Linux
    /// 5.6.
    #[must_use]
    pub const fn personality(mut self, id: Personality) -> Sqe {
        self.personality = id.0;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_file_is_not_taken_for_a_descriptor() {
        let (by_number, by_place) = (Sqe::fsync(3, false), Sqe::fsync(FixedFile(3), false));
        assert_eq!((by_number.fd, by_place.fd), (3, 3));
        assert_eq!((by_number.flags, by_place.flags), (SqeFlags::empty(), SqeFlags::FIXED_FILE));
        let borrowed = std::fs::File::open("Cargo.toml").unwrap();
        let borrowed = std::os::fd::AsFd::as_fd(&borrowed);
        assert_eq!(Sqe::fsync(borrowed, true).fd, borrowed.as_raw_fd());
    }

    #[test]
    fn places_are_counted_from_one_and_the_last_number_means_any() {
        assert_eq!(Sqe::nop().direct(FixedFile(0)).file_index, 1);
        for none in [u32::MAX - 2, u32::MAX - 1, u32::MAX] {
            assert_eq!(Sqe::nop().direct(FixedFile(none)).file_index, u32::MAX - 1, "neither any place nor no place");
        }
        assert_eq!(Sqe::nop().direct_any().file_index, u32::MAX);
    }

    #[test]
    fn what_is_added_is_added() {
        let all = Sqe::nop().link().hardlink().drain().run_async().skip_success().buffer_select(BufGroup(7));
        assert_eq!(all.flags, SqeFlags::all() - SqeFlags::FIXED_FILE);
        assert_eq!((all.buf_index, all.personality(Personality(9)).personality), (7, 9));
    }
}
