//! What is known about a file.

use super::{FileType, Permissions};
use crate::{
    op,
    sys::{Statx, StatxTime, unix},
};
use std::{
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::SystemTime,
};

/// What is known about a file; the counterpart of [`std::fs::Metadata`]. Whatever a Unix knows more of is in
/// [`MetadataExt`].
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let known = fs::metadata("Cargo.toml").await?;
///     assert!(known.is_file() && known.len() > 0);
///     assert!(known.modified()? <= std::time::SystemTime::now());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Metadata(Statx);

/// Tells what is known about the file at `path`, to which symbolic links are followed.
///
/// On the ring since Linux 5.6; before, and elsewhere, a thread of the pool asks.
///
/// # Errors
/// `NotFound`, `PermissionDenied` for a directory on the way, `InvalidInput` for a path with a NUL byte, and whatever
/// else `stat(2)` says.
///
/// # Cancellation
/// **Clean**: nothing is changed.
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    op::statx(path.as_ref(), true)?.await.map(Metadata)
}

/// Tells what is known about what is at `path`, and if that is a symbolic link, about the link.
///
/// # Errors
/// Those of [`metadata`].
///
/// # Cancellation
/// **Clean**: nothing is changed.
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    op::statx(path.as_ref(), false)?.await.map(Metadata)
}

impl Metadata {
    pub(super) fn new(told: Statx) -> Metadata {
        Metadata(told)
    }

    /// What kind of file it is.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        FileType::of_mode(self.mode())
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Whether it is a symbolic link; only [`symlink_metadata`] tells of one.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "as std has it")]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.size()
    }

    /// Who may do what.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode())
    }

    /// When its content last changed.
    ///
    /// # Errors
    /// `Unsupported` if the file system does not tell, `InvalidData` for a time that cannot be expressed.
    pub fn modified(&self) -> io::Result<SystemTime> {
        time(self.0.modified())
    }

    /// When it was last read, as far as the file system keeps account of that.
    ///
    /// # Errors
    /// Those of [`modified`](Metadata::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        time(self.0.accessed())
    }

    /// When it was made.
    ///
    /// # Errors
    /// Those of [`modified`](Metadata::modified). Not all file systems know, and Linux tells since 4.11.
    pub fn created(&self) -> io::Result<SystemTime> {
        time(self.0.created())
    }

    /// All that the kernel said, taken apart.
    #[must_use]
    pub fn statx(&self) -> &Statx {
        &self.0
    }
}

fn time(told: Option<StatxTime>) -> io::Result<SystemTime> {
    let told = told.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "the file system does not tell"))?;
    told.to_system_time().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a time that cannot be expressed"))
}

/// Seconds and nanoseconds, and zeros for what was not told.
fn parts(told: Option<StatxTime>) -> (i64, i64) {
    told.map_or((0, 0), |time| (time.seconds, time.nanoseconds.into()))
}

/// What was not told is 0.
impl MetadataExt for Metadata {
    fn dev(&self) -> u64 {
        let (major, minor) = self.0.device();
        unix::device_number(major, minor)
    }

    fn ino(&self) -> u64 {
        self.0.inode().unwrap_or_default()
    }

    fn mode(&self) -> u32 {
        self.0.file_type().unwrap_or_default() | self.0.permissions().unwrap_or_default()
    }

    fn nlink(&self) -> u64 {
        self.0.links().unwrap_or_default().into()
    }

    fn uid(&self) -> u32 {
        self.0.uid().unwrap_or_default()
    }

    fn gid(&self) -> u32 {
        self.0.gid().unwrap_or_default()
    }

    fn rdev(&self) -> u64 {
        let (major, minor) = self.0.represents();
        unix::device_number(major, minor)
    }

    fn size(&self) -> u64 {
        self.0.size().unwrap_or_default()
    }

    fn atime(&self) -> i64 {
        parts(self.0.accessed()).0
    }

    fn atime_nsec(&self) -> i64 {
        parts(self.0.accessed()).1
    }

    fn mtime(&self) -> i64 {
        parts(self.0.modified()).0
    }

    fn mtime_nsec(&self) -> i64 {
        parts(self.0.modified()).1
    }

    fn ctime(&self) -> i64 {
        parts(self.0.changed()).0
    }

    fn ctime_nsec(&self) -> i64 {
        parts(self.0.changed()).1
    }

    fn blksize(&self) -> u64 {
        self.0.block_size().into()
    }

    fn blocks(&self) -> u64 {
        self.0.blocks().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fs::File, testing::temp_path};
    use std::time::{Duration, UNIX_EPOCH};

    /// Red when any question is answered otherwise than `std` answers it.
    fn agree(ours: &Metadata, std: &std::fs::Metadata) {
        let kinds = [ours.is_dir(), ours.is_file(), ours.is_symlink()];
        assert_eq!(kinds, [std.is_dir(), std.is_file(), std.is_symlink()]);
        assert_eq!((ours.len(), ours.permissions()), (std.len(), std.permissions()));
        assert_eq!((ours.modified().ok(), ours.accessed().ok()), (std.modified().ok(), std.accessed().ok()));
        assert_eq!((ours.mode(), ours.uid(), ours.gid()), (std.mode(), std.uid(), std.gid()));
        let numbers = |m: &dyn MetadataExt| [m.dev(), m.ino(), m.nlink(), m.rdev(), m.size(), m.blksize(), m.blocks()];
        assert_eq!(numbers(ours), numbers(std));
        let times =
            |m: &dyn MetadataExt| [m.atime(), m.atime_nsec(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()];
        assert_eq!(times(ours), times(std));
    }

    #[crate::test]
    async fn it_is_what_std_says() {
        let link = temp_path();
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for path in [Path::new("Cargo.toml"), Path::new("src"), Path::new("/dev/null"), &link] {
            agree(&metadata(path).await.unwrap(), &std::fs::metadata(path).unwrap());
            agree(&symlink_metadata(path).await.unwrap(), &std::fs::symlink_metadata(path).unwrap());
        }
        std::fs::remove_file(&link).unwrap();
        let file = std::fs::File::open("Cargo.toml").unwrap();
        let std = file.metadata().unwrap();
        agree(&File::from_std(file).unwrap().metadata().await.unwrap(), &std);
        let missing = metadata(&link).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert_eq!(metadata("a\0b").await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[crate::test]
    async fn a_birth_is_told_or_is_unsupported() {
        let told = metadata("Cargo.toml").await.unwrap().created();
        match told {
            Ok(time) => assert!(time > UNIX_EPOCH + Duration::from_secs(1 << 30)),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::Unsupported),
        }
        assert_eq!(Metadata::new(Statx::default()).modified().unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
