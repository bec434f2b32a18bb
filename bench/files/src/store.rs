//! The file that is read: every block begins with its number, so that a read of the wrong place is noticed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{BLOCK, value};

/// What is written and read at a time.
const PIECE: usize = 1 << 20;

/// The directory of the files.
///
/// # Errors
/// Those of making it.
pub fn dir() -> io::Result<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("bench-files"));
    let dir = value("--dir").map(PathBuf::from).or_else(beside).unwrap_or_else(|| "bench-files".into());
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// What the block of this number begins with. Not the number: the first would be like a hole.
#[must_use]
pub fn head(block: u64) -> u64 {
    block + 1
}

fn size() -> u64 {
    let mib: u64 = value("--mib").map_or(1024, |text| text.parse().expect("--mib wants a number"));
    // A power of two: random places are cut from random bits.
    mib.next_power_of_two() << 20
}

/// The file, which is made if it is not there, and how many blocks it has.
///
/// # Errors
/// Those of making it.
pub fn store() -> io::Result<(PathBuf, u64)> {
    let size = size();
    let path = dir()?.join(format!("blocks-{}m", size >> 20));
    if fs::metadata(&path).map_or(0, |meta| meta.len()) != size {
        make(&path, size)?;
    }
    Ok((path, size / BLOCK as u64))
}

/// Writes it under another name first, so that one that is there is whole.
fn make(path: &Path, size: u64) -> io::Result<()> {
    let name = path.with_extension(std::process::id().to_string());
    let mut file = File::create(&name)?;
    let mut piece = vec![0; PIECE];
    let mut block = 0;
    for _ in 0..size / PIECE as u64 {
        for bytes in piece.chunks_exact_mut(8) {
            bytes.copy_from_slice(&head(block).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        }
        for bytes in piece.chunks_exact_mut(BLOCK) {
            bytes[..8].copy_from_slice(&head(block).to_le_bytes());
            block += 1;
        }
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    fs::rename(name, path)
}

/// Reads the whole file, so that the page cache has all of it, and looks at every block. A kernel that reclaims what it
/// has not seen used for a while would else make some reads those of the device.
///
/// # Errors
/// Those of reading; one of its own for a block that is not what it should be.
pub fn warm(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    for at in (0..file.metadata()?.len()).step_by(PIECE) {
        file.read_exact_at(&mut piece, at)?;
        let first = at / BLOCK as u64;
        for (bytes, block) in piece.chunks_exact(BLOCK).zip(first..) {
            if bytes[..8] != head(block).to_le_bytes() {
                return Err(io::Error::other(format!("{}: block {block} is another's; delete it", path.display())));
            }
        }
    }
    Ok(())
}

/// Lets the page cache forget the file, so that a direct read has nothing to look after there.
///
/// # Errors
/// Those of opening it, and of `posix_fadvise(2)`.
pub fn cool(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: passes no pointers.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
