//! What the fuzzer and `tests/corpus.rs` feed: bytes as if a kernel had written them. Each parser is held to a second
//! one, which counts in positions of 128 bits where nothing overflows.

use crate::sys::{
    control::{ControlMessage, ControlMessages, header_len},
    recvmsg_out::Rooms,
    sockaddr::SockAddr,
    stat::{Statx, StatxTime},
};
use std::{mem::offset_of, net::SocketAddr, ops::Range};

/// Any bytes as control data of a message.
pub fn control(bytes: &[u8]) {
    let mut found = ControlMessages::new(bytes);
    let mut at = 0;
    while let Some((range, next)) = whole_message(bytes, at) {
        let message = found.next().expect("a message that is there is found");
        assert!(same_place(bytes, message.data, &range), "{range:?} is another's");
        let kind = [offset_of!(libc::cmsghdr, cmsg_level), offset_of!(libc::cmsghdr, cmsg_type)];
        let [level, kind] = kind.map(|field| i32::from_ne_bytes(word(bytes, at as usize + field).to_ne_bytes()));
        assert_eq!((message.level, message.kind), (level, kind));
        descriptors(message);
        at = next;
    }
    assert!(found.next().is_none() && found.next().is_none(), "there are no more");
}

/// Where the content of the message at `at` lies, and where the next would be.
fn whole_message(bytes: &[u8], at: u128) -> Option<(Range<usize>, u128)> {
    let (header, len) = (header_len() as u128, bytes.len() as u128);
    if at + header > len {
        return None;
    }
    let from = at as usize;
    let claim = match width(|header| &header.cmsg_len) {
        4 => word(bytes, from + offset_of!(libc::cmsghdr, cmsg_len)).into(),
        _ => u128::from(long(bytes, from + offset_of!(libc::cmsghdr, cmsg_len))),
    };
    let unit = ControlMessage::space(1) as u128 - header;
    (claim >= header)
        .then(|| (from + header as usize..(at + claim).min(len) as usize, at + claim.next_multiple_of(unit)))
}

/// Bytes of a field of the header: C libraries do not agree on its type.
fn width<T>(_: fn(&libc::cmsghdr) -> &T) -> usize {
    size_of::<T>()
}

fn descriptors(message: ControlMessage<'_>) {
    let brings = (message.level, message.kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    let numbers = (0..message.data.len() / 4).map(|i| word(message.data, 4 * i) as i32);
    let numbers: Vec<i32> = numbers.filter(|&fd| brings && fd >= 0).collect();
    assert!(message.descriptors().eq(numbers));
}

/// Whether `part` is just these bytes of `whole`, by address.
fn same_place(whole: &[u8], part: &[u8], range: &Range<usize>) -> bool {
    let at = |pointer: *const u8| (pointer as usize).wrapping_sub(whole.as_ptr() as usize);
    let Range { start, end } = part.as_ptr_range();
    (at(start), at(end)) == (range.start, range.end)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let (a, b) = (word(bytes, at).to_ne_bytes(), word(bytes, at + 4).to_ne_bytes());
    u64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
}

/// Any bytes as a message in a chosen buffer: the first two say how much room was asked for, and the third by how much
/// to shift both.
pub fn recvmsg_out(bytes: &[u8]) {
    let [name, control, shift, rest @ ..] = bytes else { return };
    let room = |byte: u8| usize::from(byte).rotate_right(u32::from(*shift));
    let rooms = Rooms { name: room(*name), control: room(*control) };
    let (first, len) = (16 + rooms.name as u128, rest.len() as u128);
    let second = first + rooms.control as u128;
    let Some(at) = rooms.layout(rest) else {
        assert!(second > len, "a message that is there is found");
        return;
    };
    assert!(second <= len);
    let part = |start: u128, room: u128, at: usize| start..start + room.min(u128::from(word(rest, at)));
    let is_at = |range: Range<usize>, model: Range<u128>| (range.start as u128..range.end as u128) == model;
    assert!(is_at(at.name.clone(), part(16, first - 16, 0)));
    assert!(is_at(at.control.clone(), part(first, second - first, 4)));
    assert!(is_at(at.payload, part(second, len - second, 8)));
    assert_eq!((at.name_len, at.flags as u32), (word(rest, 0) as usize, word(rest, 12)));
    self::control(&rest[at.control]);
    let _ = SockAddr::from_bytes(&rest[at.name]).map(known_address);
}

/// Any bytes as a socket's address: the first four are the length that the kernel wrote, whatever there is.
pub fn sockaddr(bytes: &[u8]) {
    let Some((claim, bytes)) = bytes.split_first_chunk::<4>() else { return };
    let room = size_of::<libc::sockaddr_storage>();
    let family_end = offset_of!(libc::sockaddr_storage, ss_family) + size_of::<libc::sa_family_t>();
    let Ok(mut addr) = SockAddr::from_bytes(bytes) else {
        assert!(bytes.len() < family_end || bytes.len() > room);
        return;
    };
    let family = addr.as_bytes()[offset_of!(libc::sockaddr_storage, ss_family)..family_end].to_vec();
    // BSD writes the length before the family.
    assert!(addr.as_bytes().len() == bytes.len() && addr.as_bytes()[family_end..] == bytes[family_end..]);
    known_address(addr);
    let claim = u32::from_ne_bytes(*claim);
    addr.set_len(claim);
    assert_eq!(addr.as_bytes().len(), room.min(claim as usize));
    assert!(addr.family() == libc::AF_UNSPEC || addr.as_bytes()[..family_end].ends_with(&family));
    known_address(addr);
}

/// What an address is, by its bytes alone.
fn known_address(addr: SockAddr) {
    let bytes = addr.as_bytes();
    let is = |family, len| addr.family() == family && bytes.len() >= len;
    let port = || u16::from_be_bytes([bytes[2], bytes[3]]);
    let flow = || u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    match addr.to_std() {
        Ok(SocketAddr::V4(v4)) => {
            assert!(is(libc::AF_INET, 16) && v4.port() == port() && v4.ip().octets() == bytes[4..8]);
        }
        Ok(SocketAddr::V6(v6)) => {
            assert!(is(libc::AF_INET6, 28) && v6.port() == port() && v6.ip().octets() == bytes[8..24]);
            assert!(v6.flowinfo() == flow() && v6.scope_id() == word(bytes, 24));
        }
        Err(_) => assert!(!is(libc::AF_INET, 16) && !is(libc::AF_INET6, 28)),
    }
    let name = if is(libc::AF_UNIX, 2) { &bytes[2..] } else { &[] };
    let zero = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    let path = addr.as_pathname().map(|path| path.as_os_str().as_encoded_bytes());
    assert_eq!(path, (zero > 0).then(|| &name[..zero]));
    if let Some(hidden) = addr.as_abstract_namespace() {
        assert!(zero == 0 && hidden == &name[1..]);
    }
    assert!(addr.as_vsock().is_none_or(|parts| parts == (word(bytes, 8), word(bytes, 4))));
    assert!(!addr.is_unnamed() || path.is_none());
}

/// Any bytes as what the kernel says of a file.
pub fn statx(bytes: &[u8]) {
    let Some(file) = Statx::from_bytes(bytes) else {
        assert!(bytes.len() < 256);
        return;
    };
    assert!(bytes.len() >= 256);
    let mask = word(bytes, 0);
    let told = |bit: u32, value: u64| (mask >> bit & 1 != 0).then_some(value);
    let small = |bit, at| told(bit, word(bytes, at).into());
    let large = |bit, at| told(bit, long(bytes, at));
    let mode = u64::from(u16::from_ne_bytes([bytes[28], bytes[29]]));
    assert_eq!(
        [file.file_type(), file.permissions()].map(|m| m.map(u64::from)),
        [told(0, mode & 0xf000), told(1, mode & 0xfff)]
    );
    let numbers = [file.links(), file.uid(), file.gid(), file.direct_read_align()].map(|n| n.map(u64::from));
    assert_eq!(numbers, [small(2, 16), small(3, 20), small(4, 24), small(17, 180)]);
    let numbers = [file.inode(), file.size(), file.blocks(), file.mount(), file.unique_mount(), file.subvolume()];
    let model = [large(8, 32), large(9, 40), large(10, 48), large(12, 144), large(14, 144), large(15, 160)];
    assert_eq!(numbers, model);
    for (time, bit, at) in
        [(file.accessed(), 5, 64), (file.created(), 11, 80), (file.changed(), 7, 96), (file.modified(), 6, 112)]
    {
        let time: Option<StatxTime> = time;
        assert_eq!(time.map(|t| t.seconds as u64), large(bit, at));
        assert_eq!(time.map(|t| t.nanoseconds.into()), small(bit, at + 8));
        assert!(time.is_none_or(|t| t.nanoseconds < 1_000_000_000 || t.to_system_time().is_none()));
    }
    let pair = |at| (word(bytes, at), word(bytes, at + 4));
    assert_eq!((file.represents(), file.device(), file.block_size()), (pair(128), pair(136), word(bytes, 4)));
    assert_eq!(file.direct_align(), (mask >> 13 & 1 != 0).then(|| pair(152)));
    let writes = file.atomic_writes().map(|w| [w.min, w.max, w.max_parts, w.fast_max]);
    assert_eq!(writes, (mask >> 16 & 1 != 0).then(|| [168, 172, 176, 184].map(|at| word(bytes, at))));
    // One attribute for each run: bytes that mean nothing yet say which.
    let bit = bytes[255] % 64;
    let known = long(bytes, 56) >> bit & 1 != 0;
    assert_eq!(file.attribute(1 << bit), known.then_some(long(bytes, 8) >> bit & 1 != 0));
}
