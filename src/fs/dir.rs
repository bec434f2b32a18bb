//! The making of directories.

use super::metadata;
use crate::op;
use std::{io, os::unix::fs::DirBuilderExt, path::Path};

/// How a directory is made; the counterpart of [`std::fs::DirBuilder`]. Permissions are said by [`DirBuilderExt`].
///
/// ```
/// use annulus::fs::{self, DirBuilder};
/// use std::os::unix::fs::DirBuilderExt;
///
/// annulus::run(async {
///     let top = std::env::temp_dir().join(format!("annulus-doc-{}", std::process::id()));
///     DirBuilder::new().recursive(true).mode(0o700).create(top.join("a/b")).await?;
///     assert!(fs::metadata(top.join("a/b")).await?.is_dir());
///     for path in [top.join("a/b"), top.join("a"), top] {
///         fs::remove_dir(path).await?;
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct DirBuilder {
    recursive: bool,
    mode: u32,
}

impl Default for DirBuilder {
    fn default() -> DirBuilder {
        DirBuilder::new()
    }
}

impl DirBuilder {
    /// One directory, for everybody as far as the process's mask allows.
    #[must_use]
    pub fn new() -> DirBuilder {
        DirBuilder { recursive: false, mode: 0o777 }
    }

    /// Whether those above it are made as well, and one that is there already is no error.
    pub fn recursive(&mut self, on: bool) -> &mut DirBuilder {
        self.recursive = on;
        self
    }

    /// Makes the directory at `path`.
    ///
    /// On the ring since Linux 5.15; before, and elsewhere, a thread of the pool makes it.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for one above it, `InvalidInput` for a path with a NUL byte, and whatever else
    /// `mkdir(2)` says. Those above it that were made stay.
    ///
    /// # Cancellation
    /// **Detached**: a directory may be made all the same.
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        if self.recursive { self.create_all(path).await } else { self.create_one(path).await }
    }

    async fn create_one(&self, path: &Path) -> io::Result<()> {
        op::mkdirat(path, self.mode)?.await
    }

    /// Makes it, or finds it there: whoever else makes it at the same time.
    async fn ensure(&self, path: &Path) -> io::Result<()> {
        match self.create_one(path).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                if metadata(path).await.is_ok_and(|known| known.is_dir()) {
                    Ok(())
                } else {
                    Err(e)
                }
            }
            res => res,
        }
    }

    /// Upwards, until one can be made or is there, and from there down again.
    async fn create_all(&self, path: &Path) -> io::Result<()> {
        let (mut missing, mut at) = (Vec::new(), Some(path));
        while let Some(path) = at.filter(|path| !path.as_os_str().is_empty()) {
            match self.ensure(path).await {
                Ok(()) => break,
                Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(path),
                Err(e) => return Err(e),
            }
            at = path.parent();
        }
        for path in missing.into_iter().rev() {
            self.ensure(path).await?;
        }
        Ok(())
    }
}

impl DirBuilderExt for DirBuilder {
    fn mode(&mut self, mode: u32) -> &mut DirBuilder {
        self.mode = mode;
        self
    }
}

/// Makes a directory at `path`.
///
/// # Errors
/// Those of [`DirBuilder::create`].
///
/// # Cancellation
/// **Detached**: the directory may be made all the same.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().create(path).await
}

/// Makes a directory at `path`, and those above it that are missing. One that is there is no error.
///
/// # Errors
/// Those of [`DirBuilder::create`]; `AlreadyExists` or `NotADirectory` when something else is in the way.
///
/// # Cancellation
/// **Detached**: directories may be made all the same.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{
        fs,
        io::ErrorKind,
        os::unix::fs::{PermissionsExt, symlink},
        pin::pin,
    };

    #[crate::test]
    async fn all_that_is_missing_is_made() {
        let top = temp_path();
        let deep = top.join("a/./b/../b/c");
        assert_eq!(create_dir(&deep).await.unwrap_err().kind(), ErrorKind::NotFound);
        for _ in 0..2 {
            create_dir_all(&deep).await.unwrap();
            assert!(top.join("a/b/c").is_dir());
        }
        assert_eq!(create_dir(&top).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::write(top.join("file"), "x").unwrap();
        for path in [top.join("file"), top.join("file/below")] {
            let in_the_way = create_dir_all(&path).await.unwrap_err().kind();
            assert!([ErrorKind::AlreadyExists, ErrorKind::NotADirectory].contains(&in_the_way), "{in_the_way:?}");
        }
        symlink("a", top.join("link")).unwrap();
        create_dir_all(top.join("link/d")).await.unwrap();
        create_dir_all(top.join("link")).await.unwrap();
        assert!(top.join("a/d").is_dir());
        symlink("nowhere", top.join("broken")).unwrap();
        create_dir_all(top.join("broken")).await.unwrap_err();
        fs::remove_dir_all(top).unwrap();
        create_dir_all("").await.unwrap();
        assert_eq!(create_dir("").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(create_dir_all("a\0b").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[crate::test]
    async fn permissions_are_those_asked_for() {
        let top = temp_path();
        DirBuilder::new().recursive(true).mode(0o700).create(top.join("a")).await.unwrap();
        for path in [top.join("a"), top.clone()] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::remove_dir_all(top).unwrap();
    }

    /// Red when whoever comes second takes what the first has made for an error.
    #[crate::test]
    async fn several_may_make_the_same() {
        let top = temp_path();
        let deep = top.join("a/b/c/d/e/f");
        let all = async { crate::try_join!(create_dir_all(&deep), create_dir_all(&deep), create_dir_all(&deep)) };
        pin!(all).await.unwrap();
        assert!(deep.is_dir());
        fs::remove_dir_all(top).unwrap();
    }
}
