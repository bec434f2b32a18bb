//! Files: what is read, written, and told of them.

use crate::frame::{Rig, Row, answer};
use annulus::ring::{FixedFile, Sqe};
use std::{mem::zeroed, os::fd::AsRawFd, ptr};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "NOP", twin: true, run: nop },
    Row { op: "FSYNC", twin: true, run: fsync },
    Row { op: "STATX", twin: false, run: statx },
];

/// A place where nothing stands.
const NOWHERE: FixedFile = FixedFile(3);

fn nop(rig: &mut Rig) -> Result<(), i32> {
    assert_eq!(rig.run(Sqe::nop()), 0);
    assert_eq!(rig.run(Sqe { ioprio: 1, ..Sqe::nop() }), -libc::EINVAL);
    Ok(())
}

fn fsync(rig: &mut Rig) -> Result<(), i32> {
    let file = rig.file("fsync", b"abc");
    let (pipe, _writer) = std::io::pipe().unwrap();
    for data_only in [false, true] {
        assert_eq!(rig.run(Sqe::fsync(file.as_raw_fd(), data_only)), 0);
        // SAFETY: Plain call: no memory is named.
        let theirs = answer(unsafe { libc::fsync(pipe.as_raw_fd()) });
        assert_eq!((rig.run(Sqe::fsync(pipe.as_raw_fd(), data_only)), theirs), (-libc::EINVAL, -libc::EINVAL));
    }
    assert_eq!(rig.run(Sqe::fsync(NOWHERE, false)), -libc::EBADF);
    Ok(())
}

fn statx(rig: &mut Rig) -> Result<(), i32> {
    let _file = rig.file("statx", b"12345");
    for (name, expected) in [("statx", 0), ("nowhere", -libc::ENOENT)] {
        let path = rig.path(name);
        // SAFETY: Plain bytes: integers, for which zeros are fine.
        let (mut ours, mut theirs): (libc::statx, libc::statx) = unsafe { (zeroed(), zeroed()) };
        let mask = libc::STATX_BASIC_STATS;
        assert_eq!(rig.run(Sqe::statx(libc::AT_FDCWD, path.as_ptr(), 0, mask, &raw mut ours)), expected);
        // SAFETY: a path that ends and room for the answer.
        let call = unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, mask, &raw mut theirs) };
        assert_eq!(answer(call), expected);
        assert_eq!((ours.stx_size, ours.stx_ino), (theirs.stx_size, theirs.stx_ino));
        assert_eq!(ours.stx_size, if expected == 0 { 5 } else { 0 });
    }
    let path = rig.path("statx");
    assert_eq!(rig.run(Sqe::statx(libc::AT_FDCWD, path.as_ptr(), 0, 0, ptr::null_mut())), -libc::EFAULT);
    Ok(())
}
