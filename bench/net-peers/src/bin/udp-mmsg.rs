//! Datagrams sent back by hand: one blocking call that receives what there is, and one that sends it back.

use std::io;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use net::DATAGRAM;
use servers::check;

/// The most that one call receives.
const BATCH: usize = 64;

fn main() -> io::Result<()> {
    let socket = UdpSocket::bind(net::addr())?;
    net::announce(socket.local_addr()?);
    let mut buffers = vec![[0u8; DATAGRAM]; BATCH];
    // SAFETY: all-zero addresses are addresses of no family.
    let mut names = vec![unsafe { MaybeUninit::<libc::sockaddr_in>::zeroed().assume_init() }; BATCH];
    let mut parts: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: DATAGRAM })
        .collect();
    let mut messages: Vec<_> = parts
        .iter_mut()
        .zip(&mut names)
        .map(|(part, name)| {
            // SAFETY: an all-zero header names no memory.
            let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            (header.msg_name, header.msg_namelen) = (ptr::from_mut(name).cast(), size_of_val(name) as libc::socklen_t);
            (header.msg_iov, header.msg_iovlen) = (part, 1);
            libc::mmsghdr { msg_hdr: header, msg_len: 0 }
        })
        .collect();
    let (fd, all) = (socket.as_raw_fd(), messages.as_mut_ptr());
    loop {
        // SAFETY: `BATCH` headers, whose addresses, parts and buffers live as long as this loop.
        let res = unsafe { libc::recvmmsg(fd, all, BATCH as u32, libc::MSG_WAITFORONE, ptr::null_mut()) };
        let count = check(res.into())?;
        for at in 0..count {
            // SAFETY: one of the headers above.
            let message = unsafe { &mut *all.add(at) };
            // SAFETY: its part, which nobody else looks at now.
            unsafe { (*message.msg_hdr.msg_iov).iov_len = message.msg_len as usize };
        }
        let mut sent = 0;
        while sent < count {
            // SAFETY: inside the headers, as above.
            let rest = unsafe { all.add(sent) };
            // SAFETY: as above.
            sent += check(unsafe { libc::sendmmsg(fd, rest, (count - sent) as u32, 0) }.into())?;
        }
        for at in 0..count {
            // SAFETY: one of the headers above.
            let message = unsafe { &mut *all.add(at) };
            // SAFETY: its part, which nobody else looks at now; its buffer has so much room.
            unsafe { (*message.msg_hdr.msg_iov).iov_len = DATAGRAM };
        }
    }
}
