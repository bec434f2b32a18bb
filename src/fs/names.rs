//! What is done to the names of files: they are removed, changed and added.

use crate::op;
use std::{io, path::Path};

/// Removes the name `path` of a file; the file goes when it has no other and nobody has it open.
///
/// On the ring since Linux 5.11; before, and elsewhere, a thread of the pool removes it.
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let [a, b] = ["a", "b"].map(|n| std::env::temp_dir().join(format!("annulus-{n}-{}", std::process::id())));
///     fs::write(&a, "text").await.0?;
///     fs::rename(&a, &b).await?;
///     fs::hard_link(&b, &a).await?;
///     fs::remove_file(&b).await?;
///     assert_eq!(fs::read(&a).await?, b"text");
///     fs::remove_file(&a).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `NotFound`, `PermissionDenied`, for a directory `IsADirectory` (`PermissionDenied` outside of Linux), `InvalidInput`
/// for a path with a NUL byte, and whatever else `unlink(2)` says.
///
/// # Cancellation
/// **Detached**: the name may be removed all the same.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    op::unlinkat(path.as_ref())?.await
}

/// Removes the empty directory at `path`.
///
/// On the ring since Linux 5.11; before, and elsewhere, a thread of the pool removes it.
///
/// # Errors
/// `NotFound`, `DirectoryNotEmpty`, `NotADirectory`, `InvalidInput` for a path with a NUL byte, and whatever else
/// `rmdir(2)` says.
///
/// # Cancellation
/// **Detached**: the directory may be removed all the same.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    op::rmdir(path.as_ref())?.await
}

/// Gives what is at `from` the name `to`, in one step; a file that has that name loses it.
///
/// On the ring since Linux 5.11; before, and elsewhere, a thread of the pool does it.
///
/// # Errors
/// `NotFound`, `CrossesDevices` between file systems, `DirectoryNotEmpty` for a directory in the way, `InvalidInput`
/// for a path with a NUL byte, and whatever else `rename(2)` says.
///
/// # Cancellation
/// **Detached**: it may be moved all the same.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    op::renameat(from.as_ref(), to.as_ref())?.await
}

/// Gives the file at `original` the name `link` as well.
///
/// On the ring since Linux 5.15; before, and elsewhere, a thread of the pool does it.
///
/// # Errors
/// `NotFound`, `AlreadyExists`, `CrossesDevices` between file systems, `PermissionDenied` for a directory,
/// `InvalidInput` for a path with a NUL byte, and whatever else `link(2)` says.
///
/// # Cancellation
/// **Detached**: the name may be given all the same.
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    op::linkat(original.as_ref(), link.as_ref())?.await
}

/// Makes a symbolic link at `link` that leads to `original`, which need not be there.
///
/// On the ring since Linux 5.15; before, and elsewhere, a thread of the pool makes it.
///
/// # Errors
/// `AlreadyExists`, `NotFound` for one above it, `InvalidInput` for a path with a NUL byte, and whatever else
/// `symlink(2)` says.
///
/// # Cancellation
/// **Detached**: the link may be made all the same.
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    op::symlinkat(original.as_ref(), link.as_ref())?.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{fs, os::unix::fs::MetadataExt};

    /// Red when any of them has its two paths the wrong way round, or does another's work.
    #[crate::test]
    async fn names_come_and_go() {
        let top = temp_path();
        fs::create_dir(&top).unwrap();
        let [a, b, c, dir] = ["a", "b", "c", "dir"].map(|name| top.join(name));
        fs::write(&a, "x").unwrap();
        hard_link(&a, &b).await.unwrap();
        assert_eq!(fs::metadata(&b).unwrap().nlink(), 2);
        rename(&b, &c).await.unwrap();
        symlink("c", &b).await.unwrap();
        assert_eq!((fs::read_link(&b).unwrap().as_path(), fs::read(&b).unwrap()), (Path::new("c"), b"x".to_vec()));
        remove_file(&a).await.unwrap();
        remove_file(&b).await.unwrap();
        fs::create_dir(&dir).unwrap();
        remove_dir(&dir).await.unwrap();
        let left: Vec<_> = fs::read_dir(&top).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [c]);
        fs::remove_dir_all(top).unwrap();
    }
}
