//! How a file is opened.

use super::File;
use crate::{
    driver::Fd,
    op::{self, OpenHow},
};
use std::{io, os::unix::fs::OpenOptionsExt, path::Path};

/// How a file is opened; the counterpart of [`std::fs::OpenOptions`].
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: u32,
    custom_flags: i32,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl OpenOptions {
    /// Nothing is asked for yet.
    #[must_use]
    pub fn new() -> OpenOptions {
        let (read, write, append, truncate, create, create_new) = (false, false, false, false, false, false);
        OpenOptions { read, write, append, truncate, create, create_new, mode: 0o666, custom_flags: 0 }
    }

    /// To read.
    pub fn read(&mut self, on: bool) -> &mut OpenOptions {
        self.read = on;
        self
    }

    /// To write.
    pub fn write(&mut self, on: bool) -> &mut OpenOptions {
        self.write = on;
        self
    }

    /// To write at the end, wherever it is at each write.
    pub fn append(&mut self, on: bool) -> &mut OpenOptions {
        self.append = on;
        self
    }

    /// To cut it to nothing first; needs `write`.
    pub fn truncate(&mut self, on: bool) -> &mut OpenOptions {
        self.truncate = on;
        self
    }

    /// To make it if it is not there; needs `write` or `append`.
    pub fn create(&mut self, on: bool) -> &mut OpenOptions {
        self.create = on;
        self
    }

    /// To make it, and fail if it is there; needs `write` or `append`.
    pub fn create_new(&mut self, on: bool) -> &mut OpenOptions {
        self.create_new = on;
        self
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    /// `InvalidInput` for a combination that makes no sense or a path with a NUL byte; `NotFound`, `PermissionDenied`,
    /// `AlreadyExists` and whatever else `openat(2)` says.
    ///
    /// # Cancellation
    /// **Detached**: a file may be made or cut all the same; a descriptor that was opened is closed.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let how = OpenHow { flags: self.flags()?, mode: self.mode };
        Ok(File::from_fd(Fd::new(op::openat(path.as_ref(), how)?.await?)))
    }

    fn flags(&self) -> io::Result<i32> {
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => libc::O_RDONLY,
            (false, true, false) => libc::O_WRONLY,
            (true, true, false) => libc::O_RDWR,
            (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
            (true, _, true) => libc::O_RDWR | libc::O_APPEND,
            (false, false, false) => return refuse("ask for read, write or append access"),
        };
        let writes = self.write || self.append;
        if (self.create || self.create_new || self.truncate) && !writes {
            return refuse("making or cutting a file needs write access");
        }
        if self.truncate && self.append && !self.create_new {
            return refuse("a file cannot be cut and appended to in one");
        }
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => libc::O_CREAT | libc::O_EXCL,
            (true, true, false) => libc::O_CREAT | libc::O_TRUNC,
            (true, false, false) => libc::O_CREAT,
            (false, true, false) => libc::O_TRUNC,
            (false, false, false) => 0,
        };
        Ok(access | creation | (self.custom_flags & !libc::O_ACCMODE))
    }
}

fn refuse(why: &str) -> io::Result<i32> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

impl OpenOptionsExt for OpenOptions {
    fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        self.mode = mode;
        self
    }

    fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.custom_flags = flags;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;

    #[crate::test]
    async fn a_file_is_made_once() {
        let path = temp_path();
        let mut new = OpenOptions::new();
        new.write(true).create_new(true).mode(0o600);
        new.open(&path).await.unwrap();
        assert_eq!(new.open(&path).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(path).unwrap();
    }

    #[crate::test]
    async fn nonsense_is_refused_with_a_reason() {
        for options in [
            &mut OpenOptions::new(),
            OpenOptions::new().read(true).truncate(true),
            OpenOptions::new().append(true).truncate(true),
        ] {
            let error = options.open("Cargo.toml").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{options:?}: {error}");
        }
    }
}
