//! Messages to rings, and what a ring's descriptor may not do.

use crate::common::*;
use annulus::{
    ring::{Ring, SetupFlags, Sqe, send_message},
    sys,
};
use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    ptr, thread,
};

/// What a ring with `flags` is told, and by whom it is refused; `None` before Linux 6.13.
fn told(flags: SetupFlags) -> Option<()> {
    let mut ring = ring_or_skip("a_ring_is_told", 4, flags)?;
    let fd = borrowed(&ring);
    let sent = send_message(fd, u64::MAX, i32::MIN);
    if matches!(os_error(sent), Some(libc::EINVAL | libc::EBADF)) {
        return None;
    }
    // Asleep or awake.
    let other = fd.try_clone_to_owned().unwrap();
    let later = thread::spawn(move || {
        thread::sleep(ms(20));
        send_message(other.as_fd(), 5, 6).unwrap();
    });
    let mut seen = vec![];
    while seen.len() < 2 {
        assert!(!ring.wait_timeout(1, LONG).unwrap().timed_out, "{flags:?}");
        seen.extend(ring.completions().map(|cqe| (cqe.user_data, cqe.res, cqe.flags.bits())));
    }
    later.join().unwrap();
    assert_eq!(seen, [(u64::MAX, i32::MIN, 0), (5, 6, 0)], "{flags:?}");
    Some(())
}

fn borrowed(ring: &Ring) -> BorrowedFd<'static> {
    // SAFETY: every test keeps its ring until after the last use.
    unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) }
}

/// Red when the number or the result is not what was sent, in full.
#[test]
fn every_kind_of_ring_is_told() {
    for flags in [SetupFlags::empty(), SetupFlags::SINGLE_ISSUER, DEFER, SetupFlags::SQPOLL] {
        if told(flags).is_none() {
            return;
        }
    }
}

/// Red when a ring that does not run yet is told, or what is none.
#[test]
fn who_cannot_be_told_says_so() {
    let disabled = ring!("who_cannot_be_told_says_so", 4, SetupFlags::R_DISABLED);
    let refused = [libc::EBADFD, libc::EINVAL, libc::EBADF];
    assert!(os_error(send_message(borrowed(&disabled), 1, 0)).is_some_and(|errno| refused.contains(&errno)));
    let file = File::open("Cargo.toml").unwrap();
    assert!(os_error(send_message(file.as_fd(), 1, 0)).is_some_and(|errno| refused.contains(&errno)));
    let mut ring = ring!("who_cannot_be_told_says_so", 4);
    let message = |to: i32| Sqe { opcode: sys::IORING_OP_MSG_RING as u8, fd: to, ..Sqe::default() };
    for (to, result) in [(file.as_raw_fd(), -libc::EBADFD), (disabled.as_raw_fd(), -libc::EBADFD), (-1, -libc::EBADF)] {
        push(&mut ring, message(to)).unwrap();
        ring.submit_and_wait(1).unwrap();
        let res = ring.completions().next().unwrap().res;
        assert!(res == result || res == -libc::EINVAL, "{to}: {res}"); // the latter before Linux 5.18
    }
}

/// A sender may set every bit of the flags, from Linux 6.3: so flags are looked at by who knows what a completion is
/// about. Red when one is lost on the way.
#[test]
fn a_message_carries_flags() {
    let mut ring = ring!("a_message_carries_flags", 4);
    let other = ring!("a_message_carries_flags", 4);
    for to in [other.as_raw_fd(), ring.as_raw_fd()] {
        let message = Sqe {
            opcode: sys::IORING_OP_MSG_RING as u8,
            fd: to,
            off: 9,
            len: 8,
            file_index: !sys::IORING_CQE_F_SKIP,
            op_flags: sys::IORING_MSG_RING_FLAGS_PASS,
            ..Sqe::default()
        };
        push(&mut ring, message.user_data(1)).unwrap();
        ring.submit_and_wait(1).unwrap();
    }
    let mut other = other;
    let ends: Vec<_> = ring.completions().map(|cqe| (cqe.user_data, cqe.res)).collect();
    if ends.contains(&(1, -libc::EINVAL)) {
        return; // before Linux 6.3
    }
    assert_eq!(ends.iter().filter(|&&end| end == (1, 0)).count(), 2);
    assert!(ends.contains(&(9, 8)));
    let told = other.completions().next().unwrap();
    assert_eq!((told.user_data, told.res, told.flags.bits()), (9, 8, !sys::IORING_CQE_F_SKIP));
}

/// The kernel would have to find cycles of rings in flight between sockets. Red when a kernel lets one through, and the
/// documentation has to say so.
#[test]
fn a_ring_is_sent_to_nobody() {
    let ring = ring!("a_ring_is_sent_to_nobody", 1);
    let (socket, _peer) = UnixStream::pair().unwrap();
    let mut byte = [0_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = [0_u64; 4];
    // SAFETY: all zeros is a message without anything.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&mut part, 1);
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: asks for sizes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    // SAFETY: the message has room for one header.
    let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    // SAFETY: it lies in the room above, which nobody else uses.
    let header = unsafe { &mut *header };
    (header.cmsg_level, header.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    // SAFETY: asks for sizes.
    header.cmsg_len = unsafe { libc::CMSG_LEN(4) } as _;
    // SAFETY: asks where its data is.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: it has room for one descriptor.
    unsafe { ptr::write_unaligned(data.cast::<i32>(), ring.as_raw_fd()) };
    // SAFETY: a whole message.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, 0) };
    assert_eq!((sent, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EINVAL)));
    let _ = (&socket).write(b"x");
}
