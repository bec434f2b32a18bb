//! Zero-copy receive, as far as there is a kernel for it.

use crate::common::*;
use annulus::{
    ring::{CqeFlags, Ring, SetupFlags, Sqe, Zcrx, ZcrxSetup},
    sys,
};
use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd},
};

/// Memory for 64 parts, of no device.
fn setup() -> ZcrxSetup {
    ZcrxSetup { entries: 64, area: 1 << 20, ..ZcrxSetup::default() }
}

/// Without privileges, before Linux 6.15, where the kernel was built without it, or on a device that cannot.
fn refused<T>(result: io::Result<T>) -> bool {
    matches!(os_error(result), Some(libc::EINVAL | libc::EPERM | libc::EOPNOTSUPP))
}

/// Red when a size that cannot be reaches the kernel, or when a ring of another kind is refused in another way.
#[test]
fn a_ring_that_cannot_receive_without_a_copy_says_so() {
    for flags in [SetupFlags::empty(), DEFER] {
        let Some(ring) = ring_or_skip("a_ring_that_cannot_receive", 4, flags) else { continue };
        assert!(refused(ring.register_zcrx(&setup())));
        assert!(refused(ring.register_zcrx(&ZcrxSetup { interface: Some(1), ..setup() })));
        let none = std::fs::File::open("Cargo.toml").unwrap();
        assert!(matches!(os_error(ring.import_zcrx(none.as_fd())), Some(libc::EINVAL | libc::EPERM | libc::EBADF)));
        let odd = ring.register_zcrx(&ZcrxSetup { entries: 3, ..setup() }).unwrap_err();
        assert_eq!(odd.kind(), io::ErrorKind::InvalidInput);
    }
}

/// Receives `text`, which the peer sends in turns, by one entry.
fn receive(ring: &mut Ring, queue: &mut Zcrx, text: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (receiver, _) = listener.accept().unwrap();
    let receive = Sqe {
        opcode: sys::IORING_OP_RECV_ZC as u8,
        fd: receiver.as_raw_fd(),
        ioprio: sys::IORING_RECV_MULTISHOT as u16,
        file_index: queue.id(),
        ..Sqe::default()
    };
    push(ring, receive.user_data(3)).unwrap();
    ring.submit().unwrap();
    let mut all = Vec::new();
    for part in text.chunks(10_000) {
        sender.write_all(part).unwrap();
        let due = all.len() + part.len();
        while all.len() < due {
            assert!(!ring.wait_timeout(1, LONG).unwrap().timed_out);
            let mut parts = Vec::new();
            let mut ready = ring.completions();
            parts.extend(std::iter::from_fn(|| ready.next_big()));
            drop(ready);
            for big in parts {
                assert!(big.cqe.res > 0 && big.cqe.flags.contains(CqeFlags::MORE), "{big:?}");
                // SAFETY: this completion is of the entry above, was just read, and the ring outlives the bytes.
                let bytes = unsafe { queue.take(big) }.unwrap();
                all.extend_from_slice(&bytes);
                // The kernel looks only when it needs memory, or is asked to.
                if let Err(bytes) = queue.give_back(bytes) {
                    queue.flush(ring).unwrap();
                    queue.give_back(bytes).unwrap();
                }
            }
        }
    }
    assert!(all == text);
    drop(sender);
    assert!(!ring.wait_timeout(1, LONG).unwrap().timed_out);
    let last = ring.completions().next().unwrap();
    assert_eq!((last.res, last.is_final()), (0, true));
}

/// Three times as much as the area holds, so that memory comes back. Red when bytes are taken from elsewhere, or go
/// back to nowhere.
#[test]
fn bytes_are_received_into_memory_of_ours() {
    let text: Vec<u8> = (0..3_u32 << 18).flat_map(u32::to_ne_bytes).collect();
    for wide in [SetupFlags::CQE32, SetupFlags::CQE_MIXED] {
        let mut ring = match Ring::builder().flags(DEFER | wide).build(64) {
            Ok(ring) => ring,
            Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)) => continue,
            Err(e) => panic!("{e}"),
        };
        // SAFETY: a name that ends.
        let loopback = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
        let no_device = os_error(ring.register_zcrx(&ZcrxSetup { interface: Some(loopback), ..setup() }));
        // SAFETY: asks who this is.
        let root = unsafe { libc::geteuid() } == 0;
        if root && ring.probe().unwrap().supports(sys::IORING_OP_RECV_ZC as u8) {
            assert_eq!(no_device, Some(libc::EOPNOTSUPP));
        } else {
            assert!(matches!(no_device, Some(libc::EINVAL | libc::EPERM)), "{no_device:?}");
        }
        match ring.register_zcrx(&setup()) {
            Ok(mut queue) => {
                receive(&mut ring, &mut queue, &text);
                queue.flush(&ring).unwrap();
                let other = Ring::builder().flags(DEFER | wide).build(64).unwrap();
                let id = other.import_zcrx(queue.export(&ring).unwrap().as_fd());
                assert!(id.is_ok(), "{id:?}");
            }
            // Before Linux 7.1 there is no queue without a device.
            other => assert!(refused(other)),
        }
    }
}
