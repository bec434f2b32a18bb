//! Sends whose bytes the kernel does not copy: the result first, and the buffer when nobody reads it any more.

use crate::{
    buf::BufResult,
    driver::Fd,
    entry::{Cqe, CqeFlags},
    op::{
        Op,
        submit::{Answer, Submit, submit},
    },
};
use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// From how many bytes on a send is a zero-copy one, unless it is told otherwise ([`ZeroCopy::from_bytes`]).
///
/// Below, it costs more to pin the pages and to hear of their release than to copy the bytes. Measured with datagrams
/// that a device drops, and bytes that are in the CPU's cache: break-even between 8 and 16 KiB, and at 6 KiB for
/// memory that is [registered](crate::pool::FixedPool).
pub const ZC_FROM: usize = 16 << 10;

/// A send that lends its memory: [`SendZc`](crate::op::SendZc) and [`SendMsgZc`](crate::op::SendMsgZc).
pub trait ZeroCopyOp: Op<Output = (Cqe, Self::Buf)> {
    /// What is sent.
    type Buf: Unpin + 'static;
    /// The ordinary send of the same.
    type Plain: Op<Output = BufResult<usize, Self::Buf>>;

    /// The operation.
    fn new(fd: &Fd, buf: Self::Buf, flags: i32) -> Self;

    /// The ordinary send.
    fn plain(fd: &Fd, buf: Self::Buf) -> Submit<Self::Plain>;

    /// How many bytes there are.
    fn len(buf: &Self::Buf) -> usize;
}

/// The future of a zero-copy send: it gives the result, and a [`ZcBuf`] that gives the buffer.
///
/// Dropped before the result it asks the kernel to give up; the buffer stays lent until the kernel has said that nobody
/// reads it, and is freed then. Forgetting it leaks the buffer and nothing worse.
///
/// Where the kernel has no such send (before Linux 6.0; 6.1 for several buffers), on the poll driver, for few bytes
/// ([`ZC_FROM`]), and where the kernel refuses (a Unix socket; no memory for pinning), it is an ordinary send, and the
/// buffer is there with the result.
///
/// # Panics
/// Its first poll panics outside of a runtime, and any poll after it was ready.
#[must_use = "a send does nothing until it is awaited"]
pub struct ZeroCopy<T: ZeroCopyOp> {
    fd: Fd,
    from: usize,
    flags: i32,
    /// The most that a result may say.
    len: usize,
    state: State<T>,
}

enum State<T: ZeroCopyOp> {
    Fresh(T::Buf),
    Sent(Submit<T>),
    /// The kernel would not; the buffer is on its way back.
    Refused(Submit<T>),
    Plain(Submit<T::Plain>),
    Gone,
}

/// Makes a future of what is to be sent.
pub(super) fn zero_copy<T: ZeroCopyOp>(fd: &Fd, buf: T::Buf) -> ZeroCopy<T> {
    ZeroCopy { fd: fd.clone(), from: ZC_FROM, flags: 0, len: T::len(&buf), state: State::Fresh(buf) }
}

/// Whether a result says that this socket, or the kernel for now, cannot do without a copy.
fn is_refusal(res: i32) -> bool {
    [libc::EOPNOTSUPP, libc::ENOMEM, libc::ENOBUFS, libc::EAGAIN].contains(&-res.max(-i32::MAX))
}

impl<T: ZeroCopyOp> ZeroCopy<T> {
    /// Copies nothing if there are at least so many bytes; fewer are sent the ordinary way. 0: never copy.
    pub fn from_bytes(self, bytes: usize) -> ZeroCopy<T> {
        ZeroCopy { from: bytes, ..self }
    }

    /// Lets the kernel go on until all bytes of a stream have been taken. The twin does what it can at once.
    pub(crate) fn all(self) -> ZeroCopy<T> {
        ZeroCopy { flags: libc::MSG_WAITALL, ..self }
    }

    /// Asks for an early end. The future has to be polled on: it gives whatever had been done, or `ECANCELED` if
    /// nothing had. Does nothing before the first poll and after the result; then the buffer comes when it comes.
    pub fn cancel(&mut self) {
        match &mut self.state {
            State::Sent(op) | State::Refused(op) => op.cancel(),
            State::Plain(op) => op.cancel(),
            State::Fresh(_) | State::Gone => {}
        }
    }

    fn start(&self, buf: T::Buf) -> State<T> {
        if self.len < self.from {
            return State::Plain(T::plain(&self.fd, buf));
        }
        State::Sent(submit(T::new(&self.fd, buf, self.flags)))
    }

    fn result(&self, cqe: Cqe) -> io::Result<usize> {
        cqe.result().map(|n| self.len.min(n as usize))
    }
}

impl<T: ZeroCopyOp> Future for ZeroCopy<T> {
    type Output = (io::Result<usize>, ZcBuf<T>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match &mut self.state {
                State::Fresh(_) => None,
                State::Sent(op) => match ready!(op.poll_answer(cx)) {
                    Answer::First(cqe) if !is_refusal(cqe.res) => {
                        let State::Sent(op) = std::mem::replace(&mut self.state, State::Gone) else { continue };
                        return Poll::Ready((self.result(cqe), ZcBuf(Lent::Out(op))));
                    }
                    Answer::First(_) => None,
                    Answer::Last((cqe, buf)) if is_refusal(cqe.res) => Some(buf),
                    Answer::Last((cqe, buf)) => {
                        self.state = State::Gone;
                        return Poll::Ready((self.result(cqe), ZcBuf(Lent::Back(buf, Usage::Copied))));
                    }
                },
                State::Refused(op) => Some(ready!(Pin::new(op).poll(cx)).1),
                State::Plain(op) => {
                    let (res, buf) = ready!(Pin::new(op).poll(cx));
                    self.state = State::Gone;
                    return Poll::Ready((res, ZcBuf(Lent::Back(buf, Usage::Copied))));
                }
                State::Gone => panic!("a zero-copy send was polled after it had given its result"),
            };
            self.state = match (next, std::mem::replace(&mut self.state, State::Gone)) {
                (Some(buf), _) => State::Plain(T::plain(&self.fd, buf)),
                (None, State::Fresh(buf)) => self.start(buf),
                (None, State::Sent(op)) => State::Refused(op),
                (None, state) => state,
            };
        }
    }
}

impl<T: ZeroCopyOp> fmt::Debug for ZeroCopy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Fresh(_) => "not started",
            State::Sent(_) | State::Refused(_) | State::Plain(_) => "in flight",
            State::Gone => "done",
        };
        write!(f, "ZeroCopy({state})")
    }
}

/// Whether a send did without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// It did.
    ZeroCopy,
    /// The bytes were copied: by an ordinary send, or by the kernel after all, as on a loopback device and where the
    /// network's device cannot gather. An ordinary send is cheaper then.
    Copied,
    /// The kernel does not tell (before Linux 6.2).
    Unknown,
}

/// A buffer that was sent and that the kernel may still read; made by awaiting a [`ZeroCopy`]. Awaiting it gives the
/// buffer, when the peer has taken the last byte of it, or nobody will any more. That may be long after the result:
/// when the peer reads no more, until the connection is closed on both sides or fails.
///
/// Dropping it gives the buffer up: it is freed when the kernel has let go of it. Forgetting it leaks the buffer.
#[must_use = "awaiting it gives the buffer back"]
pub struct ZcBuf<T: ZeroCopyOp>(Lent<T>);

enum Lent<T: ZeroCopyOp> {
    Out(Submit<T>),
    Back(T::Buf, Usage),
    Gone,
}

impl<T: ZeroCopyOp> ZcBuf<T> {
    /// Whether the kernel may still read the buffer, as far as is known by now.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        matches!(self.0, Lent::Out(_))
    }

    /// The buffer, and whether its bytes were copied after all.
    ///
    /// # Cancellation
    /// **Clean**: the bytes go where they go; the buffer is freed when nobody reads it any more.
    pub async fn with_usage(mut self) -> (T::Buf, Usage) {
        poll_fn(|cx| self.poll_back(cx)).await
    }

    fn poll_back(&mut self, cx: &mut Context<'_>) -> Poll<(T::Buf, Usage)> {
        if let Lent::Out(op) = &mut self.0 {
            let (cqe, buf) = ready!(Pin::new(op).poll(cx));
            let usage = match cqe.flags.contains(CqeFlags::NOTIF) {
                true if cqe.was_copied() => Usage::Copied,
                true => Usage::ZeroCopy,
                false => Usage::Unknown,
            };
            self.0 = Lent::Back(buf, usage);
        }
        match std::mem::replace(&mut self.0, Lent::Gone) {
            Lent::Back(buf, usage) => Poll::Ready((buf, usage)),
            Lent::Out(_) | Lent::Gone => panic!("a buffer was asked for after it had been given back"),
        }
    }
}

impl<T: ZeroCopyOp> Future for ZcBuf<T> {
    type Output = T::Buf;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Buf> {
        self.poll_back(cx).map(|(buf, _)| buf)
    }
}

impl<T: ZeroCopyOp> fmt::Debug for ZcBuf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0 {
            Lent::Out(_) => "lent",
            Lent::Back(..) => "back",
            Lent::Gone => "given",
        };
        write!(f, "ZcBuf({state})")
    }
}
