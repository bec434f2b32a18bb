//! The system calls themselves, without a ring of annulus: what it relies on them to refuse and to do.

use crate::common::{nops, ring};
use annulus::sys::{self, io_uring_params};
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

/// `io_uring_setup(2)`: the ring, or the error's number.
fn setup(entries: u32, params: *mut io_uring_params) -> Result<OwnedFd, i32> {
    // SAFETY: Kernel's word: the structure is checked by the kernel, and written to if it is there.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params) };
    // SAFETY: the descriptor is new, and nobody else's.
    if fd >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }) } else { Err(last_error()) }
}

/// `io_uring_enter(2)`, without an argument.
fn enter(fd: RawFd, submit: u32, wait: u32, flags: u32) -> Result<u32, i32> {
    let null = ptr::null::<u8>();
    // SAFETY: Kernel's word: no memory is named; NOPs alone are submitted.
    let n = unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, submit, wait, flags, null, 0_usize) };
    u32::try_from(n).map_err(|_| last_error())
}

fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// A map of a ring's words, for as long as the test.
struct Words {
    start: *const AtomicU32,
    len: usize,
}

impl Words {
    fn map(fd: RawFd, len: usize, offset: u64) -> Words {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: Plain call: a new map, of a place that the kernel chooses.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, fd, offset as libc::off_t) };
        assert_ne!(start, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Words { start: start.cast(), len }
    }

    /// The word at an offset in bytes.
    fn at(&self, offset: u32) -> &AtomicU32 {
        assert!((offset as usize) < self.len && offset % 4 == 0);
        // SAFETY: inside of the map, which lives as long as `self`; the kernel uses it as this atomic, too.
        unsafe { &*self.start.wrapping_byte_add(offset as usize) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the map is ours, and no reference to it is left.
        assert_eq!(unsafe { libc::munmap(self.start.cast_mut().cast(), self.len) }, 0);
    }
}

/// Red when the kernel takes what it should not: sizes, flags, what is reserved, and no address.
#[test]
fn setup_refuses_what_makes_no_ring() {
    drop(ring!("setup_refuses_what_makes_no_ring", 1));
    let with = |flags| io_uring_params { flags, ..io_uring_params::default() };
    assert_eq!(setup(4, ptr::null_mut()).unwrap_err(), libc::EFAULT);
    for entries in [0, 32769, u32::MAX] {
        assert_eq!(setup(entries, &mut with(0)).unwrap_err(), libc::EINVAL, "{entries}");
    }
    for flags in [1 << 31, sys::IORING_SETUP_SQ_AFF, sys::IORING_SETUP_CQSIZE] {
        assert_eq!(setup(4, &mut with(flags)).unwrap_err(), libc::EINVAL, "{flags:#x}");
    }
    let mut reserved = io_uring_params::default();
    reserved.resv[2] = 1;
    assert_eq!(setup(4, &mut reserved).unwrap_err(), libc::EINVAL);
    let fd = setup(4, &mut with(0)).unwrap();
    let mut byte = 0_u8;
    // SAFETY: Kernel's word: one byte.
    let read = unsafe { libc::read(fd.as_raw_fd(), (&raw mut byte).cast(), 1) };
    assert_eq!((read, last_error()), (-1, libc::EINVAL), "a ring has nothing to read");
}

/// Red when two maps of a ring, or one of each queue, do not show the same.
#[test]
fn each_map_of_a_ring_shows_the_same() {
    let mut ring = ring!("each_map_of_a_ring_shows_the_same", 4);
    let mut params = io_uring_params::default();
    let other = setup(4, &mut params).unwrap();
    let (sq, cq) = (params.sq_off, params.cq_off);
    let len = sq.array as usize + 16;
    let both = Words::map(ring.as_raw_fd(), len, sys::IORING_OFF_SQ_RING.into());
    let completions = Words::map(ring.as_raw_fd(), len, sys::IORING_OFF_CQ_RING.into());
    for n in 1..4_u32 {
        nops(&mut ring, 0..1);
        ring.submit_and_wait(1).unwrap();
        assert_eq!(ring.completions().count(), 1);
        let positions = |words: &Words| [sq.head, sq.tail, cq.head, cq.tail].map(|at| words.at(at).load(SeqCst));
        assert_eq!((positions(&both), positions(&completions)), ([n; 4], [n; 4]));
    }
    drop(other);
}

/// Red when an enter takes flags, numbers or descriptors that mean nothing, and when a place that is none is taken.
#[test]
fn an_enter_refuses_what_means_nothing() {
    let ring = ring!("an_enter_refuses_what_means_nothing", 4);
    let fd = ring.as_raw_fd();
    assert_eq!(enter(fd, 0, 0, u32::MAX), Err(libc::EINVAL));
    assert_eq!(enter(-1, 0, 0, 0), Err(libc::EBADF));
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(enter(null.as_raw_fd(), 0, 0, 0), Err(libc::EOPNOTSUPP));
    assert_eq!(enter(fd, 0, 0, 0), Ok(0));
    // The first of two entries is at a place that there is not: it is thrown away, and counted.
    let mut params = io_uring_params::default();
    let raw = setup(4, &mut params).unwrap();
    let sq = params.sq_off;
    let words = Words::map(raw.as_raw_fd(), sq.array as usize + 16, 0);
    words.at(sq.array).store(4, SeqCst);
    words.at(sq.array + 4).store(0, SeqCst); // zeros: a NOP
    words.at(sq.tail).store(2, SeqCst);
    let mut taken = 0;
    for _ in 0..2 {
        taken += enter(raw.as_raw_fd(), 2, 0, 0).unwrap();
    }
    assert_eq!((taken, words.at(sq.dropped).load(SeqCst), words.at(sq.head).load(SeqCst)), (1, 1, 2));
    assert_eq!(words.at(params.cq_off.tail).load(SeqCst), 1);
}
