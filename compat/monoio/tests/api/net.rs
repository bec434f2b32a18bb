//! Sockets.

use crate::call;
use monoio::{
    io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt, Canceller, Splitable},
    net::{
        ListenerOpts, TcpConnectOpts, TcpListener, TcpStream, UnixDatagram, UnixListener, UnixStream,
        unix::{UnixSeqpacket, UnixSeqpacketListener},
    },
    time::Duration,
};
use std::{io, net::SocketAddr};

const LOCAL: &str = "127.0.0.1:0";

pub(crate) async fn all() {
    options();
    listener().await;
    stream().await;
    udp().await;
    let dir = tempfile::tempdir().unwrap();
    unix_stream(dir.path()).await;
    datagram(dir.path()).await;
    #[cfg(target_os = "linux")]
    seqpacket(dir.path()).await;
}

fn cancelled<T>(res: io::Result<T>) {
    assert_eq!(res.err().unwrap().raw_os_error(), Some(libc::ECANCELED));
}

fn options() {
    let opts = call!(net::ListenerOpts::new)();
    let opts = call!(net::ListenerOpts::reuse_port)(opts, false);
    let opts = call!(net::ListenerOpts::reuse_addr)(opts, false);
    let opts = call!(net::ListenerOpts::backlog)(opts, 8);
    let opts = call!(net::ListenerOpts::send_buf_size)(opts, 1 << 16);
    let opts = call!(net::ListenerOpts::recv_buf_size)(opts, 1 << 16);
    let opts = call!(net::ListenerOpts::tcp_fast_open)(opts, true);
    assert_eq!((opts.reuse_port, opts.backlog, opts.send_buf_size), (false, 8, Some(1 << 16)));
    let opts: ListenerOpts = call!(net::ListenerOpts::default => Default::default)();
    assert!(opts.reuse_port && opts.reuse_addr && opts.backlog == 1024 && !opts.tcp_fast_open);
    let opts: TcpConnectOpts = call!(net::TcpConnectOpts::default => Default::default)();
    assert!(!opts.tcp_fast_open && call!(net::TcpConnectOpts::tcp_fast_open)(opts, true).tcp_fast_open);
}

async fn listener() {
    let listener = call!(net::TcpListener::bind)(LOCAL).unwrap();
    let canceller = Canceller::new();
    let handle = canceller.handle();
    canceller.cancel();
    cancelled(call!(net::TcpListener::cancelable_accept)(&listener, handle).await);
    let addr = call!(net::TcpListener::local_addr)(&listener).unwrap();
    let connecting = monoio::spawn(TcpStream::connect_addr(addr));
    call!(net::TcpListener::readable)(&listener, false).await.unwrap();
    let (_, peer) = call!(net::TcpListener::accept)(&listener).await.unwrap();
    assert_eq!(peer, connecting.await.unwrap().local_addr().unwrap());
    call!(net::TcpListener::bind_with_config)(LOCAL, &ListenerOpts::new()).unwrap();
    let std = std::net::TcpListener::bind(LOCAL).unwrap();
    call!(net::TcpListener::from_std)(std).unwrap();
}

async fn stream() {
    let listener = TcpListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut a = call!(net::TcpStream::connect)(addr.to_string()).await.unwrap();
    let (mut b, _) = listener.accept().await.unwrap();
    call!(net::TcpStream::set_nodelay)(&a, true).unwrap();
    assert!(call!(net::TcpStream::nodelay)(&a).unwrap());
    let second = Some(Duration::from_secs(1));
    call!(net::TcpStream::set_tcp_keepalive)(&a, second, second, Some(2)).unwrap();
    let (here, there) = (call!(net::TcpStream::local_addr)(&a).unwrap(), call!(net::TcpStream::peer_addr)(&a).unwrap());
    assert_eq!((here, there), (b.peer_addr().unwrap(), addr));
    call!(net::TcpStream::writable)(&a, false).await.unwrap();
    assert_eq!(call!(net::TcpStream::write_zc)(&mut a, "zc").await.0.unwrap(), 2);
    call!(net::TcpStream::readable)(&b, true).await.unwrap();
    assert_eq!(b.read_exact(vec![0; 2]).await.1, b"zc");

    let (reader, writer) = a.into_split();
    assert_eq!(call!(net::tcp::TcpOwnedReadHalf::local_addr)(&reader).unwrap(), here);
    assert_eq!(call!(net::tcp::TcpOwnedReadHalf::peer_addr)(&reader).unwrap(), addr);
    assert_eq!(call!(net::tcp::TcpOwnedWriteHalf::local_addr)(&writer).unwrap(), here);
    assert_eq!(call!(net::tcp::TcpOwnedWriteHalf::peer_addr)(&writer).unwrap(), addr);
    drop((reader, writer));

    let a = call!(net::TcpStream::connect_addr)(addr).await.unwrap();
    #[cfg(feature = "poll-io")]
    tcp_polled(a, addr);
    #[cfg(not(feature = "poll-io"))]
    drop(a);
    let opts = call!(net::TcpConnectOpts::new)();
    call!(net::TcpStream::connect_addr_with_config)(addr, &opts).await.unwrap();
    let std = std::net::TcpStream::connect(addr).unwrap();
    call!(net::TcpStream::from_std)(std).unwrap();
}

async fn udp() {
    let a = call!(net::udp::UdpSocket::bind)(LOCAL).unwrap();
    let b = call!(net::udp::UdpSocket::from_std)(std::net::UdpSocket::bind(LOCAL).unwrap()).unwrap();
    let (at_a, at_b) = (call!(net::udp::UdpSocket::local_addr)(&a).unwrap(), b.local_addr().unwrap());
    call!(net::udp::UdpSocket::set_reuse_address)(&a, true).unwrap();
    call!(net::udp::UdpSocket::set_reuse_port)(&a, true).unwrap();
    call!(net::udp::UdpSocket::writable)(&a, false).await.unwrap();
    call!(net::udp::UdpSocket::send_to)(&a, "one", at_b).await.0.unwrap();
    call!(net::udp::UdpSocket::readable)(&b, false).await.unwrap();
    let (res, buf): (io::Result<(usize, SocketAddr)>, _) =
        call!(net::udp::UdpSocket::recv_from)(&b, Vec::with_capacity(8)).await;
    assert_eq!((res.unwrap(), &buf[..]), ((3, at_a), &b"one"[..]));
    call!(net::udp::UdpSocket::connect)(&a, at_b).await.unwrap();
    assert_eq!(call!(net::udp::UdpSocket::peer_addr)(&a).unwrap(), at_b);
    call!(net::udp::UdpSocket::send)(&a, "two").await.0.unwrap();
    assert_eq!(call!(net::udp::UdpSocket::recv)(&b, Vec::with_capacity(8)).await.1, b"two");

    let canceller = Canceller::new();
    let c = canceller.handle();
    call!(net::udp::UdpSocket::cancelable_send)(&a, "three", c.clone()).await.0.unwrap();
    call!(net::udp::UdpSocket::cancelable_send_to)(&b, "four", at_a, c.clone()).await.0.unwrap();
    let (res, _) = call!(net::udp::UdpSocket::cancelable_recv_from)(&b, vec![0; 8], c.clone()).await;
    assert_eq!(res.unwrap(), (5, at_a));
    assert_eq!(call!(net::udp::UdpSocket::cancelable_recv)(&a, vec![0; 8], c.clone()).await.0.unwrap(), 4);
    canceller.cancel();
    cancelled(a.cancelable_recv(vec![0; 8], c).await.0);
}

async fn unix_stream(dir: &std::path::Path) {
    let path = dir.join("stream");
    let listener = call!(net::unix::UnixListener::bind)(&path).unwrap();
    let canceller = Canceller::new();
    let handle = canceller.handle();
    canceller.cancel();
    cancelled(call!(net::unix::UnixListener::cancelable_accept)(&listener, handle).await);
    let a = call!(net::unix::UnixStream::connect)(&path).await.unwrap();
    call!(net::unix::UnixListener::readable)(&listener, false).await.unwrap();
    let (mut b, peer) = call!(net::unix::UnixListener::accept)(&listener).await.unwrap();
    assert!(call!(net::unix::SocketAddr::is_unnamed)(&peer));
    assert!(call!(net::unix::UnixStream::local_addr)(&a).unwrap().is_unnamed());
    let addr = call!(net::unix::UnixStream::peer_addr)(&a).unwrap();
    assert_eq!(call!(net::unix::SocketAddr::as_pathname)(&addr), Some(&*path));
    assert_eq!(call!(net::unix::SocketAddr::as_abstract_namespace)(&addr), None);
    let cred = call!(net::unix::UnixStream::peer_cred)(&a).unwrap();
    assert_eq!(cred, b.peer_cred().unwrap());
    // SAFETY: the call names no memory.
    assert_eq!(call!(net::unix::UCred::uid)(&cred), unsafe { libc::geteuid() });
    // SAFETY: the call names no memory.
    assert_eq!(call!(net::unix::UCred::gid)(&cred), unsafe { libc::getegid() });
    assert!(call!(net::unix::UCred::pid)(&cred).is_none_or(|pid| pid.unsigned_abs() == std::process::id()));
    call!(net::unix::UnixStream::writable)(&a, false).await.unwrap();
    let (reader, mut writer) = a.into_split();
    assert_eq!(call!(net::unix::UnixOwnedReadHalf::peer_addr)(&reader).unwrap().as_pathname(), Some(&*path));
    assert_eq!(call!(net::unix::UnixOwnedWriteHalf::peer_addr)(&writer).unwrap().as_pathname(), Some(&*path));
    assert!(call!(net::unix::UnixOwnedReadHalf::local_addr)(&reader).unwrap().is_unnamed());
    assert!(call!(net::unix::UnixOwnedWriteHalf::local_addr)(&writer).unwrap().is_unnamed());
    writer.write_all("x").await.0.unwrap();
    call!(net::unix::UnixStream::readable)(&b, false).await.unwrap();
    assert_eq!(b.read(vec![0; 4]).await.0.unwrap(), 1);

    let again = call!(net::unix::UnixStream::connect_addr)(addr).await.unwrap();
    #[cfg(feature = "poll-io")]
    unix_polled(again, &path);
    #[cfg(not(feature = "poll-io"))]
    drop(again);
    let opts = ListenerOpts::default();
    let other = call!(net::unix::UnixListener::bind_with_config)(dir.join("other"), &opts).unwrap();
    UnixStream::connect(dir.join("other")).await.unwrap();
    other.accept().await.unwrap();
    let std = std::os::unix::net::UnixListener::bind(dir.join("std")).unwrap();
    let _: UnixListener = call!(net::unix::UnixListener::from_std)(std).unwrap();
    call!(net::unix::UnixStream::pair)().unwrap();
    call!(net::unix::UnixStream::from_std)(std::os::unix::net::UnixStream::pair().unwrap().0).unwrap();
    call!(net::unix::new_pipe)().unwrap();
}

async fn datagram(dir: &std::path::Path) {
    let path = dir.join("datagram");
    let named = call!(net::unix::UnixDatagram::bind)(&path).unwrap();
    let addr = call!(net::unix::UnixDatagram::local_addr)(&named).unwrap();
    let unbound = call!(net::unix::UnixDatagram::unbound)().unwrap();
    call!(net::unix::UnixDatagram::send_to)(&unbound, "one", &path).await.0.unwrap();
    call!(net::unix::UnixDatagram::readable)(&named, false).await.unwrap();
    let (res, buf) = call!(net::unix::UnixDatagram::recv_from)(&named, Vec::with_capacity(8)).await;
    assert!(res.unwrap().1.is_unnamed() && buf == b"one");
    let connected = call!(net::unix::UnixDatagram::connect)(&path).await.unwrap();
    assert_eq!(call!(net::unix::UnixDatagram::peer_addr)(&connected).unwrap().as_pathname(), Some(&*path));
    call!(net::unix::UnixDatagram::writable)(&connected, false).await.unwrap();
    call!(net::unix::UnixDatagram::send)(&connected, "two").await.0.unwrap();
    assert_eq!(call!(net::unix::UnixDatagram::recv)(&named, Vec::with_capacity(8)).await.1, b"two");
    call!(net::unix::UnixDatagram::connect_addr)(addr).await.unwrap();
    let _: (UnixDatagram, _) = call!(net::unix::UnixDatagram::pair)().unwrap();
    call!(net::unix::UnixDatagram::from_std)(std::os::unix::net::UnixDatagram::unbound().unwrap()).unwrap();
}

async fn seqpacket(dir: &std::path::Path) {
    let path = dir.join("seqpacket");
    let _: UnixSeqpacketListener = call!(net::unix::UnixSeqpacketListener::bind)(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let listener = call!(net::unix::UnixSeqpacketListener::bind_with_backlog)(&path, 8).unwrap();
    let a: UnixSeqpacket = call!(net::unix::UnixSeqpacket::connect)(&path).await.unwrap();
    let (b, _) = call!(net::unix::UnixSeqpacketListener::accept)(&listener).await.unwrap();
    assert!(call!(net::unix::UnixSeqpacket::local_addr)(&a).unwrap().is_unnamed());
    let addr = call!(net::unix::UnixSeqpacket::peer_addr)(&a).unwrap();
    call!(net::unix::UnixSeqpacket::connect_addr)(addr).await.unwrap();
    call!(net::unix::UnixSeqpacket::writable)(&a, false).await.unwrap();
    call!(net::unix::UnixSeqpacket::send_to)(&b, "two", &path).await.0.unwrap();
    assert_eq!(call!(net::unix::UnixSeqpacket::recv_from)(&a, vec![0; 8]).await.1, b"two");
    call!(net::unix::UnixSeqpacket::send)(&a, "one").await.0.unwrap();
    call!(net::unix::UnixSeqpacket::readable)(&b, false).await.unwrap();
    assert_eq!(call!(net::unix::UnixSeqpacket::recv)(&b, Vec::with_capacity(8)).await.1, b"one");
    call!(net::unix::UnixSeqpacket::pair)().unwrap();
}

#[cfg(feature = "poll-io")]
fn tcp_polled(a: TcpStream, addr: std::net::SocketAddr) {
    let second = Some(monoio::time::Duration::from_secs(1));
    let a = monoio::io::IntoPollIo::into_poll_io(a).unwrap();
    call!(net::tcp::stream_poll::TcpStreamPoll::local_addr)(&a).unwrap();
    assert_eq!(call!(net::tcp::stream_poll::TcpStreamPoll::peer_addr)(&a).unwrap(), addr);
    call!(net::tcp::stream_poll::TcpStreamPoll::set_nodelay)(&a, true).unwrap();
    assert!(call!(net::tcp::stream_poll::TcpStreamPoll::nodelay)(&a).unwrap());
    call!(net::tcp::stream_poll::TcpStreamPoll::set_tcp_keepalive)(&a, second, second, None).unwrap();
    call!(net::tcp::stream_poll::TcpStreamPoll::try_into_comp_io)(a).map_err(|(error, _)| error).unwrap();
}

#[cfg(feature = "poll-io")]
fn unix_polled(stream: UnixStream, path: &std::path::Path) {
    let polled = monoio::io::IntoPollIo::into_poll_io(stream).unwrap();
    assert!(call!(net::unix::stream_poll::UnixStreamPoll::local_addr)(&polled).unwrap().is_unnamed());
    let addr = call!(net::unix::stream_poll::UnixStreamPoll::peer_addr)(&polled).unwrap();
    assert_eq!(addr.as_pathname(), Some(path));
    call!(net::unix::stream_poll::UnixStreamPoll::try_into_comp_io)(polled).map_err(|(error, _)| error).unwrap();
}
