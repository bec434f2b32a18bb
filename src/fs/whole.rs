//! Files as a whole.

use super::File;
use crate::{
    buf::{BufResult, IoBuf, IoBufMut},
    op,
};
use std::{io, path::Path};

/// The least room for a read whose file does not say how long it is.
const LEAST: usize = 4096;

/// All that is in the file at `path`.
///
/// It is read to its end, whatever length it says that it has: files of `/proc` say 0, and others grow or are cut
/// meanwhile.
///
/// ```
/// annulus::run(async {
///     assert_eq!(annulus::fs::read("Cargo.toml").await?, std::fs::read("Cargo.toml")?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of [`File::open`] and of `read(2)`, as `IsADirectory`; `OutOfMemory` for more than there is memory for.
///
/// # Cancellation
/// **Clean**: the file keeps what was read.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = File::open(path).await?;
    // One byte more than there should be finds the end without growing.
    let len = file.metadata().await.map_or(0, |known| known.len());
    let mut buf = Vec::new();
    reserve(&mut buf, usize::try_from(len).unwrap_or(usize::MAX).saturating_add(1).max(LEAST))?;
    loop {
        if buf.len() == buf.capacity() {
            let more = buf.len().max(LEAST);
            reserve(&mut buf, more)?;
        }
        let from = buf.len();
        let (res, part) = op::read(file.fd(), buf.slice_mut(from..)).await;
        buf = part.into_inner();
        match res {
            Ok(0) => return Ok(buf),
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
    }
}

fn reserve(buf: &mut Vec<u8>, more: usize) -> io::Result<()> {
    buf.try_reserve_exact(more).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

/// All that is in the file at `path`, which has to be UTF-8.
///
/// # Errors
/// Those of [`read`]; `InvalidData` for what is no UTF-8.
///
/// # Cancellation
/// **Clean**: the file keeps what was read.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path).await?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Makes `contents` all that is in the file at `path`, which is made if it is not there. The buffer comes back.
///
/// # Errors
/// Those of [`File::create`] and of `write(2)`; the file may have some of the bytes then.
///
/// # Cancellation
/// **Lossy**: the file may be cut, and have any part of the bytes.
pub async fn write<C: IoBuf>(path: impl AsRef<Path>, contents: C) -> BufResult<(), C> {
    match File::create(path).await {
        Ok(file) => write_all(&file, contents).await,
        Err(e) => (Err(e), contents),
    }
}

/// Writes where the file is, which also what has no places (a terminal) can do.
async fn write_all<C: IoBuf>(file: &File, mut contents: C) -> BufResult<(), C> {
    let (end, mut done) = (contents.bytes_init(), 0);
    while done < end {
        let (res, part) = op::write(file.fd(), contents.slice(done..end)).await;
        contents = part.into_inner();
        match res {
            Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), contents),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (Err(e), contents),
        }
    }
    (Ok(()), contents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::temp_path;
    use std::{fs, io::ErrorKind};

    #[crate::test]
    async fn what_was_written_is_read() {
        let path = temp_path();
        for len in [0, 1, LEAST - 1, LEAST, LEAST + 1, 300_000] {
            let text: Vec<u8> = (0..len).map(|n| b'a' + (n % 26) as u8).collect();
            let (res, text) = write(&path, text).await;
            res.unwrap();
            assert_eq!(fs::read(&path).unwrap(), text, "what was there before is gone");
            assert_eq!(read(&path).await.unwrap(), text);
            assert_eq!(read_to_string(&path).await.unwrap().into_bytes(), text);
        }
        write(&path, b"\xff").await.0.unwrap();
        assert_eq!(read_to_string(&path).await.unwrap_err().kind(), ErrorKind::InvalidData);
        fs::remove_file(&path).unwrap();
        assert_eq!(read(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
        read("src").await.unwrap_err();
        let (res, back) = write("src", "kept").await;
        assert_eq!((res.is_err(), back), (true, "kept"));
    }

    /// Red when the length that a file says is believed. Such files are there on Linux alone.
    #[crate::test]
    async fn a_file_that_says_it_is_empty_is_read() {
        let path = "/proc/self/status";
        if let Ok(there) = fs::metadata(path) {
            assert_eq!(there.len(), 0);
            assert!(read_to_string(path).await.unwrap().contains("Pid:"));
        }
    }

    /// Red when a file that claims more than there is memory for ends the process.
    #[crate::test]
    async fn a_file_may_claim_any_length() {
        let path = temp_path();
        // Not every file system has a file of so many bytes.
        if fs::File::create(&path).unwrap().set_len(i64::MAX as u64).is_ok() {
            assert_eq!(read(&path).await.unwrap_err().kind(), ErrorKind::OutOfMemory);
        }
        fs::remove_file(path).unwrap();
    }
}
