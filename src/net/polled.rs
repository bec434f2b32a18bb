//! Connections that are [polled](crate::io::poll).

use super::{TcpStream, UnixStream, unix::SocketAddr};
use crate::{
    driver::Fd,
    io::poll::{Connection, IntoPollIo, Polled},
};
use std::{io, net, time::Duration};

/// A TCP connection with tokio's traits.
pub type TcpStreamPoll = Polled<TcpStream>;
/// A connection in the file system with tokio's traits.
pub type UnixStreamPoll = Polled<UnixStream>;

macro_rules! connections {
    ($($stream:ty: $addr:ty;)*) => {$(
        impl Connection for $stream {
            fn socket(&self) -> &Fd {
                self.fd()
            }
        }

        impl $stream {
            /// As the method of [`IntoPollIo`].
            ///
            /// # Errors
            /// As there.
            #[allow(clippy::result_large_err, reason = "the stream is given back, as by the trait")]
            pub fn try_into_poll_io(self) -> Result<Polled<$stream>, (io::Error, $stream)> {
                IntoPollIo::try_into_poll_io(self)
            }
        }

        impl Polled<$stream> {
            /// The address of this end.
            ///
            /// # Errors
            /// Those of `getsockname(2)`.
            pub fn local_addr(&self) -> io::Result<$addr> {
                self.as_ref().local_addr()
            }

            /// The address of the other end.
            ///
            /// # Errors
            /// `NotConnected` when there is none any more.
            pub fn peer_addr(&self) -> io::Result<$addr> {
                self.as_ref().peer_addr()
            }
        }
    )*};
}

connections! {
    TcpStream: net::SocketAddr;
    UnixStream: SocketAddr;
}

impl Polled<TcpStream> {
    /// Whether small writes are sent at once.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.as_ref().nodelay()
    }

    /// Has small writes sent at once, or gathered.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.as_ref().set_nodelay(nodelay)
    }

    /// Has the peer asked whether it is still there.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_tcp_keepalive(
        &self,
        time: Option<Duration>,
        interval: Option<Duration>,
        retries: Option<u32>,
    ) -> io::Result<()> {
        self.as_ref().set_tcp_keepalive(time, interval, retries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Builder, DriverKind, Runtime,
        io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt, poll::IntoCompIo},
        net::TcpListener,
        time::timeout,
    };
    use std::{
        cell::Cell,
        future::poll_fn,
        io::{ErrorKind, IoSlice},
        mem::MaybeUninit,
        pin::Pin,
        rc::Rc,
        task::Poll,
        time::Instant,
    };
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    const SOON: Duration = Duration::from_secs(5);

    /// Reads what there is room for.
    async fn read(stream: &mut (impl AsyncRead + Unpin), room: usize) -> io::Result<Vec<u8>> {
        let mut room = vec![MaybeUninit::uninit(); room];
        let mut buf = ReadBuf::uninit(&mut room);
        timeout(SOON, poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buf))).await.expect("nobody wakes it")?;
        Ok(buf.filled().to_vec())
    }

    async fn write(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let parts = bytes.split_at(bytes.len() / 2);
            let parts = [IoSlice::new(parts.0), IoSlice::new(parts.1)];
            let n = poll_fn(|cx| match bytes.len() % 2 {
                0 => Pin::new(&mut *stream).poll_write_vectored(cx, &parts),
                _ => Pin::new(&mut *stream).poll_write(cx, bytes),
            });
            bytes = &bytes[timeout(SOON, n).await.expect("nobody wakes it")?..];
        }
        Ok(())
    }

    /// More than the buffers between the two hold. Red when a change is not waited for, or is taken for another's.
    #[crate::test]
    async fn both_directions_wait_for_the_other_side() {
        const TOTAL: usize = 3 << 20;
        let bytes: Vec<u8> = (0..TOTAL).map(|n| (n % 251) as u8).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut a = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap().into_poll_io().unwrap();
        let mut b = listener.accept().await.unwrap().0;
        assert_eq!(
            (a.local_addr().unwrap(), a.peer_addr().unwrap()),
            (b.peer_addr().unwrap(), b.local_addr().unwrap())
        );
        a.set_nodelay(true).unwrap();
        assert!(a.nodelay().unwrap() && a.is_write_vectored());
        let echo = crate::spawn(async move {
            let (res, bytes) = b.read_exact(vec![0; TOTAL]).await;
            res.unwrap();
            b.write_all(bytes).await.0.unwrap();
            b
        });
        write(&mut a, &bytes).await.unwrap();
        poll_fn(|cx| Pin::new(&mut a).poll_flush(cx)).await.unwrap();
        poll_fn(|cx| Pin::new(&mut a).poll_shutdown(cx)).await.unwrap();
        let mut back = Vec::new();
        while back.len() < TOTAL {
            back.extend(read(&mut a, 1 << 16).await.unwrap());
        }
        assert!(back == bytes);
        let mut b = echo.await.unwrap();
        assert_eq!(b.read(vec![0; 1]).await.0.unwrap(), 0, "it was shut down");
        assert_eq!(write(&mut a, b"!").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop(b);
        assert_eq!(read(&mut a, 8).await.unwrap(), b"", "it has come to its end");
    }

    #[crate::test]
    async fn there_and_back() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let mut a = a.into_poll_io().unwrap();
        assert!(a.local_addr().unwrap().is_unnamed() && a.peer_addr().unwrap().is_unnamed());
        let pending = poll_fn(|cx| {
            let mut room = [0; 8];
            Poll::Ready(Pin::new(&mut a).poll_read(cx, &mut ReadBuf::new(&mut room)).is_pending())
        });
        assert!(pending.await, "there is nothing");
        b.write_all("poll").await.0.unwrap();
        assert_eq!(read(&mut a, 8).await.unwrap(), b"poll");
        // What was begun as one kind goes on as the other.
        b.write_all("io").await.0.unwrap();
        let mut a = a.into_comp_io().unwrap();
        assert_eq!(a.read(Vec::with_capacity(8)).await.1, b"io");
    }

    /// Red when a connection that is always ready holds its thread, in either direction.
    #[crate::test]
    async fn the_others_have_their_turn() {
        for writes in [false, true] {
            let (a, mut b) = UnixStream::pair().unwrap();
            let mut a = a.into_poll_io().unwrap();
            b.write_all(vec![0; 200]).await.0.unwrap();
            let done = Rc::new(Cell::new(false));
            let busy = crate::spawn({
                let done = done.clone();
                async move {
                    for _ in 0..200 {
                        let mut byte = [0];
                        let moved = poll_fn(|cx| match writes {
                            true => Pin::new(&mut a).poll_write(cx, &[0]).map_ok(drop),
                            false => Pin::new(&mut a).poll_read(cx, &mut ReadBuf::new(&mut byte)),
                        });
                        moved.await.unwrap();
                    }
                    done.set(true);
                }
            });
            assert!(!crate::spawn(async move { done.get() }).await.unwrap(), "the other task waits for all of it");
            timeout(SOON, busy).await.unwrap().unwrap();
        }
    }

    /// Red when a wait in another runtime of the thread, which does not turn now, is waited for.
    #[test]
    fn a_connection_moves_between_two_runtimes() {
        for kind in [DriverKind::Uring, DriverKind::Poll] {
            let [Some(first), Some(second)] = [runtime(kind), runtime(kind)] else { continue };
            let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
            let mut a = UnixStream::from_std(a).unwrap().into_poll_io().unwrap();
            for runtime in [&first, &second, &first] {
                runtime.block_on(async {
                    let mut room = [0; 8];
                    let mut buf = ReadBuf::new(&mut room);
                    let pending = poll_fn(|cx| Poll::Ready(Pin::new(&mut a).poll_read(cx, &mut buf).is_pending()));
                    assert!(pending.await);
                    let mut b = b.try_clone().unwrap();
                    let writer = std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_millis(5));
                        io::Write::write_all(&mut b, b"there").unwrap();
                    });
                    let before = Instant::now();
                    assert_eq!(read(&mut a, 8).await.unwrap(), b"there");
                    assert!(before.elapsed() < SOON / 2, "only the end of the time limit made it look again");
                    writer.join().unwrap();
                });
            }
        }
    }

    /// A runtime on that driver, or else it is said that there is none.
    fn runtime(kind: DriverKind) -> Option<Runtime> {
        match Builder::new().driver(kind).build() {
            Ok(runtime) => Some(runtime),
            Err(error) if kind == DriverKind::Uring => {
                // Written past the test harness, which hides what a passing test prints.
                let _ = io::Write::write_all(&mut io::stderr(), format!("SKIP polled::uring: {error}\n").as_bytes());
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Red when a wait that has ended is asked for more: then the connection is dead for good, whole as it is.
    #[test]
    fn a_wait_that_has_ended_is_followed_by_another() {
        for kind in [DriverKind::Uring, DriverKind::Poll] {
            let Some(first) = runtime(kind) else { continue };
            let (a, mut b) = std::os::unix::net::UnixStream::pair().unwrap();
            let mut a = UnixStream::from_std(a).unwrap().into_poll_io().unwrap();
            let pending = |a: &mut UnixStreamPoll| {
                let mut room = [0; 8];
                let mut buf = ReadBuf::new(&mut room);
                let mut reading = Box::pin(poll_fn(|cx| Poll::Ready(Pin::new(&mut *a).poll_read(cx, &mut buf))));
                first.block_on(async { reading.as_mut().await.is_pending() })
            };
            assert!(pending(&mut a));
            drop(first);
            let second = Builder::new().driver(kind).build().unwrap();
            let writer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(5));
                io::Write::write_all(&mut b, b"again").unwrap();
                b
            });
            assert_eq!(second.block_on(read(&mut a, 8)).unwrap(), b"again");
            writer.join().unwrap();
        }
    }
}
