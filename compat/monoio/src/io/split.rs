//! A stream in two halves, by a marker.
//!
//! annulus's own [`Split`](annulus::io::Split) is a safe trait with methods on shared references. monoio's is an unsafe
//! one without methods, which other crates implement for their streams, and its halves are open; so both are here.
//!
//! **Marked**, which the `SAFETY:` comments below cite: a stream that does not offer itself to be [shared](Split) is one
//! whose implementor has promised that several exclusive references at a time do no harm.

use annulus::{
    BufResult, Fd,
    buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    io::{
        AsReadFd, AsWriteFd, AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent,
        PrefixedReadIo, Split as Shared,
    },
    net::{TcpStream, UdpSocket, UnixStream},
};
use std::{
    any::TypeId,
    cell::UnsafeCell,
    error::Error,
    fmt,
    io::{self, Read},
    mem::ManuallyDrop,
    ptr,
    rc::Rc,
};

/// A stream that can be split.
///
/// # Safety
/// The halves of a stream of somebody else's call its methods through several exclusive references at a time. Who
/// implements this promises that the methods of [`AsyncReadRent`] and [`AsyncWriteRent`] can stand that: while the
/// future of one lives, what the others do harms nobody.
///
/// The streams of annulus need no such promise: their halves read and write through shared references.
pub unsafe trait Split {
    /// The stream as one that reads and writes through shared references, if it is. Nothing is borrowed otherwise.
    #[doc(hidden)]
    fn shared(_stream: &UnsafeCell<Self>) -> Option<&impl Shared>
    where
        Self: Sized,
    {
        None::<&TcpStream>
    }
}

macro_rules! shared {
    ($($stream:ty $(, <$i:ident, $p:ident>)?;)*) => {$(
        // SAFETY: Marked: it is shared.
        unsafe impl$(<$i: Shared, $p: Read>)? Split for $stream {
            #[allow(refining_impl_trait, reason = "nobody sees the method")]
            fn shared(stream: &UnsafeCell<$stream>) -> Option<&$stream> {
                // SAFETY: Marked: the halves of this type make shared references alone, and others cannot make an
                // exclusive one while there is a second half or a future of this one.
                Some(unsafe { &*stream.get() })
            }
        }
    )*};
}

shared! {
    TcpStream;
    UnixStream;
    PrefixedReadIo<I, P>, <I, P>;
}

// SAFETY: Marked: it is no stream, and has no halves that do anything.
unsafe impl Split for UdpSocket {}

/// A stream that can be split by ownership.
pub trait Splitable {
    /// The half that is read.
    type OwnedRead;
    /// The half that is written.
    type OwnedWrite;

    /// Two halves that own the stream. It is closed when both are gone.
    fn into_split(self) -> (Self::OwnedRead, Self::OwnedWrite);
}

impl<T: Split + AsyncWriteRent> Splitable for T {
    type OwnedRead = OwnedReadHalf<T>;
    type OwnedWrite = OwnedWriteHalf<T>;

    fn into_split(self) -> (OwnedReadHalf<T>, OwnedWriteHalf<T>) {
        let stream = Rc::new(UnsafeCell::new(self));
        (OwnedReadHalf(stream.clone()), OwnedWriteHalf(stream))
    }
}

/// The half of a stream that is read.
pub struct OwnedReadHalf<T>(pub Rc<UnsafeCell<T>>);

/// The half of a stream that is written. Dropping it tells the other side of a connection of annulus's that no more is
/// coming.
pub struct OwnedWriteHalf<T: AsyncWriteRent>(pub Rc<UnsafeCell<T>>);

/// Two halves that are not of one stream.
pub struct ReuniteError<T: AsyncWriteRent>(pub OwnedReadHalf<T>, pub OwnedWriteHalf<T>);

impl<T: AsyncWriteRent> OwnedReadHalf<T> {
    /// The whole stream again.
    ///
    /// # Errors
    /// Gives both halves back if they are not of one stream.
    pub fn reunite(self, other: OwnedWriteHalf<T>) -> Result<T, ReuniteError<T>> {
        reunite(self, other)
    }
}

impl<T: AsyncWriteRent> OwnedWriteHalf<T> {
    /// The whole stream again.
    ///
    /// # Errors
    /// Gives both halves back if they are not of one stream.
    pub fn reunite(self, other: OwnedReadHalf<T>) -> Result<T, ReuniteError<T>> {
        reunite(other, self)
    }
}

/// Also an error when there is a third holder: the halves are open.
fn reunite<T: AsyncWriteRent>(reader: OwnedReadHalf<T>, writer: OwnedWriteHalf<T>) -> Result<T, ReuniteError<T>> {
    if !Rc::ptr_eq(&reader.0, &writer.0) || Rc::strong_count(&reader.0) != 2 {
        return Err(ReuniteError(reader, writer));
    }
    let writer = ManuallyDrop::new(writer);
    // SAFETY: Marked: the writer is never dropped, so that its share is moved out once.
    drop(unsafe { ptr::read(&writer.0) });
    Ok(Rc::into_inner(reader.0).expect("a stream has two halves, and both were here").into_inner())
}

impl<T: AsyncWriteRent> Drop for OwnedWriteHalf<T> {
    fn drop(&mut self) {
        if let Some(stream) = known::<T, TcpStream>(&self.0) {
            stream.hang_up();
        } else if let Some(stream) = known::<T, UnixStream>(&self.0) {
            stream.hang_up();
        }
    }
}

/// The stream, if it is of the type `K`.
fn known<T, K: Split + 'static>(stream: &UnsafeCell<T>) -> Option<&impl Shared> {
    if typeid::of::<T>() != TypeId::of::<K>() {
        return None;
    }
    // SAFETY: Marked: the types are the same.
    K::shared(unsafe { &*ptr::from_ref(stream).cast::<UnsafeCell<K>>() })
}

/// Has the stream do it: through a shared reference if it can, else through an exclusive one.
macro_rules! with {
    ($half:expr, $shared:ident, $exclusive:ident $(, $arg:expr)*) => {
        match Split::shared(&$half.0) {
            Some(stream) => stream.$shared($($arg)*).await,
            // SAFETY: Marked: this stream can stand it.
            None => unsafe { &mut *$half.0.get() }.$exclusive($($arg)*).await,
        }
    };
}

impl<T: Split + AsyncReadRent> AsyncReadRent for OwnedReadHalf<T> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        with!(self, shared_read, read, buf)
    }

    async fn readv<B: IoVecBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        with!(self, shared_readv, readv, buf)
    }
}

impl<T: Split + AsyncWriteRent> AsyncWriteRent for OwnedWriteHalf<T> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        with!(self, shared_write, write, buf)
    }

    async fn writev<B: IoVecBuf>(&mut self, buf_vec: B) -> BufResult<usize, B> {
        with!(self, shared_writev, writev, buf_vec)
    }

    async fn flush(&mut self) -> io::Result<()> {
        with!(self, shared_flush, flush)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        with!(self, shared_shutdown, shutdown)
    }
}

impl<T: Split + AsyncReadRent> CancelableAsyncReadRent for OwnedReadHalf<T> {}
impl<T: Split + AsyncWriteRent> CancelableAsyncWriteRent for OwnedWriteHalf<T> {}

/// What the halves of annulus's own connections know without waiting, and those that are a descriptor.
macro_rules! connections {
    ($($stream:ty: $addr:ty;)*) => {$(
        connections!($stream, OwnedReadHalf, $addr);
        connections!($stream, OwnedWriteHalf, $addr);

        impl AsReadFd for OwnedReadHalf<$stream> {
            fn as_reader_fd(&mut self) -> &Fd {
                self.stream().fd()
            }
        }

        impl AsWriteFd for OwnedWriteHalf<$stream> {
            fn as_writer_fd(&mut self) -> &Fd {
                self.stream().fd()
            }
        }
    )*};
    ($stream:ty, $half:ident, $addr:ty) => {
        impl $half<$stream> {
            fn stream(&self) -> &$stream {
                // SAFETY: Marked: as in `shared`.
                unsafe { &*self.0.get() }
            }

            /// The address of this end.
            ///
            /// # Errors
            /// Those of `getsockname(2)`.
            pub fn local_addr(&self) -> io::Result<$addr> {
                self.stream().local_addr()
            }

            /// The address of the other end.
            ///
            /// # Errors
            /// `NotConnected` when there is none any more.
            pub fn peer_addr(&self) -> io::Result<$addr> {
                self.stream().peer_addr()
            }
        }
    };
}

connections! {
    TcpStream: std::net::SocketAddr;
    UnixStream: annulus::net::unix::SocketAddr;
}

impl<T> fmt::Debug for OwnedReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf").finish_non_exhaustive()
    }
}

impl<T: AsyncWriteRent> fmt::Debug for OwnedWriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf").finish_non_exhaustive()
    }
}

impl<T: AsyncWriteRent> fmt::Debug for ReuniteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReuniteError")
    }
}

impl<T: AsyncWriteRent> fmt::Display for ReuniteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl<T: AsyncWriteRent> Error for ReuniteError<T> {}
