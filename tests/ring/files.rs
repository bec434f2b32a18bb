//! Reads and writes: places, positions, all ways of being carried out, and what is short.

use crate::common::{LONG, NOBODY, answers, push, results, ring, ring_or_skip};
use annulus::{
    entry::BufIndex,
    ring::{Cqe, IoVec, Ring, SetupFlags, Sqe, SqeFlags},
};
use std::{
    env,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write, pipe},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::PathBuf,
    time::Instant,
};

const HERE: u64 = u64::MAX;
const BLOCK: usize = 4096;
const BLOCKS: usize = 16;

/// A file that goes away with its test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        Temporary(env::temp_dir().join(format!("annulus-{}-{name}", std::process::id())))
    }

    fn open(&self, flags: i32) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(&self.0)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Memory that a device can write to directly.
#[repr(align(4096))]
struct Blocks([u8; BLOCK * BLOCKS]);

impl Blocks {
    fn new(byte: u8) -> Box<Blocks> {
        Box::new(Blocks([byte; BLOCK * BLOCKS]))
    }

    fn at(&mut self, block: usize) -> *mut u8 {
        self.0[block * BLOCK..].as_mut_ptr()
    }
}

/// How an entry names its memory.
#[derive(Clone, Copy, Debug)]
enum By {
    Address,
    Vector,
    Index,
}

/// A transfer of one block of `memory`, to or from the same block of the file.
fn entry(by: By, writes: bool, file: &File, memory: &mut Blocks, parts: &mut [libc::iovec], block: usize) -> Sqe {
    let (fd, at, len, place) = (file.as_raw_fd(), memory.at(block), BLOCK as u32, (block * BLOCK) as u64);
    // In two parts, the second of which is the smaller.
    let cut = 512 * 5;
    parts[2 * block] = libc::iovec { iov_base: at.cast(), iov_len: cut };
    parts[2 * block + 1] = libc::iovec { iov_base: at.wrapping_add(cut).cast(), iov_len: BLOCK - cut };
    let vector = parts[2 * block..].as_ptr();
    match (by, writes) {
        (By::Address, true) => Sqe::write(fd, at, len, place),
        (By::Address, false) => Sqe::read(fd, at, len, place),
        (By::Vector, true) => Sqe::writev(fd, vector, 2, place),
        (By::Vector, false) => Sqe::readv(fd, vector, 2, place),
        (By::Index, true) => Sqe::write_fixed(fd, at, len, place, BufIndex(0)),
        (By::Index, false) => Sqe::read_fixed(fd, at, len, place, BufIndex(0)),
    }
}

/// Writes all blocks, the last first, and reads them again; `file` has the same after it as `memory` had before.
fn there_and_back(ring: &mut Ring, by: By, flags: SqeFlags, file: &File, salt: u8) {
    let mut memory = Blocks::new(0);
    (0..BLOCKS).for_each(|block| memory.0[block * BLOCK..][..BLOCK].fill(salt ^ block as u8));
    let before = memory.0.to_vec();
    if let By::Index = by {
        // SAFETY: the memory outlives its place in the table, which is taken back below.
        unsafe { ring.update_buffers(BufIndex(0), &[IoVec::from(&raw mut memory.0[..])], &[]) }.unwrap();
    }
    for writes in [true, false] {
        let mut parts = vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 2 * BLOCKS];
        for block in (0..BLOCKS).rev() {
            let sqe = entry(by, writes, file, &mut memory, &mut parts, block).flags(flags);
            push(ring, sqe.user_data(block as u64)).unwrap();
        }
        let all = results(answers(ring, BLOCKS));
        assert!(all.values().all(|&res| res == BLOCK as i32), "{by:?}, {flags:?}, writes: {writes}: {all:?}");
        assert!(memory.0[..] == before[..], "{by:?}, {flags:?}, writes: {writes}");
        memory.0.fill(if writes { 0xee } else { 0 });
    }
    if let By::Index = by {
        ring.remove_buffer(BufIndex(0)).unwrap();
    }
}

/// Red when a way of carrying out a transfer gives other bytes, a part of them, or an `EAGAIN` that nobody asked for.
#[test]
fn every_way_of_reading_and_writing_gives_the_same() {
    const NAME: &str = "every_way_of_reading_and_writing";
    let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    let temporary = Temporary::new("ways");
    let direct = match temporary.open(libc::O_DIRECT) {
        Err(e) => {
            assert_eq!(e.raw_os_error(), Some(libc::EINVAL), "a file system that has no such files");
            None
        }
        Ok(file) => Some(file),
    };
    let mut salt = 0;
    for setup in [SetupFlags::empty(), SetupFlags::SQPOLL, deferred] {
        let Some(mut ring) = ring_or_skip(NAME, 32, setup) else { continue };
        let indices = ring.register_buffers_sparse(1).is_ok();
        for file in [Some(&temporary.open(0).unwrap()), direct.as_ref()].into_iter().flatten() {
            for flags in [SqeFlags::empty(), SqeFlags::ASYNC] {
                for by in [By::Address, By::Vector, By::Index] {
                    if indices || !matches!(by, By::Index) {
                        salt += 1;
                        there_and_back(&mut ring, by, flags, file, salt);
                    }
                }
            }
        }
    }
}

/// Red when a transfer at a place moves the file's position, or one without a place does not.
#[test]
fn a_position_moves_only_when_there_is_no_place() {
    let mut ring = ring!("a_position_moves_only_when_there_is_no_place", 8);
    let temporary = Temporary::new("position");
    let mut file = temporary.open(0).unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    let (fd, mut bytes) = (file.as_raw_fd(), [0_u8; 4]);
    let mut one = |ring: &mut Ring, sqe: Sqe| {
        push(ring, sqe).unwrap();
        (answers(ring, 1)[0].res, file.stream_position().unwrap())
    };
    assert_eq!(one(&mut ring, Sqe::read(fd, bytes.as_mut_ptr(), 3, HERE)), (3, 5));
    assert_eq!(&bytes[..3], b"234");
    assert_eq!(one(&mut ring, Sqe::read(fd, bytes.as_mut_ptr(), 3, 0)), (3, 5));
    assert_eq!(&bytes[..3], b"012");
    assert_eq!(one(&mut ring, Sqe::write(fd, b"ab".as_ptr(), 2, HERE)), (2, 7));
    assert_eq!(one(&mut ring, Sqe::write(fd, b"cd".as_ptr(), 2, 0)), (2, 7));
    assert_eq!(one(&mut ring, Sqe::read(fd, bytes.as_mut_ptr(), 4, HERE)), (3, 10), "to the end");
    assert_eq!(one(&mut ring, Sqe::read(fd, bytes.as_mut_ptr(), 4, HERE)), (0, 10), "at the end");
    assert_eq!(fs::read(&temporary.0).unwrap(), b"cd234ab789");
}

/// T6. Red when the kernel looks again at what it was shown at the submit: the list of parts, or the entry.
#[test]
fn what_was_submitted_may_be_used_again() {
    let mut ring = ring!("what_was_submitted_may_be_used_again", 2);
    let (rx, mut tx) = pipe().unwrap();
    let mut memory = Box::new([[0_u8; 4]; 3]);
    let [first, second, wrong] = &mut *memory;
    let part = |bytes: &mut [u8; 4]| libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 4 };
    let mut parts = [part(first), part(second)];
    push(&mut ring, Sqe::readv(rx.as_raw_fd(), parts.as_ptr(), 2, HERE).user_data(1)).unwrap();
    ring.submit().unwrap();
    parts = [part(wrong), part(wrong)];
    // Over the entry, too: the queue has two.
    for _ in 0..4 {
        push(&mut ring, Sqe::nop().user_data(2)).unwrap();
        assert_eq!(answers(&mut ring, 1)[0].user_data, 2);
    }
    tx.write_all(b"abcdefgh").unwrap();
    assert_eq!(results(answers(&mut ring, 1)), [(1, 8)].into());
    assert_eq!(*memory, [*b"abcd", *b"efgh", [0; 4]]);
    assert!(!parts[0].iov_base.is_null());
}

/// T24. Red when a list of too many parts, or of none, gives anything but its error.
#[test]
fn t24_a_list_has_a_thousand_parts() {
    let mut ring = ring!("t24_a_list_has_a_thousand_parts", 8);
    let zero = File::open("/dev/zero").unwrap();
    let mut memory = vec![1_u8; 1025];
    let start = memory.as_mut_ptr();
    let part = |n| libc::iovec { iov_base: start.wrapping_add(n).cast(), iov_len: 1 };
    let parts: Vec<_> = (0..1025).map(part).collect();
    let mut res = |count, offset| {
        push(&mut ring, Sqe::readv(zero.as_raw_fd(), parts.as_ptr(), count, offset)).unwrap();
        answers(&mut ring, 1)[0].res
    };
    assert_eq!([0, 1, 1024, 1025].map(|count| res(count, 0)), [0, 1, 1024, -libc::EINVAL]);
    assert_eq!(res(1, HERE), 1, "where it stands");
    assert_eq!(memory, [&[0; 1024][..], &[1]].concat());
}

/// T24. Red when more than the kernel reads at once is an error, or counted as read.
#[test]
fn t24_a_length_has_a_limit() {
    let mut ring = ring!("t24_a_length_has_a_limit", 8);
    let file = File::open("/dev/null").unwrap();
    // Nothing of it is touched: the device takes all and looks at none.
    let null = File::options().write(true).open("/dev/null").unwrap();
    let mut byte = 0_u8;
    push(&mut ring, Sqe::read(file.as_raw_fd(), &raw mut byte, u32::MAX, HERE).user_data(0)).unwrap();
    push(&mut ring, Sqe::write(null.as_raw_fd(), &raw const byte, u32::MAX, HERE).user_data(1)).unwrap();
    // SAFETY: Plain call: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as i32;
    assert_eq!(results(answers(&mut ring, 2)), [(0, 0), (1, i32::MAX & -page)].into());
}

/// What gives less than was asked for: no more is waited for, and nothing is made up.
#[test]
fn what_is_short_is_said_to_be() {
    let mut ring = ring!("what_is_short_is_said_to_be", 8);
    // SAFETY: Plain call: makes a descriptor.
    let fd = unsafe { libc::eventfd(5, libc::EFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: the descriptor is new, and nobody else's.
    let bell = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut bytes = [0xee_u8; 16];
    push(&mut ring, Sqe::read(bell.as_raw_fd(), bytes.as_mut_ptr(), 16, HERE)).unwrap();
    assert_eq!(answers(&mut ring, 1)[0].res, 8, "a count has 8 bytes");
    assert_eq!(bytes, *[&5_u64.to_ne_bytes()[..], &[0xee; 8]].concat());
    let (rx, mut tx) = pipe().unwrap();
    tx.write_all(b"abc").unwrap();
    drop(tx);
    let mut read = || {
        push(&mut ring, Sqe::read(rx.as_raw_fd(), bytes.as_mut_ptr(), 16, HERE)).unwrap();
        answers(&mut ring, 1)[0].res
    };
    assert_eq!([read(), read(), read()], [3, 0, 0], "what there was, and the end");
}

/// Red when a pipe that is not to block is read like a file that has nothing. Some kernels do.
#[test]
fn a_pipe_that_is_not_to_block_is_waited_for() {
    let mut ring = ring!("a_pipe_that_is_not_to_block_is_waited_for", 8);
    let (rx, mut tx) = pipe().unwrap();
    // SAFETY: Plain call: sets a flag.
    assert_eq!(unsafe { libc::fcntl(rx.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
    let mut byte = Box::new(0_u8);
    let begun = Instant::now();
    push(&mut ring, Sqe::read(rx.as_raw_fd(), &raw mut *byte, 1, HERE)).unwrap();
    let early: Vec<Cqe> = match ring.wait_timeout(1, NOBODY).unwrap().timed_out {
        true => Vec::new(),
        false => ring.completions().collect(),
    };
    tx.write_all(b"x").unwrap();
    match early[..] {
        [] => assert_eq!(answers(&mut ring, 1)[0].res, 1),
        [cqe] => assert_eq!(cqe.res, -libc::EAGAIN),
        _ => panic!("{early:?}"),
    }
    assert!(begun.elapsed() < LONG);
}
