//! Groups of provided buffers.

use crate::{child::in_child, common::*};
use annulus::{
    ring::{
        BufArena, BufGroup, BufRing, BufRingBuilder, Cqe, CqeFlags, Part, RecvMsgOut, Ring, SetupFlags, Sqe, SqeFlags,
    },
    sys,
};
use std::{
    fs::File,
    io::{self, Write},
    net::UdpSocket,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    ptr,
};

const LINUX_5_19: u32 = sys::IORING_OP_SOCKET;
const LINUX_6_0: u32 = sys::IORING_OP_SEND_ZC;
const LINUX_6_8: u32 = sys::IORING_OP_FIXED_FD_INSTALL;
const LINUX_6_11: u32 = sys::IORING_OP_LISTEN;
const LINUX_6_16: u32 = sys::IORING_OP_PIPE;
const LINUX_6_12: u32 = sys::IORING_OP_RECV_ZC; // the next that came

const GROUP: BufGroup = BufGroup(3);

fn group(entries: u32) -> BufRingBuilder {
    BufRing::builder(GROUP, entries)
}

fn has(ring: &Ring, opcode: u32) -> bool {
    ring.probe().unwrap().supports(opcode as u8)
}

/// A receive into a buffer of the group.
fn recv(fd: RawFd) -> Sqe {
    Sqe::recv(fd, ptr::null_mut(), 0, 0).buffer_select(GROUP)
}

/// The same until it ends, and into several buffers at once.
fn many(fd: RawFd) -> Sqe {
    Sqe { ioprio: sys::IORING_RECV_MULTISHOT as u16, ..recv(fd) }
}

fn bundle(fd: RawFd) -> Sqe {
    Sqe { ioprio: sys::IORING_RECVSEND_BUNDLE as u16, ..recv(fd) }
}

/// The bytes of a part, which is not given back.
fn bytes(buffers: &BufArena, part: Part) -> Vec<u8> {
    buffers.bytes(&part).expect("it is ours").to_vec()
}

/// What a completion brought, as text; the buffer goes back.
fn text(buffers: &mut BufArena, cqe: &Cqe) -> String {
    let part = buffers.take(cqe).unwrap().expect("a buffer");
    assert_eq!(part.len, cqe.result().unwrap());
    let text = bytes(buffers, part);
    if part.done {
        buffers.give(part.bid).unwrap();
    }
    String::from_utf8(text).unwrap()
}

/// Red when a group is made that cannot be, or its id is not what was asked for.
#[test]
fn groups_are_made_and_taken_away() {
    let mut ring = ring!("groups_are_made_and_taken_away", 4);
    for entries in [0, 3, 1 << 16] {
        let refused = group(entries).register(&ring).unwrap_err();
        assert_eq!((refused.kind(), refused.raw_os_error()), (io::ErrorKind::InvalidInput, None), "{refused}");
    }
    for size in [0, 1 << 31] {
        assert_eq!(group(4).register_arena(&ring, size).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(group(4).incremental(9).register_arena(&ring, 8).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    for id in [0, u16::MAX] {
        let group = BufRing::builder(BufGroup(id), 1 << 15);
        let Some(made) = newer(&ring, LINUX_5_19, group.register(&ring)) else { return };
        assert_eq!(errno(group.register(&ring)), libc::EEXIST);
        assert_eq!((made.group(), made.capacity(), made.on_offer()), (BufGroup(id), 1 << 15, 0));
        made.unregister(&ring).unwrap();
        group.register_arena(&ring, 1).unwrap().unregister(&ring).unwrap();
        drop(group.register(&ring).unwrap());
        assert_eq!(errno(group.register(&ring)), libc::EEXIST, "a drop leaves it with the ring");
    }
    let (rx, _tx) = UnixStream::pair().unwrap();
    assert_eq!(answer(&mut ring, recv(rx.as_raw_fd())).res, -libc::ENOBUFS, "there is no such group");
}

/// Red when a buffer is taken back that is not out, a group from a ring that does not have it, or a child goes on with
/// what is its parent's.
#[test]
fn a_group_knows_its_buffers_and_its_ring() {
    let [mut ring, other] = [ring!("a_group_knows_its_buffers", 4), ring!("a_group_knows_its_buffers", 4)];
    let Some(mut buffers) = newer(&ring, LINUX_5_19, group(2).register_arena(&ring, 8)) else { return };
    group(2).register_arena(&other, 8).unwrap();
    let input = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    (0..3).for_each(|bid| input(buffers.give(bid)));
    assert_eq!(buffers.head(&other).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let (rx, mut tx) = UnixStream::pair().unwrap();
    tx.write_all(b"hello").unwrap();
    let cqe = answer(&mut ring, recv(rx.as_raw_fd()));
    assert!(in_child(|| buffers.take(&cqe).is_err() && buffers.give(0).is_err() && buffers.head(&ring).is_err()));
    let part = buffers.take(&cqe).unwrap().unwrap();
    assert_eq!((part, buffers.on_offer()), (Part { bid: 0, offset: 0, len: 5, done: true }, 1));
    assert_eq!(buffers.take(&cqe).unwrap_err().kind(), io::ErrorKind::InvalidData, "twice");
    let made_up = Cqe { flags: CqeFlags::from_bits_retain(7 << 16 | 1), ..cqe };
    assert_eq!(buffers.take(&made_up).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(buffers.take(&Cqe { flags: CqeFlags::empty(), ..cqe }).unwrap(), None);
    buffers.bytes_mut(&part).unwrap()[0] = b'H';
    assert_eq!(bytes(&buffers, part), b"Hello");
    for beyond in [Part { len: 9, ..part }, Part { offset: u32::MAX, ..part }, Part { bid: 1, len: 1, ..part }] {
        assert_eq!(buffers.bytes(&beyond), None, "{beyond:?}");
    }
    buffers.give(0).unwrap();
    assert!(buffers.bytes(&part).is_none() && buffers.bytes_mut(&part).is_none(), "it is the kernel's again");
    input(buffers.unregister(&other));
    assert_eq!(errno(group(2).register(&ring)), libc::EEXIST, "it is left with its own ring");
}

/// Over the kernel's memory and over ours. Red when a tail that wraps offers other buffers, or a buffer comes twice.
#[test]
fn seventy_thousand_buffers_go_round() {
    for (name, how) in [("ours", group(4)), ("the kernel's", group(4).kernel_memory())] {
        let mut ring = ring!("seventy_thousand_buffers_go_round", 4);
        let opcode = if name == "ours" { LINUX_5_19 } else { LINUX_6_8 };
        let Some(mut buffers) = newer(&ring, opcode, how.register_arena(&ring, 8)) else { continue };
        let (rx, mut tx) = UnixStream::pair().unwrap();
        for round in 0..70_000_u32 {
            tx.write_all(&round.to_ne_bytes()).unwrap();
            let cqe = answer(&mut ring, recv(rx.as_raw_fd()));
            let part = buffers.take(&cqe).unwrap().unwrap();
            assert_eq!((u32::from(part.bid), &*bytes(&buffers, part)), (round % 4, &round.to_ne_bytes()[..]), "{name}");
            buffers.give(part.bid).unwrap();
        }
        if has(&ring, LINUX_6_8) {
            assert_eq!(buffers.head(&ring).unwrap(), 70_000_u32 as u16, "{name}");
        }
        buffers.unregister(&ring).unwrap();
    }
}

/// Several receives of one group run dry and go on. Red when a buffer is lost, or data is.
#[test]
fn a_group_runs_dry_and_is_filled_again() {
    let mut ring = ring!("a_group_runs_dry_and_is_filled_again", 8);
    if !has(&ring, LINUX_6_0) {
        return;
    }
    let mut buffers = group(4).register_arena(&ring, 4).unwrap();
    let mut pairs: Vec<_> = (0..2).map(|_| UnixStream::pair().unwrap()).collect();
    let arm = |ring: &mut Ring, n: usize, rx: &UnixStream| {
        push(ring, many(rx.as_raw_fd()).user_data(n as u64)).unwrap();
    };
    pairs.iter_mut().for_each(|(_, tx)| tx.write_all(b"abcdefghijkl").unwrap());
    (0..2).for_each(|n| arm(&mut ring, n, &pairs[n].0));
    let mut read = [String::new(), String::new()];
    let mut dry = 0;
    while read.iter().any(|text| text.len() < 12) {
        let mut out = Vec::new();
        for cqe in answers(&mut ring, 1) {
            let n = cqe.user_data as usize;
            match cqe.res {
                res if res == -libc::ENOBUFS => {
                    assert!(cqe.is_final() && cqe.buffer().is_none());
                    dry += 1;
                    (0..4).for_each(|bid| drop(buffers.give(bid)));
                    arm(&mut ring, n, &pairs[n].0);
                }
                _ => out.push((n, buffers.take(&cqe).unwrap().unwrap())),
            }
        }
        out.iter().for_each(|&(n, part)| read[n] += str::from_utf8(buffers.bytes(&part).unwrap()).unwrap());
    }
    assert_eq!(read, ["abcdefghijkl", "abcdefghijkl"]);
    assert!(dry > 0, "four buffers of four bytes cannot have been enough");
}

/// Red when the group goes from a request that has no buffer yet without an answer.
#[test]
fn a_request_outlives_its_group() {
    let mut ring = ring!("a_request_outlives_its_group", 4);
    if !has(&ring, LINUX_6_0) {
        return;
    }
    let (rx, mut tx) = UnixStream::pair().unwrap();
    let mut buffers = group(2).register_arena(&ring, 8).unwrap();
    push(&mut ring, many(rx.as_raw_fd())).unwrap();
    tx.write_all(b"one").unwrap();
    let first = answers(&mut ring, 1)[0];
    assert_eq!((text(&mut buffers, &first).as_str(), first.is_final()), ("one", false));
    buffers.unregister(&ring).unwrap();
    tx.write_all(b"two").unwrap();
    let last = answers(&mut ring, 1)[0];
    assert_eq!((last.res, last.is_final(), last.buffer()), (-libc::ENOBUFS, true, None));
}

/// Sockets, pipes and files. Red when a part begins elsewhere than the one before it ended, or a buffer is given up
/// while it has room, or not when it has none.
#[test]
fn an_incremental_buffer_is_filled_by_and_by() {
    let mut ring = ring!("an_incremental_buffer_is_filled", 4);
    let Some(mut buffers) = newer(&ring, LINUX_6_12, group(2).incremental(0).register_arena(&ring, 8)) else { return };
    let (rx, mut tx) = UnixStream::pair().unwrap();
    for (sent, offset, done) in [("abc", 0, false), ("defg", 3, false), ("h", 7, true), ("i", 0, false)] {
        tx.write_all(sent.as_bytes()).unwrap();
        let cqe = answer(&mut ring, recv(rx.as_raw_fd()));
        assert_eq!(cqe.flags.contains(CqeFlags::BUF_MORE), !done, "{sent}");
        let part = buffers.take(&cqe).unwrap().unwrap();
        assert_eq!((part.offset, part.len as usize, part.done), (offset, sent.len(), done), "{sent}");
        assert_eq!(bytes(&buffers, part), sent.as_bytes());
        assert!(done || buffers.give(part.bid).is_err(), "the kernel goes on with it");
    }
    let all = Part { bid: 0, offset: 0, len: 8, done: true };
    assert_eq!(bytes(&buffers, all), b"abcdefgh", "the kernel is done with it");
    assert_eq!(buffers.bytes(&Part { bid: 1, len: 2, ..all }), None, "and not with this");
    let file = File::open("Cargo.toml").unwrap();
    let cqe = answer(&mut ring, Sqe::read(file.as_raw_fd(), ptr::null_mut(), 3, 0).buffer_select(GROUP));
    assert_eq!(buffers.take(&cqe).unwrap(), Some(Part { bid: 1, offset: 1, len: 3, done: false }));
    let end = file.metadata().unwrap().len();
    let cqe = answer(&mut ring, Sqe::read(file.as_raw_fd(), ptr::null_mut(), 3, end).buffer_select(GROUP));
    let brought = buffers.take(&cqe).unwrap();
    assert_eq!((cqe.res, brought.map_or(0, |part| part.len)), (0, 0), "{cqe:?}");
    let (end_rx, end_tx) = UnixStream::pair().unwrap();
    drop(end_tx);
    let cqe = answer(&mut ring, recv(end_rx.as_raw_fd()));
    assert_eq!((cqe.res, buffers.take(&cqe).unwrap().map_or(0, |part| part.len)), (0, 0), "{cqe:?}");
    buffers.give(0).unwrap();
    tx.write_all(b"jklm").unwrap();
    let mut read = String::new();
    while read.len() < 4 {
        // A read that finds the end of a file takes what it asked for all the same, from Linux 6.12 to some kernel.
        read += &text(&mut buffers, &answer(&mut ring, recv(rx.as_raw_fd())));
    }
    assert_eq!(read, "jklm");
}

/// Reads of a file take what they ask for, whatever they find. Red when a buffer is lost by that, or bytes are looked
/// for where they are not.
#[test]
fn reads_at_the_end_of_a_file_lose_nothing() {
    let mut ring = ring!("reads_at_the_end_of_a_file_lose_nothing", 4);
    let Some(mut buffers) = newer(&ring, LINUX_6_12, group(4).incremental(0).register_arena(&ring, 8)) else { return };
    let file = File::open("Cargo.toml").unwrap();
    let whole = std::fs::read("Cargo.toml").unwrap();
    for round in 0..200_u64 {
        let at = whole.len() as u64 - round % 4;
        let read = Sqe::read(file.as_raw_fd(), ptr::null_mut(), (round % 3 + 1) as u32 * 2, at).buffer_select(GROUP);
        let cqe = answer(&mut ring, read);
        let found = cqe.result().unwrap_or_else(|e| panic!("{round}: {e}: {buffers:?}")) as usize;
        let text = match buffers.take(&cqe).unwrap() {
            None => Vec::new(),
            Some(part) => {
                let text = bytes(&buffers, part);
                if part.done {
                    buffers.give(part.bid).unwrap();
                }
                text
            }
        };
        assert_eq!(text, whole[at as usize..][..found], "{round}");
    }
}

/// Red when a bundle is read by numbers and not by places, bytes come in another order, or the length of an entry is
/// changed by a receive that found nothing.
#[test]
fn a_bundle_keeps_the_order_of_bytes() {
    let mut ring = ring!("a_bundle_keeps_the_order_of_bytes", 4);
    if !has(&ring, LINUX_6_11) {
        return;
    }
    let mut buffers = group(4).register_arena(&ring, 4).unwrap();
    let (rx, mut tx) = UnixStream::pair().unwrap();
    let nothing = Sqe { op_flags: libc::MSG_DONTWAIT as u32, ..bundle(rx.as_raw_fd()) };
    let (mut sent, mut read, mut longest) = (Vec::new(), Vec::new(), 0);
    for round in 0..2_000_usize {
        assert_eq!(answer(&mut ring, nothing).res, -libc::EAGAIN);
        let data: Vec<u8> = (0..1 + round * 7 % 16).map(|n| (round + n) as u8).collect();
        tx.write_all(&data).unwrap();
        sent.extend_from_slice(&data);
        while read.len() < sent.len() {
            let cqe = answer(&mut ring, bundle(rx.as_raw_fd()));
            let parts: Vec<Part> = buffers.take_bundle(&cqe).unwrap().collect();
            assert_eq!(parts.iter().map(|part| part.len as i32).sum::<i32>(), cqe.res);
            assert!(
                parts.iter().all(|part| part.done && (part.len == 4 || part == parts.last().unwrap())),
                "{parts:?}"
            );
            parts.iter().for_each(|part| read.extend_from_slice(buffers.bytes(part).unwrap()));
            longest = longest.max(parts.len());
            // Not in their order, so that the ring is soon another than the numbers.
            parts.iter().rev().for_each(|part| buffers.give(part.bid).unwrap());
        }
    }
    // A Unix socket tells what it still has since Linux 6.17: before, a receive of it ends with the first buffer.
    assert!(sent == read && (longest == 4 || longest == 1 && !has(&ring, LINUX_6_16)), "{longest}");
    assert_eq!(buffers.take_bundle(&Cqe::default()).unwrap().count(), 0);
}

/// The same over parts of buffers.
#[test]
fn a_bundle_may_end_in_the_middle_of_a_buffer() {
    let mut ring = ring!("a_bundle_may_end_in_the_middle", 4);
    let Some(mut buffers) = newer(&ring, LINUX_6_12, group(4).incremental(0).register_arena(&ring, 8)) else { return };
    let (rx, mut tx) = UnixStream::pair().unwrap();
    let (mut sent, mut read) = (Vec::new(), Vec::new());
    for round in 0..2_000_usize {
        let data: Vec<u8> = (0..1 + round * 7 % 24).map(|n| (round + n) as u8).collect();
        tx.write_all(&data).unwrap();
        sent.extend_from_slice(&data);
        while read.len() < sent.len() {
            let cqe = answer(&mut ring, bundle(rx.as_raw_fd()));
            let parts: Vec<Part> = buffers.take_bundle(&cqe).unwrap().collect();
            assert_eq!(parts.last().map(|part| !part.done), Some(cqe.flags.contains(CqeFlags::BUF_MORE)), "{round}");
            parts.iter().for_each(|part| read.extend_from_slice(buffers.bytes(part).unwrap()));
            parts.iter().rev().filter(|part| part.done).for_each(|part| buffers.give(part.bid).unwrap());
        }
    }
    assert!(sent == read);
}

/// Red when a message is looked for elsewhere in its buffer, or a part of one is taken for all of it.
#[test]
fn messages_lie_in_chosen_buffers() {
    let mut ring = ring!("messages_lie_in_chosen_buffers", 4);
    if !has(&ring, LINUX_6_0) {
        return;
    }
    let mut buffers = group(4).register_arena(&ring, 64).unwrap();
    let [rx, tx] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let name = size_of::<libc::sockaddr_in>();
    push(&mut ring, messages(rx.as_raw_fd(), name)).unwrap();
    ring.submit().unwrap();
    for (len, room) in [(5, 5), (32, 32), (100, 32), (0, 0)] {
        tx.send_to(&vec![7; len], rx.local_addr().unwrap()).unwrap();
        let cqe = answers(&mut ring, 1)[0];
        let part = buffers.take(&cqe).unwrap().unwrap();
        let message = RecvMsgOut::parse(buffers.bytes(&part).unwrap(), name, 0).unwrap();
        assert_eq!((message.payload(), message.is_truncated()), (&vec![7; room][..], len > room), "{len}");
        assert_eq!(message.addr().unwrap().to_std().unwrap(), tx.local_addr().unwrap());
        assert_eq!(cqe.is_final(), len == 0, "nothing is taken for an end");
        buffers.give(part.bid).unwrap();
    }
}

/// A `recvmsg` that is answered many times, with room for an address. Its header is never freed.
fn messages(fd: RawFd, name: usize) -> Sqe {
    // SAFETY: Plain bytes: the structure may be all zeros. Some systems have padding in it that nobody can name.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_namelen = name as libc::socklen_t;
    let header = Box::leak(Box::new(header));
    let sqe = Sqe::recvmsg(fd, header, 0).buffer_select(GROUP);
    Sqe { ioprio: sys::IORING_RECV_MULTISHOT as u16, ..sqe }
}

/// Without something that has to be left, a buffer's end that is too short for a message's header is an error. Red when
/// the buffer is not given up before that.
#[test]
fn an_end_that_is_too_short_for_a_message_is_given_up() {
    let mut ring = ring!("an_end_that_is_too_short", 4);
    let how = group(2).incremental(24);
    let mut buffers = match how.register_arena(&ring, 64) {
        Ok(buffers) => buffers,
        Err(e) => return assert_eq!(e.raw_os_error(), Some(libc::EINVAL), "before Linux 7.1, but for 6.12.90"),
    };
    let [rx, tx] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    push(&mut ring, messages(rx.as_raw_fd(), 0)).unwrap();
    ring.submit().unwrap();
    for (bid, offset, len, done) in [(0, 0, 8, false), (0, 24, 4, true), (1, 0, 25, true), (0, 0, 24, false)] {
        tx.send_to(&vec![7; len], rx.local_addr().unwrap()).unwrap();
        let cqe = answers(&mut ring, 1)[0];
        let part = buffers.take(&cqe).unwrap().expect("a message");
        assert_eq!((part.bid, part.offset, part.done), (bid, offset, done), "{len}: {cqe:?}");
        let message = RecvMsgOut::parse(buffers.bytes(&part).unwrap(), 0, 0).unwrap();
        assert_eq!(message.payload(), vec![7; len]);
        if done {
            buffers.give(part.bid).unwrap();
        }
    }
}

/// Red when an entry of the older kind offers other memory than it says, or the two kinds are mixed up.
#[test]
fn buffers_are_provided_by_entries() {
    let mut ring = ring!("buffers_are_provided_by_entries", 4);
    let memory = Box::leak(Box::new([0_u8; 32])).as_mut_ptr();
    let (rx, mut tx) = UnixStream::pair().unwrap();
    assert_eq!(answer(&mut ring, Sqe::remove_buffers(GROUP, 1)).res, -libc::ENOENT);
    let beyond = answer(&mut ring, Sqe::provide_buffers(GROUP, memory, 8, 4, u16::MAX - 1)).res;
    if beyond == 0 {
        // Before Linux 5.19 numbers begin again.
        assert_eq!(answer(&mut ring, Sqe::remove_buffers(GROUP, 4)).res, 4);
    } else {
        assert!([-libc::EINVAL, -libc::E2BIG].contains(&beyond), "{beyond}");
    }
    assert!(answer(&mut ring, Sqe::provide_buffers(GROUP, memory, 8, 4, 100)).res >= 0);
    tx.write_all(b"hello").unwrap();
    let cqe = answer(&mut ring, Sqe { len: 8, ..recv(rx.as_raw_fd()) });
    let bid = cqe.buffer().unwrap();
    assert!((100..104).contains(&bid) && cqe.res == 5);
    // SAFETY: memory that stays, and the completion has given it back.
    let read = unsafe { std::slice::from_raw_parts(memory.wrapping_add(8 * usize::from(bid - 100)), 5) };
    assert_eq!(read, b"hello");
    assert_eq!(answer(&mut ring, Sqe::remove_buffers(GROUP, 9)).res, 3);
    let Some(buffers) = newer(&ring, LINUX_5_19, group(2).register_arena(&ring, 8)) else { return };
    assert_eq!(answer(&mut ring, Sqe::provide_buffers(GROUP, memory, 8, 4, 0)).res, -libc::EINVAL);
    assert_eq!(answer(&mut ring, Sqe::remove_buffers(GROUP, 1)).res, -libc::EINVAL);
    buffers.unregister(&ring).unwrap();
}

/// Where the kernel's memory of a group is mapped.
fn mapped_at(group: BufGroup) -> *mut libc::c_void {
    let offset = format!("{:08x}", sys::IORING_OFF_PBUF_RING | u32::from(group.0) << sys::IORING_OFF_PBUF_SHIFT);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let map = maps.lines().find(|map| map.split_whitespace().nth(2) == Some(&offset)).expect("it is mapped");
    usize::from_str_radix(map.split('-').next().unwrap(), 16).unwrap() as _
}

/// The child has no map of a group in the kernel's memory. Red when a drop takes away what it put there since.
#[test]
fn a_child_that_drops_a_group_loses_nothing_of_its_own() {
    let ring = ring!("a_child_that_drops_a_group", 4);
    let id = BufGroup(0x2bc);
    let kernels = BufRing::builder(id, 4).kernel_memory().register(&ring);
    // Since Linux 6.4.
    let Some(group) = newer(&ring, LINUX_6_8, kernels) else { return };
    let at = mapped_at(id);
    let mut group = Some(group);
    assert!(in_child(|| {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: Plain call: what is there already stays.
        let own = unsafe { libc::mmap(at, 4096, access, kind | libc::MAP_FIXED_NOREPLACE, -1, 0) };
        drop(group.take());
        // SAFETY: Plain call: it says whether there is a page.
        own == at && unsafe { libc::mincore(at, 4096, &mut 0) } == 0
    }));
    group.unwrap().unregister(&ring).unwrap();
}

/// The kernel finds the map by the group's id, and there are not so many places. Red when one goes to the kernel that
/// cannot be found, or one that can is refused.
#[test]
fn a_group_in_the_kernels_memory_has_a_small_number() {
    let ring = ring!("a_group_in_the_kernels_memory", 4);
    let with = |id| BufRing::builder(BufGroup(id), 4).kernel_memory().register(&ring);
    // Since Linux 6.4.
    let Some(group) = newer(&ring, LINUX_6_8, with(2047)) else { return };
    for id in [2048, u16::MAX] {
        assert_eq!(with(id).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        BufRing::builder(BufGroup(id), 4).register(&ring).unwrap().unregister(&ring).unwrap();
    }
    group.unregister(&ring).unwrap();
}

/// A worker has its buffer from the start on, and may be answered last. Red when that buffer is nobody's by then.
#[test]
fn a_buffer_is_known_when_its_place_is_anothers() {
    let mut ring = ring!("a_buffer_is_known_when_its_place_is_anothers", 4);
    if !has(&ring, LINUX_6_8) {
        return; // nobody tells when the worker has its buffer
    }
    let mut buffers = group(2).register_arena(&ring, 8).unwrap();
    let (slow, mut to_slow) = io::pipe().unwrap();
    let (fast, mut to_fast) = io::pipe().unwrap();
    let read = |pipe: &io::PipeReader| Sqe::read(pipe.as_raw_fd(), ptr::null_mut(), 8, u64::MAX).buffer_select(GROUP);
    push(&mut ring, read(&slow).run_async()).unwrap();
    ring.submit().unwrap();
    let since = std::time::Instant::now();
    while buffers.head(&ring).unwrap() == 0 && since.elapsed().as_secs() < 2 {
        std::thread::yield_now();
    }
    for n in 0..4 {
        to_fast.write_all(b"fast").unwrap();
        let cqe = answer(&mut ring, read(&fast).user_data(n));
        assert_eq!(text(&mut buffers, &cqe), "fast");
    }
    to_slow.write_all(b"slow").unwrap();
    let cqe = answers(&mut ring, 1)[0];
    assert_eq!(text(&mut buffers, &cqe), "slow");
    assert_eq!(buffers.on_offer(), 2);
    buffers.unregister(&ring).unwrap();
}

/// Red when a request that a worker thread carries out brings no buffer, or another's.
#[test]
fn a_worker_takes_a_buffer_too() {
    let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    for flags in [SetupFlags::empty(), deferred] {
        let Ok(mut ring) = Ring::builder().flags(flags).build(4) else { continue };
        let Some(mut buffers) = newer(&ring, LINUX_5_19, group(8).register_arena(&ring, 16)) else { return };
        let file = File::open("Cargo.toml").unwrap();
        let whole = std::fs::read("Cargo.toml").unwrap();
        for n in 0..4 {
            let read = Sqe::read(file.as_raw_fd(), ptr::null_mut(), 16, 16 * n).buffer_select(GROUP);
            push(&mut ring, read.user_data(n).flags(SqeFlags::ASYNC)).unwrap();
        }
        for cqe in answers(&mut ring, 4) {
            let at = 16 * cqe.user_data as usize;
            assert_eq!(text(&mut buffers, &cqe).as_bytes(), &whole[at..at + 16]);
        }
    }
}
