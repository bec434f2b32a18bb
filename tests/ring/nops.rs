//! What a NOP can be asked for: results, lookups and other ways of being done. It shows what every entry goes through.

use crate::common::{answers, push, results, ring};
use annulus::{
    ring::{BufIndex, IoVec, Ring, SetupFlags, Sqe, SqeFlags},
    sys,
};
use std::{fs::File, os::fd::AsRawFd};

fn nop(flags: u32, number: u64) -> Sqe {
    Sqe { op_flags: flags, ..Sqe::nop() }.user_data(number)
}

/// The result of a single entry.
fn result(ring: &mut Ring, sqe: Sqe) -> i32 {
    push(ring, sqe).unwrap();
    answers(ring, 1)[0].res
}

/// Whether the kernel knows `flag`; an older one says `EINVAL`, or does as if there were none.
fn knows(ring: &mut Ring, flag: u32) -> bool {
    match result(ring, Sqe { len: 7, ..nop(sys::IORING_NOP_INJECT_RESULT, 0) }) {
        7 => result(ring, Sqe { fd: 0, ..nop(flag, 0) }) != -libc::EINVAL,
        res => {
            assert!([0, -libc::EINVAL].contains(&res), "{res}");
            false
        }
    }
}

/// Red when a result is cut, or its sign is lost.
#[test]
fn a_nop_gives_the_result_that_it_is_told() {
    let mut ring = ring!("a_nop_gives_the_result_that_it_is_told", 8);
    if !knows(&mut ring, sys::IORING_NOP_INJECT_RESULT) {
        return assert_eq!(result(&mut ring, nop(0, 0)), 0);
    }
    let all = [0, 1, i32::MAX, i32::MIN, -1, -libc::ENOENT, -4095];
    for (number, res) in (0..).zip(all) {
        push(&mut ring, Sqe { len: res as u32, ..nop(sys::IORING_NOP_INJECT_RESULT, number) }).unwrap();
    }
    let told = results(answers(&mut ring, all.len()));
    assert_eq!(told, (0..).zip(all).collect());
    // One that fails breaks a link as any other does.
    let failing = Sqe { len: -5_i32 as u32, ..nop(sys::IORING_NOP_INJECT_RESULT, 1) };
    push(&mut ring, failing.flags(SqeFlags::IO_LINK)).unwrap();
    push(&mut ring, nop(0, 2)).unwrap();
    assert_eq!(results(answers(&mut ring, 2)), [(1, -5), (2, -libc::ECANCELED)].into());
    assert_eq!(result(&mut ring, nop(1 << 31, 0)), -libc::EINVAL, "what no kernel knows");
}

/// Red when a descriptor, direct or not, is looked up elsewhere. Since Linux 6.13.
#[test]
fn a_nop_looks_its_descriptor_up() {
    use sys::{IORING_NOP_FILE as FILE, IORING_NOP_FIXED_FILE as FIXED};
    let mut ring = ring!("a_nop_looks_its_descriptor_up", 8);
    if !knows(&mut ring, FILE) {
        return assert!([0, -libc::EINVAL].contains(&result(&mut ring, nop(FILE, 0))));
    }
    let file = File::open("/dev/null").unwrap();
    assert_eq!(result(&mut ring, Sqe { fd: file.as_raw_fd(), ..nop(FILE, 0) }), 0);
    assert_eq!(result(&mut ring, Sqe { fd: -1, ..nop(FILE, 0) }), -libc::EBADF);
    assert_eq!(result(&mut ring, Sqe { fd: 1, ..nop(FILE | FIXED, 0) }), -libc::EBADF, "there is no table");
    let mut table = [-1, file.as_raw_fd()];
    // SAFETY: Kernel's word: two numbers, which are read.
    unsafe { ring.register(sys::IORING_REGISTER_FILES, table.as_mut_ptr().cast(), 2) }.unwrap();
    let direct = |index| Sqe { fd: index, ..nop(FILE | FIXED, 0) };
    let all = [0, 1, 2, -1].map(|index| result(&mut ring, direct(index)));
    assert_eq!(all, [-libc::EBADF, 0, -libc::EBADF, -libc::EBADF]);
}

/// Red when a registered buffer is looked up elsewhere. Since Linux 6.13.
#[test]
fn a_nop_looks_its_buffer_up() {
    let flag = sys::IORING_NOP_FIXED_BUFFER;
    let mut ring = ring!("a_nop_looks_its_buffer_up", 8);
    if !knows(&mut ring, sys::IORING_NOP_FILE) {
        return assert!([0, -libc::EINVAL].contains(&result(&mut ring, nop(flag, 0))));
    }
    let buffer = |index| Sqe { buf_index: index, ..nop(flag, 0) };
    assert_eq!(result(&mut ring, buffer(0)), -libc::EFAULT, "there is no table");
    ring.register_buffers_sparse(2).unwrap();
    let mut memory = Box::new([0_u8; 64]);
    // SAFETY: the memory outlives the ring, and nothing reads or writes it.
    unsafe { ring.update_buffers(BufIndex(1), &[IoVec::new(memory.as_mut_ptr(), 64)], &[]) }.unwrap();
    assert_eq!([0, 1, 2].map(|index| result(&mut ring, buffer(index))), [-libc::EFAULT, 0, -libc::EFAULT]);
    ring.remove_buffer(BufIndex(1)).unwrap();
    assert_eq!(result(&mut ring, buffer(1)), -libc::EFAULT, "it was taken out");
}

/// Red when what the kernel puts off is not seen, on a ring that defers and on one that does not. Since Linux 6.16.
#[test]
fn a_nop_is_done_at_once_or_later() {
    for flags in [SetupFlags::empty(), SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN] {
        let mut ring = ring!("a_nop_is_done_at_once_or_later", 8, flags);
        let later = knows(&mut ring, sys::IORING_NOP_TW);
        push(&mut ring, nop(0, 0)).unwrap();
        ring.submit().unwrap();
        assert_eq!(answers(&mut ring, 1).len(), 1);
        if later {
            let inject = sys::IORING_NOP_INJECT_RESULT | sys::IORING_NOP_TW;
            assert_eq!(result(&mut ring, Sqe { len: 3, ..nop(inject, 0) }), 3);
        }
    }
}

/// A number stands for nothing but itself, on the way out of the kernel as on the way in. Red when half of it is lost.
#[test]
fn every_bit_of_the_number_comes_back() {
    let mut ring = ring!("every_bit_of_the_number_comes_back", 64);
    (0..64).for_each(|bit| push(&mut ring, nop(0, 1 << bit)).unwrap());
    assert!(results(answers(&mut ring, 64)).into_keys().eq((0..64).map(|bit| 1 << bit)));
    (0..64).for_each(|bit| push(&mut ring, nop(0, !(1 << bit))).unwrap());
    assert_eq!(results(answers(&mut ring, 64)).len(), 64);
}
