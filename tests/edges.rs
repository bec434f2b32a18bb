//! What follows a short receive: on the poll driver the next one waits without a try, and must miss nothing that comes,
//! whatever it is and whenever. The ring has the same tests, and has to agree.
//!
//! What is missed would be found by the poll driver's patrol after a second, so no answer may take as long as that.

use annulus::{
    Fd,
    entry::{Cqe, Interest, Sqe, Twin},
    op::{self, Op, Submit},
    time::{Duration, sleep, timeout},
};
use std::{
    future::Future,
    io::{self, Read, Write},
    net,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::{UnixDatagram, UnixStream},
    },
};

/// Less than the patrol takes.
const SOON: Duration = Duration::from_millis(600);

/// Two ends of a TCP connection: ours, and one of std.
fn tcp_pair() -> (Fd, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    (Fd::new(listener.accept().unwrap().0.into()), peer)
}

/// Receives, or says how it ended.
async fn receive(fd: &Fd) -> io::Result<Vec<u8>> {
    let (n, buf) = soon(op::recv(fd, Vec::with_capacity(16))).await;
    n.map(|_| buf)
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("a receive misses what has come")
}

/// Lets the driver see what happens meanwhile.
async fn a_moment() {
    sleep(Duration::from_millis(5)).await;
}

/// A connection that is watched, and whose last receive came short.
async fn drained() -> (Fd, net::TcpStream) {
    let (fd, mut peer) = tcp_pair();
    for _ in 0..2 {
        assert!(timeout(Duration::from_millis(2), op::recv(&fd, Vec::with_capacity(16))).await.is_err());
        peer.write_all(b"abc").unwrap();
        assert_eq!(receive(&fd).await.unwrap(), b"abc");
    }
    (fd, peer)
}

/// Calls of twins that might have found nothing. (A kqueue is not trusted to tell what comes after a short receive.)
#[cfg(not(annulus_kqueue))]
fn calls() -> u64 {
    annulus::metrics().driver.twins_ready
}

#[annulus::test]
async fn bytes_between_two_receives_are_found() {
    let (fd, mut peer) = drained().await;
    for wait in [false, true] {
        peer.write_all(b"de").unwrap();
        if wait {
            // The edge comes while nobody waits for it.
            a_moment().await;
        }
        assert_eq!(receive(&fd).await.unwrap(), b"de");
    }
}

#[annulus::test]
async fn a_buffer_that_was_filled_may_not_be_all() {
    let (fd, mut peer) = drained().await;
    peer.write_all(&[7; 40]).unwrap();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 40 {
        sizes.push(receive(&fd).await.unwrap().len());
    }
    assert_eq!(sizes, [16, 16, 8]);
}

#[annulus::test]
async fn an_end_behind_the_last_bytes_is_found() {
    for together in [true, false] {
        let (fd, mut peer) = drained().await;
        peer.write_all(b"last").unwrap();
        if together {
            // The event that tells of the bytes is the one that tells of the end.
            peer.shutdown(net::Shutdown::Write).unwrap();
            a_moment().await;
        }
        assert_eq!(receive(&fd).await.unwrap(), b"last");
        if !together {
            peer.shutdown(net::Shutdown::Write).unwrap();
        }
        assert_eq!((receive(&fd).await.unwrap(), receive(&fd).await.unwrap()), (vec![], vec![]));
    }
}

#[annulus::test]
async fn an_end_on_this_side_is_found() {
    let (fd, _peer) = drained().await;
    // SAFETY: a plain call: a number, and what to end.
    assert_eq!(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RD) }, 0);
    assert_eq!(receive(&fd).await.unwrap(), b"");
}

#[annulus::test]
async fn a_reset_is_found() {
    for bytes_first in [true, false] {
        let (fd, mut peer) = drained().await;
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        // SAFETY: the option's value is there until the call returns.
        let res = unsafe {
            let size = size_of_val(&linger) as libc::socklen_t;
            libc::setsockopt(peer.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
        };
        assert_eq!(res, 0);
        if bytes_first {
            peer.write_all(b"last").unwrap();
            assert_eq!(receive(&fd).await.unwrap(), b"last");
        }
        drop(peer);
        assert_eq!(receive(&fd).await.unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
    }
}

#[annulus::test]
async fn urgent_data_divides_what_is_received() {
    let (fd, mut peer) = drained().await;
    peer.write_all(b"ab").unwrap();
    // SAFETY: one byte, which is there until the call returns.
    assert_eq!(unsafe { libc::send(peer.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) }, 1);
    peer.write_all(b"cd").unwrap();
    a_moment().await;
    assert_eq!(receive(&fd).await.unwrap(), b"ab", "a receive stops at the mark");
    assert_eq!(receive(&fd).await.unwrap(), b"cd");
}

/// What a message carries beside its bytes: a descriptor.
#[repr(C)]
struct Gift {
    head: libc::cmsghdr,
    fd: RawFd,
}

/// Gives a descriptor away with one byte.
fn send_descriptor(peer: &UnixStream, given: RawFd) {
    let mut byte = *b"a";
    let mut iov = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: all-zero is a value of these integers.
    let mut gift: Gift = unsafe { std::mem::zeroed() };
    (gift.head.cmsg_level, gift.head.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    gift.head.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<RawFd>()) as _;
    gift.fd = given;
    // SAFETY: all-zero is a value of this structure, and it names nothing.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    (msg.msg_iov, msg.msg_iovlen) = (&mut iov, 1);
    (msg.msg_control, msg.msg_controllen) = ((&raw mut gift).cast(), size_of::<Gift>() as _);
    // SAFETY: the message, its byte and its gift are there until the call returns.
    assert_eq!(unsafe { libc::sendmsg(peer.as_raw_fd(), &msg, 0) }, 1);
}

#[annulus::test]
async fn what_stops_short_for_other_reasons_is_asked_again() {
    // A Unix socket stops where a descriptor was passed.
    let (a, mut peer) = UnixStream::pair().unwrap();
    let fd = Fd::new(OwnedFd::from(a));
    assert!(timeout(Duration::from_millis(2), op::recv(&fd, Vec::with_capacity(16))).await.is_err());
    send_descriptor(&peer, fd.as_raw_fd());
    peer.write_all(b"b").unwrap();
    a_moment().await;
    assert_eq!((receive(&fd).await.unwrap(), receive(&fd).await.unwrap()), (b"a".to_vec(), b"b".to_vec()));
    // A datagram ends where it ends.
    let (a, peer) = UnixDatagram::pair().unwrap();
    let fd = Fd::new(OwnedFd::from(a));
    assert!(timeout(Duration::from_millis(2), op::recv(&fd, Vec::with_capacity(16))).await.is_err());
    for text in [b"one", b"two"] {
        peer.send(text).unwrap();
    }
    a_moment().await;
    assert_eq!((receive(&fd).await.unwrap(), receive(&fd).await.unwrap()), (b"one".to_vec(), b"two".to_vec()));
}

/// A receive with flags, of a counted descriptor or of a bare number.
struct Special {
    fd: Option<Fd>,
    number: RawFd,
    flags: i32,
    buf: Box<[u8; 16]>,
}

static SPECIAL: Twin = Twin::ready(Interest::Read, |sqe, _| {
    let (buf, flags) = (sqe.addr as *mut libc::c_void, sqe.op_flags as i32 | libc::MSG_DONTWAIT);
    // SAFETY: the box has as many bytes, and they are the operation's alone.
    let n = unsafe { libc::recv(sqe.fd, buf, sqe.len as usize, flags) };
    if n < 0 { -io::Error::last_os_error().raw_os_error().unwrap() } else { n as i32 }
});

// SAFETY: the box stays where it is while the operation is moved.
unsafe impl Op for Special {
    type Output = io::Result<Vec<u8>>;

    fn twin(&self) -> &'static Twin {
        &SPECIAL
    }

    fn fd(&self) -> Option<&Fd> {
        self.fd.as_ref()
    }

    fn encode(&mut self) -> Sqe {
        Sqe::recv(self.number, self.buf.as_mut_ptr(), 16, self.flags)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        cqe.result().map(|n| self.buf[..n as usize].to_vec())
    }
}

fn peek(fd: &Fd) -> Submit<Special> {
    op::submit(Special { fd: Some(fd.clone()), number: fd.as_raw_fd(), flags: libc::MSG_PEEK, buf: Box::default() })
}

#[annulus::test]
async fn a_peek_takes_nothing_and_says_nothing() {
    let (fd, mut peer) = drained().await;
    peer.write_all(b"xy").unwrap();
    for _ in 0..2 {
        assert_eq!(soon(peek(&fd)).await.unwrap(), b"xy");
    }
    assert_eq!(receive(&fd).await.unwrap(), b"xy");
}

#[annulus::test]
async fn a_second_reader_changes_nothing() {
    let (fd, mut peer) = drained().await;
    let mut second = net::TcpStream::from(fd.duplicate().unwrap());
    peer.write_all(b"theirs").unwrap();
    assert_eq!(second.read(&mut [0; 16]).unwrap(), 6);
    let receiving = annulus::spawn({
        let fd = fd.clone();
        async move { receive(&fd).await }
    });
    a_moment().await;
    peer.write_all(b"ours").unwrap();
    assert_eq!(receiving.await.unwrap().unwrap(), b"ours");
}

#[annulus::test]
async fn a_read_of_nothing_waits_for_nothing() {
    let (fd, mut peer) = drained().await;
    assert_eq!(soon(op::read(&fd, Vec::new())).await.0.unwrap(), 0);
    peer.write_all(b"x").unwrap();
    assert_eq!(soon(op::read(&fd, Vec::with_capacity(9))).await.0.unwrap(), 1);
    let reading = timeout(Duration::from_millis(5), op::read(&fd, Vec::with_capacity(9))).await;
    assert!(reading.is_err(), "there is nothing");
    peer.write_all(b"y").unwrap();
    assert_eq!(receive(&fd).await.unwrap(), b"y");
}

/// Who waits for a bare number keeps its place, and the number may be another file's by the next wait.
#[annulus::test]
async fn what_was_known_goes_with_the_descriptor() {
    let (fd, peer) = drained().await;
    let number = fd.as_raw_fd();
    let bare = op::submit(Special { fd: None, number, flags: 0, buf: Box::default() });
    let mut bare = Box::pin(timeout(Duration::from_secs(60), bare));
    assert!(timeout(Duration::from_millis(2), &mut bare).await.is_err());
    drop(fd);
    a_moment().await;
    let (fd, mut other) = unix_at(number);
    assert!(timeout(Duration::from_millis(2), op::recv(&fd, Vec::with_capacity(16))).await.is_err());
    drop(bare);
    send_descriptor(&other, fd.as_raw_fd());
    other.write_all(b"b").unwrap();
    a_moment().await;
    assert_eq!((receive(&fd).await.unwrap(), receive(&fd).await.unwrap()), (b"a".to_vec(), b"b".to_vec()));
    drop(peer);
}

/// A Unix socket with this number, if there can be one, and its peer.
fn unix_at(number: RawFd) -> (Fd, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    if a.as_raw_fd() == number {
        return (Fd::new(a.into()), b);
    }
    if b.as_raw_fd() == number {
        return (Fd::new(b.into()), a);
    }
    // The ring's operation still holds the number; there, nothing is known of it anyway.
    (Fd::new(a.into()), b)
}

/// Echoes small messages until the peer is gone.
#[cfg(not(annulus_kqueue))]
async fn serve(fd: Fd) {
    let mut buf = Vec::with_capacity(1024);
    loop {
        let (n, filled) = op::recv(&fd, buf).await;
        if n.unwrap() == 0 {
            return;
        }
        (_, buf) = op::send(&fd, filled).await;
        buf.clear();
    }
}

/// A round trip is two sends and two receives, each by one call, and watches nothing anew.
#[cfg(not(annulus_kqueue))]
#[annulus::test(driver = "poll")]
async fn a_warm_echo_costs_no_watch_and_no_vain_call() {
    const ROUNDS: u64 = 10_000;
    let (server, client) = tcp_pair();
    let (server, client) = (annulus::spawn(serve(server)), Fd::new(client.into()));
    let (mut text, mut answer) = (vec![1; 64], Vec::with_capacity(1024));
    let mut before = None;
    for round in 0..ROUNDS + 10 {
        if round == 10 {
            before = Some(annulus::metrics().driver);
        }
        let (n, back) = op::send(&client, text).await;
        assert_eq!(n.unwrap(), 64);
        answer.clear();
        let (n, filled) = op::recv(&client, answer).await;
        assert_eq!(n.unwrap(), 64);
        (text, answer) = (back, filled);
    }
    let (before, after) = (before.unwrap(), annulus::metrics().driver);
    // The patrol may come by: two descriptors to look at, once in a second.
    assert!(after.watches - before.watches <= 40, "{} watches", after.watches - before.watches);
    assert_eq!(after.twins_ready - before.twins_ready, 4 * ROUNDS);
    drop(client);
    server.await.unwrap();
}

/// Whoever finds bytes at its first poll learns as much from them.
#[cfg(not(annulus_kqueue))]
#[annulus::test(driver = "poll")]
async fn a_receive_that_did_not_wait_was_short_as_well() {
    let (fd, mut peer) = drained().await;
    for stream in [false, true] {
        peer.write_all(b"here").unwrap();
        a_moment().await;
        let before = calls();
        if stream {
            let bufs = annulus::pool::RecvPool::new(4, 16).unwrap();
            let mut stream = op::recv_multi(&fd, &bufs);
            assert_eq!(&soon(stream.next()).await.unwrap().unwrap()[..], b"here");
            assert!(timeout(Duration::from_millis(2), stream.next()).await.is_err());
        } else {
            assert_eq!(receive(&fd).await.unwrap(), b"here");
            assert!(timeout(Duration::from_millis(2), op::recv(&fd, Vec::with_capacity(16))).await.is_err());
        }
        assert_eq!(calls() - before, 1);
    }
}

#[cfg(not(annulus_kqueue))]
#[annulus::test(driver = "poll")]
async fn a_stream_of_buffers_costs_one_call_each() {
    let (fd, mut peer) = drained().await;
    let bufs = annulus::pool::RecvPool::new(4, 16).unwrap();
    let mut stream = op::recv_multi(&fd, &bufs);
    peer.write_all(b"0").unwrap();
    drop(soon(stream.next()).await.unwrap().unwrap());
    let before = calls();
    for n in 1..=100u8 {
        peer.write_all(&[n]).unwrap();
        assert_eq!(&soon(stream.next()).await.unwrap().unwrap()[..], [n]);
    }
    assert_eq!(calls() - before, 100);
}

/// The looks after those who wait go on.
#[annulus::test(driver = "poll")]
async fn a_number_that_is_closed_late_is_noticed_late() {
    let (fd, peer) = tcp_pair();
    let receiving = annulus::spawn({
        let fd = fd.clone();
        async move { op::recv(&fd, Vec::with_capacity(1)).await.0 }
    });
    sleep(Duration::from_millis(1300)).await;
    // SAFETY: not Close waits, on purpose. The number is given to another file at once.
    drop(unsafe { OwnedFd::from_raw_fd(fd.as_raw_fd()) });
    let other = OwnedFd::from(net::TcpListener::bind("127.0.0.1:0").unwrap());
    // SAFETY: a plain call: two numbers.
    assert!(unsafe { libc::dup2(other.as_raw_fd(), fd.as_raw_fd()) } >= 0);
    let answer = timeout(Duration::from_secs(5), receiving).await.expect("nobody looked again").unwrap();
    assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::EBADF));
    drop((peer, other));
}
