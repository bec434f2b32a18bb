//! What the types implement, as far as it is monoio's own doing and `Send` matters. A generic type stands here with one
//! argument.

use bytes::{Bytes, BytesMut};
use monoio::*;
use std::{
    error::Error as StdError,
    fmt::{Debug, Display},
    future::{Future, Ready},
    hash::Hash,
    mem::ManuallyDrop,
    ops::{Add, AddAssign, Deref, DerefMut, Sub, SubAssign},
    os::{
        fd::{AsRawFd, IntoRawFd},
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    rc::Rc,
    sync::Arc,
};

type StdInstant = std::time::Instant;
type Duration = std::time::Duration;
type Prefixed = io::PrefixedReadIo<net::TcpStream, std::io::Cursor<Vec<u8>>>;
type Items = io::stream::Iter<std::vec::IntoIter<u8>>;

/// Has the compiler check each row, and lists it.
macro_rules! implement {
    ($($(#[$attr:meta])* $ty:ty: $($bound:path),+;)*) => {
        $($(#[$attr])* const _: () = {
            $({
                const fn check<T: ?Sized + $bound>() {}
                check::<$ty>();
            })+
        };)*

        pub(crate) const IMPLS: &[&[&str]] =
            &[$($(#[$attr])* &[$(concat!(stringify!($ty), ": ", stringify!($bound))),+]),*];
    };
}

implement! {
    // Buffers.
    Vec<u8>: buf::IoBuf, buf::IoBufMut;
    Box<[u8]>: buf::IoBuf, buf::IoBufMut;
    Box<[u8; 4]>: buf::IoBuf, buf::IoBufMut;
    &'static [u8]: buf::IoBuf;
    &'static [u8; 4]: buf::IoBuf;
    &'static mut [u8; 4]: buf::IoBuf, buf::IoBufMut;
    &'static str: buf::IoBuf;
    Bytes: buf::IoBuf;
    BytesMut: buf::IoBuf, buf::IoBufMut;
    Rc<Vec<u8>>: buf::IoBuf;
    Arc<Vec<u8>>: buf::IoBuf;
    ManuallyDrop<Vec<u8>>: buf::IoBuf;
    buf::Slice<Vec<u8>>: buf::IoBuf;
    buf::SliceMut<Vec<u8>>: buf::IoBuf, buf::IoBufMut, Deref<Target = [u8]>;
    buf::IoVecWrapper<buf::VecBuf>: buf::IoBuf;
    buf::IoVecWrapperMut<buf::VecBuf>: buf::IoBufMut;
    buf::RawBuf: buf::IoBuf, buf::IoBufMut;
    buf::RawBufVectored: buf::IoVecBuf, buf::IoVecBufMut;
    buf::VecBuf: buf::IoVecBuf, buf::IoVecBufMut, Clone, From<Vec<Vec<u8>>>;
    Vec<Vec<u8>>: From<buf::VecBuf>;
    buf::MsgMeta: buf::MsgBuf, buf::MsgBufMut, From<libc::msghdr>, Deref<Target = libc::msghdr>, DerefMut;

    // Connections and listeners.
    net::TcpStream: io::AsyncReadRent, io::AsyncWriteRent, io::CancelableAsyncReadRent, io::CancelableAsyncWriteRent,
        io::AsyncReadRentExt, io::AsyncWriteRentExt, io::CancelableAsyncReadRentExt, io::CancelableAsyncWriteRentExt,
        io::Split, io::Splitable<OwnedRead = net::tcp::TcpOwnedReadHalf, OwnedWrite = net::tcp::TcpOwnedWriteHalf>,
        io::as_fd::AsReadFd, io::as_fd::AsWriteFd, io::splice::SpliceSource, io::splice::SpliceDestination,
        AsRawFd, IntoRawFd, Debug;
    #[cfg(feature = "poll-io")]
    net::tcp::stream_poll::TcpStreamPoll: io::poll_io::AsyncRead, io::poll_io::AsyncWrite, io::IntoCompIo, AsRawFd,
        Debug;
    net::TcpListener: io::stream::Stream<Item = std::io::Result<(net::TcpStream, std::net::SocketAddr)>>, AsRawFd,
        Debug;
    net::UnixStream: io::AsyncReadRent, io::AsyncWriteRent, io::CancelableAsyncReadRent, io::CancelableAsyncWriteRent,
        io::AsyncReadRentExt, io::AsyncWriteRentExt, io::CancelableAsyncReadRentExt, io::CancelableAsyncWriteRentExt,
        io::Split, io::Splitable<OwnedRead = net::unix::UnixOwnedReadHalf, OwnedWrite = net::unix::UnixOwnedWriteHalf>,
        io::as_fd::AsReadFd, io::as_fd::AsWriteFd, io::splice::SpliceSource, io::splice::SpliceDestination,
        AsRawFd, IntoRawFd, Debug;
    #[cfg(feature = "poll-io")]
    net::unix::stream_poll::UnixStreamPoll: io::poll_io::AsyncRead, io::poll_io::AsyncWrite, io::IntoCompIo, Debug;
    #[cfg(feature = "poll-io")]
    net::TcpStream: io::IntoPollIo;
    #[cfg(feature = "poll-io")]
    net::UnixStream: io::IntoPollIo;
    net::UnixListener: io::stream::Stream<Item = std::io::Result<(net::UnixStream, net::unix::SocketAddr)>>, AsRawFd,
        IntoRawFd, Debug;
    net::UnixDatagram: AsRawFd, Debug;
    net::unix::UnixSeqpacket: AsRawFd, Debug;
    net::unix::UnixSeqpacketListener:
        io::stream::Stream<Item = std::io::Result<(net::unix::UnixSeqpacket, net::unix::SocketAddr)>>, AsRawFd, Debug;
    net::unix::SocketAddr: Clone, Debug;
    net::udp::UdpSocket: io::Split, AsRawFd, Debug;
    net::ListenerOpts: Default, Debug, Clone, Copy;
    net::TcpConnectOpts: Default, Debug, Clone, Copy;

    // Halves, wrappers, helpers.
    io::OwnedReadHalf<net::TcpStream>: io::AsyncReadRent, io::CancelableAsyncReadRent, io::as_fd::AsReadFd, Debug;
    io::OwnedWriteHalf<net::TcpStream>: io::AsyncWriteRent, io::CancelableAsyncWriteRent, io::as_fd::AsWriteFd, Debug;
    io::OwnedReadHalf<net::UnixStream>: io::AsyncReadRent, io::CancelableAsyncReadRent, io::as_fd::AsReadFd;
    io::OwnedWriteHalf<net::UnixStream>: io::AsyncWriteRent, io::CancelableAsyncWriteRent, io::as_fd::AsWriteFd;
    &'static mut net::TcpStream: io::AsyncReadRent, io::AsyncWriteRent, io::CancelableAsyncReadRent,
        io::CancelableAsyncWriteRent;
    &'static [u8]: io::AsyncReadRent;
    std::io::Cursor<Vec<u8>>: io::AsyncReadRent;
    Vec<u8>: io::AsyncWriteRent;
    io::BufReader<net::TcpStream>: io::AsyncReadRent, io::AsyncBufRead, io::AsyncBufReadExt, io::AsyncWriteRent;
    io::BufWriter<net::TcpStream>: io::AsyncWriteRent, io::AsyncReadRent;
    io::BufWriter<io::BufReader<net::TcpStream>>: io::AsyncBufRead;
    Prefixed: io::AsyncReadRent, io::AsyncWriteRent, io::CancelableAsyncReadRent, io::CancelableAsyncWriteRent,
        io::Split;
    io::Canceller: Default;
    io::CancelHandle: Clone;
    Items: io::stream::Stream<Item = u8>, io::stream::StreamExt, Debug, Clone;
    &'static mut Items: io::stream::Stream<Item = u8>;

    // Files.
    fs::File: AsRawFd, Debug;
    fs::OpenOptions: OpenOptionsExt, Debug, Clone;
    fs::DirBuilder: DirBuilderExt, Default;
    fs::Metadata: MetadataExt, Debug;
    fs::FileType: FileTypeExt, PartialEq, Eq, Clone, Copy, Hash, Debug;
    fs::Permissions: PermissionsExt, Debug;

    // Time.
    time::Instant: Clone, Copy, Eq, PartialEq, PartialOrd, Ord, Hash, Debug, From<StdInstant>, Add<Duration>,
        AddAssign<Duration>, Sub<time::Instant>, Sub<Duration>, SubAssign<Duration>;
    StdInstant: From<time::Instant>;
    time::Sleep: Future<Output = ()>, Debug;
    time::Timeout<Ready<u8>>: Future<Output = Result<u8, time::error::Elapsed>>, Debug;
    time::Interval: Debug;
    time::MissedTickBehavior: Default, Debug, Clone, Copy, PartialEq, Eq;
    time::error::Error: StdError, Display, Debug, Copy, Clone;
    time::error::Elapsed: StdError, Display, Debug, PartialEq, Eq;
    std::io::Error: From<time::error::Elapsed>;
    time::TimeDriver<LegacyDriver>: Driver, Buildable, Debug;

    // Runtimes and tasks.
    LegacyDriver: Driver, Buildable;
    IoUringDriver: Driver, Buildable;
    RuntimeBuilder<LegacyDriver>: Default;
    FusionRuntime<IoUringDriver, LegacyDriver>: From<Runtime<IoUringDriver>>, From<Runtime<LegacyDriver>>;
    FusionRuntime<time::TimeDriver<IoUringDriver>, time::TimeDriver<LegacyDriver>>:
        From<Runtime<time::TimeDriver<IoUringDriver>>>, From<Runtime<time::TimeDriver<LegacyDriver>>>;
    task::JoinHandle<u8>: Future<Output = u8>, Send, Sync, Unpin;
    blocking::BlockingTask: Send;
    blocking::DefaultThreadPool: blocking::ThreadPool, Clone, Send;
    blocking::JoinError: Debug, Clone, Copy, Send;
    blocking::BlockingStrategy: Debug, Clone, Copy, Send;
    macros::scoped_tls::ScopedKey<u8>: Sync;
    macros::support::MaybeDone<Ready<u8>>: Future<Output = ()>, Debug;
    #[cfg(feature = "signal")]
    utils::CtrlC: Future<Output = ()>, Debug;
}

/// Sinks and credentials have no type that could be named above.
#[allow(dead_code, reason = "it is enough that it compiles")]
fn unnamed(stream: &net::UnixStream) -> impl Copy + Eq + Hash + Debug + use<> {
    fn is_sink<T, S: io::sink::Sink<T> + io::sink::SinkExt<T>>() {}
    fn borrowed<T, S: io::sink::Sink<T>>() {
        is_sink::<T, &mut S>();
    }
    let _ = borrowed::<u8, Collect>;
    stream.peer_cred().unwrap()
}

struct Collect;

impl io::sink::Sink<u8> for Collect {
    type Error = ();

    async fn send(&mut self, _: u8) -> Result<(), ()> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ()> {
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ()> {
        Ok(())
    }
}
