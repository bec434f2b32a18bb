//! Sockets: made, named, connected, sent on, received from, and told of.

use crate::frame::{Rig, Row, answer};
use annulus::ring::{AcceptFlags, Cancel, CqeFlags, FixedFile, RecvSendFlags, Ring, SetupFlags, Sqe};
use std::{
    ffi::c_int,
    io::{Read, Write},
    mem::{MaybeUninit, zeroed},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    ptr,
};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "SOCKET", twin: true, run: socket },
    Row { op: "BIND", twin: true, run: bind },
    Row { op: "LISTEN", twin: true, run: listen },
    Row { op: "ACCEPT", twin: true, run: accept },
    Row { op: "CONNECT", twin: true, run: connect },
    Row { op: "SHUTDOWN", twin: true, run: shutdown },
    Row { op: "SEND", twin: true, run: send },
    Row { op: "RECV", twin: true, run: recv },
    Row { op: "SENDMSG", twin: true, run: sendmsg },
    Row { op: "RECVMSG", twin: true, run: recvmsg },
    Row { op: "SEND_ZC", twin: true, run: send_zc },
    Row { op: "SENDMSG_ZC", twin: true, run: sendmsg_zc },
    Row { op: "RECV_ZC", twin: false, run: recv_zc },
    Row { op: "URING_CMD", twin: false, run: uring_cmd },
];

const EINVAL: i32 = -libc::EINVAL;

/// Two ends of a connection over TCP.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn new_socket(kind: c_int) -> OwnedFd {
    // SAFETY: Plain call: no memory is named.
    let fd = answer(unsafe { libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, 0) });
    owned(fd)
}

fn owned(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{fd}");
    // SAFETY: Fresh descriptor: it was just made for whoever calls this.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `127.0.0.1` with a port, in the kernel's form.
fn loopback(port: u16) -> libc::sockaddr_in {
    // SAFETY: Plain bytes: integers, for which zeros are fine.
    let mut addr: libc::sockaddr_in = unsafe { zeroed() };
    addr.sin_family = libc::AF_INET as libc::sa_family_t;
    addr.sin_port = port.to_be();
    addr.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    addr
}

const ADDR_LEN: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

fn own_port(socket: &impl AsRawFd) -> u16 {
    let (mut addr, mut len) = (loopback(0), ADDR_LEN);
    // SAFETY: Kernel's word: room for an address, and its length.
    let res = unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut addr).cast(), &mut len) };
    assert_eq!(res, 0);
    u16::from_be(addr.sin_port)
}

/// Something that is no socket.
fn no_socket() -> (std::io::PipeReader, std::io::PipeWriter) {
    std::io::pipe().unwrap()
}

fn socket(rig: &mut Rig) -> Result<(), i32> {
    let made = owned(rig.run(Sqe::socket(libc::AF_INET, libc::SOCK_STREAM, 0)));
    // SAFETY: Plain call: no memory is named.
    assert_eq!(unsafe { libc::fcntl(made.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
    let bad = (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP);
    // SAFETY: Plain call: no memory is named.
    let theirs = answer(unsafe { libc::socket(bad.0, bad.1, bad.2) });
    assert_eq!((rig.run(Sqe::socket(bad.0, bad.1, bad.2)), theirs), (-libc::EPROTONOSUPPORT, theirs));
    let place = FixedFile(5);
    assert_eq!(rig.run(Sqe::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0).direct(place)), 0);
    assert_eq!(rig.run(Sqe::shutdown(place, libc::SHUT_RDWR)), -libc::ENOTCONN, "it is a socket");
    assert_eq!(rig.run(Sqe::close_direct(place)), 0);
    let any = rig.run(Sqe::socket_direct(libc::AF_INET, libc::SOCK_STREAM, 0));
    assert_eq!(rig.run(Sqe::close_direct(FixedFile(any as u32))), 0, "{any}");
    Ok(())
}

fn bind(rig: &mut Rig) -> Result<(), i32> {
    let (ours, theirs, addr) = (new_socket(libc::SOCK_STREAM), new_socket(libc::SOCK_STREAM), loopback(0));
    let addr = (&raw const addr).cast();
    for expected in [0, EINVAL] {
        // SAFETY: Kernel's word: an address of its length.
        let called = answer(unsafe { libc::bind(theirs.as_raw_fd(), addr, ADDR_LEN) });
        assert_eq!((rig.run(Sqe::bind(ours.as_raw_fd(), addr, ADDR_LEN)), called), (expected, expected));
    }
    assert_ne!(own_port(&ours), 0);
    Ok(())
}

fn listen(rig: &mut Rig) -> Result<(), i32> {
    for (kind, expected) in [(libc::SOCK_STREAM, 0), (libc::SOCK_DGRAM, -libc::EOPNOTSUPP)] {
        let (ours, theirs) = (new_socket(kind), new_socket(kind));
        // SAFETY: Plain call: no memory is named.
        let called = answer(unsafe { libc::listen(theirs.as_raw_fd(), 5) });
        assert_eq!((rig.run(Sqe::listen(ours.as_raw_fd(), 5)), called), (expected, expected));
        if expected == 0 {
            let _client = TcpStream::connect(("127.0.0.1", own_port(&ours))).unwrap();
        }
    }
    Ok(())
}

fn accept(rig: &mut Rig) -> Result<(), i32> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (number, client) = (listener.as_raw_fd(), connect());
    let (mut addr, mut len) = (loopback(0), ADDR_LEN);
    let accepted = owned(rig.run(Sqe::accept(number, (&raw mut addr).cast(), &raw mut len, libc::SOCK_NONBLOCK)));
    let peer = TcpStream::from(accepted.try_clone().unwrap()).peer_addr().unwrap();
    assert_eq!((peer, u16::from_be(addr.sin_port), len), (client.local_addr().unwrap(), peer.port(), ADDR_LEN));
    // SAFETY: Plain call: no memory is named.
    assert_ne!(unsafe { libc::fcntl(accepted.as_raw_fd(), libc::F_GETFL) } & libc::O_NONBLOCK, 0);
    let dull = new_socket(libc::SOCK_STREAM);
    // SAFETY: Kernel's word: no address is asked for.
    let theirs = answer(unsafe { libc::accept4(dull.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), 0) });
    let plain = |fd| Sqe::accept(fd, ptr::null_mut(), ptr::null_mut(), 0);
    assert_eq!((rig.run(plain(dull.as_raw_fd())), theirs), (EINVAL, EINVAL));

    // Since Linux 6.10.
    let now = rig.run(plain(number).accept_flags(AcceptFlags::DONTWAIT));
    assert!([-libc::EAGAIN, EINVAL].contains(&now), "{now}");
    let direct = Sqe::accept_direct(number, ptr::null_mut(), ptr::null_mut(), 0).direct(FixedFile(2));
    let _client = connect();
    assert_eq!(rig.run(direct), 0);
    assert_eq!(rig.run(Sqe::shutdown(FixedFile(2), libc::SHUT_RDWR)), 0);
    assert_eq!(rig.run(Sqe::close_direct(FixedFile(2))), 0);

    let _clients = [connect(), connect()];
    rig.push(Sqe::accept_multi(number, 0).user_data(1));
    for _ in 0..2 {
        let cqe = rig.answers(1)[0];
        if cqe.res == EINVAL {
            // Before Linux 5.19.
            return Ok(());
        }
        assert!(!cqe.is_final());
        drop(owned(cqe.res));
    }
    rig.push(Sqe::cancel(Cancel::user_data(1)).user_data(2));
    let mut ends: Vec<_> = rig.answers(2).iter().map(|cqe| (cqe.user_data, cqe.res, cqe.is_final())).collect();
    ends.sort_unstable();
    assert_eq!(ends, [(1, -libc::ECANCELED, true), (2, 0, true)]);
    Ok(())
}

fn connect(rig: &mut Rig) -> Result<(), i32> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = loopback(listener.local_addr().unwrap().port());
    let (ours, theirs) = (new_socket(libc::SOCK_STREAM), new_socket(libc::SOCK_STREAM));
    for expected in [0, -libc::EISCONN] {
        let addr = (&raw const open).cast();
        // SAFETY: Kernel's word: an address of its length.
        let called = answer(unsafe { libc::connect(theirs.as_raw_fd(), addr, ADDR_LEN) });
        assert_eq!((rig.run(Sqe::connect(ours.as_raw_fd(), addr, ADDR_LEN)), called), (expected, expected));
    }
    drop(listener);
    let refused = new_socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    let nobody = (&raw const open).cast();
    assert_eq!(rig.run(Sqe::connect(refused.as_raw_fd(), nobody, ADDR_LEN)), -libc::ECONNREFUSED);
    Ok(())
}

fn shutdown(rig: &mut Rig) -> Result<(), i32> {
    let (a, mut b) = pair();
    assert_eq!(rig.run(Sqe::shutdown(a.as_raw_fd(), libc::SHUT_WR)), 0);
    assert_eq!(b.read(&mut [0; 4]).unwrap(), 0, "its end is told");
    let lonely = new_socket(libc::SOCK_STREAM);
    // SAFETY: Plain call: no memory is named.
    let theirs = answer(unsafe { libc::shutdown(lonely.as_raw_fd(), libc::SHUT_WR) });
    assert_eq!((rig.run(Sqe::shutdown(lonely.as_raw_fd(), libc::SHUT_WR)), theirs), (-libc::ENOTCONN, theirs));
    assert_eq!(rig.run(Sqe::shutdown(a.as_raw_fd(), 7)), EINVAL);
    Ok(())
}

fn send(rig: &mut Rig) -> Result<(), i32> {
    let (a, mut b) = pair();
    let bytes = b"abcdef";
    assert_eq!(rig.run(Sqe::send(a.as_raw_fd(), bytes.as_ptr(), 6, 0)), 6);
    let mut got = [0; 6];
    b.read_exact(&mut got).unwrap();
    assert_eq!(&got, bytes);
    let (_pipe, writer) = no_socket();
    // SAFETY: Kernel's word: six bytes, which are there.
    let theirs = answer(unsafe { libc::send(writer.as_raw_fd(), bytes.as_ptr().cast(), 6, 0) });
    let ours = rig.run(Sqe::send(writer.as_raw_fd(), bytes.as_ptr(), 6, 0));
    assert_eq!((ours, theirs), (-libc::ENOTSOCK, -libc::ENOTSOCK));
    let (gone, other) = UnixStream::pair().unwrap();
    drop(other);
    assert_eq!(rig.run(Sqe::send(gone.as_raw_fd(), bytes.as_ptr(), 6, 0)), -libc::EPIPE, "and no signal");

    // Since Linux 6.17; what is no array of buffers before.
    let parts = [2, 4].map(|len| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: len });
    match rig.run(Sqe::send_vectorized(a.as_raw_fd(), parts.as_ptr(), 2, 0)) {
        EINVAL if !rig.has("NOP128") => {}
        n => {
            b.read_exact(&mut got).unwrap();
            assert_eq!((n, &got), (6, b"ababcd"));
        }
    }
    // Since Linux 7.2, and there is no such buffer.
    let fixed = rig.run(Sqe::send_fixed(a.as_raw_fd(), bytes.as_ptr(), 6, 0, annulus::ring::BufIndex(0)));
    assert!([EINVAL, -libc::EFAULT].contains(&fixed), "{fixed}");

    // Since Linux 6.1.
    let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let there = loopback(to.local_addr().unwrap().port());
    let sqe = Sqe::send(from.as_raw_fd(), bytes.as_ptr(), 6, 0).to((&raw const there).cast(), ADDR_LEN as u16);
    match rig.run(sqe) {
        EINVAL if !rig.has("SENDMSG_ZC") => {}
        n => assert_eq!((n, to.recv_from(&mut got).unwrap()), (6, (6, from.local_addr().unwrap()))),
    }
    Ok(())
}

fn recv(rig: &mut Rig) -> Result<(), i32> {
    let (mut a, b) = pair();
    let mut got = [0; 8];
    let (at, number) = (got.as_mut_ptr(), b.as_raw_fd());
    assert_eq!(rig.run(Sqe::recv(number, at, 8, libc::MSG_DONTWAIT)), -libc::EAGAIN);
    a.write_all(b"abc").unwrap();
    assert_eq!(rig.run(Sqe::recv(number, at, 8, libc::MSG_PEEK)), 3);
    assert_eq!(rig.run(Sqe::recv(number, at, 8, 0)), 3);
    assert_eq!(&got[..3], b"abc");
    let (reader, _writer) = no_socket();
    // SAFETY: Kernel's word: room for as many bytes.
    let theirs = answer(unsafe { libc::recv(reader.as_raw_fd(), at.cast(), 8, 0) });
    assert_eq!((rig.run(Sqe::recv(reader.as_raw_fd(), at, 8, 0)), theirs), (-libc::ENOTSOCK, -libc::ENOTSOCK));

    // A datagram is counted whole, if asked, though there is no room for it.
    let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    from.send_to(&[7; 100], to.local_addr().unwrap()).unwrap();
    assert_eq!(rig.run(Sqe::recv(to.as_raw_fd(), at, 8, libc::MSG_TRUNC)), 100);
    // Since Linux 5.19.
    from.send_to(&[8; 3], to.local_addr().unwrap()).unwrap();
    let first = rig.run(Sqe::recv(to.as_raw_fd(), at, 8, 0).recv_send_flags(RecvSendFlags::POLL_FIRST));
    assert!([3, EINVAL].contains(&first), "{first}");
    // Since Linux 7.2, and there is no such buffer.
    let fixed = Sqe::recv_fixed(number, at, 8, libc::MSG_DONTWAIT, annulus::ring::BufIndex(0));
    let fixed = rig.run(fixed);
    assert!([EINVAL, -libc::EFAULT].contains(&fixed), "{fixed}");
    drop(a);
    assert_eq!(rig.run(Sqe::recv(number, at, 8, 0)), 0);
    Ok(())
}

/// A header of one buffer, and of an address.
fn header(part: &mut libc::iovec, addr: &mut libc::sockaddr_in) -> libc::msghdr {
    // SAFETY: Plain bytes: a header of zeros names nothing.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (header.msg_iov, header.msg_iovlen) = (part, 1);
    (header.msg_name, header.msg_namelen) = (ptr::from_mut(addr).cast(), ADDR_LEN);
    header
}

fn sendmsg(rig: &mut Rig) -> Result<(), i32> {
    let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (mut bytes, mut there) = (*b"abc", loopback(to.local_addr().unwrap().port()));
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 3 };
    let message = header(&mut part, &mut there);
    assert_eq!(rig.run(Sqe::sendmsg(from.as_raw_fd(), &raw const message, 0)), 3);
    let mut got = [0; 8];
    assert_eq!(to.recv_from(&mut got).unwrap(), (3, from.local_addr().unwrap()));
    assert_eq!(&got[..3], b"abc");
    let (_reader, writer) = no_socket();
    // SAFETY: Kernel's word: a header and what it names are there.
    let theirs = answer(unsafe { libc::sendmsg(writer.as_raw_fd(), &raw const message, 0) });
    let ours = rig.run(Sqe::sendmsg(writer.as_raw_fd(), &raw const message, 0));
    assert_eq!((ours, theirs), (-libc::ENOTSOCK, -libc::ENOTSOCK));
    Ok(())
}

fn recvmsg(rig: &mut Rig) -> Result<(), i32> {
    let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (mut bytes, mut sender) = ([0u8; 8], loopback(0));
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 8 };
    let mut message = header(&mut part, &mut sender);
    for (sent, flags) in [(5, 0), (20, libc::MSG_TRUNC)] {
        from.send_to(&vec![9; sent], to.local_addr().unwrap()).unwrap();
        assert_eq!(rig.run(Sqe::recvmsg(to.as_raw_fd(), &raw mut message, 0)), sent.min(8) as i32);
        assert_eq!((message.msg_flags & libc::MSG_TRUNC, message.msg_namelen), (flags, ADDR_LEN));
    }
    assert_eq!((bytes, u16::from_be(sender.sin_port)), ([9; 8], from.local_addr().unwrap().port()));
    assert_eq!(rig.run(Sqe::recvmsg(to.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT)), -libc::EAGAIN);
    let (reader, _writer) = no_socket();
    // SAFETY: Kernel's word: a header and what it names are there.
    let theirs = answer(unsafe { libc::recvmsg(reader.as_raw_fd(), &raw mut message, 0) });
    let ours = rig.run(Sqe::recvmsg(reader.as_raw_fd(), &raw mut message, 0));
    assert_eq!((ours, theirs), (-libc::ENOTSOCK, -libc::ENOTSOCK));
    Ok(())
}

/// A zero-copy send's result, and whether the notification, which comes if it was announced, says that bytes were
/// copied.
fn lent(rig: &mut Rig, sqe: Sqe) -> (i32, Option<bool>) {
    rig.push(sqe.user_data(1));
    let cqe = rig.answers(1)[0];
    assert!(!cqe.flags.contains(CqeFlags::NOTIF));
    let told = (!cqe.is_final()).then(|| {
        let told = rig.answers(1)[0];
        assert_eq!((told.user_data, told.is_final(), told.flags.contains(CqeFlags::NOTIF)), (1, true, true));
        told.was_copied()
    });
    (cqe.res, told)
}

fn send_zc(rig: &mut Rig) -> Result<(), i32> {
    let (a, mut b) = pair();
    let (number, bytes, mut got) = (a.as_raw_fd(), b"abc".as_ptr(), [0; 3]);
    assert_eq!(lent(rig, Sqe::send_zc(number, bytes, 3, 0)), (3, Some(false)), "it was not asked for");
    b.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"abc");
    // Since Linux 6.2: on the loopback device all is copied.
    match lent(rig, Sqe::send_zc(number, bytes, 3, 0).recv_send_flags(RecvSendFlags::REPORT_USAGE)) {
        (EINVAL, None) => {}
        reported => assert_eq!(reported, (3, Some(true))),
    }
    let (_reader, writer) = no_socket();
    assert_eq!(lent(rig, Sqe::send_zc(writer.as_raw_fd(), bytes, 3, 0)).0, -libc::ENOTSOCK);
    let (unix, _other) = UnixStream::pair().unwrap();
    assert_eq!(lent(rig, Sqe::send_zc(unix.as_raw_fd(), bytes, 3, 0)).0, -libc::EOPNOTSUPP);
    assert_eq!(lent(rig, Sqe::send_zc(number, bytes, 3, 0).skip_success()), (EINVAL, None));
    let nowhere = Sqe::send_zc_fixed(number, bytes, 3, 0, annulus::ring::BufIndex(0));
    assert_eq!(lent(rig, nowhere).0, -libc::EFAULT);

    // Since Linux 7.2.
    rig.push(Sqe::send_zc(number, bytes, 3, 0).notify(9).user_data(1));
    let cqe = rig.answers(1)[0];
    if cqe.res != EINVAL {
        assert_eq!((cqe.user_data, cqe.res, rig.answers(1)[0].user_data), (1, 3, 9));
    }
    let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let there = loopback(to.local_addr().unwrap().port());
    let sqe = Sqe::send_zc(from.as_raw_fd(), bytes, 3, 0).to((&raw const there).cast(), ADDR_LEN as u16);
    assert_eq!(lent(rig, sqe).0, 3);
    assert_eq!(to.recv_from(&mut got).unwrap(), (3, from.local_addr().unwrap()));
    Ok(())
}

fn sendmsg_zc(rig: &mut Rig) -> Result<(), i32> {
    let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (mut bytes, mut there) = (*b"abc", loopback(to.local_addr().unwrap().port()));
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 3 };
    let message = header(&mut part, &mut there);
    assert_eq!(lent(rig, Sqe::sendmsg_zc(from.as_raw_fd(), &raw const message, 0)).0, 3);
    assert_eq!(to.recv_from(&mut [0; 8]).unwrap(), (3, from.local_addr().unwrap()));
    let (_reader, writer) = no_socket();
    assert_eq!(lent(rig, Sqe::sendmsg_zc(writer.as_raw_fd(), &raw const message, 0)).0, -libc::ENOTSOCK);
    // Since Linux 6.15, and there is no such buffer.
    let fixed = Sqe::sendmsg_zc_fixed(from.as_raw_fd(), &raw const message, 0, annulus::ring::BufIndex(0));
    let fixed = lent(rig, fixed).0;
    assert!([EINVAL, -libc::EFAULT].contains(&fixed), "{fixed}");
    Ok(())
}

/// What it receives into belongs to a queue of a network card, which has to be one that can: there is none here.
fn recv_zc(rig: &mut Rig) -> Result<(), i32> {
    let (a, _b) = pair();
    assert_eq!(rig.run(Sqe::recv_zc(a.as_raw_fd(), 0, 0)), EINVAL, "on a ring of short completions");
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN | SetupFlags::CQE32;
    let mut able = Ring::builder().flags(flags).build(4).unwrap();
    // SAFETY: Lent: the socket stays until the completion, and no memory is named.
    unsafe { able.push(&Sqe::recv_zc(a.as_raw_fd(), 0, 0)) }.unwrap();
    able.submit_and_wait(1).unwrap();
    assert_eq!(able.completions().next().unwrap().res, EINVAL, "there is no such queue");
    Err(libc::EINVAL)
}

fn uring_cmd(rig: &mut Rig) -> Result<(), i32> {
    let file = rig.file("command", b"");
    assert_eq!(rig.run(Sqe::uring_cmd(file.as_raw_fd(), 0, [0; 16])), -libc::EOPNOTSUPP);
    let (mut a, b) = pair();
    a.write_all(b"abc").unwrap();
    let number = b.as_raw_fd();
    match rig.run(Sqe::socket_inq(number)) {
        // Sockets know commands since Linux 6.5.
        refused if refused == -libc::EOPNOTSUPP => return Err(libc::EOPNOTSUPP),
        n => assert_eq!(n, 3),
    }
    assert_eq!(rig.run(Sqe::socket_outq(number)), 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut theirs: c_int = 0;
    // SAFETY: Kernel's word: room for a number.
    let theirs = answer(unsafe { libc::ioctl(listener.as_raw_fd(), libc::FIONREAD, &mut theirs) });
    assert_eq!((rig.run(Sqe::socket_inq(listener.as_raw_fd())), theirs), (EINVAL, EINVAL));
    options(rig, number)?;
    // Since Linux 6.17, and with completions that have room for a time.
    let stamps = rig.run(Sqe::tx_timestamp(number));
    assert!([EINVAL, -libc::EOPNOTSUPP].contains(&stamps), "{stamps}");
    // Since Linux 6.19.
    for (of_peer, expected) in [(false, b.local_addr().unwrap()), (true, b.peer_addr().unwrap())] {
        let (mut addr, mut len) = (loopback(0), ADDR_LEN);
        match rig.run(Sqe::get_socket_name(number, (&raw mut addr).cast(), &raw mut len, of_peer)) {
            refused if refused == -libc::EOPNOTSUPP => {}
            res => assert_eq!((res, u16::from_be(addr.sin_port), len), (0, expected.port(), ADDR_LEN)),
        }
    }
    Ok(())
}

/// Since Linux 6.7.
fn options(rig: &mut Rig, number: i32) -> Result<(), i32> {
    let (size, mut value) = (size_of::<c_int>() as u32, 5000);
    let place = (&raw mut value).cast::<u8>();
    let set = |level, name, place: *mut u8| Sqe::set_socket_option(number, level, name, place, size);
    match rig.run(set(libc::SOL_SOCKET, libc::SO_RCVBUF, place)) {
        refused if refused == -libc::EOPNOTSUPP => return Err(libc::EOPNOTSUPP),
        res => assert_eq!(res, 0),
    }
    let get = |level, name| Sqe::get_socket_option(number, level, name, place, size);
    assert_eq!(rig.run(get(libc::SOL_SOCKET, libc::SO_RCVBUF)), 4);
    let (mut theirs, mut len) = (0, size);
    let room = (&raw mut theirs).cast();
    // SAFETY: Kernel's word: room for a number, and how much there is.
    assert_eq!(unsafe { libc::getsockopt(number, libc::SOL_SOCKET, libc::SO_RCVBUF, room, &mut len) }, 0);
    assert_eq!(value, theirs);
    assert_eq!(rig.run(get(libc::IPPROTO_TCP, libc::TCP_NODELAY)), -libc::EOPNOTSUPP);
    assert_eq!(rig.run(set(libc::IPPROTO_TCP, 12345, place)), -libc::ENOPROTOOPT);
    Ok(())
}
