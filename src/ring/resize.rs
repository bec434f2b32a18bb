//! Queues of another size, for a ring that is in use: `IORING_REGISTER_RESIZE_RINGS`.

use super::{
    Ring,
    builder::check_sizes,
    cq::Cq,
    enter::Enter,
    flags::{EnterFlags, SetupFlags},
    layout::Layout,
    mmap::Maps,
    sq::Sq,
};
use crate::sys::{self, io_uring_params};
use std::io;

impl Ring {
    /// Gives both queues other sizes: room for `entries` entries and for `cq_entries` completions, twice as many as
    /// entries if that is not said. Both are rounded up to powers of two. What is queued and what is ready stays so,
    /// and so do requests on their way. Since Linux 6.13, for rings with `DEFER_TASKRUN`.
    ///
    /// What makes a ring unfit for it:
    ///
    /// - An array of indices (no `NO_SQARRAY`): Linux 6.18 does not say where in the new queues it put the array.
    /// - Memory that the ring was given (`NO_MMAP`), or no descriptor to map the new queues with.
    /// - Something queued or ready, on rings with `SQE128`, `CQE32`, `SQE_MIXED`, `CQE_MIXED` or `SQ_REWIND`, and on
    ///   any ring while the positions of what is there lie on both sides of the 2³² that they wrap at: some kernels
    ///   lose it. Submit and read everything first.
    ///
    /// On a ring with `TASKRUN_FLAG` an enter follows, which may bring completions: the kernel says of every ring that
    /// it resized that there is something to do, and where there is nothing it would never take that back.
    ///
    /// # Errors
    /// `Unsupported` and `ResourceBusy`, with a sentence, for what is said above; `InvalidInput` for sizes that cannot
    /// be. `EOVERFLOW` if what is queued or ready does not fit. `EINVAL` before Linux 6.13 and without `DEFER_TASKRUN`;
    /// `EEXIST` from another thread than the ring's; `ENOMEM`. In all these cases the ring is as it was. When the new
    /// queues cannot be mapped, which then is the error, the ring is broken for good: the kernel has left the old ones.
    /// `Other` in a forked child.
    pub fn resize(&mut self, entries: u32, cq_entries: Option<u32>) -> io::Result<()> {
        self.check_alive()?;
        self.check_fit()?;
        check_sizes(entries, cq_entries, self.flags.difference(SetupFlags::CLAMP))?;
        // What a forgotten iterator has read.
        self.cq.publish();
        let mut params = io_uring_params {
            sq_entries: entries,
            cq_entries: cq_entries.unwrap_or(0),
            flags: if cq_entries.is_some() { sys::IORING_SETUP_CQSIZE } else { 0 },
            ..io_uring_params::default()
        };
        // SAFETY: Kernel's word: one structure, written before the call returns. The queues are taken over below.
        unsafe { self.register(sys::IORING_REGISTER_RESIZE_RINGS, (&raw mut params).cast(), 1) }?;
        self.move_over(&mut params).inspect_err(|_| {
            self.left = true;
            self.sq.poison();
            self.cq.poison();
        })?;
        if self.flags.contains(SetupFlags::TASKRUN_FLAG) {
            self.sq.set_taskrun(false);
            let run = Enter { flags: EnterFlags::GETEVENTS, ..Enter::default() };
            if self.enter(&run).is_err() {
                self.sq.set_taskrun(true);
            }
        }
        Ok(())
    }

    /// Whether nothing that is there would be lost.
    fn check_fit(&mut self) -> io::Result<()> {
        let unsupported = |why| Err(io::Error::new(io::ErrorKind::Unsupported, why));
        if !self.flags.contains(SetupFlags::NO_SQARRAY) {
            return unsupported("some kernels lose the array of indices: make the ring with NO_SQARRAY to resize it");
        }
        if !self.flags.contains(SetupFlags::DEFER_TASKRUN) {
            return unsupported("the kernel resizes rings with DEFER_TASKRUN alone");
        }
        if self.flags.contains(SetupFlags::NO_MMAP) || self.fd().is_none() {
            return unsupported("a ring in memory that it was given, or without a descriptor, keeps its size");
        }
        use SetupFlags as F;
        let uneven = F::SQE128 | F::SQE_MIXED | F::CQE32 | F::CQE_MIXED | F::SQ_REWIND;
        let plain = !self.flags.intersects(uneven);
        if self.sq.survives(plain) && self.cq.survives(plain) {
            return Ok(());
        }
        let why = "some kernels would lose what is queued or ready: submit and read everything, then resize";
        Err(io::Error::new(io::ErrorKind::ResourceBusy, why))
    }

    /// Maps the new queues, then leaves the old ones. The kernel fills in less than at a setup.
    fn move_over(&mut self, params: &mut io_uring_params) -> io::Result<()> {
        (params.flags, params.features) = (self.flags.bits(), self.features.bits());
        let layout = Layout::new(params)?;
        let maps = Maps::new(self.descriptor()?, &layout, self.birth)?;
        // SAFETY: Mapped: the ring keeps the maps for as long as the queue. Nobody else moves what is ours.
        let sq = unsafe { Sq::new(maps.rings(), maps.sqes(), &layout, self.birth) }?;
        // SAFETY: Mapped, and ours alone, as the line before.
        let cq = unsafe { Cq::new(maps.rings(), &layout, self.birth) }?;
        (self.sq, self.cq) = (sq, cq);
        self.maps = maps;
        Ok(())
    }
}
