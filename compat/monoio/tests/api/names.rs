//! The names that are not functions. Each is used once, so that a missing one does not compile.

/// Imports each, and lists it.
macro_rules! names {
    ($($(#[$attr:meta])* $($name:ident)::+,)*) => {
        #[allow(unused_imports, deprecated, reason = "it is enough that they are there")]
        mod imported {
            $($(#[$attr])* const _: () = { use monoio::$($name)::+ as _name; };)*
        }

        const IMPORTED: &[&str] = &[$($(#[$attr])* stringify!($($name)::+)),*];
    };
}

names! {
    join,
    try_join,
    select,
    pin,
    main,
    test,
    test_all,
    Buildable,
    Driver,
    RuntimeBuilder,
    Runtime,
    IoUringDriver,
    LegacyDriver,
    FusionDriver,
    FusionRuntime,
    BufResult,
    task::JoinHandle,
    blocking::ThreadPool,
    blocking::BlockingTask,
    blocking::DefaultThreadPool,
    blocking::BlockingStrategy,
    blocking::JoinError,
    scoped_thread_local,
    macros::scoped_tls::ScopedKey,
    macros::support::PollFn,
    macros::support::MaybeDone,
    macros::support::Poll,
    macros::support::Future,
    macros::support::Pin,
    buf::IoBuf,
    buf::IoBufMut,
    buf::IoVecBuf,
    buf::IoVecBufMut,
    buf::MsgBuf,
    buf::MsgBufMut,
    buf::Slice,
    buf::SliceMut,
    buf::IoVecWrapper,
    buf::IoVecWrapperMut,
    buf::RawBuf,
    buf::RawBufVectored,
    buf::VecBuf,
    buf::MsgMeta,
    io::AsyncBufRead,
    io::AsyncBufReadExt,
    io::BufReader,
    io::BufWriter,
    io::PrefixedReadIo,
    io::stream::Stream,
    io::stream::StreamExt,
    io::stream::Iter,
    io::sink::Sink,
    io::sink::SinkExt,
    io::AsyncReadRent,
    io::AsyncReadRentAt,
    io::AsyncWriteRent,
    io::AsyncWriteRentAt,
    io::AsyncReadRentExt,
    io::AsyncWriteRentExt,
    io::CancelableAsyncReadRent,
    io::CancelableAsyncWriteRent,
    io::CancelableAsyncReadRentExt,
    io::CancelableAsyncWriteRentExt,
    io::Split,
    io::Splitable,
    io::Canceller,
    io::CancelHandle,
    io::OwnedReadHalf,
    io::OwnedWriteHalf,
    io::as_fd::AsReadFd,
    io::as_fd::AsWriteFd,
    io::as_fd::SharedFdWrapper,
    io::splice::SpliceSource,
    io::splice::SpliceDestination,
    #[cfg(feature = "poll-io")]
    io::poll_io,
    #[cfg(feature = "poll-io")]
    io::IntoPollIo,
    #[cfg(feature = "poll-io")]
    io::IntoCompIo,
    net::ListenerOpts,
    net::TcpConnectOpts,
    net::TcpListener,
    net::TcpStream,
    net::Pipe,
    net::UnixDatagram,
    net::UnixListener,
    net::UnixStream,
    net::ListenerConfig,
    net::tcp::TcpListener,
    net::tcp::TcpStream,
    net::tcp::TcpConnectOpts,
    net::tcp::TcpOwnedReadHalf,
    net::tcp::TcpOwnedWriteHalf,
    #[cfg(feature = "poll-io")]
    net::tcp::stream_poll::TcpStreamPoll,
    net::udp::UdpSocket,
    net::unix::UnixStream,
    net::unix::UnixListener,
    net::unix::UnixDatagram,
    net::unix::UnixSeqpacket,
    net::unix::UnixSeqpacketListener,
    net::unix::SocketAddr,
    net::unix::Pipe,
    net::unix::UnixOwnedReadHalf,
    net::unix::UnixOwnedWriteHalf,
    #[cfg(feature = "poll-io")]
    net::unix::stream_poll::UnixStreamPoll,
    fs::File,
    fs::OpenOptions,
    fs::Metadata,
    fs::FileType,
    fs::Permissions,
    fs::DirBuilder,
    time::Instant,
    time::Sleep,
    time::Interval,
    time::Timeout,
    time::Duration,
    time::TimeDriver,
    time::MissedTickBehavior,
    time::error::Error,
    time::error::Elapsed,
    utils::BindError,
    #[cfg(feature = "signal")]
    utils::CtrlC,
    #[cfg(feature = "signal")]
    utils::CtrlCError,
}

/// What is a part of a type or a trait, and is matched, filled in or named below.
const PARTS: &[&str] = &[
    "FusionRuntime::Uring",
    "FusionRuntime::Legacy",
    "blocking::BlockingStrategy::Panic",
    "blocking::BlockingStrategy::ExecuteLocal",
    "blocking::JoinError::Canceled",
    "time::MissedTickBehavior::Burst",
    "time::MissedTickBehavior::Delay",
    "time::MissedTickBehavior::Skip",
    "net::ListenerOpts::reuse_port",
    "net::ListenerOpts::reuse_addr",
    "net::ListenerOpts::backlog",
    "net::ListenerOpts::send_buf_size",
    "net::ListenerOpts::recv_buf_size",
    "net::ListenerOpts::tcp_fast_open",
    "net::TcpConnectOpts::tcp_fast_open",
    "Driver::with",
    "Driver::submit",
    "Driver::park",
    "Driver::park_timeout",
    "Driver::unpark",
];

pub(crate) static NAMES: std::sync::LazyLock<Vec<&str>> = std::sync::LazyLock::new(|| [IMPORTED, PARTS].concat());

use monoio::{
    FusionRuntime, IoUringDriver, LegacyDriver, Runtime,
    blocking::{BlockingStrategy, JoinError},
    net::{ListenerOpts, TcpConnectOpts},
    time::{MissedTickBehavior, TimeDriver},
};

/// As a program names a runtime that may be on either driver.
pub(crate) type Fusion = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

/// As a program takes such a runtime apart.
pub(crate) fn which(runtime: &Fusion) -> &'static str {
    match runtime {
        Fusion::Uring(Runtime { .. }) => "uring",
        Fusion::Legacy(_) => "legacy",
    }
}

/// Nobody has a driver, so what it has is named here, and called by nobody.
#[allow(dead_code, reason = "it is enough that it compiles")]
fn parts(driver: &impl monoio::Driver, opts: ListenerOpts, connect: TcpConnectOpts, strategy: BlockingStrategy) {
    driver.with(|| ());
    let _: [std::io::Result<()>; 3] =
        [driver.submit(), driver.park(), driver.park_timeout(monoio::time::Duration::ZERO)];
    let _ = driver.unpark();
    let ListenerOpts { reuse_port, reuse_addr, backlog, send_buf_size, recv_buf_size, tcp_fast_open, .. } = opts;
    let _: (bool, bool, i32, bool) = (reuse_port, reuse_addr, backlog, tcp_fast_open | connect.tcp_fast_open);
    let _: [Option<usize>; 2] = [send_buf_size, recv_buf_size];
    match (MissedTickBehavior::Burst, JoinError::Canceled, strategy) {
        (MissedTickBehavior::Burst, JoinError::Canceled, BlockingStrategy::Panic) => {}
        (MissedTickBehavior::Delay | MissedTickBehavior::Skip, _, BlockingStrategy::ExecuteLocal) => {}
        _ => {}
    }
}
