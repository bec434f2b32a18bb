//! A ring that is measured: `nop.rs` and `ring.rs` do it here, and `bench/ring` does it beside the `io-uring` crate.

use annulus::ring::{BufIndex, FileSlot, FixedFile, IoVec, Ring, SetupFlags, Sqe};
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, RawFd},
};

/// What a ring is asked for beside its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Setup {
    /// The kernel's defaults.
    Plain,
    /// One thread, completions that run when it asks for them, no array of indices, a registered index.
    Best,
}

/// How a read names its memory and its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By {
    pub(crate) fixed_buffer: bool,
    pub(crate) fixed_file: bool,
}

/// The room of a ring.
pub(crate) const ENTRIES: u32 = 1024;
/// What a read reads.
pub(crate) const BLOCK: usize = 4096;
/// The most reads at a time.
pub(crate) const DEEPEST: u32 = 128;

/// The ways to name things, and what to call them.
pub(crate) const WAYS: [(&str, By); 4] = [
    ("plain", By { fixed_buffer: false, fixed_file: false }),
    ("fixed buffer", By { fixed_buffer: true, fixed_file: false }),
    ("fixed file", By { fixed_buffer: false, fixed_file: true }),
    ("both fixed", By { fixed_buffer: true, fixed_file: true }),
];

/// A block in the page cache, and memory for [`DEEPEST`] reads of it.
#[derive(Debug)]
pub(crate) struct Place {
    file: File,
    memory: Vec<u8>,
}

impl Place {
    pub(crate) fn new() -> io::Result<Place> {
        let path = std::env::temp_dir().join(format!("annulus-ring-{}", std::process::id()));
        std::fs::write(&path, vec![7; BLOCK])?;
        let file = File::open(&path);
        std::fs::remove_file(&path)?;
        Ok(Place { file: file?, memory: vec![0; BLOCK * DEEPEST as usize] })
    }

    pub(crate) fn file(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    pub(crate) fn memory(&mut self) -> (*mut u8, usize) {
        (self.memory.as_mut_ptr(), self.memory.len())
    }
}

/// A ring of annulus.
#[derive(Debug)]
pub(crate) struct Ours {
    ring: Ring,
    file: RawFd,
    memory: *mut u8,
}

impl Ours {
    pub(crate) fn new(setup: Setup) -> io::Result<Ours> {
        use SetupFlags as F;
        let flags = match setup {
            Setup::Plain => F::empty(),
            Setup::Best => F::SINGLE_ISSUER | F::DEFER_TASKRUN | F::TASKRUN_FLAG | F::NO_SQARRAY | F::SUBMIT_ALL,
        };
        let mut ring = Ring::builder().flags(flags).build(ENTRIES)?;
        if setup == Setup::Best {
            ring.register_ring_fd()?;
        }
        Ok(Ours { ring, file: -1, memory: std::ptr::null_mut() })
    }

    pub(crate) fn push_nops(&mut self, count: u32) {
        let mut batch = self.ring.submissions();
        for n in 0..count {
            // SAFETY: Lent: a NOP names nothing.
            unsafe { batch.push(&Sqe::nop().user_data(n.into())) }.expect("room");
        }
    }

    /// Submits what was pushed and waits for as many completions.
    pub(crate) fn enter(&mut self, count: u32) {
        self.ring.submit_and_wait(count).expect("an enter");
    }

    /// Reads the completions, and gives the sum of their results.
    pub(crate) fn reap(&mut self) -> u64 {
        self.ring.completions().map(|cqe| u64::try_from(cqe.res).expect("a success")).sum()
    }

    /// Registers the file and the memory that reads name.
    ///
    /// # Safety
    /// Lent: the place lives as long as the ring.
    pub(crate) unsafe fn register(&mut self, place: &mut Place) -> io::Result<()> {
        (self.file, self.memory) = (place.file(), place.memory().0);
        let (memory, len) = place.memory();
        // SAFETY: Lent: by this function's contract.
        unsafe { self.ring.register_buffers(&[IoVec::new(memory, len)], &[]) }?;
        self.ring.register_files(&[FileSlot::of(&place.file)], &[])
    }

    /// Pushes so many reads of the block, each into memory of its own.
    ///
    /// # Safety
    /// Lent: the file and the memory are those that were registered, and [`Ours::enter`] awaits the completions.
    pub(crate) unsafe fn push_reads(&mut self, count: u32, by: By) {
        let (len, mut batch) = (BLOCK as u32, self.ring.submissions());
        for n in 0..count {
            let at = self.memory.wrapping_add(n as usize * BLOCK);
            let sqe = match (by.fixed_buffer, by.fixed_file) {
                (false, false) => Sqe::read(self.file, at, len, 0),
                (true, false) => Sqe::read_fixed(self.file, at, len, 0, BufIndex(0)),
                (false, true) => Sqe::read(FixedFile(0), at, len, 0),
                (true, true) => Sqe::read_fixed(FixedFile(0), at, len, 0, BufIndex(0)),
            };
            // SAFETY: Lent: by this function's contract.
            unsafe { batch.push(&sqe.user_data(n.into())) }.expect("room");
        }
    }
}
