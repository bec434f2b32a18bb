//! The `io-uring` crate.

use crate::Contender;
use crate::rig::{BLOCK, By, ENTRIES, Place, Setup};
use io_uring::{IoUring, opcode, types};
use std::os::fd::RawFd;

pub struct Theirs {
    ring: IoUring,
    file: RawFd,
    memory: *mut u8,
}

impl Contender for Theirs {
    fn new(setup: Setup) -> Self {
        let mut builder = IoUring::builder();
        if setup == Setup::Best {
            builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
            builder.setup_no_sqarray().setup_submit_all();
        }
        let ring: IoUring = builder.build(ENTRIES).expect("a ring");
        if setup == Setup::Best {
            ring.submitter().register_ring_fd().expect("an index");
        }
        Self { ring, file: -1, memory: std::ptr::null_mut() }
    }

    fn push_nops(&mut self, count: u32) {
        let mut queue = self.ring.submission();
        for n in 0..count {
            // SAFETY: a NOP names nothing.
            unsafe { queue.push(&opcode::Nop::new().build().user_data(n.into())) }.expect("room");
        }
    }

    fn enter(&mut self, count: u32) {
        self.ring.submit_and_wait(count as usize).expect("an enter");
    }

    fn reap(&mut self) -> u64 {
        self.ring.completion().map(|cqe| u64::try_from(cqe.result()).expect("a success")).sum()
    }

    unsafe fn register(&mut self, place: &mut Place) {
        let (file, (memory, len)) = (place.file(), place.memory());
        (self.file, self.memory) = (file, memory);
        let part = libc::iovec { iov_base: memory.cast(), iov_len: len };
        // SAFETY: by this function's contract.
        unsafe { self.ring.submitter().register_buffers(&[part]) }.expect("memory to lock");
        self.ring.submitter().register_files(&[file]).expect("a file");
    }

    unsafe fn push_reads(&mut self, count: u32, by: By) {
        let (len, file) = (BLOCK as u32, types::Fd(self.file));
        let mut queue = self.ring.submission();
        for n in 0..count {
            let at = self.memory.wrapping_add(n as usize * BLOCK);
            let entry = match (by.fixed_buffer, by.fixed_file) {
                (false, false) => opcode::Read::new(file, at, len).build(),
                (true, false) => opcode::ReadFixed::new(file, at, len, 0).build(),
                (false, true) => opcode::Read::new(types::Fixed(0), at, len).build(),
                (true, true) => opcode::ReadFixed::new(types::Fixed(0), at, len, 0).build(),
            };
            // SAFETY: by this function's contract.
            unsafe { queue.push(&entry.user_data(n.into())) }.expect("room");
        }
    }
}
