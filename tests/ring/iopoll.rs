//! Rings that ask the device instead of waiting for it (`IOPOLL`): what they refuse, and that they read from a device
//! that can be asked.
//!
//! Such a device is an NVMe disk with queues for it, and these tests use none but one whose serial number is `annulus`:
//! `.ci/kernels` makes it, with a pattern on it. Elsewhere what is seen is that all other files are refused.

use crate::{
    common::{LONG, answers, push, results, ring_or_skip},
    disk::{self, BLOCK, Block},
};
use annulus::{
    entry::{BufIndex, Interest},
    ring::{IoVec, Ring, SetupFlags, Sqe},
    sys::__kernel_timespec,
};
use std::{fs::File, io::pipe, os::fd::AsRawFd, time::Instant};

const IOPOLL: SetupFlags = SetupFlags::IOPOLL;
const HYBRID: SetupFlags = IOPOLL.union(SetupFlags::HYBRID_IOPOLL);
const DEFER: SetupFlags = IOPOLL.union(SetupFlags::SINGLE_ISSUER).union(SetupFlags::DEFER_TASKRUN);
const SQPOLL: SetupFlags = IOPOLL.union(SetupFlags::SQPOLL);

/// The rings of this kind that this kernel makes; each has at least the plain one.
fn rings(name: &str) -> Vec<(SetupFlags, Ring)> {
    let make = |flags| Ring::builder().flags(flags).build(64).ok().map(|ring| (flags, ring));
    if ring_or_skip(name, 8, IOPOLL).is_none() {
        return Vec::new();
    }
    [IOPOLL, HYBRID, DEFER, SQPOLL].into_iter().filter_map(make).collect()
}

/// Red when an entry that no device carries out is taken.
#[test]
fn what_no_device_can_be_asked_for_is_refused() {
    for (flags, mut ring) in rings("what_no_device_can_be_asked_for") {
        let (rx, _tx) = pipe().unwrap();
        let mut byte = 0_u8;
        let time = __kernel_timespec { tv_sec: 0, tv_nsec: 1 };
        let refused = [
            Sqe::poll_add(rx.as_raw_fd(), Interest::Read),
            Sqe::timeout(&time),
            Sqe::recv(rx.as_raw_fd(), &raw mut byte, 1, 0),
            Sqe::fsync(rx.as_raw_fd(), false),
            Sqe::shutdown(rx.as_raw_fd(), 0),
        ];
        for (number, sqe) in (0..).zip(refused) {
            push(&mut ring, sqe.user_data(number)).unwrap();
        }
        push(&mut ring, Sqe::nop().user_data(9)).unwrap();
        let mut all = results(answers(&mut ring, 6));
        // Some kernels think that a device has to do nothing, too.
        let nothing = all.remove(&9);
        assert!([Some(0), Some(-libc::EINVAL)].contains(&nothing), "{flags:?}: {nothing:?}");
        assert!(all.values().all(|&res| res == -libc::EINVAL), "{flags:?}: {all:?}");
    }
}

/// Red when a file that cannot be asked is read all the same; and when a disk that can be asked is not read, or another
/// block of it.
#[test]
fn only_what_can_be_asked_is_read() {
    let disk = disk::ours().map(|disk| disk.open_direct());
    for (flags, mut ring) in rings("only_what_can_be_asked_is_read") {
        let buffered = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        let (rx, _tx) = pipe().unwrap();
        let mut byte = 0_u8;
        for fd in [buffered.as_raw_fd(), rx.as_raw_fd()] {
            push(&mut ring, Sqe::read(fd, &raw mut byte, 1, 0)).unwrap();
            let res = answers(&mut ring, 1)[0].res;
            assert!([-libc::EOPNOTSUPP, -libc::EINVAL].contains(&res), "{flags:?}: {res}");
        }
        if let Some(disk) = &disk {
            let indices = ring.register_buffers_sparse(64).is_ok();
            for by_index in [false, indices] {
                let read = read_all(&mut ring, disk, by_index);
                println!("{flags:?}, by index: {by_index}: {read:?} blocks");
                assert_eq!(read, Ok(64), "{flags:?}");
            }
        }
    }
}

/// Reads all blocks of the disk and gives how many were read right; an error is the disk's that cannot be asked.
fn read_all(ring: &mut Ring, file: &File, by_index: bool) -> Result<usize, i32> {
    let mut blocks: Vec<Block> = vec![Block::new(); 64];
    for (n, block) in blocks.iter_mut().enumerate() {
        let (at, place) = (block.0.as_mut_ptr(), disk::place(n));
        let sqe = if by_index {
            // SAFETY: the memory outlives its place in the table, which is taken back below.
            unsafe { ring.update_buffers(BufIndex(n as u16), &[IoVec::from(&raw mut block.0[..])], &[]) }.unwrap();
            Sqe::read_fixed(file.as_raw_fd(), at, BLOCK as u32, place, BufIndex(n as u16))
        } else {
            Sqe::read(file.as_raw_fd(), at, BLOCK as u32, place)
        };
        push(ring, sqe.user_data(n as u64)).unwrap();
    }
    let begun = Instant::now();
    let all = results(answers(ring, 64));
    assert!(begun.elapsed() < LONG);
    for n in 0..64 * u16::from(by_index) {
        ring.remove_buffer(BufIndex(n)).unwrap();
    }
    match all.values().find(|&&res| res != BLOCK as i32) {
        Some(&res) => Err(-res),
        None => Ok(blocks.iter().enumerate().filter(|(n, block)| block.is_of(disk::place(*n))).count()),
    }
}
