//! What goes over sockets: accepts that tell of more, connects that are given up, receives with limits, and sends of
//! many buffers or of lent ones.

use crate::common::{NOBODY, answer, answers, push, results, ring};
use annulus::{
    ring::{BufArena, BufGroup, BufIndex, BufRing, Cancel, CqeFlags, IoVec, Ring, Sqe},
    sys::{self, __kernel_timespec},
};
use std::{
    io::{Read, Write},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{
        fd::AsRawFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    ptr,
};

const CANCELED: i32 = -libc::ECANCELED;
const EINVAL: i32 = -libc::EINVAL;
const GROUP: BufGroup = BufGroup(3);

/// A group of `n` buffers of `size` bytes; nothing before Linux 5.19.
fn arena(ring: &Ring, group: BufGroup, n: u32, size: u32) -> Option<BufArena> {
    match BufRing::builder(group, n).register_arena(ring, size) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) && !knows(ring, sys::IORING_OP_SOCKET) => None,
        made => Some(made.unwrap()),
    }
}

/// Whether the kernel has `opcode`: one that came with something that is none.
fn knows(ring: &Ring, opcode: u32) -> bool {
    ring.probe().unwrap().supports(opcode as u8)
}

/// So many bytes that are never freed.
fn room(len: usize) -> &'static mut [u8] {
    vec![0; len].leak()
}

/// Red when nobody is told that more wait. Since Linux 6.10.
#[test]
fn an_accept_tells_that_more_wait() {
    let mut ring = ring!("an_accept_tells_that_more_wait", 8);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _clients = [0; 2].map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    for more in [true, false] {
        let cqe = answer(&mut ring, Sqe::accept(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), 0));
        assert!(cqe.res >= 0, "{cqe:?}");
        if knows(&ring, sys::IORING_OP_BIND) {
            assert_eq!(cqe.flags.contains(CqeFlags::SOCK_NONEMPTY), more);
        }
    }
}

/// Red when a connect that waits cannot be given up, or what one is told is not what the system call is.
#[test]
fn a_connect_that_takes_too_long_is_given_up() {
    let mut ring = ring!("a_connect_that_takes_too_long_is_given_up", 8);
    // Nobody accepts, and its queue is full.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: Plain call: no memory is named.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let port = listener.local_addr().unwrap().port();
    let _first = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // SAFETY: Plain bytes: integers, for which zeros are fine.
    let mut addr: libc::sockaddr_in = unsafe { MaybeUninit::zeroed().assume_init() };
    addr.sin_family = libc::AF_INET as libc::sa_family_t;
    (addr.sin_port, addr.sin_addr.s_addr) = (port.to_be(), u32::from_ne_bytes([127, 0, 0, 1]));
    let (at, len) = (&raw const addr, size_of_val(&addr) as libc::socklen_t);
    let time = __kernel_timespec { tv_sec: 0, tv_nsec: NOBODY.as_nanos() as i64 };
    // SAFETY: Plain calls: no memory is named.
    let [first, ours, theirs] = [0; 3].map(|_| unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) });
    push(&mut ring, Sqe::connect(first, at.cast(), len).link().user_data(1)).unwrap();
    push(&mut ring, Sqe::link_timeout(&time).user_data(2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(1, CANCELED), (2, -libc::ETIME)].into());
    // To where no way leads.
    addr.sin_addr.s_addr = u32::MAX;
    let at = (&raw const addr).cast();
    // SAFETY: Kernel's word: an address of its length.
    assert_eq!(unsafe { libc::connect(theirs, at, len) }, -1);
    let why = std::io::Error::last_os_error().raw_os_error().unwrap();
    assert_eq!(answer(&mut ring, Sqe::connect(ours, at, len)).res, -why);
    for fd in [first, ours, theirs] {
        assert_eq!(answer(&mut ring, Sqe::close(fd)).res, 0);
    }
}

/// Red when a completion has more bytes than it may, or a receive goes on when it has had enough. The first since Linux
/// 6.13, the second 6.17; `EINVAL` before.
#[test]
fn a_receive_without_end_has_its_limits() {
    let mut ring = ring!("a_receive_without_end_has_its_limits", 8);
    let Some(mut arena) = arena(&ring, GROUP, 8, 8) else { return };
    let (socket, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(b"0123456789").unwrap();
    push(&mut ring, Sqe::recv_multi(socket.as_raw_fd(), GROUP, 3, 0).user_data(1)).unwrap();
    let first = answers(&mut ring, 1)[0];
    if first.res == EINVAL {
        assert!(!knows(&ring, sys::IORING_OP_RECV_ZC), "Linux 6.15 knows it");
        return;
    }
    let parts: Vec<_> = [first].into_iter().chain(answers(&mut ring, 3)).collect();
    assert_eq!(parts.iter().map(|cqe| cqe.res).collect::<Vec<_>>(), [3, 3, 3, 1]);
    for cqe in &parts {
        let bid = arena.take(cqe).unwrap().unwrap().bid;
        arena.give(bid).unwrap();
    }
    push(&mut ring, Sqe::cancel(Cancel::user_data(1)).user_data(2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(1, CANCELED), (2, 0)].into());
    for (most, budget) in [(0, 5), (0, 8), (0, 9), (3, 5), (3, 6), (3, 1)] {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"0123456789").unwrap();
        push(&mut ring, Sqe::recv_multi(socket.as_raw_fd(), GROUP, most, 0).recv_budget(budget)).unwrap();
        let mut got = 0;
        loop {
            let cqe = answers(&mut ring, 1)[0];
            let Some(part) = arena.take(&cqe).unwrap() else { return assert_eq!(cqe.res, EINVAL) };
            arena.give(part.bid).unwrap();
            got += part.len;
            assert_eq!(cqe.is_final(), got >= budget, "{got} of {budget}, each at most {most}");
            if cqe.is_final() {
                break;
            }
        }
    }
}

/// Red when the bytes of a bundle go in another order than their buffers were offered. Since Linux 6.10.
#[test]
fn a_bundle_is_sent_in_the_order_of_its_offers() {
    let mut ring = ring!("a_bundle_is_sent_in_the_order_of_its_offers", 8);
    if !knows(&ring, sys::IORING_OP_BIND) {
        return;
    }
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let mut group = BufRing::builder(BufGroup(4), 4).register(&ring).unwrap();
    for (bid, text) in [(3, "for"), (0, "ty-"), (2, "two")] {
        // SAFETY: Lent: bytes that are never freed, nor changed.
        unsafe { group.add(bid, text.as_ptr().cast_mut(), 3) }.unwrap();
    }
    let cqe = answer(&mut ring, Sqe::send_bundle(socket.as_raw_fd(), BufGroup(4), 0));
    assert_eq!((cqe.res, cqe.buffer()), (9, Some(3)));
    let mut text = [0; 9];
    peer.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"forty-two");
    assert_eq!(answer(&mut ring, Sqe::send_bundle(socket.as_raw_fd(), BufGroup(4), 0)).res, -libc::ENOBUFS);
}

/// Red when a zero-copy send reads another place of its buffer, or says that it is done with it before it is. Since
/// Linux 6.0.
#[test]
fn a_registered_buffer_is_lent_beyond_its_place_in_the_table() {
    let mut ring = ring!("a_registered_buffer_is_lent_beyond_its_place_in_the_table", 8);
    if !knows(&ring, sys::IORING_OP_SEND_ZC) {
        return;
    }
    let bytes = room(8192);
    bytes.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8);
    // SAFETY: Lent: memory that is never freed.
    unsafe { ring.register_buffers(&[IoVec::EMPTY, IoVec::new(bytes.as_mut_ptr(), 8192)], &[]) }.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut peer = listener.accept().unwrap().0;
    let from = bytes[5000..].as_ptr();
    let send = |index| Sqe::send_zc_fixed(socket.as_raw_fd(), from, 3000, libc::MSG_WAITALL, BufIndex(index));
    push(&mut ring, send(1).user_data(1)).unwrap();
    ring.submit().unwrap();
    ring.unregister_buffers().unwrap();
    let mut got = vec![0; 3000];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes[5000..8000]);
    let both = answers(&mut ring, 2);
    assert_eq!((both[0].res, both[0].is_final(), both[0].flags.contains(CqeFlags::NOTIF)), (3000, false, false));
    assert_eq!((both[1].user_data, both[1].is_final(), both[1].flags.contains(CqeFlags::NOTIF)), (1, true, true));
    push(&mut ring, send(0).user_data(2)).unwrap();
    let refused = answers(&mut ring, 1)[0];
    assert_eq!(refused.res, -libc::EFAULT, "it is in no table any more");
    if !refused.is_final() {
        assert!(answers(&mut ring, 1)[0].flags.contains(CqeFlags::NOTIF));
    }
}

/// Red when a socket that always has something keeps another from being served.
#[test]
fn one_that_has_much_to_say_keeps_nobody_waiting() {
    let mut ring = ring!("one_that_has_much_to_say_keeps_nobody_waiting", 8);
    let groups = [GROUP, BufGroup(4)];
    let Some(mut first) = arena(&ring, GROUP, 4, 16) else { return };
    let mut second = arena(&ring, groups[1], 4, 16).unwrap();
    let pairs = [0; 2].map(|_| UnixDatagram::pair().unwrap());
    let receive = |n: usize| Sqe::recv_multi(pairs[n].0.as_raw_fd(), groups[n], 0, 0).user_data(n as u64);
    for n in [0, 1] {
        push(&mut ring, receive(n)).unwrap();
        pairs[n].1.set_nonblocking(true).unwrap();
    }
    ring.submit().unwrap();
    let mut served = [0; 2];
    while served.iter().any(|&n| n < 50) {
        while pairs[0].1.send(b"much").is_ok() {}
        let _ = pairs[1].1.send(b"little");
        for cqe in answers(&mut ring, 1) {
            if cqe.res == EINVAL && !knows(&ring, sys::IORING_OP_SEND_ZC) {
                return;
            }
            let n = cqe.user_data as usize;
            let arena = if n == 0 { &mut first } else { &mut second };
            if let Some(part) = arena.take(&cqe).unwrap() {
                arena.give(part.bid).unwrap();
                served[n] += 1;
            }
            assert!(served[0] < 5000, "{served:?}");
            if cqe.is_final() {
                assert!([-libc::ENOBUFS, 4, 6].contains(&cqe.res), "{cqe:?}");
                push(&mut ring, receive(n)).unwrap();
            }
        }
    }
}
