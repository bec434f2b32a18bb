//! Sends of a connection whose bytes the kernel does not copy.

use super::TcpStream;
use crate::{
    buf::{BufResult, IoBuf, IoVecBuf},
    op::{self, SendMsgZc, SendZc, ZeroCopy},
};
use std::io::{self, ErrorKind};

impl TcpStream {
    /// Sends `buf` without copying it: gives the number of bytes that the connection took, which may be fewer than
    /// there are, and the buffer [when nobody reads it any more](crate::op::ZcBuf). Fewer than
    /// [16 KiB](crate::op::ZC_FROM) are sent the ordinary way, unless it is [told otherwise](ZeroCopy::from_bytes).
    ///
    /// It saves the copy where the network's device can send from anywhere; over a loopback device the kernel copies
    /// all the same, and this costs more than a write. [`ZcBuf::with_usage`](crate::op::ZcBuf::with_usage) and
    /// [`Counters::zero_copies_copied`](crate::Counters::zero_copies_copied) tell.
    ///
    /// # Errors
    /// Those of `send(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have been sent, and nobody learns how many.
    pub fn send_zc<T: IoBuf>(&mut self, buf: T) -> ZeroCopy<SendZc<T>> {
        op::send_zc(self.fd(), buf)
    }

    /// [`send_zc`](TcpStream::send_zc) of several buffers, one after the other.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`, with the buffers.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have been sent, and nobody learns how many.
    pub fn send_vectored_zc<T: IoVecBuf>(&mut self, buf_vec: T) -> ZeroCopy<SendMsgZc<T>> {
        op::send_vectored_zc(self.fd(), buf_vec)
    }

    /// [`send_zc`](TcpStream::send_zc), and waits for the buffer, too: until the peer has taken the bytes.
    ///
    /// # Errors
    /// Those of `send(2)`, with the buffer.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have been sent, and nobody learns how many.
    pub async fn write_zc<T: IoBuf>(&mut self, buf: T) -> BufResult<usize, T> {
        let (res, lent) = self.send_zc(buf).await;
        (res, lent.await)
    }

    /// [`send_vectored_zc`](TcpStream::send_vectored_zc), and waits for the buffers, too.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`, with the buffers.
    ///
    /// # Cancellation
    /// **Lossy**: bytes may have been sent, and nobody learns how many.
    pub async fn writev_zc<T: IoVecBuf>(&mut self, buf_vec: T) -> BufResult<usize, T> {
        let (res, lent) = self.send_vectored_zc(buf_vec).await;
        (res, lent.await)
    }

    /// Sends all of `buf` without copying it, and waits for the buffer: until the peer has taken the last byte. The
    /// kernel is asked once for all of it, and asked again only for what is left after an interruption.
    ///
    /// # Errors
    /// Those of `send(2)`, with the buffer; some of the bytes may have been sent before. `WriteZero` when nothing more
    /// is taken.
    ///
    /// # Cancellation
    /// **Lossy**: an unknown part of the buffer is sent, and the rest is not.
    pub async fn write_all_zc<T: IoBuf>(&mut self, mut buf: T) -> BufResult<usize, T> {
        let (len, mut done) = (buf.bytes_init(), 0);
        while done < len {
            let (res, lent) = op::send_zc(self.fd(), buf.slice(done..)).all().await;
            buf = lent.await.into_inner();
            match res {
                Ok(0) => return (Err(io::Error::from(ErrorKind::WriteZero)), buf),
                Ok(n) => done += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
        (Ok(done), buf)
    }
}
