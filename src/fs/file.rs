//! An open file.

use super::{Metadata, OpenOptions};
use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, Rest},
    driver::Fd,
    io::{AsReadFd, AsWriteFd, AsyncReadRent, AsyncReadRentAt, AsyncWriteRent, AsyncWriteRentAt},
    op,
};
use std::{
    future::{Future, ready},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

/// An open file.
///
/// `read` and `write` go on from the file's own position, `read_at` and `write_at` say where. The ring promises no
/// order between operations that are in flight at the same time: await one before the next that depends on it.
///
/// Dropping it closes it once the operations on it have ended, and nobody learns of errors then: see [`File::close`].
#[derive(Debug)]
pub struct File {
    fd: Fd,
}

impl File {
    pub(super) fn from_fd(fd: Fd) -> File {
        File { fd }
    }

    /// Opens a file to read.
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`].
    ///
    /// # Cancellation
    /// **Clean**: a descriptor that was opened is closed.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Makes a file to write, or cuts one that is there to nothing.
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`].
    ///
    /// # Cancellation
    /// **Detached**: the file may be made or cut all the same.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path).await
    }

    /// Takes over a file of `std`.
    ///
    /// # Errors
    /// None yet.
    pub fn from_std(file: std::fs::File) -> io::Result<File> {
        Ok(File { fd: Fd::new(file.into()) })
    }

    /// The descriptor, if nothing else holds it.
    ///
    /// # Errors
    /// Gives the file back while operations on it are in flight, also abandoned ones.
    pub fn try_into_owned(self) -> Result<OwnedFd, File> {
        self.fd.try_into_owned().map_err(File::from_fd)
    }

    /// The file as `std` has it.
    ///
    /// # Errors
    /// Gives the file back while operations on it are in flight, also abandoned ones.
    pub fn into_std(self) -> Result<std::fs::File, File> {
        self.try_into_owned().map(std::fs::File::from)
    }

    /// Another file that shares the open file, its position and all: made with `fcntl(F_DUPFD_CLOEXEC)`.
    ///
    /// # Errors
    /// `EMFILE` when the process may have no more descriptors.
    pub fn try_clone(&self) -> io::Result<File> {
        self.fd.duplicate().map(File::from)
    }

    /// The file's descriptor, for operations of [`op`](crate::op).
    #[must_use]
    pub fn fd(&self) -> &Fd {
        &self.fd
    }

    /// Reads into `buf` what there is at `pos`, in bytes. Gives the number of bytes, 0 behind the end.
    ///
    /// # Errors
    /// Those of `pread(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Clean**: the file keeps what was read.
    pub fn read_at<T: IoBufMut>(&self, buf: T, pos: u64) -> impl Future<Output = BufResult<usize, T>> {
        op::read_at(&self.fd, buf, pos)
    }

    /// Writes `buf` at `pos`, in bytes. Gives the number of bytes written, which may be fewer than there are.
    ///
    /// # Errors
    /// Those of `pwrite(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have been written, and nobody learns how many.
    pub fn write_at<T: IoBuf>(&self, buf: T, pos: u64) -> impl Future<Output = BufResult<usize, T>> {
        op::write_at(&self.fd, buf, pos)
    }

    /// Reads into the parts of `buf`, one after the other, what there is at `pos`, in bytes. Gives the number of bytes,
    /// 0 behind the end. Parts beyond the 1,024th are left alone.
    ///
    /// # Errors
    /// Those of `preadv(2)`, with the buffers.
    ///
    /// # Cancellation
    /// **Clean**: the file keeps what was read.
    pub fn readv_at<T: IoVecBufMut>(&self, buf: T, pos: u64) -> impl Future<Output = BufResult<usize, T>> {
        op::readv_at(&self.fd, buf, pos)
    }

    /// Writes the parts of `buf_vec`, one after the other, at `pos`, in bytes. Gives the number of bytes written, which
    /// may be fewer than there are.
    ///
    /// # Errors
    /// Those of `pwritev(2)`, with the buffers.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have been written, and nobody learns how many.
    pub fn writev_at<T: IoVecBuf>(&self, buf_vec: T, pos: u64) -> impl Future<Output = BufResult<usize, T>> {
        op::writev_at(&self.fd, buf_vec, pos)
    }

    /// Fills `buf` with what there is at `pos`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; those of [`File::read_at`].
    ///
    /// # Cancellation
    /// **Clean**: the file keeps what was read.
    pub async fn read_exact_at<T: IoBufMut>(&self, mut buf: T, pos: u64) -> BufResult<(), T> {
        let want = buf.bytes_total();
        let mut left = Rest::new(buf);
        while left.done() < want {
            let at = pos.saturating_add(left.done() as u64);
            let (res, back) = op::read_at(&self.fd, left, at).await;
            left = back;
            match res {
                Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), left.into_inner()),
                Ok(n) => left.advance(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), left.into_inner()),
            }
        }
        (Ok(()), left.into_inner())
    }

    /// Writes all of `buf` at `pos`.
    ///
    /// # Errors
    /// `WriteZero` when nothing more is taken; those of [`File::write_at`].
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have been written, and nobody learns how many.
    pub async fn write_all_at<T: IoBuf>(&self, mut buf: T, pos: u64) -> BufResult<(), T> {
        let (end, mut done) = (buf.bytes_init(), 0);
        while done < end {
            let at = pos.saturating_add(done as u64);
            let (res, part) = op::write_at(&self.fd, buf.slice(done..end), at).await;
            buf = part.into_inner();
            match res {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buf),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Writes the file and what is known about it to its device. It covers writes that have completed.
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    ///
    /// # Cancellation
    /// **Detached**: the file is written all the same.
    pub async fn sync_all(&self) -> io::Result<()> {
        op::fsync(&self.fd).await
    }

    /// Writes the file to its device, and of what is known about it only what is needed to read it back.
    ///
    /// # Errors
    /// Those of `fdatasync(2)`.
    ///
    /// # Cancellation
    /// **Detached**: the file is written all the same.
    pub async fn sync_data(&self) -> io::Result<()> {
        op::fdatasync(&self.fd).await
    }

    /// Tells what is known about the file.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    ///
    /// # Cancellation
    /// **Clean**: nothing is changed.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        op::fstatx(&self.fd).await.map(Metadata::new)
    }

    /// Makes the file `len` bytes long: cuts it, or adds zeros. Its position stays.
    ///
    /// On the ring since Linux 6.9; before, and elsewhere, a thread of the pool does it.
    ///
    /// # Errors
    /// `InvalidInput` for a file that is not open to write or a length that no file has, and whatever else
    /// `ftruncate(2)` says.
    ///
    /// # Cancellation
    /// **Detached**: the file may be cut all the same.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        op::ftruncate(&self.fd, len).await
    }

    /// Closes the file, and tells what came of it.
    ///
    /// # Errors
    /// Those of `close(2)`, and `WouldBlock` when abandoned operations are still in flight; it is closed all the same.
    ///
    /// # Cancellation
    /// **Detached**: the file is closed all the same.
    pub async fn close(self) -> io::Result<()> {
        op::close(self.fd)?.await
    }
}

impl AsyncReadRent for File {
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::read(&self.fd, buf)
    }

    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::readv(&self.fd, buf)
    }
}

impl AsyncReadRentAt for File {
    fn read_at<T: IoBufMut>(&mut self, buf: T, pos: usize) -> impl Future<Output = BufResult<usize, T>> {
        op::read_at(&self.fd, buf, pos as u64)
    }
}

impl AsyncWriteRent for File {
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        op::write(&self.fd, buf)
    }

    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        op::writev(&self.fd, buf_vec)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        op::fsync(&self.fd)
    }
}

impl AsyncWriteRentAt for File {
    fn write_at<T: IoBuf>(&mut self, buf: T, pos: usize) -> impl Future<Output = BufResult<usize, T>> {
        op::write_at(&self.fd, buf, pos as u64)
    }
}

impl AsReadFd for File {
    fn as_reader_fd(&mut self) -> &Fd {
        &self.fd
    }
}

impl AsWriteFd for File {
    fn as_writer_fd(&mut self) -> &Fd {
        &self.fd
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        File::from_fd(Fd::new(fd))
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> File {
        File::from(OwnedFd::from(file))
    }
}

impl TryFrom<File> for OwnedFd {
    type Error = File;

    /// See [`File::try_into_owned`].
    fn try_from(file: File) -> Result<OwnedFd, File> {
        file.try_into_owned()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncReadRentExt, AsyncWriteRentExt},
        testing::temp_path,
    };

    #[crate::test]
    async fn written_and_read_again() {
        let path = temp_path();
        let mut file = File::create(&path).await.unwrap();
        file.write_all(b"hello ").await.0.unwrap();
        file.write_all_at(b"HELLO world", 0).await.0.unwrap();
        file.sync_all().await.unwrap();
        file.sync_data().await.unwrap();
        file.close().await.unwrap();
        let mut file = File::open(&path).await.unwrap();
        let (res, buf) = file.read_exact(vec![0; 5]).await;
        assert_eq!((res.unwrap(), &buf[..]), (5, &b"HELLO"[..]));
        let (res, buf) = file.read_exact_at(vec![0; 5], 6).await;
        assert_eq!((res.unwrap(), &buf[..]), ((), &b"world"[..]));
        let (res, buf) = file.read_exact_at(buf, 8).await;
        assert_eq!((res.unwrap_err().kind(), buf.len()), (io::ErrorKind::UnexpectedEof, 3));
        std::fs::remove_file(path).unwrap();
    }

    #[crate::test]
    async fn parts_are_read_and_written_where_told() {
        let path = temp_path();
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).await.unwrap();
        std::fs::remove_file(path).unwrap();
        let parts = VecBuf::from(vec![b"ab".to_vec(), vec![], b"cde".to_vec()]);
        assert_eq!(file.writev_at(parts, 3).await.0.unwrap(), 5);
        let room = VecBuf::from(vec![vec![0; 2], vec![0; 9]]);
        let (res, parts) = file.readv_at(room, 4).await;
        assert_eq!((res.unwrap(), Vec::from(parts)), (4, vec![b"bc".to_vec(), b"de".to_vec()]));
        file.set_len(4).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 4);
        assert_eq!(file.read_at(Vec::with_capacity(9), 0).await.1, b"\0\0\0a");
    }

    #[crate::test]
    async fn a_file_of_std_comes_back_when_nothing_is_in_flight() {
        let file = File::from(crate::testing::temp_file());
        let twin = file.try_clone().unwrap();
        twin.write_all_at("abc", 0).await.0.unwrap();
        let mut writing = Box::pin(file.write_at("ab", 0));
        crate::testing::poll_once(&mut writing).await;
        drop(writing);
        let file = file.into_std().expect_err("a write is in flight");
        crate::testing::settle().await;
        assert_eq!(file.into_std().unwrap().metadata().unwrap().len(), 3);
        twin.close().await.unwrap();
    }

    /// `Pending` at first: only what is in memory is read inside its own poll.
    #[crate::test]
    async fn a_write_at_takes_a_turn() {
        let file = File::from(crate::testing::temp_file());
        let mut writing = Box::pin(file.write_at("abcd", 0));
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(writing.as_mut().poll(cx).is_pending())).await;
        assert!(first);
        assert_eq!(writing.await.0.unwrap(), 4);
    }
}
