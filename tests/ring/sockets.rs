//! Sockets on the bare ring: accepts of many, connects that are repeated or take too long, sends and receives in every
//! mode, and what is not lost when one side has said that it is done.

use crate::common::{LONG, NOBODY, answers, push, results, ring, ring_or_skip};
use annulus::{
    entry::{BufGroup, FixedFile},
    ring::{BufRing, Cqe, CqeFlags, Ring, SetupFlags, Sqe},
    sys,
};
use std::{
    io::{Read, Write, pipe},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    ptr,
};

const CANCELED: i32 = -libc::ECANCELED;

fn accept_many(listener: &TcpListener) -> Sqe {
    let sqe = Sqe::accept(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC);
    Sqe { ioprio: sys::IORING_ACCEPT_MULTISHOT as u16, ..sqe }
}

fn own(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{fd}");
    // SAFETY: the descriptor came with a completion, and is nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn cancel(whom: u64, number: u64) -> Sqe {
    Sqe { opcode: sys::IORING_OP_ASYNC_CANCEL as u8, addr: whom, ..Sqe::nop() }.user_data(number)
}

/// Red when a connection is missed, or the request goes on when it was cancelled. Since Linux 5.19.
#[test]
fn one_accept_takes_many_connections() {
    let mut ring = ring!("one_accept_takes_many_connections", 8);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    push(&mut ring, accept_many(&listener).user_data(1)).unwrap();
    let mut all = answers(&mut ring, 1);
    if all[0].res == -libc::EINVAL {
        return assert!(all[0].is_final(), "before Linux 5.19");
    }
    all.extend(answers(&mut ring, 2));
    let _later = TcpStream::connect(address).unwrap();
    all.extend(answers(&mut ring, 1));
    let accepted: Vec<_> = all.iter().map(|cqe| (own(cqe.res), cqe.is_final())).collect();
    assert!(accepted.iter().all(|(_, last)| !last));
    push(&mut ring, cancel(1, 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(1, CANCELED), (2, 0)].into());
}

/// Red when a full table does not end the request, or does so without saying why. Since Linux 5.19.
#[test]
fn a_full_table_ends_an_accept_of_many() {
    let mut ring = ring!("a_full_table_ends_an_accept_of_many", 8);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut table = [-1_i32; 2];
    // SAFETY: Kernel's word: two numbers, which are read.
    unsafe { ring.register(sys::IORING_REGISTER_FILES, table.as_mut_ptr().cast(), 2) }.unwrap();
    let peers: Vec<_> = (0..3).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
    let entry = Sqe { op_flags: 0, ..accept_many(&listener).direct_any() };
    push(&mut ring, entry.user_data(1)).unwrap();
    let first = answers(&mut ring, 1)[0];
    if first.res == -libc::EINVAL {
        return assert!(first.is_final(), "before Linux 5.19");
    }
    let mut all = vec![first];
    all.extend(answers(&mut ring, 2));
    let all: Vec<_> = all.iter().map(|cqe| (cqe.res, cqe.is_final())).collect();
    assert_eq!(all, [(0, false), (1, false), (-libc::ENFILE, true)]);
    // The one that found no place is closed: its peer hears of it.
    let mut byte = [0];
    peers[2].set_read_timeout(Some(LONG)).unwrap();
    assert!(!matches!((&peers[2]).read(&mut byte), Ok(1)), "nobody writes");
}

/// Red when a place in the table is taken for a descriptor by sends and receives.
#[test]
fn an_accepted_place_is_written_and_read() {
    let mut ring = ring!("an_accepted_place_is_written_and_read", 8);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut table = [-1_i32; 2];
    // SAFETY: Kernel's word: two numbers, which are read.
    unsafe { ring.register(sys::IORING_REGISTER_FILES, table.as_mut_ptr().cast(), 2) }.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let place = FixedFile(1);
    let accept = Sqe::accept(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), 0).direct(place);
    push(&mut ring, accept.user_data(1)).unwrap();
    match results(answers(&mut ring, 1))[&1] {
        0 => {}
        res => return assert_eq!(res, -libc::EINVAL, "before Linux 5.15"),
    }
    peer.write_all(b"ab").unwrap();
    let mut bytes = [0; 2];
    push(&mut ring, Sqe::recv(place, bytes.as_mut_ptr(), 2, 0).user_data(2)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(2, 2)].into());
    push(&mut ring, Sqe::send(place, b"cd".as_ptr(), 2, 0).user_data(3)).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(3, 2)].into());
    let mut back = [0; 2];
    peer.read_exact(&mut back).unwrap();
    assert_eq!((bytes, back), (*b"ab", *b"cd"));
}

/// A socket without a connection, and an address for the kernel.
fn unconnected(to: SocketAddr) -> (OwnedFd, Box<libc::sockaddr_in>) {
    // SAFETY: Plain call: makes a descriptor.
    let fd = own(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) });
    let SocketAddr::V4(to) = to else { panic!("{to}") };
    // SAFETY: zeros are an address.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as _;
    address.sin_port = to.port().to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
    (fd, Box::new(address))
}

fn connect(fd: &OwnedFd, address: &libc::sockaddr_in) -> Sqe {
    let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    Sqe::connect(fd.as_raw_fd(), ptr::from_ref(address).cast(), len)
}

/// Red when what a second connect or a refusal says is lost.
#[test]
fn a_connect_says_what_came_of_it() {
    let mut ring = ring!("a_connect_says_what_came_of_it", 8);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (fd, address) = unconnected(listener.local_addr().unwrap());
    let mut one = |sqe: Sqe| {
        push(&mut ring, sqe).unwrap();
        answers(&mut ring, 1)[0].res
    };
    assert_eq!(one(connect(&fd, &address)), 0);
    assert_eq!(one(connect(&fd, &address)), -libc::EISCONN);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (fd, address) = unconnected(gone);
    assert_eq!(one(connect(&fd, &address)), -libc::ECONNREFUSED);
}

/// Red when a way of sending and receiving gives other bytes, or an `EAGAIN` that nobody asked for.
#[test]
fn every_way_of_sending_and_receiving_gives_the_same() {
    let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    for setup in [SetupFlags::empty(), SetupFlags::SQPOLL, deferred] {
        let Some(mut ring) = ring_or_skip("every_way_of_sending_and_receiving", 8, setup) else { continue };
        for (asynchronous, nonblocking) in [(false, false), (true, false), (false, true), (true, true)] {
            let (one, other) = UnixStream::pair().unwrap();
            one.set_nonblocking(nonblocking).unwrap();
            let mut bytes = [0_u8; 4];
            let mut recv = Sqe::recv(one.as_raw_fd(), bytes.as_mut_ptr(), 4, 0).user_data(1);
            let mut send = Sqe::send(other.as_raw_fd(), b"abcd".as_ptr(), 4, 0).user_data(2);
            if asynchronous {
                (recv, send) = (recv.run_async(), send.run_async());
            }
            push(&mut ring, recv).unwrap();
            ring.submit().unwrap();
            push(&mut ring, send).unwrap();
            let all = results(answers(&mut ring, 2));
            assert_eq!((all, bytes), ([(1, 4), (2, 4)].into(), *b"abcd"), "{setup:?}, {asynchronous}, {nonblocking}");
            let now = Sqe::recv(one.as_raw_fd(), bytes.as_mut_ptr(), 4, libc::MSG_DONTWAIT).user_data(1);
            push(&mut ring, now).unwrap();
            assert_eq!(results(answers(&mut ring, 1)), [(1, -libc::EAGAIN)].into());
        }
    }
}

/// Red when a receive that is to fill its buffer ends before, or what it has is lost at the end of the stream.
#[test]
fn a_receive_of_all_waits_for_all() {
    let mut ring = ring!("a_receive_of_all_waits_for_all", 8);
    let (one, mut other) = UnixStream::pair().unwrap();
    let mut bytes = [0_u8; 8];
    let all = Sqe::recv(one.as_raw_fd(), bytes.as_mut_ptr(), 8, libc::MSG_WAITALL).user_data(1);
    push(&mut ring, all).unwrap();
    ring.submit().unwrap();
    for part in [&b"abc"[..], b"de"] {
        other.write_all(part).unwrap();
        assert!(ring.wait_timeout(1, NOBODY).unwrap().timed_out, "more is to come");
    }
    other.write_all(b"fgh").unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(1, 8)].into());
    push(&mut ring, all).unwrap();
    ring.submit().unwrap();
    other.write_all(b"xyz").unwrap();
    drop(other);
    assert_eq!(results(answers(&mut ring, 1)), [(1, 3)].into(), "what there was");
    assert_eq!(&bytes, b"xyzdefgh");
}

/// Answers until the last one of a request.
fn until_final(ring: &mut Ring) -> Vec<Cqe> {
    let mut all = Vec::new();
    while all.last().is_none_or(|cqe: &Cqe| !cqe.is_final()) {
        all.extend(answers(ring, 1));
    }
    all
}

/// Red when bytes that came before the end are lost with it, or the end is. Since Linux 6.0.
#[test]
fn data_and_the_end_come_to_a_receive_of_many() {
    let mut ring = ring!("data_and_the_end_come_to_a_receive_of_many", 8);
    let Ok(mut arena) = BufRing::builder(BufGroup(0), 16).register_arena(&ring, 64) else { return };
    for round in 0..50_u8 {
        let (one, mut other) = UnixStream::pair().unwrap();
        let recv = Sqe::recv(one.as_raw_fd(), ptr::null_mut(), 0, 0).buffer_select(BufGroup(0));
        let recv = Sqe { ioprio: sys::IORING_RECV_MULTISHOT as u16, ..recv };
        push(&mut ring, recv.user_data(1)).unwrap();
        ring.submit().unwrap();
        let sender = std::thread::spawn(move || {
            other.write_all(&[round; 100]).unwrap();
            other.shutdown(Shutdown::Write).unwrap();
            other
        });
        let mut bytes = Vec::new();
        let mut last = 0;
        for cqe in until_final(&mut ring) {
            if cqe.res == -libc::EINVAL {
                return; // before Linux 6.0
            }
            last = cqe.res;
            if let Some(part) = arena.take(&cqe).unwrap() {
                bytes.extend_from_slice(arena.bytes(&part).unwrap());
                arena.give(part.bid).unwrap();
            }
        }
        assert_eq!((bytes, last), (vec![round; 100], 0), "round {round}");
        drop(sender.join().unwrap());
    }
    arena.unregister(&ring).unwrap();
}

/// Red when a pipe is not read to its end, or what cannot be waited for is read all the same. Since Linux 6.7.
#[test]
fn one_read_takes_all_of_a_pipe() {
    let mut ring = ring!("one_read_takes_all_of_a_pipe", 8);
    let Ok(mut arena) = BufRing::builder(BufGroup(0), 16).register_arena(&ring, 4) else { return };
    let opcode = sys::IORING_OP_READ_MULTISHOT as u8;
    let read = |fd| Sqe { opcode, fd, off: u64::MAX, ..Sqe::nop() }.buffer_select(BufGroup(0)).user_data(1);
    let (rx, mut tx) = pipe().unwrap();
    push(&mut ring, read(rx.as_raw_fd())).unwrap();
    tx.write_all(b"abcdefghij").unwrap();
    drop(tx);
    let mut bytes = Vec::new();
    for cqe in until_final(&mut ring) {
        if cqe.res == -libc::EINVAL {
            return; // before Linux 6.7
        }
        match arena.take(&cqe).unwrap() {
            Some(part) => bytes.extend_from_slice(arena.bytes(&part).unwrap()),
            None => assert_eq!((cqe.res, cqe.flags.contains(CqeFlags::BUFFER)), (0, false), "the end"),
        }
    }
    assert_eq!(bytes, b"abcdefghij");
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    push(&mut ring, read(file.as_raw_fd())).unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(1, -libc::EBADFD)].into());
    arena.unregister(&ring).unwrap();
}
