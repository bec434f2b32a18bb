//! Bytes between a pipe and another descriptor that the process does not see.
//!
//! [`zero_copy`](crate::io::zero_copy) moves whole streams so, with a pipe of its own. Here the pipe is the caller's.
//!
//! ```
//! use annulus::io::{AsyncReadRent, AsyncWriteRentExt};
//! use annulus::net::{UnixStream, splice::{SpliceDestination, SpliceSource}, unix::new_pipe};
//!
//! annulus::run(async {
//!     let ((mut a, mut b), (mut reader, mut writer)) = (UnixStream::pair()?, new_pipe()?);
//!     a.write_all("through the kernel").await.0?;
//!     let moved = b.splice_to_pipe(&mut writer, 64).await;
//! #   // Linux alone can.
//! #   if moved.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::Unsupported) {
//! #       return Ok(());
//! #   }
//!     assert_eq!(moved?, 18);
//!     assert_eq!(b.splice_from_pipe(&mut reader, 64).await?, 18); // and back
//!     assert_eq!(a.read(Vec::with_capacity(64)).await.1, b"through the kernel");
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

use super::Pipe;
use crate::{
    driver::Fd,
    entry::Interest,
    io::{AsReadFd, AsWriteFd, flow::keep_from_blocking},
    op,
    rt::coop::consume_budget,
    sys::unix::Kind,
};
use std::{future::Future, io};

/// What can be spliced from.
pub trait SpliceSource {
    /// Moves up to `len` bytes to `pipe`, and gives their number: 0 at the end. A socket becomes non-blocking, and
    /// stays so.
    ///
    /// # Errors
    /// Those of [`op::splice`](crate::op::splice()), but that it waits where that says `WouldBlock`; `Unsupported` for
    /// a direct descriptor.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may be in the pipe, and nobody learns how many.
    fn splice_to_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>>;
}

/// What can be spliced to.
pub trait SpliceDestination {
    /// Moves up to `len` bytes from `pipe`, and gives their number: 0 at the end. A socket becomes non-blocking, and
    /// stays so.
    ///
    /// # Errors
    /// Those of [`op::splice`](crate::op::splice()), but that it waits where that says `WouldBlock`; `Unsupported` for
    /// a direct descriptor.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have left the pipe, and nobody learns how many.
    fn splice_from_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>>;
}

impl<T: AsReadFd> SpliceSource for T {
    fn splice_to_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>> {
        splice(self.as_reader_fd(), pipe.as_writer_fd(), len)
    }
}

impl<T: AsWriteFd> SpliceDestination for T {
    fn splice_from_pipe<'a>(&'a mut self, pipe: &'a mut Pipe, len: u32) -> impl Future<Output = io::Result<u32>> {
        splice(pipe.as_reader_fd(), self.as_writer_fd(), len)
    }
}

async fn splice(from: &Fd, to: &Fd, len: u32) -> io::Result<u32> {
    for fd in [from, to] {
        fd.numbered()?;
        keep_from_blocking(fd)?;
    }
    let file = from.kind() == Kind::File || to.kind() == Kind::File;
    loop {
        let moved = if file {
            // The operation waits for a pipe as well, but on a thread, and with the pipe locked: who gives it up then
            // loses what comes, and may be kept by a close.
            if from.kind() != Kind::File && len > 0 {
                op::poll(from, Interest::Read).await?;
            }
            if to.kind() != Kind::File && len > 0 {
                op::poll(to, Interest::Write).await?;
            }
            op::splice(from, None, to, None, len as usize).await
        } else {
            consume_budget().await;
            op::splice_now(from, to, len as usize)
        };
        match moved {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                op::poll(from, Interest::Read).await?;
                op::poll(to, Interest::Write).await?;
            }
            moved => return moved.map(|n| n as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fs::File,
        io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt},
        net::{UnixStream, unix::new_pipe},
        sys::unix::SPLICE_F_NONBLOCK,
        testing::temp_file,
        time::{sleep, timeout},
    };
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    /// Whether this system has the call; where it has not, it is said so.
    async fn can(b: &mut UnixStream, writer: &mut Pipe) -> bool {
        if SPLICE_F_NONBLOCK != 0 {
            return true;
        }
        assert_eq!(b.splice_to_pipe(writer, 1).await.unwrap_err().raw_os_error(), Some(libc::ENOSYS));
        false
    }

    /// Red when a side is not waited for, or the thread is kept.
    #[crate::test]
    async fn what_is_not_there_is_waited_for() {
        let ((mut a, mut b), (mut reader, mut writer)) = (UnixStream::pair().unwrap(), new_pipe().unwrap());
        if !can(&mut b, &mut writer).await {
            return;
        }
        let (moved, ()) = crate::join!(timeout(SOON, b.splice_to_pipe(&mut writer, 64)), async {
            sleep(Duration::from_millis(2)).await;
            a.write_all("late").await.0.unwrap();
        });
        assert_eq!(moved.unwrap().unwrap(), 4);
        assert_eq!(b.splice_from_pipe(&mut reader, 3).await.unwrap(), 3);
        assert_eq!(b.splice_from_pipe(&mut reader, 64).await.unwrap(), 1);
        assert_eq!(a.read_exact(vec![0; 4]).await.1, b"late");

        // A full pipe has room when somebody reads.
        let mut filled = 0;
        while let Ok((n, _)) = timeout(Duration::from_millis(20), writer.write(vec![7; 4096])).await {
            filled += n.unwrap();
        }
        a.write_all("more").await.0.unwrap();
        let (moved, read) = crate::join!(timeout(SOON, b.splice_to_pipe(&mut writer, 64)), async {
            sleep(Duration::from_millis(2)).await;
            reader.read_exact(vec![0; filled]).await.0
        });
        assert_eq!((read.unwrap(), moved.unwrap().unwrap()), (filled, 4));
        // A pipe that was spliced into takes no more RWF_NOWAIT: on the poll driver the write that found no room is a
        // thread's, and may be done now, before or after.
        let mut left = Vec::new();
        while !left.windows(4).any(|four| four == b"more") {
            let (n, got) = timeout(SOON, reader.read(vec![0; 4096])).await.unwrap();
            left.extend_from_slice(&got[..n.unwrap()]);
        }
    }

    /// Red when an operation waits for the pipe: given up, it takes what comes for nobody.
    #[crate::test]
    async fn a_file_waits_for_no_pipe() {
        let ((_a, mut b), (mut reader, mut writer)) = (UnixStream::pair().unwrap(), new_pipe().unwrap());
        if !can(&mut b, &mut writer).await {
            return;
        }
        let moment = Duration::from_millis(10);
        let mut file = File::from_std(temp_file()).unwrap();
        assert!(timeout(moment, file.splice_from_pipe(&mut reader, 64)).await.is_err(), "the pipe is empty");
        writer.write_all("kept").await.0.unwrap();
        sleep(moment).await;
        assert_eq!(timeout(SOON, reader.read(vec![0; 8])).await.expect("it was taken away").1, b"kept");

        file.write_all_at("of the file", 0).await.0.unwrap();
        let mut filled = 0;
        while let Ok((n, _)) = timeout(moment, writer.write(vec![7; 4096])).await {
            filled += n.unwrap();
        }
        assert!(timeout(moment, file.splice_to_pipe(&mut writer, 64)).await.is_err(), "the pipe is full");
        timeout(SOON, reader.read_exact(vec![0; filled])).await.unwrap().0.unwrap();
        assert!(timeout(moment, reader.read(vec![0; 64])).await.is_err(), "it was put there after all");
        assert_eq!(file.splice_to_pipe(&mut writer, 64).await.unwrap(), 11);
        assert_eq!(reader.read_exact(vec![0; 11]).await.1, b"of the file");
    }

    /// Red when the end of a side is no end.
    #[crate::test]
    async fn files_and_ends() {
        let ((a, mut b), (mut reader, mut writer)) = (UnixStream::pair().unwrap(), new_pipe().unwrap());
        if !can(&mut b, &mut writer).await {
            return;
        }
        let mut file = File::from_std(temp_file()).unwrap();
        writer.write_all("of a file").await.0.unwrap();
        assert_eq!(file.splice_from_pipe(&mut reader, 64).await.unwrap(), 9);
        assert_eq!(file.splice_to_pipe(&mut writer, 64).await.unwrap(), 0, "it is at its end");
        drop(a);
        assert_eq!(b.splice_to_pipe(&mut writer, 64).await.unwrap(), 0, "nobody sends");
        drop(writer);
        assert_eq!(file.splice_from_pipe(&mut reader, 64).await.unwrap(), 0, "nobody fills the pipe");
        let (_, mut writer) = new_pipe().unwrap();
        assert_eq!(file.splice_to_pipe(&mut writer, 0).await.unwrap(), 0);
    }
}
