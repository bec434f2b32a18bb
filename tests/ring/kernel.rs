//! What annulus relies on: the three system calls as the kernel has them, without a [`Ring`](annulus::ring::Ring).
//!
//! Red when a kernel answers otherwise than it is documented here, which would be news for the layer above.

use annulus::{ring::Ring, sys::io_uring_params};
use std::{
    ffi::c_void,
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

/// What a call gives, or its errno.
fn call(number: libc::c_long, args: [usize; 6]) -> Result<i32, i32> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: every caller below names memory that is there, or none.
    let n = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if n < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(n as i32) }
}

fn setup(entries: u32, params: *mut io_uring_params) -> Result<OwnedFd, i32> {
    let fd = call(libc::SYS_io_uring_setup, [entries as usize, params.addr(), 0, 0, 0, 0])?;
    // SAFETY: the kernel just made this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn enter(fd: i32, submit: u32, wait: u32, flags: u32) -> Result<i32, i32> {
    call(libc::SYS_io_uring_enter, [fd as usize, submit as usize, wait as usize, flags as usize, 0, 0])
}

/// Whether there are rings at all; what forbids them is no matter of this room.
fn there_are_rings() -> bool {
    Ring::new(1).is_ok()
}

#[test]
fn bad_setups_are_refused_by_the_kernel_as_well() {
    if !there_are_rings() {
        return;
    }
    let with = |change: fn(&mut io_uring_params)| {
        let mut params = io_uring_params::default();
        change(&mut params);
        setup(4, &mut params).map(drop)
    };
    assert_eq!(with(|_| {}), Ok(()));
    assert_eq!(with(|params| params.resv[1] = 1), Err(libc::EINVAL));
    assert_eq!(with(|params| params.flags = 1 << 30), Err(libc::EINVAL));
    assert_eq!(with(|params| params.flags = annulus::sys::IORING_SETUP_SQ_AFF), Err(libc::EINVAL));
    assert_eq!(setup(0, &mut io_uring_params::default()).map(drop), Err(libc::EINVAL));
    assert_eq!(setup(4, ptr::null_mut()).map(drop), Err(libc::EFAULT));
}

#[test]
fn a_ring_is_no_file_to_read() {
    let Ok(ring) = Ring::new(4) else { return };
    let mut file = File::from(ring.fd().unwrap().try_clone_to_owned().unwrap());
    assert_eq!(file.read(&mut [0; 8]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn bad_enters_are_refused_in_their_order() {
    let Ok(ring) = Ring::new(4) else { return };
    let (fd, null) = (ring.as_raw_fd(), File::open("/dev/null").unwrap());
    assert_eq!(enter(fd, 0, 0, u32::MAX), Err(libc::EINVAL));
    assert_eq!(enter(-1, 0, 0, 0), Err(libc::EBADF));
    assert_eq!(enter(null.as_raw_fd(), 0, 0, 0), Err(libc::EOPNOTSUPP));
    assert_eq!(enter(fd, 0, 0, 0), Ok(0));
}

/// A map of the ring's, of one page.
fn map(fd: &OwnedFd, offset: u32) -> *const u8 {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new map at a place that the kernel picks. It stays to the end of the process.
    let map =
        unsafe { libc::mmap(ptr::null_mut::<c_void>(), 4096, prot, flags, fd.as_raw_fd(), offset as libc::off_t) };
    assert_ne!(map, libc::MAP_FAILED);
    map.cast()
}

#[test]
fn both_queues_are_one_memory_under_two_names() {
    if !there_are_rings() {
        return;
    }
    let mut params = io_uring_params::default();
    let fd = setup(4, &mut params).unwrap();
    let maps = [annulus::sys::IORING_OFF_SQ_RING, annulus::sys::IORING_OFF_CQ_RING].map(|offset| map(&fd, offset));
    let read = |map: *const u8, offset: u32| word(map, offset).load(Ordering::Acquire);
    for map in maps {
        let sizes = [params.sq_off.ring_entries, params.cq_off.ring_entries].map(|offset| read(map, offset));
        assert_eq!((sizes, read(map, params.cq_off.tail)), ([4, 8], 0));
    }
}

/// A word of such a map.
fn word(map: *const u8, offset: u32) -> &'static AtomicU32 {
    assert!(offset <= 4092);
    // SAFETY: a word inside the map, aligned by the kernel; atomics may be written by others.
    unsafe { AtomicU32::from_ptr(map.wrapping_add(offset as usize).cast_mut().cast()) }
}

#[test]
fn a_place_that_is_none_is_thrown_away_and_counted() {
    if !there_are_rings() {
        return;
    }
    let mut params = io_uring_params::default();
    let fd = setup(4, &mut params).unwrap();
    let (ring, sq) = (map(&fd, annulus::sys::IORING_OFF_SQ_RING), params.sq_off);
    // The first of two entries is at a place that there is not; the second is all zeros, which is a NOP.
    for (offset, value) in [(sq.array, 4), (sq.array + 4, 0), (sq.tail, 2)] {
        word(ring, offset).store(value, Ordering::Release);
    }
    let taken: i32 = (0..2).map(|_| enter(fd.as_raw_fd(), 2, 0, 0).unwrap()).sum();
    let now = [sq.head, sq.dropped, params.cq_off.tail].map(|offset| word(ring, offset).load(Ordering::Acquire));
    assert_eq!((taken, now), (1, [2, 1, 1]));
}
