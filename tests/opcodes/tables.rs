//! What a ring alone has: tables of files, groups of buffers, and entries of twice the size.

use crate::frame::{LONG, Rig, Row};
use annulus::ring::{BufGroup, FileSlot, FixedFile, Ring, SetupFlags, Sqe, Sqe128};
use std::{fs::File, os::fd::AsRawFd};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "FILES_UPDATE", twin: false, run: files_update },
    Row { op: "PROVIDE_BUFFERS", twin: false, run: provide_buffers },
    Row { op: "REMOVE_BUFFERS", twin: false, run: remove_buffers },
    Row { op: "NOP128", twin: false, run: nop128 },
    Row { op: "URING_CMD128", twin: false, run: uring_cmd128 },
];

/// Reads the first byte of what stands at a place.
fn first_byte(rig: &mut Rig, place: u32) -> Result<u8, i32> {
    let at = rig.at;
    match rig.run(Sqe::read(FixedFile(place), at, 1, 0)) {
        1 => Ok(rig.memory()[0]),
        other => Err(other),
    }
}

fn files_update(rig: &mut Rig) -> Result<(), i32> {
    let (a, b) = (rig.file("a", b"a"), rig.file("b", b"b"));
    let list = [FileSlot::of(&a), FileSlot::of(&b)];
    assert_eq!(rig.run(Sqe::files_update(FixedFile(4), list.as_ptr(), 2)), 2);
    assert_eq!((first_byte(rig, 4), first_byte(rig, 5)), (Ok(b'a'), Ok(b'b')));
    let list = [FileSlot::EMPTY, FileSlot::EMPTY];
    assert_eq!(rig.run(Sqe::files_update(FixedFile(4), list.as_ptr(), 2)), 2);
    assert_eq!((first_byte(rig, 4), first_byte(rig, 5)), (Err(-libc::EBADF), Err(-libc::EBADF)));
    assert_eq!(rig.run(Sqe::files_update(FixedFile(crate::frame::PLACES - 1), list.as_ptr(), 2)), -libc::EINVAL);
    // Wherever there is room: as old as this opcode.
    if rig.has("SOCKET") {
        let fds: &'static mut [i32; 2] = Box::leak(Box::new([b.as_raw_fd(), a.as_raw_fd()]));
        assert_eq!(rig.run(Sqe::files_update_any(fds.as_mut_ptr(), 2)), 2);
        assert_eq!((first_byte(rig, fds[0] as u32), first_byte(rig, fds[1] as u32)), (Ok(b'b'), Ok(b'a')));
        for place in *fds {
            rig.put(FixedFile(place as u32), -1);
        }
    }
    Ok(())
}

const GROUP: BufGroup = BufGroup(11);

fn provide_buffers(rig: &mut Rig) -> Result<(), i32> {
    let file = rig.file("provided", b"0123456789");
    let at = rig.at;
    // Two of eight bytes, called 30 and 31.
    assert_eq!(rig.run(Sqe::provide_buffers(GROUP, at, 8, 2, 30)), 0);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let cqe = rig.cqe(Sqe::read(file.as_raw_fd(), std::ptr::null_mut(), 4, 3).buffer_select(GROUP));
        let id = cqe.buffer().unwrap();
        let from = usize::from(id - 30) * 8;
        assert_eq!((cqe.res, &rig.memory()[from..from + 4]), (4, &b"3456"[..]));
        seen.push(id);
    }
    seen.sort_unstable();
    assert_eq!(seen, [30, 31]);
    let none = Sqe::read(file.as_raw_fd(), std::ptr::null_mut(), 4, 3).buffer_select(GROUP);
    assert_eq!(rig.run(none), -libc::ENOBUFS);
    assert_eq!(rig.run(Sqe::provide_buffers(GROUP, at, 8, 0, 0)), -libc::E2BIG);
    // Older kernels go on with number 0.
    let beyond = rig.run(Sqe::provide_buffers(GROUP, at, 8, 2, u16::MAX));
    assert!([-libc::EINVAL, -libc::E2BIG].contains(&beyond) || !rig.has("SOCKET"), "{beyond}");
    Ok(())
}

fn remove_buffers(rig: &mut Rig) -> Result<(), i32> {
    assert_eq!(rig.run(Sqe::remove_buffers(BufGroup(999), 1)), -libc::ENOENT);
    let at = rig.at;
    assert_eq!(rig.run(Sqe::provide_buffers(BufGroup(12), at, 8, 3, 0)), 0);
    assert_eq!(rig.run(Sqe::remove_buffers(BufGroup(12), 2)), 2);
    assert_eq!(rig.run(Sqe::remove_buffers(BufGroup(12), 9)), 1, "there was one more");
    Ok(())
}

/// Rings whose queue has room for such entries.
fn wide_rings() -> impl Iterator<Item = Ring> {
    let flags = [SetupFlags::SQE128, SetupFlags::SQE_MIXED];
    flags.into_iter().map(|flags| Ring::builder().flags(flags).build(8).unwrap())
}

fn run128(ring: &mut Ring, entry: &Sqe128) -> i32 {
    // SAFETY: Lent: what these rows name is numbers, and a file that stays open.
    unsafe { ring.push128(entry) }.unwrap();
    ring.wait_timeout(1, LONG).unwrap();
    ring.completions().next().expect("a completion").res
}

fn nop128(rig: &mut Rig) -> Result<(), i32> {
    for mut ring in wide_rings() {
        assert_eq!(run128(&mut ring, &Sqe128::nop()), 0);
    }
    assert_eq!(rig.run(Sqe128::nop().sqe), -libc::EINVAL, "there is no room for it");
    Ok(())
}

fn uring_cmd128(rig: &mut Rig) -> Result<(), i32> {
    let (null, file) = (File::open("/dev/null").unwrap(), rig.file("no device", b""));
    for mut ring in wide_rings() {
        // The null device takes every command.
        assert_eq!(run128(&mut ring, &Sqe128::uring_cmd(null.as_raw_fd(), 7, &[1; 80])), 0);
        assert_eq!(run128(&mut ring, &Sqe128::uring_cmd(file.as_raw_fd(), 7, &[1; 80])), -libc::EOPNOTSUPP);
    }
    let narrow = Sqe128::uring_cmd(null.as_raw_fd(), 7, &[1; 80]).sqe;
    assert_eq!(rig.run(narrow), -libc::EINVAL, "there is no room for it");
    Ok(())
}
