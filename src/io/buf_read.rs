//! Streams that can be looked into before something is taken.

use super::AsyncReadRent;
use std::{
    future::Future,
    io::{self, ErrorKind},
};

/// A stream that holds what it has read ahead, and shows it.
pub trait AsyncBufRead: AsyncReadRent {
    /// Shows what is held, and reads ahead if that is nothing. Empty is the end of the stream.
    ///
    /// # Errors
    /// Whatever stopped the stream.
    ///
    /// # Cancellation
    /// **Lossy**: bytes that were being read ahead are gone; what was held before is not.
    fn fill_buf(&mut self) -> impl Future<Output = io::Result<&[u8]>>;

    /// Takes `amt` bytes of those that were shown, or all if they are fewer.
    fn consume(&mut self, amt: usize);
}

/// What every [`AsyncBufRead`] can do.
pub trait AsyncBufReadExt: AsyncBufRead {
    /// Appends to `buf` until there is a `byte`, which is read as well, or the stream ends. Gives the number of bytes:
    /// 0 at the end.
    ///
    /// # Errors
    /// Whatever stopped the stream; what was read before is in `buf`. Interrupted reads are repeated.
    ///
    /// # Cancellation
    /// **Lossy**: bytes that were being read ahead are gone; what came before them is in `buf`.
    fn read_until<'a>(&'a mut self, byte: u8, buf: &'a mut Vec<u8>) -> impl Future<Output = io::Result<usize>> {
        async move {
            let mut read = 0;
            loop {
                let held = match self.fill_buf().await {
                    Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                    held => held?,
                };
                let found = held.iter().position(|&b| b == byte);
                let part = found.map_or(held.len(), |at| at + 1);
                buf.extend_from_slice(&held[..part]);
                self.consume(part);
                read += part;
                if found.is_some() || part == 0 {
                    return Ok(read);
                }
            }
        }
    }

    /// Appends a line to `buf`, with the `\n` that ends it, or what there is before the stream's end. Gives the number
    /// of bytes, 0 at the end.
    ///
    /// # Errors
    /// `InvalidData` for what is no UTF-8: the line is gone then, and `buf` as it was. Whatever stopped the stream:
    /// `buf` has what came before then, as far as it is UTF-8.
    ///
    /// # Cancellation
    /// **Lossy**: the beginning of the line is gone.
    fn read_line<'a>(&'a mut self, buf: &'a mut String) -> impl Future<Output = io::Result<usize>> {
        async move {
            let mut line = Vec::new();
            let res = self.read_until(b'\n', &mut line).await;
            match std::str::from_utf8(&line) {
                Ok(line) => buf.push_str(line),
                Err(e) if res.is_ok() => return Err(io::Error::new(ErrorKind::InvalidData, e)),
                Err(e) => buf.push_str(std::str::from_utf8(&line[..e.valid_up_to()]).unwrap_or_default()),
            }
            res
        }
    }
}

impl<A: AsyncBufRead + ?Sized> AsyncBufReadExt for A {}

impl AsyncBufRead for &[u8] {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self)
    }

    fn consume(&mut self, amt: usize) {
        *self = &self[amt.min(self.len())..];
    }
}

/// Implements the trait for a pointer to something that implements it.
macro_rules! pass_on {
    ($($t:ty),*) => {$(
        impl<A: ?Sized + AsyncBufRead> AsyncBufRead for $t {
            fn fill_buf(&mut self) -> impl Future<Output = io::Result<&[u8]>> {
                (**self).fill_buf()
            }

            fn consume(&mut self, amt: usize) {
                (**self).consume(amt);
            }
        }
    )*};
}

pass_on!(&mut A, Box<A>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::{BufResult, IoBufMut, IoVecBufMut},
        io::{BufReader, memory::tests::block_on},
    };

    /// Is interrupted once, then gives two bytes, then fails.
    struct Failing(u8, &'static [u8]);

    impl AsyncReadRent for Failing {
        async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            self.0 += 1;
            match self.0 {
                1 => (Err(ErrorKind::Interrupted.into()), buf),
                2 => self.1.read(buf).await,
                _ => (Err(ErrorKind::ConnectionReset.into()), buf),
            }
        }

        async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
            (Err(ErrorKind::Unsupported.into()), buf)
        }
    }

    /// Red when a character that is cut takes the line with it.
    #[test]
    fn what_came_before_an_error_is_kept() {
        let (mut part, mut line) = (Vec::new(), String::new());
        let res = block_on(BufReader::new(Failing(0, b"ab")).read_until(b'\n', &mut part));
        assert_eq!((res.unwrap_err().kind(), &part[..]), (ErrorKind::ConnectionReset, &b"ab"[..]));
        let res = block_on(BufReader::new(Failing(0, b"ab\xc3")).read_line(&mut line));
        assert_eq!((res.unwrap_err().kind(), line.as_str()), (ErrorKind::ConnectionReset, "ab"));
    }

    #[test]
    fn slices_and_pointers_are_such_streams() {
        let mut slice = &b"a\nb"[..];
        let mut by_ref = &mut slice;
        let mut line = String::new();
        assert_eq!(block_on((&mut by_ref).read_line(&mut line)).unwrap(), 2);
        assert_eq!((line.as_str(), slice), ("a\n", &b"b"[..]));
        let mut boxed = Box::new(slice);
        boxed.consume(9);
        assert_eq!(block_on(boxed.fill_buf()).unwrap(), b"");
    }
}
