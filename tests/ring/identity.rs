//! In whose name a request is carried out: the submitter's, also by a worker of the kernel, or a registered one's.

use crate::common::{answers, push, ring};
use annulus::{
    ring::{Ring, Sqe, SqeFlags},
    sys,
};
use std::{ffi::CStr, fs::File, io::Read, os::fd::FromRawFd, process, ptr};

/// Opens a path that outlives the program, and gives the descriptor or the error.
fn open(ring: &mut Ring, path: &'static CStr, flags: SqeFlags, personality: u16) -> i32 {
    let sqe = Sqe::openat(libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0).flags(flags);
    push(ring, Sqe { personality, ..sqe }).unwrap();
    answers(ring, 1)[0].res
}

/// Red when a worker looks a path up as somebody else.
#[test]
fn a_worker_is_its_submitter() {
    let mut ring = ring!("a_worker_is_its_submitter", 8);
    for flags in [SqeFlags::empty(), SqeFlags::ASYNC] {
        let fd = open(&mut ring, c"/proc/self/stat", flags, 0);
        assert!(fd >= 0, "{fd}");
        // SAFETY: the descriptor is new, and nobody else's.
        let mut file = unsafe { File::from_raw_fd(fd) };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let (pid, _) = text.split_once(' ').unwrap();
        assert_eq!(pid, process::id().to_string(), "{flags:?}");
    }
}

/// Red when a personality that nobody registered is taken for the submitter's, or a registered one is not known.
#[test]
fn a_personality_is_registered_first() {
    let mut ring = ring!("a_personality_is_registered_first", 8);
    let null = c"/dev/null";
    let opened = |ring: &mut Ring, personality| {
        let fd = open(ring, null, SqeFlags::empty(), personality);
        if fd >= 0 {
            // SAFETY: the descriptor is new, and nobody else's.
            drop(unsafe { File::from_raw_fd(fd) });
        }
        fd.min(0)
    };
    assert_eq!([0, 1, u16::MAX].map(|id| opened(&mut ring, id)), [0, -libc::EINVAL, -libc::EINVAL]);
    // SAFETY: Kernel's word: takes no argument.
    let id = unsafe { ring.register(sys::IORING_REGISTER_PERSONALITY, ptr::null_mut(), 0) }.unwrap();
    let id = u16::try_from(id).unwrap();
    assert!(id > 0);
    assert_eq!(opened(&mut ring, id), 0);
    // SAFETY: Kernel's word: takes a number and no memory.
    unsafe { ring.register(sys::IORING_UNREGISTER_PERSONALITY, ptr::null_mut(), id.into()) }.unwrap();
    assert_eq!(opened(&mut ring, id), -libc::EINVAL);
}
