//! Rings in memory that they are given, and rings without a descriptor.

use crate::{child::in_child, common::*};
use annulus::ring::{Builder, Full, MemoryNeeded, Ring, RingMemory, SetupFlags, Sqe};
use std::{
    fs, io,
    os::fd::AsRawFd,
    ptr::{self, NonNull},
    slice, thread,
    time::Duration,
};

/// A ring, or none where the kernel is older than Linux 6.5 or some flag, and says so.
fn build_in(builder: &Builder, entries: u32, memory: impl Fn() -> RingMemory) -> Option<Ring> {
    for _ in 0..200 {
        match builder.build_in(entries, memory()) {
            Ok(ring) => return Some(ring),
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => thread::sleep(Duration::from_millis(10)),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)) => return None,
            Err(e) if e.kind() == io::ErrorKind::Unsupported => return None, // before Linux 6.10
            Err(e) => panic!("{e}"),
        }
    }
    panic!("no memory for a ring of {entries} entries");
}

fn round_trips(ring: &mut Ring) {
    let n = u64::from(ring.sq_entries());
    for round in 0..3 {
        nops(ring, round * n..(round + 1) * n);
        assert_eq!(push(ring, Sqe::nop()), Err(Full));
        assert_eq!(ring.submit_and_wait(n as u32).unwrap(), n as u32);
        assert_eq!(read(ring), (round * n..(round + 1) * n).collect::<Vec<_>>());
    }
    assert_eq!((ring.lost(), ring.dropped(), ring.poisoned()), (0, 0, false));
}

/// Pages that are shared with children, and one more behind each queue's, which is full of a pattern.
struct Pages {
    start: *mut u8,
    len: usize,
    need: MemoryNeeded,
    page: usize,
}

const PATTERN: u8 = 0xa5;

impl Pages {
    fn new(need: MemoryNeeded) -> Pages {
        // SAFETY: names no memory.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap();
        let len = need.rings + need.sqes + 2 * page;
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new map at a place that the kernel picks.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, prot, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let pages = Pages { start: start.cast(), len, need, page };
        for guard in pages.guards() {
            // SAFETY: a page of the map, which nobody else has yet.
            unsafe { guard.write_bytes(PATTERN, page) };
        }
        pages
    }

    fn guards(&self) -> [*mut u8; 2] {
        let first = self.need.rings;
        [first, first + self.page + self.need.sqes].map(|offset| self.start.wrapping_add(offset))
    }

    fn memory(&self) -> RingMemory {
        let part =
            |offset, len| NonNull::slice_from_raw_parts(NonNull::new(self.start.wrapping_add(offset)).unwrap(), len);
        let sqes = part(self.need.rings + self.page, self.need.sqes);
        // SAFETY: both stretches are in the map, apart, and used by nobody else; it is never unmapped.
        unsafe { RingMemory::callers(part(0, self.need.rings), sqes) }
    }

    fn untouched(&self) -> bool {
        // SAFETY: a page of the map, which is never unmapped and which nobody writes.
        let bytes = |guard: *mut u8| unsafe { slice::from_raw_parts(guard, self.page) };
        self.guards().into_iter().all(|guard| bytes(guard).iter().all(|&byte| byte == PATTERN)) && self.len > 0
    }
}

/// Red when less memory is asked for than the kernel takes, or more is written than it was given.
#[test]
fn a_ring_in_given_memory_keeps_to_it() {
    use SetupFlags as F;
    let kinds = [F::empty(), F::NO_SQARRAY, F::SQE128 | F::CQE32, F::CQE32, F::CQE_MIXED, F::SINGLE_ISSUER];
    for (entries, flags) in [1, 8, 63, 64, 256, 4096].into_iter().flat_map(|n| kinds.map(|kind| (n, kind))) {
        let builder = Ring::builder().flags(flags);
        let pages = Pages::new(builder.memory_for(entries).unwrap());
        let Some(mut ring) = build_in(&builder, entries, || pages.memory()) else { continue };
        assert!(ring.setup_flags().contains(F::NO_MMAP) && ring.fd().is_some());
        round_trips(&mut ring);
        assert!(pages.untouched(), "{entries} {flags:?}");
        drop(ring);
        let Some(mut ring) = build_in(&builder, entries, RingMemory::anonymous) else { continue };
        round_trips(&mut ring);
    }
}

/// Red when a queue of a size of its own is given the memory of another.
#[test]
fn given_memory_follows_the_size_of_the_completion_queue() {
    let builder = Ring::builder().cq_entries(4096);
    let need = builder.memory_for(8).unwrap();
    assert!(need.rings >= 4096 * 16 && need.rings > Ring::builder().memory_for(8).unwrap().rings);
    let Some(mut ring) = build_in(&builder, 8, RingMemory::anonymous) else { return };
    assert_eq!(ring.cq_entries(), 4096);
    for round in 0..512 {
        nops(&mut ring, round * 8..round * 8 + 8);
        ring.submit().unwrap();
    }
    assert_eq!(read(&mut ring), (0..4096).collect::<Vec<_>>());
}

/// Red when the reason is not told, or the memory is kept.
#[test]
fn huge_pages_are_used_where_there_are_some() {
    for _ in 0..2 {
        match Ring::builder().build_in(256, RingMemory::huge_pages()) {
            Ok(mut ring) => round_trips(&mut ring),
            Err(e) if e.kind() == io::ErrorKind::OutOfMemory => assert!(e.to_string().contains("nr_hugepages"), "{e}"),
            Err(e) if e.kind() == io::ErrorKind::Unsupported => assert!(e.to_string().contains("2 MiB"), "{e}"),
            Err(e) => assert!(matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)), "{e}"),
        }
    }
}

/// Red when memory that is not there is anything but an error, or a ring is left behind by one.
#[test]
fn memory_that_is_not_there_is_an_error() {
    let builder = Ring::builder();
    if build_in(&builder, 8, RingMemory::anonymous).is_none() {
        return;
    }
    let need = builder.memory_for(8).unwrap();
    // Below the first page that may be mapped.
    let nowhere = |len| NonNull::slice_from_raw_parts(NonNull::new(ptr::without_provenance_mut(65536)).unwrap(), len);
    let pages = Pages::new(need);
    for _ in 0..100 {
        // SAFETY: the kernel looks whether the memory is there, and nobody else touches it.
        let memory = unsafe { RingMemory::callers(nowhere(need.rings), nowhere(need.sqes)) };
        let error = builder.build_in(8, memory).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }
    round_trips(&mut build_in(&builder, 8, || pages.memory()).unwrap());
}

fn unnamed() -> Builder {
    Ring::builder().flags(SetupFlags::REGISTERED_FD_ONLY)
}

/// Red when a system call is made by a descriptor, or an index stays taken: a thread has 16.
#[test]
fn a_ring_without_a_descriptor_goes_by_its_index() {
    for entries in (0..40).map(|n| 1 << (n % 8)) {
        let Some(mut ring) = build_in(&unnamed(), entries, RingMemory::anonymous) else { return };
        assert!(ring.fd().is_none() && ring.as_raw_fd() == -1);
        round_trips(&mut ring);
        assert!(ring.probe().unwrap().supports(0));
        assert_eq!(ring.register_ring_fd().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(ring.unregister_ring_fd().unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}

/// Red when the index of another thread's table is used: it may be another ring's.
#[test]
fn a_ring_without_a_descriptor_stays_on_its_thread() {
    let Some(mut ring) = build_in(&unnamed(), 4, RingMemory::anonymous) else { return };
    nops(&mut ring, 0..1);
    let mut ring = thread::spawn(move || {
        let mut other = build_in(&unnamed(), 4, RingMemory::anonymous).unwrap();
        let refused = |error: io::Error| error.to_string().contains("on the thread that made it");
        assert!(refused(ring.submit().unwrap_err()) && refused(ring.submit_and_wait(1).unwrap_err()));
        assert!(refused(ring.probe().unwrap_err()) && refused(ring.set_max_workers(0, 0).unwrap_err()));
        // What needs no system call works.
        nops(&mut ring, 1..2);
        assert_eq!((ring.queued(), ring.ready(), other.queued()), (2, 0, 0));
        round_trips(&mut other);
        ring
    })
    .join()
    .unwrap();
    assert_eq!((ring.submit_and_wait(2).unwrap(), read(&mut ring)), (2, vec![0, 1]));
    // A drop elsewhere takes nothing from this thread's table, nor from that one's.
    thread::spawn(move || {
        let mut other = build_in(&unnamed(), 4, RingMemory::anonymous).unwrap();
        drop(ring);
        round_trips(&mut other);
    })
    .join()
    .unwrap();
}

/// Red when the descriptor is still needed for something, or closing it ends the ring.
#[test]
fn a_ring_goes_on_by_its_index_when_its_descriptor_is_closed() {
    const NAME: &str = "a_ring_goes_on_by_its_index";
    let mut ring = ring!(NAME, 4);
    assert_eq!(ring.close_fd().unwrap_err().kind(), io::ErrorKind::NotFound);
    let Some(mut ring) = indexed_or_skip(NAME, 4) else { return };
    let fd = ring.as_raw_fd();
    match ring.close_fd() {
        Err(e) if e.kind() == io::ErrorKind::Unsupported => return, // before Linux 6.3
        other => other.unwrap(),
    }
    let path = format!("/proc/self/fd/{fd}");
    assert!(!fs::read_link(path).is_ok_and(|file| file.to_string_lossy().contains("io_uring")));
    round_trips(&mut ring);
    assert!(ring.probe().unwrap().supports(0) && ring.fd().is_none());
    assert_eq!(ring.unregister_ring_fd().unwrap_err().kind(), io::ErrorKind::Unsupported);
    assert_eq!(ring.resize(8, None).unwrap_err().kind(), io::ErrorKind::Unsupported);
}

/// Memory that is shared stays in the child. Red when the child writes to it, or takes from the parent's table.
#[test]
fn a_forked_child_touches_no_ring_in_given_memory() {
    let builder = Ring::builder();
    let pages = Pages::new(builder.memory_for(4).unwrap());
    let Some(shared) = build_in(&builder, 4, || pages.memory()) else { return };
    let rings = [
        shared,
        build_in(&builder, 4, RingMemory::anonymous).unwrap(),
        build_in(&unnamed(), 4, RingMemory::anonymous).unwrap(),
    ];
    for mut ring in rings {
        nops(&mut ring, 0..2);
        ring.submit_and_wait(2).unwrap();
        nops(&mut ring, 2..3);
        assert!(in_child(|| {
            push(&mut ring, Sqe::nop().user_data(9)) == Err(Full)
                && ring.submit_and_wait(1).is_err()
                && ring.probe().is_err()
                && read(&mut ring).is_empty()
                && (ring.ready(), ring.queued(), ring.space_left()) == (0, 0, 0)
        }));
        let mut ring = Some(ring);
        assert!(in_child(|| {
            drop(ring.take());
            let own = build_in(&unnamed(), 4, RingMemory::anonymous);
            own.is_some_and(|mut own| {
                nops(&mut own, 5..6);
                own.submit_and_wait(1).is_ok() && read(&mut own) == [5]
            })
        }));
        let mut ring = ring.unwrap();
        assert_eq!((ring.submit_and_wait(3).unwrap(), read(&mut ring)), (1, vec![0, 1, 2]));
    }
}
