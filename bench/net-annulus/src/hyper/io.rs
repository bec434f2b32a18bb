//! A connection that hyper can poll. hyper reads into memory of its own and writes from memory of its own, which the
//! kernel cannot be lent: it may be gone before the kernel is. So there is one copy each way, between hyper's memory and
//! a buffer that is lent.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use annulus::buf::{IoBuf, Slice};
use annulus::net::{RecvStream, TcpStream};
use annulus::op::{self, Recv, Send, Submit};
use annulus::pool::{PoolBuf, RecvPool};
use hyper::rt::{Read, ReadBufCursor, Write};

/// Bytes that are received at a time.
const INPUT: usize = 8 * 1024;
/// Bytes that are taken from hyper while others are on their way.
const OUTPUT: usize = 64 * 1024;

/// A connection for hyper.
pub struct Io {
    stream: TcpStream,
    input: Input,
    output: Output,
    ending: Option<Submit<op::Shutdown>>,
}

/// Where what is received is until hyper takes it.
enum Input {
    /// A buffer of the connection's own, or the way to it.
    Own(Own),
    /// Buffers that all connections share. One that waits holds none.
    Pooled(RecvStream, Option<PoolBuf>),
}

enum Own {
    /// What came, and how much of it was taken.
    Here(Vec<u8>, usize),
    Coming(Submit<Recv<Vec<u8>>>),
}

#[derive(Default)]
struct Output {
    /// What hyper wrote and nobody sends yet.
    next: Vec<u8>,
    /// What is on its way.
    sending: Option<Submit<Send<Slice<Vec<u8>>>>>,
    /// Memory for the next.
    spare: Vec<u8>,
}

impl Io {
    pub fn new(stream: TcpStream, pool: Option<&RecvPool>) -> Self {
        let input = match pool {
            Some(pool) => Input::Pooled(stream.recv_stream(pool), None),
            None => Input::Own(Own::Here(Vec::with_capacity(INPUT), 0)),
        };
        Self { stream, input, output: Output::default(), ending: None }
    }
}

/// Moves as much as there is room for, and says how much that was.
fn hand_over(bytes: &[u8], to: &mut ReadBufCursor<'_>) -> usize {
    let count = bytes.len().min(to.remaining());
    to.put_slice(&bytes[..count]);
    count
}

impl Own {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &TcpStream,
        to: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Own::Here(buf, taken) if *taken < buf.len() => {
                    *taken += hand_over(&buf[*taken..], to);
                    return Poll::Ready(Ok(()));
                }
                Own::Here(buf, _) => {
                    let mut buf = std::mem::take(buf);
                    buf.clear();
                    *self = Own::Coming(op::recv(stream.fd(), buf));
                }
                Own::Coming(receive) => {
                    let (count, buf) = ready!(Pin::new(receive).poll(cx));
                    *self = Own::Here(buf, 0);
                    if count? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let Io { stream, input, .. } = &mut *self;
        match input {
            Input::Own(own) => own.poll_read(cx, stream, &mut to),
            Input::Pooled(received, buf) => {
                if buf.is_none() {
                    *buf = ready!(received.poll_next(cx)).transpose()?;
                }
                if let Some(bytes) = buf {
                    let count = hand_over(bytes, &mut to);
                    bytes.advance(count);
                    if bytes.is_empty() {
                        *buf = None;
                    }
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Output {
    /// Takes what there is room for. What is on its way goes on meanwhile.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &TcpStream,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.next.len() >= OUTPUT {
            ready!(self.poll_flush(cx, stream))?;
        }
        let before = self.next.len();
        for buf in bufs {
            let room = OUTPUT - self.next.len();
            self.next.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        Poll::Ready(Ok(self.next.len() - before))
    }

    /// Sends all of it, and waits until the kernel has it.
    fn poll_flush(&mut self, cx: &mut Context<'_>, stream: &TcpStream) -> Poll<io::Result<()>> {
        loop {
            if let Some(sending) = &mut self.sending {
                let (sent, slice) = ready!(Pin::new(sending).poll(cx));
                self.sending = None;
                let at = slice.begin() + sent?;
                if at == slice.begin() {
                    return Poll::Ready(Err(ErrorKind::WriteZero.into()));
                }
                let mut buf = slice.into_inner();
                if at < buf.len() {
                    self.sending = Some(op::send(stream.fd(), buf.slice(at..)));
                } else {
                    buf.clear();
                    self.spare = buf;
                }
            } else if self.next.is_empty() {
                return Poll::Ready(Ok(()));
            } else {
                let full = std::mem::replace(&mut self.next, std::mem::take(&mut self.spare));
                self.sending = Some(op::send(stream.fd(), full.slice(..)));
            }
        }
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Io { stream, output, .. } = &mut *self;
        output.poll_write(cx, stream, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Io { stream, output, .. } = &mut *self;
        output.poll_flush(cx, stream)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Io { stream, output, ending, .. } = &mut *self;
        ready!(output.poll_flush(cx, stream))?;
        let ending = ending.get_or_insert_with(|| op::shutdown(stream.fd(), Shutdown::Write));
        Pin::new(ending).poll(cx)
    }
}
