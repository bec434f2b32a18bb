//! The ring's table of registered files, or direct descriptors: open files that the kernel need not look up, and that
//! need no number.

use super::{Ring, Tag, tag};
use crate::{
    entry::FixedFile,
    sys::{self, io_uring_file_index_range, io_uring_rsrc_register, io_uring_rsrc_update, io_uring_rsrc_update2},
};
use std::{
    fmt, io,
    marker::PhantomData,
    ops::Range,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    ptr,
};

/// What is to be at a place of the table: a file, nothing, or what is there.
///
/// A descriptor is borrowed for the call alone: the table refers to the open file, which stays open in it when the
/// descriptor is closed.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileSlot<'fd>(RawFd, PhantomData<BorrowedFd<'fd>>);

// The kernel reads a list of them.
static_assertions::assert_eq_size!(FileSlot<'_>, i32);
static_assertions::assert_eq_align!(FileSlot<'_>, i32);

impl<'fd> FileSlot<'fd> {
    /// Nothing: the place is empty, and free for whatever asks for [any](crate::entry::Sqe::direct_any).
    pub const EMPTY: FileSlot<'static> = FileSlot(-1, PhantomData);

    /// What is there. Since Linux 5.12.
    pub const SKIP: FileSlot<'static> = FileSlot(sys::IORING_REGISTER_FILES_SKIP, PhantomData);

    /// The open file that this descriptor names.
    #[must_use]
    pub fn of(file: &'fd impl AsFd) -> FileSlot<'fd> {
        FileSlot::from(file.as_fd())
    }
}

impl<'fd> From<BorrowedFd<'fd>> for FileSlot<'fd> {
    fn from(fd: BorrowedFd<'fd>) -> FileSlot<'fd> {
        FileSlot(fd.as_raw_fd(), PhantomData)
    }
}

impl fmt::Debug for FileSlot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FileSlot::EMPTY => f.write_str("empty"),
            FileSlot::SKIP => f.write_str("as it is"),
            FileSlot(fd, _) => write!(f, "the file of descriptor {fd}"),
        }
    }
}

/// The table of files. An entry names a place of it by a [`FixedFile`] where it could name a descriptor.
///
/// Requests in flight keep the file that they started with, whatever becomes of its place.
impl Ring {
    /// Makes the table out of `files`, as many as the process may have descriptors (`RLIMIT_NOFILE`) and 2^20 at most.
    /// `tags` is empty, or has one for each. Since Linux 5.1, with empty places since 5.5, and with tags since 5.13.
    ///
    /// # Errors
    /// `InvalidInput` for no files or too many, tags that are not as many, and a place that is to stay as it is;
    /// `EBUSY` if there is a table already, `EMFILE` for too many files, `EBADF` for one that is closed and for a
    /// ring's own descriptor, `EINVAL` for a tag of an empty place and for what is newer than the kernel; `Other` in a
    /// forked child.
    ///
    /// ```
    /// use annulus::ring::{FileSlot, FixedFile, Ring, Sqe};
    /// # let Ok(ring) = Ring::new(4) else { return Ok(()) };
    /// # let mut ring = ring;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// ring.register_files(&[FileSlot::EMPTY, FileSlot::of(&file)], &[])?;
    /// drop(file); // it stays open in the table
    /// let mut head = [0; 9];
    /// // SAFETY: Lent: the bytes are looked at after the completion; the file is the table's.
    /// unsafe { ring.push(&Sqe::read(FixedFile(1), head.as_mut_ptr(), 9, 0)) }?;
    /// ring.submit_and_wait(1)?;
    /// assert_eq!(ring.completions().next().unwrap().result()?, 9);
    /// assert_eq!(head, std::fs::read("Cargo.toml")?[..9]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn register_files(&self, files: &[FileSlot<'_>], tags: &[Option<Tag>]) -> io::Result<()> {
        let nr = count(files.len())?;
        if files.contains(&FileSlot::SKIP) {
            let why = "a new table has nothing that could stay as it is: use FileSlot::EMPTY";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let (data, tags) = (files.as_ptr(), tag::address(tags, files.len())?);
        if tags == 0 {
            // SAFETY: Kernel's word: a list of that many numbers, which is read before the call returns.
            return unsafe { self.register(sys::IORING_REGISTER_FILES, data.cast_mut().cast(), nr) }.map(drop);
        }
        let table = io_uring_rsrc_register { nr, data: data as u64, tags, ..io_uring_rsrc_register::default() };
        // SAFETY: Kernel's word: a list of files and one of tags, both that long.
        unsafe { self.register_table(sys::IORING_REGISTER_FILES2, table) }
    }

    /// Makes a table of `count` empty places. A table cannot grow. Since Linux 5.19; before, a list of
    /// [`FileSlot::EMPTY`] does the same.
    ///
    /// # Errors
    /// `InvalidInput` for no places, `EBUSY` if there is a table already, `EMFILE` for more places than the process may
    /// have descriptors, `EINVAL` before Linux 5.19; `Other` in a forked child.
    pub fn register_files_sparse(&self, count: u32) -> io::Result<()> {
        let (nr, flags) = (self::count(count as usize)?, sys::IORING_RSRC_REGISTER_SPARSE);
        let table = io_uring_rsrc_register { nr, flags, ..io_uring_rsrc_register::default() };
        // SAFETY: Kernel's word: a table of empty places has no lists.
        unsafe { self.register_table(sys::IORING_REGISTER_FILES2, table) }
    }

    /// Puts `files` into the table from the place `first` on. `tags` is empty, or has one for each. Gives how many
    /// places were done: the first that cannot be ends it, with an error only if it is the very first. Since Linux 5.5,
    /// with tags since 5.13.
    ///
    /// # Errors
    /// `InvalidInput` for no files or too many, or tags that are not as many. `ENXIO` without a table, `EINVAL` or
    /// `EOVERFLOW` for places outside of it; `EBADF` for a descriptor that is closed or a ring's own; `EINVAL` for a
    /// tag of a place that is empty or stays as it is, and for what is newer than the kernel; `Other` in a forked
    /// child.
    pub fn update_files(&self, first: FixedFile, files: &[FileSlot<'_>], tags: &[Option<Tag>]) -> io::Result<u32> {
        let (offset, nr) = (first.0, count(files.len())?);
        let (data, tags) = (files.as_ptr() as u64, tag::address(tags, files.len())?);
        if tags == 0 {
            let mut update = io_uring_rsrc_update { offset, data, ..io_uring_rsrc_update::default() };
            // SAFETY: Kernel's word: one structure and the list that it points to, read before the call returns.
            return unsafe { self.register(sys::IORING_REGISTER_FILES_UPDATE, (&raw mut update).cast(), nr) };
        }
        let update = io_uring_rsrc_update2 { offset, data, tags, nr, ..io_uring_rsrc_update2::default() };
        // SAFETY: Kernel's word: the two lists are as long as the structure says.
        unsafe { self.update_table(sys::IORING_REGISTER_FILES_UPDATE2, update) }
    }

    /// Sets which places an entry may get that asks for [any](crate::entry::Sqe::direct_any): `range` in place of the
    /// whole table. Entries that name a place may name others as well. Since Linux 6.0.
    ///
    /// # Errors
    /// `EINVAL` for a range that is not inside of the table, and before Linux 6.0; `EOVERFLOW` for one that ends
    /// nowhere; `InvalidInput` for one that ends before it starts; `Other` in a forked child.
    pub fn set_file_alloc_range(&self, range: Range<u32>) -> io::Result<()> {
        let Some(len) = range.end.checked_sub(range.start) else {
            let why = format!("the range {range:?} ends before it starts");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        let mut range = io_uring_file_index_range { off: range.start, len, ..io_uring_file_index_range::default() };
        // SAFETY: Kernel's word: one structure, which is only read; this opcode counts no arguments.
        unsafe { self.register(sys::IORING_REGISTER_FILE_ALLOC_RANGE, (&raw mut range).cast(), 0) }.map(drop)
    }

    /// Takes the table away. Files that nobody else has are closed when the requests on them are done; without this
    /// call that is some ten milliseconds after the ring's end.
    ///
    /// Before Linux 6.13 this waits for all requests of the ring that use *any* table, which may take for ever; since
    /// then it returns at once. Since Linux 5.1.
    ///
    /// # Errors
    /// `ENXIO` without a table; `EINTR` before Linux 6.13 when a signal ended the wait, and then the table stays;
    /// `Other` in a forked child.
    pub fn unregister_files(&self) -> io::Result<()> {
        // SAFETY: Kernel's word: this request has no argument and names no memory.
        unsafe { self.register(sys::IORING_UNREGISTER_FILES, ptr::null_mut(), 0) }.map(drop)
    }
}

fn count(files: usize) -> io::Result<u32> {
    match u32::try_from(files) {
        Ok(n) if n > 0 => Ok(n),
        _ => {
            let why = format!("a table has 1 to 2^20 registered files, not {files}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}
