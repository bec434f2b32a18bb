//! The flag words of `io_uring_setup(2)` and `io_uring_enter(2)`, with types.

use crate::sys;

bitflags::bitflags! {
    /// `IORING_SETUP_*`: how a ring is to work.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SetupFlags: u32 {
        /// Completions are found by polling the device, not by its interrupt: `O_DIRECT` files only. Since Linux 5.1.
        const IOPOLL = sys::IORING_SETUP_IOPOLL;
        /// A kernel thread takes entries from the queue without a system call. Since Linux 5.1; for everybody since
        /// 5.13.
        const SQPOLL = sys::IORING_SETUP_SQPOLL;
        /// The kernel thread of `SQPOLL` stays on one processor; set by `Builder::sq_thread_cpu`. Since Linux 5.1.
        const SQ_AFF = sys::IORING_SETUP_SQ_AFF;
        /// The completion queue has a size of its own; set by `Builder::cq_entries`. Since Linux 5.5.
        const CQSIZE = sys::IORING_SETUP_CQSIZE;
        /// Too large a size becomes the largest one instead of an error. Since Linux 5.6.
        const CLAMP = sys::IORING_SETUP_CLAMP;
        /// Share the worker threads of another ring; set by `Builder::attach_wq`. Since Linux 5.6.
        const ATTACH_WQ = sys::IORING_SETUP_ATTACH_WQ;
        /// The ring accepts nothing until `Ring::enable`. Since Linux 5.10.
        const R_DISABLED = sys::IORING_SETUP_R_DISABLED;
        /// An entry that fails at once does not stop the rest of its batch. Since Linux 5.18.
        const SUBMIT_ALL = sys::IORING_SETUP_SUBMIT_ALL;
        /// Completions wait for the next system call instead of interrupting the task. Since Linux 5.19.
        const COOP_TASKRUN = sys::IORING_SETUP_COOP_TASKRUN;
        /// The queue's flags say when completions wait to be run ([`Ring::taskrun`](super::Ring::taskrun)). Since Linux
        /// 5.19.
        const TASKRUN_FLAG = sys::IORING_SETUP_TASKRUN_FLAG;
        /// Entries of 128 bytes: [`Ring::push128`](super::Ring::push128). Since Linux 5.19.
        const SQE128 = sys::IORING_SETUP_SQE128;
        /// Completions of 32 bytes: [`Completions::next_big`](super::Completions::next_big). Since Linux 5.19.
        const CQE32 = sys::IORING_SETUP_CQE32;
        /// One thread alone enters the ring; others get `EEXIST`. Since Linux 6.0.
        const SINGLE_ISSUER = sys::IORING_SETUP_SINGLE_ISSUER;
        /// Completions appear only inside an enter with `GETEVENTS`. Since Linux 6.1.
        const DEFER_TASKRUN = sys::IORING_SETUP_DEFER_TASKRUN;
        /// The ring is given its memory; set by [`Builder::build_in`](super::Builder::build_in). Since Linux 6.5.
        const NO_MMAP = sys::IORING_SETUP_NO_MMAP;
        /// The ring has an index in the thread's table and no descriptor. Since Linux 6.5.
        const REGISTERED_FD_ONLY = sys::IORING_SETUP_REGISTERED_FD_ONLY;
        /// The submission queue has no array of indices, which annulus fills once and never changes: less memory, and a
        /// ring that can be [resized](super::Ring::resize). Since Linux 6.6.
        const NO_SQARRAY = sys::IORING_SETUP_NO_SQARRAY;
        /// `IOPOLL` that sleeps first. Since Linux 6.13.
        const HYBRID_IOPOLL = sys::IORING_SETUP_HYBRID_IOPOLL;
        /// Completions of 16 and of 32 bytes in one queue, whose counts are of 16 bytes. Since Linux 6.18.
        const CQE_MIXED = sys::IORING_SETUP_CQE_MIXED;
        /// Entries of 64 and of 128 bytes in one queue, whose counts are of 64 bytes. Since Linux 6.19.
        const SQE_MIXED = sys::IORING_SETUP_SQE_MIXED;
        /// Every enter reads the submission queue from its first slot, so that few entries stay in few cache lines.
        /// What an enter did not take moves there. Since Linux 7.0.
        const SQ_REWIND = sys::IORING_SETUP_SQ_REWIND;
    }
}

bitflags::bitflags! {
    /// `IORING_FEAT_*`: what the kernel says of itself when it makes a ring.
    ///
    /// Opcodes are not among them: ask [`Ring::probe`](super::Ring::probe).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u32 {
        /// Both queues lie in one mapping. Since Linux 5.4; annulus needs it.
        const SINGLE_MMAP = sys::IORING_FEAT_SINGLE_MMAP;
        /// Completions that find the queue full are kept. Since Linux 5.5.
        const NODROP = sys::IORING_FEAT_NODROP;
        /// What an entry points to for its preparation is copied when it is submitted. Since Linux 5.5.
        const SUBMIT_STABLE = sys::IORING_FEAT_SUBMIT_STABLE;
        /// The offset -1 means the file's own position. Since Linux 5.6.
        const RW_CUR_POS = sys::IORING_FEAT_RW_CUR_POS;
        /// Requests run with the submitter's credentials. Since Linux 5.6.
        const CUR_PERSONALITY = sys::IORING_FEAT_CUR_PERSONALITY;
        /// Sockets and pipes wait for readiness without a worker thread. Since Linux 5.7.
        const FAST_POLL = sys::IORING_FEAT_FAST_POLL;
        /// Poll masks have 32 bits. Since Linux 5.9.
        const POLL_32BITS = sys::IORING_FEAT_POLL_32BITS;
        /// `SQPOLL` works with ordinary descriptors. Since Linux 5.11.
        const SQPOLL_NONFIXED = sys::IORING_FEAT_SQPOLL_NONFIXED;
        /// An enter takes a timeout and a signal mask. Since Linux 5.11.
        const EXT_ARG = sys::IORING_FEAT_EXT_ARG;
        /// Worker threads belong to the process. Since Linux 5.12.
        const NATIVE_WORKERS = sys::IORING_FEAT_NATIVE_WORKERS;
        /// Registered resources have tags. Since Linux 5.13.
        const RSRC_TAGS = sys::IORING_FEAT_RSRC_TAGS;
        /// Entries may ask for no completion on success. Since Linux 5.17.
        const CQE_SKIP = sys::IORING_FEAT_CQE_SKIP;
        /// A linked entry looks its file up when it starts. Since Linux 5.18.
        const LINKED_FILE = sys::IORING_FEAT_LINKED_FILE;
        /// Registering works through a registered ring. Since Linux 6.3.
        const REG_REG_RING = sys::IORING_FEAT_REG_REG_RING;
        /// Send and receive take several provided buffers at once. Since Linux 6.10.
        const RECVSEND_BUNDLE = sys::IORING_FEAT_RECVSEND_BUNDLE;
        /// A wait takes a minimal time. Since Linux 6.12.
        const MIN_TIMEOUT = sys::IORING_FEAT_MIN_TIMEOUT;
        /// Reads and writes take attributes. Since Linux 6.14.
        const RW_ATTR = sys::IORING_FEAT_RW_ATTR;
        /// A wait need not count as waiting for IO. Since Linux 6.15.
        const NO_IOWAIT = sys::IORING_FEAT_NO_IOWAIT;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// `IORING_ENTER_*`: what an enter is to do.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EnterFlags: u32 {
        /// Run deferred work, move overflowed completions into the queue, and wait. Since Linux 5.1.
        const GETEVENTS = sys::IORING_ENTER_GETEVENTS;
        /// Wake the kernel thread of `SQPOLL`. Since Linux 5.1.
        const SQ_WAKEUP = sys::IORING_ENTER_SQ_WAKEUP;
        /// Wait until the kernel thread of `SQPOLL` has made room. Since Linux 5.10.
        const SQ_WAIT = sys::IORING_ENTER_SQ_WAIT;
        /// The argument is a structure; set by annulus when there is a timeout. Since Linux 5.11.
        const EXT_ARG = sys::IORING_ENTER_EXT_ARG;
        /// The ring is named by its index; set by annulus after `Ring::register_ring_fd`. Since Linux 5.18.
        const REGISTERED_RING = sys::IORING_ENTER_REGISTERED_RING;
        /// The timeout is a point on the ring's clock. Since Linux 6.12.
        const ABS_TIMER = sys::IORING_ENTER_ABS_TIMER;
        /// The argument is an offset into the registered wait region. Since Linux 6.13.
        const EXT_ARG_REG = sys::IORING_ENTER_EXT_ARG_REG;
        /// The wait does not count as waiting for IO. Since Linux 6.15.
        const NO_IOWAIT = sys::IORING_ENTER_NO_IOWAIT;
    }
}
