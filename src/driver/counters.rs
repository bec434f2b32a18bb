//! What a driver counts.

use super::Histogram;
use crate::{
    entry::{Cqe, CqeFlags},
    sys::names::OPCODES,
};
use std::fmt;

/// What a driver has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Turns: each submits what is queued and sorts out completions.
    pub turns: u64,
    /// Calls of `io_uring_enter(2)`; on the poll driver, of `epoll_wait(2)` or `kevent(2)`.
    pub enters: u64,
    /// Entries given to the kernel's ring, by opcode.
    pub sqes: [u64; OPCODES.len()],
    /// On the poll driver, how often its selector was told what to watch, or asked: `epoll_ctl(2)`. On the ring, how
    /// often a poll of many answers began to watch a socket.
    pub watches: u64,
    /// Completions, final and not, from wherever.
    pub cqes: u64,
    /// How many completions a turn found. Turns without any are not in it: [`turns`](Counters::turns) less its
    /// [`count`](Histogram::count) are those.
    pub batches: Histogram,
    /// Turns that found the ring's completion queue overrun, and fetched what waited in the kernel. More entries make a
    /// longer queue.
    pub overflows: u64,
    /// Completions that the kernel lost for want of memory: operations that will never end.
    pub lost: u64,
    /// Completions that nobody waited for: late, doubled or foreign.
    pub strays: u64,
    /// Twins called on the driver's thread that needed no readiness.
    pub twins_here: u64,
    /// Calls of twins on the driver's thread that answer EAGAIN instead of blocking.
    pub twins_ready: u64,
    /// Operations that were done at their first poll: on the poll driver all that need not wait, on the ring sends
    /// while turns bring few completions, and reads of what is in memory that few others went with.
    pub inline: u64,
    /// Twins given to the pool.
    pub twins_pool: u64,
    /// Cancellations asked for.
    pub cancels: u64,
    /// Entries that found the submission queue full and waited in the driver.
    pub backlogged: u64,
    /// Streams that were started again after an answer: entries, or calls of twins, beyond the first.
    pub rearms: u64,
    /// Streams that had to pause for lack of descriptors or memory.
    pub pauses: u64,
    /// Streams that found no buffer on offer.
    pub starved: u64,
    /// Streams that paused because they had all the buffers of their pool that they may have.
    pub rested: u64,
    /// Receives that the kernel was told to wait with, because the one before seemed to have left nothing.
    pub poll_first: u64,
    /// Receives on the ring's driver that were done by a call, after they had waited for a socket that is watched:
    /// while turns bring few completions, that costs less than an entry.
    pub watched: u64,
    /// Answers of the kernel that brought several buffers of a pool at once.
    pub bundles: u64,
    /// Buffers of pools that are with their users now, or on their way.
    pub buffers_out: u64,
    /// Wakes that came as a message to the ring.
    pub woken_by_message: u64,
    /// Wakes that came by the counter that a driver watches: an eventfd, or a user event of a kqueue.
    pub woken_by_counter: u64,
    /// Notifications of zero-copy sends: each gave memory back.
    pub zero_copies: u64,
    /// How many of them said that the kernel had copied after all, as it does on a loopback device.
    pub zero_copies_copied: u64,
    /// Slots taken now: operations in flight, and completions that were not fetched.
    pub slots: usize,
    /// The most slots that were ever taken at once.
    pub slots_max: usize,
}

impl Counters {
    pub(super) fn new() -> Counters {
        Counters {
            turns: 0,
            enters: 0,
            sqes: [0; OPCODES.len()],
            watches: 0,
            cqes: 0,
            batches: Histogram::new(),
            overflows: 0,
            lost: 0,
            strays: 0,
            twins_here: 0,
            twins_ready: 0,
            inline: 0,
            twins_pool: 0,
            cancels: 0,
            backlogged: 0,
            rearms: 0,
            pauses: 0,
            starved: 0,
            rested: 0,
            poll_first: 0,
            watched: 0,
            bundles: 0,
            buffers_out: 0,
            woken_by_message: 0,
            woken_by_counter: 0,
            zero_copies: 0,
            zero_copies_copied: 0,
            slots: 0,
            slots_max: 0,
        }
    }

    /// Counts a notification. One that was not asked for the usage is handed on as the mere end of the request.
    pub(super) fn notified(&mut self, cqe: Cqe, asked: bool) -> Cqe {
        if !cqe.flags.contains(CqeFlags::NOTIF) {
            return cqe;
        }
        self.zero_copies += 1;
        self.zero_copies_copied += u64::from(asked && cqe.was_copied());
        if asked { cqe } else { Cqe { flags: cqe.flags - CqeFlags::NOTIF, ..cqe } }
    }

    /// How many entries of the operation `name` (without its `IORING_OP_`) went to the kernel's ring.
    ///
    /// # Panics
    /// When there is no such operation.
    #[must_use]
    pub fn sqes_of(&self, name: &str) -> u64 {
        let opcode = OPCODES.iter().position(|&n| n == name);
        self.sqes[opcode.unwrap_or_else(|| panic!("no opcode is named {name}"))]
    }

    /// How many entries went to the kernel's ring in all.
    #[must_use]
    pub fn sqes_total(&self) -> u64 {
        self.sqes.iter().sum()
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = |(n, &count): (usize, &u64)| (count > 0).then_some((OPCODES[n], count));
        let sqes: Vec<_> = self.sqes.iter().enumerate().filter_map(used).collect();
        f.debug_struct("Counters")
            .field("turns", &self.turns)
            .field("enters", &self.enters)
            .field("sqes", &sqes)
            .field("watches", &self.watches)
            .field("cqes", &self.cqes)
            .field("batches", &self.batches)
            .field("overflows", &self.overflows)
            .field("lost", &self.lost)
            .field("strays", &self.strays)
            .field("twins_here", &self.twins_here)
            .field("twins_ready", &self.twins_ready)
            .field("inline", &self.inline)
            .field("twins_pool", &self.twins_pool)
            .field("cancels", &self.cancels)
            .field("backlogged", &self.backlogged)
            .field("rearms", &self.rearms)
            .field("pauses", &self.pauses)
            .field("starved", &self.starved)
            .field("rested", &self.rested)
            .field("poll_first", &self.poll_first)
            .field("watched", &self.watched)
            .field("bundles", &self.bundles)
            .field("buffers_out", &self.buffers_out)
            .field("woken_by_message", &self.woken_by_message)
            .field("woken_by_counter", &self.woken_by_counter)
            .field("zero_copies", &self.zero_copies)
            .field("zero_copies_copied", &self.zero_copies_copied)
            .field("slots", &self.slots)
            .field("slots_max", &self.slots_max)
            .finish()
    }
}
