//! From any stream to any other, by a buffer.

use super::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use crate::{
    driver::{keep_buffer, take_buffer},
    rt::coop::consume_budget,
};
use std::io::{self, ErrorKind};

/// Copies all that `reader` gives to `writer`, until its end, and flushes. Gives the number of bytes.
///
/// It goes by one buffer of 64 KiB, which is kept for the next copy. Between sockets, pipes and files
/// [`zero_copy`](super::zero_copy) needs none.
///
/// ```
/// # annulus::run(async {
/// let mut reader: &[u8] = b"from here to there";
/// let mut writer = Vec::new();
/// assert_eq!(annulus::io::copy(&mut reader, &mut writer).await?, 18);
/// assert_eq!(writer, b"from here to there");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Whatever ended either stream; an unknown part was copied then. `WriteZero` when nothing more is taken. Interrupted
/// reads and writes are repeated.
///
/// # Cancellation
/// **Lossy**: bytes that were read and not yet written are lost.
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncReadRent + ?Sized,
    W: AsyncWriteRent + ?Sized,
{
    let (buffer, res) = through(take_buffer(), reader, writer).await;
    keep_buffer(buffer);
    let copied = res?;
    writer.flush().await?;
    Ok(copied)
}

async fn through<R, W>(mut buffer: Vec<u8>, reader: &mut R, writer: &mut W) -> (Vec<u8>, io::Result<u64>)
where
    R: AsyncReadRent + ?Sized,
    W: AsyncWriteRent + ?Sized,
{
    let (mut copied, mut res) = (0, Ok(1));
    while !matches!(res, Ok(0)) {
        buffer.clear();
        (res, buffer) = reader.read(buffer).await;
        match res {
            Ok(_) => {}
            Err(ref e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return (buffer, Err(e)),
        }
        (res, buffer) = writer.write_all(buffer).await;
        match res {
            Ok(n) => copied += n as u64,
            Err(e) => return (buffer, Err(e)),
        }
        consume_budget().await;
    }
    (buffer, Ok(copied))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::{BufResult, IoBufMut, IoVecBufMut},
        testing::{await_gone, socket_pair},
    };
    use std::io::Cursor;

    /// Gives a byte at a time, and is interrupted before each.
    struct Dribble {
        left: usize,
        interrupted: bool,
    }

    impl AsyncReadRent for Dribble {
        async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return (Err(ErrorKind::Interrupted.into()), buf);
            }
            let (taken, mut byte) = (self.left.min(1), &b"x"[..]);
            self.left -= taken;
            byte = &byte[..taken];
            byte.read(buf).await
        }

        async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            (Err(ErrorKind::Unsupported.into()), buf)
        }
    }

    #[crate::test]
    async fn everything_is_copied_and_counted() {
        let text: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let mut there = Vec::new();
        assert_eq!(copy(&mut &text[..], &mut there).await.unwrap(), 300_000);
        assert_eq!(there, text);
        assert_eq!(copy(&mut &b""[..], &mut there).await.unwrap(), 0);
        let mut dribbled = Vec::new();
        assert_eq!(copy(&mut Dribble { left: 100, interrupted: false }, &mut dribbled).await.unwrap(), 100);
        assert_eq!(dribbled, [b'x'; 100]);
    }

    #[crate::test]
    async fn an_error_is_told_and_the_buffer_is_kept() {
        let mut small = Cursor::new([0u8; 10]);
        assert_eq!(copy(&mut &[7u8; 20][..], &mut small).await.unwrap_err().kind(), ErrorKind::WriteZero);
        assert_eq!(take_buffer().len(), 0, "what is kept is empty");
        let (a, b) = socket_pair();
        drop(b);
        await_gone(&a);
        let mut a = crate::net::TcpStream::from_std(std::net::TcpStream::from(a.duplicate().unwrap())).unwrap();
        let broken = copy(&mut &b"abc"[..], &mut a).await;
        assert_eq!(broken.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
