//! The table of registered buffers.

use crate::{child::in_child, common::*};
use annulus::{
    ring::{BufIndex, Cqe, IoVec, Ring, SetupFlags, Sqe, Tag},
    sys,
};
use memmap2::{MmapOptions, MmapRaw};
use std::{
    fs::File,
    io::{self, PipeReader, Write},
    os::fd::AsRawFd,
    ptr, thread,
    time::Duration,
};

const PAGE: usize = 4096;

/// As new as what Linux 5.19 and 6.13 have: the next opcode that came.
const LINUX_5_19: u32 = sys::IORING_OP_SOCKET;
const LINUX_6_13: u32 = sys::IORING_OP_RECV_ZC;

/// Memory that stays until the process ends.
fn leaked(len: usize) -> *mut u8 {
    Box::leak(vec![0; len].into_boxed_slice()).as_mut_ptr()
}

/// Registers memory that stays and that nobody looks into before the answer.
fn register(ring: &Ring, buffers: &[IoVec], tags: &[Option<Tag>]) -> io::Result<()> {
    // SAFETY: see above: it is leaked, or a test waits for the answers.
    unsafe { ring.register_buffers(buffers, tags) }
}

fn update(ring: &Ring, first: u16, buffers: &[IoVec], tags: &[Option<Tag>]) -> io::Result<u32> {
    // SAFETY: see above: it is leaked, or a test waits for the answers.
    unsafe { ring.update_buffers(BufIndex(first), buffers, tags) }
}

/// Reads what is in the pipe into memory, by its place in the table.
fn read_fixed(rx: &PipeReader, at: *mut u8, len: u32, place: u16) -> Sqe {
    Sqe::read_fixed(rx.as_raw_fd(), at, len, u64::MAX, BufIndex(place)).user_data(READ)
}

const READ: u64 = 1;

fn tag(n: u64) -> Option<Tag> {
    Tag::new(n)
}

/// The bytes at an address that a read has filled.
fn bytes(at: *mut u8, len: usize) -> Vec<u8> {
    // SAFETY: memory of a test, whose reads are done.
    unsafe { std::slice::from_raw_parts(at, len) }.to_vec()
}

/// What comes until nothing comes any more.
fn all(ring: &mut Ring) -> Vec<Cqe> {
    let mut seen = Vec::new();
    while !ring.wait_timeout(1, NOBODY).unwrap().timed_out {
        seen.extend(ring.completions());
    }
    seen
}

/// Red when an update is put elsewhere than it says, or an empty range does not clear its place.
#[test]
fn registered_memory_is_read_into_by_its_index() {
    let mut ring = ring!("registered_memory_is_read_into_by_its_index", 4);
    if newer(&ring, LINUX_5_19, ring.register_buffers_sparse(8)).is_none() {
        return;
    }
    assert_eq!(errno(ring.register_buffers_sparse(8)), libc::EBUSY);
    let (rx, mut tx) = io::pipe().unwrap();
    let start = leaked(64);
    let mut read = |ring: &mut Ring, at: *mut u8, len: u32, place: u16| {
        tx.write_all(b"abc").unwrap();
        answer(ring, read_fixed(&rx, at, len, place)).res
    };
    assert_eq!(read(&mut ring, start, 3, 5), -libc::EFAULT, "nothing is there yet");
    assert_eq!(update(&ring, 5, &[IoVec::new(start, 64)], &[]).unwrap(), 1);
    assert_eq!(read(&mut ring, start.wrapping_add(60), 4, 5), 4);
    assert_eq!(read(&mut ring, start.wrapping_add(60), 5, 5), -libc::EFAULT, "past its end");
    assert_eq!(read(&mut ring, start, 3, 4), -libc::EFAULT, "another place");
    assert_eq!(update(&ring, 5, &[IoVec::new(start, 0)], &[]).unwrap(), 1);
    assert_eq!(read(&mut ring, start, 3, 5), -libc::EFAULT, "it was taken out");
    assert_eq!(errno(update(&ring, 8, &[IoVec::EMPTY], &[])), libc::EINVAL);
    assert_eq!(bytes(start.wrapping_add(60), 4), b"abca");
}

/// Red when a list is registered that is not the one that was given.
#[test]
fn a_list_of_buffers_is_a_table() {
    let mut ring = ring!("a_list_of_buffers_is_a_table", 4);
    let (rx, mut tx) = io::pipe().unwrap();
    let at = leaked(100);
    register(&ring, &[IoVec::new(at, 10), IoVec::new(at.wrapping_add(10), 90)], &[]).unwrap();
    assert_eq!(errno(register(&ring, &[IoVec::new(at, 10)], &[])), libc::EBUSY);
    tx.write_all(b"hello").unwrap();
    assert_eq!(answer(&mut ring, read_fixed(&rx, at.wrapping_add(8), 5, 0)).res, -libc::EFAULT, "past its end");
    assert_eq!(answer(&mut ring, read_fixed(&rx, at, 5, 1)).res, -libc::EFAULT, "before its start");
    assert_eq!(answer(&mut ring, read_fixed(&rx, at, 5, 2)).res, -libc::EFAULT, "there is no such place");
    assert_eq!(answer(&mut ring, read_fixed(&rx, at.wrapping_add(95), 5, 1)).res, 5);
    assert_eq!(bytes(at.wrapping_add(95), 5), b"hello");
    ring.unregister_buffers().unwrap();
    assert_eq!(errno(ring.unregister_buffers()), libc::ENXIO);
    assert_eq!(errno(update(&ring, 0, &[IoVec::EMPTY], &[])), libc::ENXIO);
    assert_eq!(answer(&mut ring, read_fixed(&rx, at, 5, 0)).res, -libc::EFAULT);
}

/// Red when what cannot be registered is, or a mistake comes without a sentence.
#[test]
fn what_cannot_be_registered_is_refused() {
    let ring = ring!("what_cannot_be_registered_is_refused", 4);
    let map = |map: io::Result<MmapRaw>| map.unwrap();
    let one = |map: &MmapRaw| register(&ring, &[IoVec::new(map.as_mut_ptr(), map.len())], &[]);
    for count in [0, 16385] {
        let refused = register(&ring, &vec![IoVec::EMPTY; count], &[]).unwrap_err();
        assert_eq!((refused.kind(), refused.raw_os_error()), (io::ErrorKind::InvalidInput, None), "{refused}");
        assert_eq!(ring.register_buffers_sparse(count as u32).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    let at = leaked(8);
    let tags = register(&ring, &[IoVec::new(at, 8)], &[None, None]).unwrap_err();
    assert!(tags.to_string().starts_with("2 tags for 1 places"), "{tags}");
    assert_eq!(errno(register(&ring, &[IoVec::new(ptr::null_mut(), 8)], &[])), libc::EFAULT);
    let unmapped = map(MmapOptions::new().len(PAGE).map_anon().map(MmapRaw::from)).as_mut_ptr();
    assert_eq!(errno(register(&ring, &[IoVec::new(unmapped.wrapping_add(1 << 45), PAGE)], &[])), libc::EFAULT);
    let file = File::open("Cargo.toml").unwrap();
    // SAFETY: nobody changes the file, and nobody reads the map.
    let of_file = map(unsafe { MmapOptions::new().len(PAGE).map(&file) }.map(MmapRaw::from));
    assert_eq!(errno(one(&of_file)), libc::EFAULT, "nobody may write there");
    let readable = MmapOptions::new().len(PAGE).map_anon().unwrap().make_read_only().unwrap().into();
    assert_eq!(errno(one(&readable)), libc::EFAULT, "nor here");
    assert_eq!(format!("{:?}", IoVec::new(8 as *mut u8, 3)), "3 bytes at 0x8");
}

/// A list ends at the first place that cannot be. Red when it is said to have been done as a whole.
#[test]
fn an_update_tells_how_far_it_came() {
    let mut ring = ring!("an_update_tells_how_far_it_came", 4);
    let (rx, mut tx) = io::pipe().unwrap();
    if newer(&ring, LINUX_5_19, ring.register_buffers_sparse(4)).is_none() {
        return;
    }
    let at = leaked(40);
    let bad = IoVec::new(ptr::null_mut(), 8);
    assert_eq!(update(&ring, 1, &[IoVec::new(at, 8), bad, IoVec::new(at, 8)], &[]).unwrap(), 1);
    assert_eq!(errno(update(&ring, 1, &[bad], &[])), libc::EFAULT);
    assert_eq!(errno(update(&ring, 3, &[IoVec::EMPTY; 2], &[])), libc::EINVAL);
    assert_eq!(errno(update(&ring, 0, &[IoVec::EMPTY], &[tag(7)])), libc::EINVAL, "a tag of nothing");
    assert!(update(&ring, 0, &[IoVec::EMPTY], &[None; 3]).is_err());
    let [first, last] = [0, 32].map(|n| IoVec::new(at.wrapping_add(n), 8));
    assert_eq!(update(&ring, 0, &[first, IoVec::EMPTY, IoVec::EMPTY, last], &[]).unwrap(), 4);
    tx.write_all(b"abc").unwrap();
    assert_eq!(answer(&mut ring, read_fixed(&rx, at, 3, 1)).res, -libc::EFAULT, "it was taken out");
    assert_eq!(answer(&mut ring, read_fixed(&rx, at.wrapping_add(37), 3, 3)).res, 3);
    ring.remove_buffer(BufIndex(3)).unwrap();
    assert_eq!(answer(&mut ring, read_fixed(&rx, at.wrapping_add(37), 3, 3)).res, -libc::EFAULT);
    assert_eq!(errno(ring.remove_buffer(BufIndex(4))), libc::EINVAL);
}

/// Trap: memory that is taken out while a read uses it. Red when the tag is not given, comes early, or comes twice.
#[test]
fn a_tag_comes_once_after_the_last_user() {
    for flags in [SetupFlags::empty(), SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN] {
        let Ok(mut ring) = Ring::builder().flags(flags).build(8) else { continue };
        let (rx, mut tx) = io::pipe().unwrap();
        let at = leaked(16);
        if newer(&ring, LINUX_5_19, register(&ring, &[IoVec::new(at, 8), IoVec::new(at, 8)], &[tag(70), tag(71)]))
            .is_none()
        {
            return;
        }
        push(&mut ring, read_fixed(&rx, at, 4, 0)).unwrap();
        ring.submit().unwrap();
        ring.remove_buffer(BufIndex(0)).unwrap();
        assert_eq!(update(&ring, 1, &[IoVec::new(at.wrapping_add(8), 8)], &[tag(72)]).unwrap(), 1);
        // Before Linux 6.13 a tag waits for those of what was taken out before it.
        let alone = ring.probe().unwrap().supports(LINUX_6_13 as u8);
        if alone {
            assert_eq!(all(&mut ring), [Cqe { user_data: 71, ..Cqe::default() }], "nobody used the second");
        } else {
            assert_eq!(all(&mut ring), [], "the read has the first");
        }
        tx.write_all(b"late").unwrap();
        let rest = answers(&mut ring, if alone { 2 } else { 3 });
        let seen: Vec<(u64, i32)> = rest.iter().map(|cqe| (cqe.user_data, cqe.res)).collect();
        assert!(seen[0] == (READ, 4) && seen[1..].contains(&(70, 0)), "{seen:?}");
        assert!(alone || seen[1..].contains(&(71, 0)), "{seen:?}");
        assert_eq!(bytes(at, 4), b"late", "the read went on into what was taken out");
        ring.unregister_buffers().unwrap();
        assert!(all(&mut ring).iter().all(|cqe| tag(72).unwrap().is_told_by(cqe)), "the last, and once");
    }
}

/// Since Linux 6.13 the table goes at once, and a read keeps its buffer. Red when somebody takes the return of the call
/// for the end of the read.
#[test]
fn a_table_that_is_gone_leaves_its_buffers_to_their_reads() {
    let mut ring = ring!("a_table_that_is_gone_leaves_its_buffers_to_their_reads", 8);
    if !ring.probe().unwrap().supports(LINUX_6_13 as u8) {
        return; // it would wait for the read
    }
    let (rx, mut tx) = io::pipe().unwrap();
    let at = leaked(8);
    register(&ring, &[IoVec::new(at, 8)], &[tag(70)]).unwrap();
    push(&mut ring, read_fixed(&rx, at, 4, 0)).unwrap();
    ring.submit().unwrap();
    ring.unregister_buffers().unwrap();
    assert_eq!(all(&mut ring), []);
    tx.write_all(b"late").unwrap();
    let seen: Vec<u64> = all(&mut ring).iter().map(|cqe| cqe.user_data).collect();
    assert_eq!((seen, bytes(at, 4)), (vec![READ, 70], b"late".to_vec()));
}

/// Red when a clone takes other places than it says, or other errors come than the documentation says.
#[test]
fn tables_are_cloned() {
    let [mut source, mut ring] = [ring!("tables_are_cloned", 4), ring!("tables_are_cloned", 4)];
    let (rx, mut tx) = io::pipe().unwrap();
    let mut reads = |ring: &mut Ring, at: *mut u8, place| {
        tx.write_all(b"x").unwrap();
        let res = answer(ring, read_fixed(&rx, at, 1, place)).res;
        if res < 0 {
            io::Read::read(&mut &rx, &mut [0]).unwrap();
        }
        res
    };
    let at = leaked(30);
    let [a, b, c] = [0, 10, 20].map(|n| IoVec::new(at.wrapping_add(n), 10));
    match ring.clone_buffers(&source).map_err(|e| e.raw_os_error()) {
        Err(Some(libc::EINVAL)) => {
            assert!(!ring.probe().unwrap().supports(LINUX_6_13 as u8));
            return;
        }
        refused => assert_eq!(refused, Err(Some(libc::ENXIO)), "there is nothing to clone"),
    }
    register(&source, &[a, b, c], &[]).unwrap();
    ring.clone_buffers(&source).unwrap();
    assert_eq!(errno(ring.clone_buffers(&source)), libc::EBUSY);
    assert_eq!([0, 1, 2].map(|n| reads(&mut ring, at.wrapping_add(10 * n), n as u16)), [1; 3]);
    if !ring.probe().unwrap().supports(LINUX_6_13 as u8) {
        return;
    }
    assert_eq!(errno(ring.replace_buffers(&source, 2..4, BufIndex(0))), libc::EOVERFLOW);
    assert_eq!(ring.clone_buffers_range(&source, 2..2, BufIndex(0)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    ring.replace_buffers(&source, 2..3, BufIndex(0)).unwrap();
    assert_eq!([0, 1].map(|place| reads(&mut ring, at.wrapping_add(20), place)), [1, -libc::EFAULT]);
    ring.unregister_buffers().unwrap();
    ring.clone_buffers_range(&source, 1..3, BufIndex(5)).unwrap();
    source.unregister_buffers().unwrap();
    assert_eq!([5, 6, 4].map(|place| reads(&mut ring, at.wrapping_add(10), place)), [1, -libc::EFAULT, -libc::EFAULT]);
    assert_eq!(errno(ring.clone_buffers_range(&source, 0..1, BufIndex(0))), libc::EBUSY);
    assert_eq!(errno(ring.replace_buffers(&source, 0..1, BufIndex(0))), libc::ENXIO);
    assert_eq!(errno(source.clone_buffers_range(&ring, 5..7, BufIndex(16383))), libc::EINVAL);
    source.clone_buffers(&ring).unwrap();
    assert_eq!([5, 6].map(|n| reads(&mut source, at.wrapping_add(10 * (n - 4)), n as u16)), [1, 1]);
    source.register_ring_fd().unwrap();
    ring.replace_buffers(&source, 6..7, BufIndex(0)).unwrap();
    assert_eq!(reads(&mut ring, at.wrapping_add(20), 0), 1, "by the index of its ring");
    let itself = &source;
    itself.replace_buffers(itself, 5..6, BufIndex(0)).unwrap();
    assert_eq!(reads(&mut source, at.wrapping_add(10), 0), 1);
}

/// Who has no privileges may lock 64 KiB, in a child that has left them behind.
fn unprivileged(child: impl FnOnce() -> bool) -> bool {
    in_child(|| {
        let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: 1 << 16 };
        // SAFETY: Kernel's word: the limit is read before the call returns.
        let limited = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } == 0;
        // SAFETY: plain call: the system call takes the privileges of this thread, which is the child's only one.
        let left = unsafe { libc::syscall(libc::SYS_setresuid, 64321, 64321, 64321) } == 0;
        // Who has none to leave cannot.
        // SAFETY: plain call: no memory is named.
        limited && (left || unsafe { libc::geteuid() } != 0) && child()
    })
}

/// Red when a limit that was reached is told as something else.
#[test]
fn memory_that_may_not_be_locked_is_told() {
    let _ring = ring!("memory_that_may_not_be_locked_is_told", 4);
    assert!(unprivileged(|| {
        let Ok(ring) = patient(4) else { return true }; // where only root has rings
        let at = leaked(1 << 20);
        let refused = register(&ring, &[IoVec::new(at, 1 << 20)], &[]).map_err(|e| e.raw_os_error());
        refused == Err(Some(libc::ENOMEM)) && register(&ring, &[IoVec::new(at, PAGE)], &[]).is_ok()
    }));
}

/// A ring; what closed rings had locked is given back late.
fn patient(entries: u32) -> io::Result<Ring> {
    for _ in 0..500 {
        match Ring::new(entries) {
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => thread::sleep(Duration::from_millis(2)),
            other => return other,
        }
    }
    Ring::new(entries)
}

/// Red when the memory of a closed ring never comes back, or the want of it is told by another error.
#[test]
fn rings_that_close_give_their_memory_back() {
    let _ring = ring!("rings_that_close_give_their_memory_back", 4);
    assert!(unprivileged(|| {
        let Ok(_) = patient(64) else { return true };
        let mut at = [0; 64];
        (0..50).all(|_| {
            let Ok(ring) = patient(64) else { return false };
            let memory = IoVec::new(at.as_mut_ptr(), at.len());
            // Pages that another ring had locked are still counted for a while.
            (0..500).any(|_| match register(&ring, &[memory], &[]) {
                Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => {
                    thread::sleep(Duration::from_millis(2));
                    false
                }
                other => other.is_ok(),
            })
        })
    }));
}
