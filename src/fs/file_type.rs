//! What kind of file something is.

use std::os::unix::fs::FileTypeExt;

/// What kind of file something is; the counterpart of [`std::fs::FileType`]. Kinds that only Unix has are asked for by
/// [`FileTypeExt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileType(libc::mode_t);

impl FileType {
    pub(super) fn of_mode(mode: u32) -> FileType {
        FileType(mode as libc::mode_t & libc::S_IFMT)
    }

    fn is(self, kind: libc::mode_t) -> bool {
        self.0 == kind
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.is(libc::S_IFDIR)
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.is(libc::S_IFREG)
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.is(libc::S_IFLNK)
    }
}

impl FileTypeExt for FileType {
    fn is_block_device(&self) -> bool {
        self.is(libc::S_IFBLK)
    }

    fn is_char_device(&self) -> bool {
        self.is(libc::S_IFCHR)
    }

    fn is_fifo(&self) -> bool {
        self.is(libc::S_IFIFO)
    }

    fn is_socket(&self) -> bool {
        self.is(libc::S_IFSOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_one() {
        let kinds =
            [libc::S_IFDIR, libc::S_IFREG, libc::S_IFLNK, libc::S_IFBLK, libc::S_IFCHR, libc::S_IFIFO, libc::S_IFSOCK];
        for (at, kind) in kinds.into_iter().enumerate() {
            let of = FileType::of_mode((kind | 0o644) as _);
            let answers = [
                of.is_dir(),
                of.is_file(),
                of.is_symlink(),
                of.is_block_device(),
                of.is_char_device(),
                of.is_fifo(),
                of.is_socket(),
            ];
            assert!(answers.into_iter().enumerate().all(|(asked, is)| is == (asked == at)), "{of:?}: {answers:?}");
        }
    }
}
