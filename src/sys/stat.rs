//! What the kernel says of a file (`struct statx`), taken apart: what its mask does not name was not filled in, and is
//! nothing here.
//!
//! **Kernel's word**: numbers alone, none of which is believed to be in a range.

use crate::sys::{self, statx, statx_timestamp};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What `statx(2)` or `IORING_OP_STATX` said of a file. It is as long as the kernel's structure and in its form, so it
/// can be lent to the kernel to be written to.
///
/// A question is answered by `None` if the mask lacks its bit: the kernel is too old for it, the file system does not
/// know, or nobody asked.
///
/// ```
/// use annulus::sys::{self, Statx};
///
/// let mut bytes = [0; Statx::SIZE];
/// bytes[..4].copy_from_slice(&sys::STATX_SIZE.to_ne_bytes());
/// bytes[40..48].copy_from_slice(&7u64.to_ne_bytes());
/// let statx = Statx::from_bytes(&bytes).unwrap();
/// assert_eq!((statx.size(), statx.blocks()), (Some(7), None));
/// assert!(Statx::from_bytes(&bytes[1..]).is_none());
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Default)]
pub struct Statx(statx);

/// A time of a file: seconds since 1970, and nanoseconds that follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatxTime {
    /// Whole seconds, before 1970 negative.
    pub seconds: i64,
    /// What follows them, less than a second if the file system is sane.
    pub nanoseconds: u32,
}

/// What a file system writes whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtomicWrites {
    /// The fewest bytes; a power of two.
    pub min: u32,
    /// The most bytes; a power of two.
    pub max: u32,
    /// The most bytes that the device does without help of the file system; 0 before Linux 6.16.
    pub fast_max: u32,
    /// The most parts of a vector.
    pub max_parts: u32,
}

impl StatxTime {
    /// The time as `std` has it. `None` for what it cannot express.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let at = if self.seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
        at?.checked_add(Duration::from_nanos(self.nanoseconds.into())).filter(|_| self.nanoseconds < 1_000_000_000)
    }
}

impl From<statx_timestamp> for StatxTime {
    fn from(time: statx_timestamp) -> StatxTime {
        StatxTime { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
    }
}

impl From<statx> for Statx {
    fn from(raw: statx) -> Statx {
        Statx(raw)
    }
}

impl Statx {
    /// Bytes of the structure.
    pub const SIZE: usize = size_of::<statx>();

    /// Takes the structure at the beginning of `bytes`. `None` if there are fewer than [`Statx::SIZE`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Statx> {
        let whole = bytes.first_chunk::<{ Statx::SIZE }>()?;
        // SAFETY: Plain bytes: a structure of integers, and there are as many bytes as it has, wherever they lie.
        Some(Statx(unsafe { whole.as_ptr().cast::<statx>().read_unaligned() }))
    }

    /// The `STATX_*` of what was filled in.
    #[must_use]
    pub fn mask(&self) -> u32 {
        self.0.stx_mask
    }

    /// `value`, if the mask has `bit`.
    fn told<T>(&self, bit: u32, value: T) -> Option<T> {
        (self.0.stx_mask & bit != 0).then_some(value)
    }

    /// The kind of file, `S_IFMT` of its mode.
    #[must_use]
    pub fn file_type(&self) -> Option<u32> {
        self.told(sys::STATX_TYPE, u32::from(self.0.stx_mode) & TYPE)
    }

    /// Who may do what, with the set-user-ID, set-group-ID and sticky bits.
    #[must_use]
    pub fn permissions(&self) -> Option<u32> {
        self.told(sys::STATX_MODE, u32::from(self.0.stx_mode) & !TYPE)
    }

    /// How many names it has.
    #[must_use]
    pub fn links(&self) -> Option<u32> {
        self.told(sys::STATX_NLINK, self.0.stx_nlink)
    }

    /// The number of the user whose it is.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.told(sys::STATX_UID, self.0.stx_uid)
    }

    /// The number of the group whose it is.
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.told(sys::STATX_GID, self.0.stx_gid)
    }

    /// Its number in its file system.
    #[must_use]
    pub fn inode(&self) -> Option<u64> {
        self.told(sys::STATX_INO, self.0.stx_ino)
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.told(sys::STATX_SIZE, self.0.stx_size)
    }

    /// What it takes on its device, in units of 512 bytes.
    #[must_use]
    pub fn blocks(&self) -> Option<u64> {
        self.told(sys::STATX_BLOCKS, self.0.stx_blocks)
    }

    /// When it was last read.
    #[must_use]
    pub fn accessed(&self) -> Option<StatxTime> {
        self.told(sys::STATX_ATIME, self.0.stx_atime.into())
    }

    /// When its content last changed.
    #[must_use]
    pub fn modified(&self) -> Option<StatxTime> {
        self.told(sys::STATX_MTIME, self.0.stx_mtime.into())
    }

    /// When its content, its names or its owner last changed.
    #[must_use]
    pub fn changed(&self) -> Option<StatxTime> {
        self.told(sys::STATX_CTIME, self.0.stx_ctime.into())
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Option<StatxTime> {
        self.told(sys::STATX_BTIME, self.0.stx_btime.into())
    }

    /// The number of its mount, which may be given again after an unmount. Since Linux 5.8.
    #[must_use]
    pub fn mount(&self) -> Option<u64> {
        self.told(sys::STATX_MNT_ID, self.0.stx_mnt_id)
    }

    /// The number of its mount that is never given again; it takes the place of [`Statx::mount`] if it was asked for.
    /// Since Linux 6.8.
    #[must_use]
    pub fn unique_mount(&self) -> Option<u64> {
        self.told(sys::STATX_MNT_ID_UNIQUE, self.0.stx_mnt_id)
    }

    /// How memory and offsets of direct input and output are to be aligned, in bytes; zeros for a file that has none.
    /// Since Linux 6.1.
    #[must_use]
    pub fn direct_align(&self) -> Option<(u32, u32)> {
        self.told(sys::STATX_DIOALIGN, (self.0.stx_dio_mem_align, self.0.stx_dio_offset_align))
    }

    /// How offsets of direct reads are to be aligned, in bytes; 0: as those of writes. Since Linux 6.14.
    #[must_use]
    pub fn direct_read_align(&self) -> Option<u32> {
        self.told(sys::STATX_DIO_READ_ALIGN, self.0.stx_dio_read_offset_align)
    }

    /// The subvolume that it belongs to. Since Linux 6.10.
    #[must_use]
    pub fn subvolume(&self) -> Option<u64> {
        self.told(sys::STATX_SUBVOL, self.0.stx_subvol)
    }

    /// What is written whole or not at all. Since Linux 6.11.
    #[must_use]
    pub fn atomic_writes(&self) -> Option<AtomicWrites> {
        let raw = &self.0;
        let writes = AtomicWrites {
            min: raw.stx_atomic_write_unit_min,
            max: raw.stx_atomic_write_unit_max,
            fast_max: raw.stx_atomic_write_unit_max_opt,
            max_parts: raw.stx_atomic_write_segments_max,
        };
        self.told(sys::STATX_WRITE_ATOMIC, writes)
    }

    /// Whether it has an attribute, one of `STATX_ATTR_*`. `None` if its file system does not know.
    #[must_use]
    pub fn attribute(&self, attribute: u64) -> Option<bool> {
        let known = self.0.stx_attributes_mask & attribute == attribute;
        known.then_some(self.0.stx_attributes & attribute == attribute)
    }

    /// How many bytes are good to read or write at once.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        self.0.stx_blksize
    }

    /// The numbers of the device that it is on: major and minor.
    #[must_use]
    pub fn device(&self) -> (u32, u32) {
        (self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// The numbers of the device that it stands for: major and minor.
    #[must_use]
    pub fn represents(&self) -> (u32, u32) {
        (self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }
}

/// The bits of a mode that say what a file is.
const TYPE: u32 = 0o170_000;

impl fmt::Debug for Statx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statx")
            .field("mask", &self.mask())
            .field("file_type", &self.file_type())
            .field("permissions", &self.permissions())
            .field("uid", &self.uid())
            .field("gid", &self.gid())
            .field("inode", &self.inode())
            .field("size", &self.size())
            .field("modified", &self.modified())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_or_nothing() {
        let time = |seconds, nanoseconds| StatxTime { seconds, nanoseconds }.to_system_time();
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(time(1, 999_999_999), Some(epoch + Duration::new(1, 999_999_999)));
        assert_eq!(time(-1, 500_000_000), Some(epoch - Duration::from_millis(500)));
        assert_eq!((time(0, 1_000_000_000), time(0, u32::MAX)), (None, None));
        // Whatever `std` can express, none of these is a panic.
        let _ = [i64::MIN, i64::MAX].map(|seconds| time(seconds, 999_999_999));
    }

    /// Red when a field is given whose bit is missing, or an attribute that nobody knows.
    #[test]
    fn what_the_mask_lacks_is_nothing() {
        let all = statx { stx_mask: u32::MAX, stx_mode: 0o100_644, stx_nlink: 3, ..statx::default() };
        let told = Statx(all);
        assert_eq!((told.file_type(), told.permissions(), told.links()), (Some(0o100_000), Some(0o644), Some(3)));
        let nothing = Statx(statx { stx_mask: 0, ..all });
        assert_eq!((nothing.file_type(), nothing.permissions(), nothing.links()), (None, None, None));
        let some = Statx(statx { stx_attributes: 0b11, stx_attributes_mask: 0b101, ..all });
        assert_eq!([1, 2, 4].map(|bit| some.attribute(bit)), [Some(true), None, Some(false)]);
    }
}
