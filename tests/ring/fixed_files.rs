//! The table of registered files.

use crate::common::*;
use annulus::{
    ring::{Cqe, FileSlot, FixedFile, Ring, SetupFlags, Sqe, Tag},
    sys,
};
use std::{
    fs::File,
    io::{self, PipeReader, Read, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

const LINUX_5_19: u32 = sys::IORING_OP_SOCKET;
const LINUX_6_0: u32 = sys::IORING_OP_SEND_ZC;

/// Reads a byte from the file at a place, into memory that is never freed.
fn read_at(ring: &mut Ring, place: u32) -> i32 {
    let byte: &'static mut [u8; 1] = Box::leak(Box::new([0]));
    answer(ring, Sqe::read(FixedFile(place), byte.as_mut_ptr(), 1, u64::MAX)).res
}

/// Opens the manifest in the table.
fn open() -> Sqe {
    Sqe { op_flags: 0, ..Sqe::openat(libc::AT_FDCWD, c"Cargo.toml".as_ptr(), libc::O_RDONLY, 0) }
}

/// What comes until nothing comes any more.
fn all(ring: &mut Ring) -> Vec<Cqe> {
    let mut seen = Vec::new();
    while !ring.wait_timeout(1, NOBODY).unwrap().timed_out {
        seen.extend(ring.completions());
    }
    seen
}

/// A pipe that has a byte for every read.
fn full() -> PipeReader {
    let (rx, mut tx) = io::pipe().unwrap();
    tx.write_all(&[7; 100]).unwrap();
    rx
}

/// Red when files are not at the places that were said, or a place that is to stay does not.
#[test]
fn files_are_registered_and_updated() {
    let mut ring = ring!("files_are_registered_and_updated", 4);
    let [a, b, c] = [full(), full(), full()];
    ring.register_files(&[FileSlot::of(&a), FileSlot::EMPTY, FileSlot::from(b.as_fd())], &[]).unwrap();
    assert_eq!(errno(ring.register_files(&[FileSlot::EMPTY], &[])), libc::EBUSY);
    drop((a, b));
    assert_eq!([0, 1, 2, 3].map(|place| read_at(&mut ring, place)), [1, -libc::EBADF, 1, -libc::EBADF]);
    let change = [FileSlot::EMPTY, FileSlot::of(&c), FileSlot::SKIP];
    assert_eq!(ring.update_files(FixedFile(0), &change, &[]).unwrap(), 3);
    assert_eq!([0, 1, 2].map(|place| read_at(&mut ring, place)), [-libc::EBADF, 1, 1]);
    assert_eq!(format!("{change:?}"), format!("[empty, the file of descriptor {}, as it is]", c.as_raw_fd()));
    ring.unregister_files().unwrap();
    assert_eq!(errno(ring.unregister_files()), libc::ENXIO);
    assert_eq!(errno(ring.update_files(FixedFile(0), &[FileSlot::EMPTY], &[])), libc::ENXIO);
    assert_eq!(read_at(&mut ring, 1), -libc::EBADF);
}

/// Red when what cannot be is registered, or said to be.
#[test]
fn what_cannot_be_in_the_table_is_refused() {
    let mut ring = ring!("what_cannot_be_in_the_table_is_refused", 4);
    let other = ring!("what_cannot_be_in_the_table_is_refused", 4);
    let input = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    input(ring.register_files(&[], &[]));
    input(ring.register_files(&[FileSlot::SKIP], &[]));
    input(ring.register_files(&[FileSlot::EMPTY], &[None, None]));
    input(ring.register_files_sparse(0));
    #[allow(clippy::reversed_empty_ranges, reason = "it is to be refused")]
    input(ring.set_file_alloc_range(2..1));
    // SAFETY: the ring is open.
    let of_ring = unsafe { std::os::fd::BorrowedFd::borrow_raw(other.as_raw_fd()) };
    assert_eq!(errno(ring.register_files(&[of_ring.into()], &[])), libc::EBADF);
    if newer(&ring, LINUX_5_19, ring.register_files_sparse(4)).is_none() {
        return;
    }
    let a = full();
    let half = [FileSlot::of(&a), of_ring.into(), FileSlot::of(&a)];
    assert_eq!(ring.update_files(FixedFile(1), &half, &[]).unwrap(), 1, "up to the ring");
    assert_eq!([1, 2, 3].map(|place| read_at(&mut ring, place)), [1, -libc::EBADF, -libc::EBADF]);
    assert_eq!(errno(ring.update_files(FixedFile(3), &[FileSlot::EMPTY; 2], &[])), libc::EINVAL);
    assert_eq!(errno(ring.update_files(FixedFile(0), &[FileSlot::EMPTY], &[Tag::new(1)])), libc::EINVAL);
    ring.unregister_files().unwrap();
    assert_eq!(errno(ring.register_files_sparse(1 << 21)), libc::EMFILE);
}

/// Red when the tag is not given, comes while a request has the file, or comes twice.
#[test]
fn a_file_is_let_go_when_its_tag_says_so() {
    let mut ring = ring!("a_file_is_let_go_when_its_tag_says_so", 4);
    let ((rx, mut tx), other) = (io::pipe().unwrap(), full());
    let tags = [Tag::new(70), Tag::new(71)];
    let files = [FileSlot::of(&rx), FileSlot::of(&other)];
    if newer(&ring, LINUX_5_19, ring.register_files(&files, &tags)).is_none() {
        return;
    }
    drop(rx);
    let byte: &'static mut [u8; 1] = Box::leak(Box::new([0]));
    push(&mut ring, Sqe::read(FixedFile(0), byte.as_mut_ptr(), 1, u64::MAX).user_data(1)).unwrap();
    ring.submit().unwrap();
    assert_eq!(ring.update_files(FixedFile(0), &[FileSlot::of(&other)], &[Tag::new(72)]).unwrap(), 1);
    assert_eq!(all(&mut ring), [], "the read has it");
    tx.write_all(b"x").unwrap();
    let seen: Vec<(u64, i32)> = answers(&mut ring, 2).iter().map(|cqe| (cqe.user_data, cqe.res)).collect();
    assert_eq!(seen, [(1, 1), (70, 0)]);
    // Old kernels close it in a moment.
    let closed = (0..1000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        tx.write(b"x").err()
    });
    assert_eq!(closed.map(|e| e.kind()), Some(io::ErrorKind::BrokenPipe), "it stays open");
    ring.unregister_files().unwrap();
    let mut seen: Vec<u64> = all(&mut ring).iter().map(|cqe| cqe.user_data).collect();
    seen.sort_unstable();
    // Kernels before Linux 6.13 may keep them to themselves.
    let told = ring.probe().unwrap().supports(annulus::sys::IORING_OP_RECV_ZC as u8);
    assert!(seen == [71, 72] || !told && seen.is_empty(), "{seen:?}");
}

/// Red when what is opened goes to a place that is not in the range, or the table is full and nobody says so.
#[test]
fn the_range_of_free_places_is_kept() {
    let mut ring = ring!("the_range_of_free_places_is_kept", 4);
    if newer(&ring, LINUX_5_19, ring.register_files_sparse(10)).is_none() {
        return;
    }
    if newer(&ring, LINUX_6_0, ring.set_file_alloc_range(4..7)).is_none() {
        return;
    }
    for range in [8..11, 10..11, 0..u32::MAX] {
        let refused = errno(ring.set_file_alloc_range(range.clone()));
        assert!(matches!(refused, libc::EINVAL | libc::EOVERFLOW), "{range:?}: {refused}");
    }
    for round in 0..5 {
        let mut places: Vec<i32> = (0..3).map(|_| answer(&mut ring, open().direct_any()).res).collect();
        places.sort_unstable();
        assert_eq!(places, [4, 5, 6], "{round}");
        assert_eq!(answer(&mut ring, open().direct_any()).res, -libc::ENFILE);
        assert_eq!(answer(&mut ring, open().direct(FixedFile(9))).res, 0, "a place that is named may be another");
        let free = [FileSlot::EMPTY; 3];
        assert_eq!(ring.update_files(FixedFile(4), &free, &[]).unwrap(), 3);
    }
    ring.set_file_alloc_range(0..1).unwrap();
    assert_eq!(answer(&mut ring, open().direct_any()).res, 0);
    ring.set_file_alloc_range(0..0).unwrap();
    assert_eq!(answer(&mut ring, open().direct_any()).res, -libc::ENFILE);
}

/// Red when a link over a place that its first entry fills breaks, or a mistake of the flags is not seen.
#[test]
fn a_file_is_opened_read_and_closed_in_one_chain() {
    let mut ring = ring!("a_file_is_opened_read_and_closed_in_one_chain", 4);
    if newer(&ring, LINUX_5_19, ring.register_files_sparse(2)).is_none() {
        return;
    }
    let with_cloexec = Sqe { op_flags: libc::O_CLOEXEC as u32, ..open() };
    assert_eq!(answer(&mut ring, with_cloexec.direct(FixedFile(1))).res, -libc::EINVAL, "there is nothing to inherit");
    assert_eq!(answer(&mut ring, open().direct(FixedFile(2))).res, -libc::EINVAL, "outside of the table");
    let head: &'static mut [u8; 9] = Box::leak(Box::new([0; 9]));
    let close = Sqe { file_index: 2, ..Sqe::close(0) };
    for sqe in [open().direct(FixedFile(1)).link(), Sqe::read(FixedFile(1), head.as_mut_ptr(), 9, 0).link(), close] {
        push(&mut ring, sqe).unwrap();
    }
    ring.submit_and_wait(3).unwrap();
    assert_eq!(ring.completions().map(|cqe| cqe.res).collect::<Vec<_>>(), [0, 9, 0]);
    assert_eq!(head, b"[workspac");
    assert_eq!(answer(&mut ring, close).res, -libc::EBADF, "it is closed");
}

/// Red when the list is read before the entry runs, or places are not written where they are asked for.
#[test]
fn an_entry_updates_the_table() {
    let mut ring = ring!("an_entry_updates_the_table", 4);
    ring.register_files(&[FileSlot::EMPTY; 4], &[]).unwrap();
    let [a, b] = [full(), full()];
    let files: &'static mut [FileSlot<'static>; 2] = Box::leak(Box::new([FileSlot::EMPTY; 2]));
    let at = files.as_mut_ptr();
    let numbers: *mut i32 = at.cast();
    let set = |n: usize, fd: i32| {
        // SAFETY: memory that stays, as long as a descriptor, between two entries.
        unsafe { numbers.wrapping_add(n).write(fd) };
    };
    set(0, a.as_raw_fd());
    set(1, b.as_raw_fd());
    assert_eq!(answer(&mut ring, Sqe::files_update(FixedFile(1), at, 2)).res, 2);
    assert_eq!([0, 1, 2, 3].map(|place| read_at(&mut ring, place)), [-libc::EBADF, 1, 1, -libc::EBADF]);
    set(0, -1);
    set(1, sys::IORING_REGISTER_FILES_SKIP);
    assert_eq!(answer(&mut ring, Sqe::files_update(FixedFile(1), at, 2)).res, 2);
    assert_eq!([1, 2].map(|place| read_at(&mut ring, place)), [-libc::EBADF, 1]);
    assert_eq!(answer(&mut ring, Sqe::files_update(FixedFile(3), at, 2)).res, -libc::EINVAL);
    if !ring.probe().unwrap().supports(LINUX_5_19 as u8) {
        return;
    }
    set(0, a.as_raw_fd());
    set(1, b.as_raw_fd());
    assert_eq!(answer(&mut ring, Sqe::files_update_any(numbers, 2)).res, 2);
    // SAFETY: memory that stays, and the entry is done.
    let mut places = [0, 1].map(|n| unsafe { numbers.wrapping_add(n).read() });
    places.sort_unstable();
    assert!(places.iter().all(|place| [0, 1, 3].contains(place)), "{places:?}");
    assert!(places.map(|place| read_at(&mut ring, place as u32)) == [1, 1] && places[0] != places[1]);
    // An entry in a chain runs after the one before it: so does its look at the list.
    let (rx, mut tx) = io::pipe().unwrap();
    push(&mut ring, Sqe::read(rx.as_raw_fd(), Box::leak(Box::new([0])).as_mut_ptr(), 1, u64::MAX).link()).unwrap();
    set(0, -1);
    set(1, -1);
    push(&mut ring, Sqe::files_update(FixedFile(0), at, 1)).unwrap();
    ring.submit().unwrap();
    set(0, a.as_raw_fd());
    tx.write_all(b"x").unwrap();
    ring.submit_and_wait(2).unwrap();
    assert_eq!(ring.completions().map(|cqe| cqe.res).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(read_at(&mut ring, 0), 1, "the list of then, not of now");
}

/// Red when the number is another file's, or the place is empty afterwards.
#[test]
fn a_place_gets_a_number() {
    let mut ring = ring!("a_place_gets_a_number", 4);
    let file = File::open("Cargo.toml").unwrap();
    ring.register_files(&[FileSlot::of(&file)], &[]).unwrap();
    drop(file);
    if !ring.probe().unwrap().supports(sys::IORING_OP_FIXED_FD_INSTALL as u8) {
        return;
    }
    let installed = answer(&mut ring, Sqe::fixed_fd_install(FixedFile(0), 0)).result().unwrap();
    // SAFETY: the kernel has just made the number, and nobody else has it.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(installed as i32) });
    let mut head = [0; 9];
    file.read_exact(&mut head).unwrap();
    assert_eq!((&head, read_at(&mut ring, 0)), (b"[workspac", 1));
}

/// Red when a file goes to another place than was asked for, or does not stay where it was.
#[test]
fn a_file_is_passed_from_ring_to_ring() {
    const NAME: &str = "a_file_is_passed_from_ring_to_ring";
    for flags in [SetupFlags::empty(), SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN] {
        let mut ring = ring!(NAME, 4);
        let Ok(mut other) = Ring::builder().flags(flags).build(4) else { continue };
        ring.register_files(&[FileSlot::of(&full()), FileSlot::EMPTY], &[]).unwrap();
        let Some(()) = newer(&ring, LINUX_6_0, other.register_files_sparse(2)) else { return };
        if !ring.probe().unwrap().supports(LINUX_6_0 as u8) {
            return;
        }
        let to = other.as_raw_fd();
        let pass = |ring: &mut Ring, other: &mut Ring, sqe: Sqe| {
            let res = answer(ring, sqe).res;
            let told = if res < 0 { Vec::new() } else { answers(other, 1) };
            (res, told.iter().map(|cqe| (cqe.user_data, cqe.res)).collect::<Vec<_>>())
        };
        let by_place = Sqe::msg_ring_fd(to, FixedFile(0), 9).direct(FixedFile(1));
        assert_eq!(pass(&mut ring, &mut other, by_place), (0, vec![(9, 0)]));
        let any = Sqe::msg_ring_fd(to, FixedFile(0), 8).direct_any();
        assert_eq!(pass(&mut ring, &mut other, any).0, 0, "the free one");
        assert_eq!(pass(&mut ring, &mut other, any).0, -libc::ENFILE);
        let empty = Sqe::msg_ring_fd(to, FixedFile(1), 9).direct(FixedFile(1));
        assert_eq!(pass(&mut ring, &mut other, empty).0, -libc::EBADF);
        let (here, there) = (read_at(&mut ring, 0), [0, 1].map(|place| read_at(&mut other, place)));
        assert_eq!((here, there), (1, [1, 1]), "{flags:?}");
    }
}
