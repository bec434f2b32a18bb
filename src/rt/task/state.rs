//! The task's state word: five flags and a count of references, in one atomic.
//!
//! Who may do what follows from the flags alone:
//!
//! - `NOTIFIED`: the task is in a queue, or somebody is about to put it there. Setting it where neither it nor `DONE`
//!   was set is the permission to push, so a task is in one queue at most. Its link goes with that: whoever takes the
//!   task out of its queue has done with the link before the flag goes, and whoever sets it comes after.
//! - `DONE`: the future is gone. Before it the owner's thread alone touches the stage; after it the handle alone does.
//! - `HANDLE`: the `JoinHandle` lives and will take or drop the output.
//! - `JOINER`: the slot of the join waker is lent to whoever finishes the task; without it, it is the handle's.
//! - `ABORTED`: the next run drops the future instead of polling it.
//!
//! References: each waker and the handle hold one, and the runtime holds one until the future is gone (*Owner*: this
//! is what keeps a `!Send` future from being freed by a waker elsewhere). A task that finishes while `NOTIFIED` leaves
//! the runtime's reference to the queue it is in, so being queued costs no count of its own.

use crate::rt::sync::{AtomicU32, Ordering};
use std::process;

const NOTIFIED: u32 = 1;
const DONE: u32 = 1 << 1;
const HANDLE: u32 = 1 << 2;
const JOINER: u32 = 1 << 3;
const ABORTED: u32 = 1 << 4;
const REF: u32 = 1 << 5;

#[derive(Debug)]
pub(super) struct State(AtomicU32);

/// What the owner's thread does with a task it took from a queue.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::rt) enum Begin {
    /// Poll the future.
    Poll,
    /// Drop the future: the task was aborted.
    Abort,
    /// Drop the queue's reference: the task had finished while it was queued.
    Spent,
}

/// What is left to do for a waker that went with its wake.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Put the task into a queue.
    Push,
    /// Free the task: the reference was the last.
    Last,
    /// Nothing.
    Nothing,
}

/// What is left to do for whoever finished a task.
#[derive(Debug)]
pub(super) struct Finish {
    /// The handle is gone: drop the output.
    pub(super) unclaimed: bool,
    /// A join waker is in the slot: take and wake it.
    pub(super) joiner: bool,
    /// The runtime's reference is still held and has to be released.
    pub(super) holds: bool,
}

/// What is left to do for a handle that goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Detach {
    /// The task is done: the output is the handle's to drop.
    Output,
    /// The slot is the handle's again and holds a waker to drop.
    Waker,
    /// Nothing.
    Nothing,
}

impl State {
    /// Queued, with a handle: two references.
    pub(super) fn new() -> State {
        State(AtomicU32::new((2 * REF) | HANDLE | NOTIFIED))
    }

    /// Marks the task for a run; true if the caller has to put it into a queue.
    pub(super) fn notify(&self) -> bool {
        // Release: pairs with `begin`, so that the poll sees what was written before the wake, also when somebody
        // else queued the task. Acquire: pairs with `begin`, which hands the link over.
        self.0.fetch_or(NOTIFIED, Ordering::AcqRel) & (NOTIFIED | DONE) == 0
    }

    /// `notify` and `release` in one step, for a waker that goes with its wake.
    ///
    /// Once this says that the task is to be queued, the caller has no reference of its own: the runtime's is the
    /// queue's, and keeps the task until it was taken from there.
    pub(super) fn notify_and_release(&self) -> Gone {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let next = (now | NOTIFIED) - REF;
            // Both: as in `notify`. Release: as in `release`; Acquire: as there, for the last one.
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if now & (NOTIFIED | DONE) == 0 => return Gone::Push,
                Ok(_) if next / REF == 0 => return Gone::Last,
                Ok(_) => return Gone::Nothing,
                Err(seen) => now = seen,
            }
        }
    }

    /// Asks for the end of the task; true if the caller has to put it into a queue.
    pub(super) fn abort(&self) -> bool {
        // Both: as in `notify`.
        self.0.fetch_or(NOTIFIED | ABORTED, Ordering::AcqRel) & (NOTIFIED | DONE) == 0
    }

    /// The task left its queue.
    pub(super) fn begin(&self) -> Begin {
        // Acquire: pairs with `notify` and `abort`, of which the poll is to see all. Release: pairs with them too; the
        // link is theirs from now on. The flag is set, as the task was queued, so taking it away is a subtraction: one
        // step, where a mask would be a loop of two.
        let was = self.0.fetch_sub(NOTIFIED, Ordering::AcqRel);
        debug_assert!(was & NOTIFIED != 0, "it was in no queue");
        match was {
            _ if was & DONE != 0 => Begin::Spent,
            _ if was & ABORTED != 0 => Begin::Abort,
            _ => Begin::Poll,
        }
    }

    /// The output is in the stage. Releases the runtime's reference at once if nothing else is to be done.
    pub(super) fn finish(&self) -> Finish {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let (unclaimed, joiner) = (now & HANDLE == 0, now & JOINER != 0);
            let queued = now & NOTIFIED != 0;
            let plain = !unclaimed && !joiner && !queued;
            let next = (now | DONE) - if plain { REF } else { 0 };
            // Release: pairs with `is_done` and `detach`, which hand out the output. Acquire: pairs with `offer`, whose
            // waker is taken now, and with `detach`, after which the output is ours.
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Finish { unclaimed, joiner, holds: !plain && !queued },
                Err(seen) => now = seen,
            }
        }
    }

    /// True once the output belongs to the handle.
    pub(super) fn is_done(&self) -> bool {
        // Acquire: pairs with `finish`.
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    /// Lends the waker in the slot to whoever finishes the task; false if the task is done and the slot stays ours.
    pub(super) fn offer(&self) -> bool {
        self.unless_done(|now| now | JOINER)
    }

    /// Takes the slot back; false if the task is done and the slot's waker is on its way.
    pub(super) fn withdraw(&self) -> bool {
        self.unless_done(|now| now & !JOINER)
    }

    /// Whether the slot is lent. Only the handle changes that before the end, so it may ask without a race.
    pub(super) fn is_offered(&self) -> bool {
        self.0.load(Ordering::Relaxed) & JOINER != 0
    }

    fn unless_done(&self, change: impl Fn(u32) -> u32) -> bool {
        // Release: pairs with `finish`, which takes the waker. Acquire: pairs with `finish` too, for the output.
        let change = |now: u32| (now & DONE == 0).then(|| change(now));
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }

    /// The handle goes.
    pub(super) fn detach(&self) -> Detach {
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            // Acquire on DONE: pairs with `finish`, the output is ours. Release otherwise: `finish` sees no handle.
            (now & DONE == 0).then_some(now & !(HANDLE | JOINER))
        }) {
            Err(_) => Detach::Output,
            Ok(was) if was & JOINER != 0 => Detach::Waker,
            Ok(_) => Detach::Nothing,
        }
    }

    /// One more reference. So many that the count could reach the flags' end are a leak in a loop: the process ends.
    pub(super) fn retain(&self) {
        // Relaxed: whoever makes a reference has one.
        if self.0.fetch_add(REF, Ordering::Relaxed) > i32::MAX as u32 {
            process::abort();
        }
    }

    /// One reference less; true if it was the last.
    pub(super) fn release(&self) -> bool {
        // Acquire: pairs with the Release below of every other reference. Whoever sees its own reference alone needs
        // no further step: there is nobody left to make another.
        if self.0.load(Ordering::Acquire) / REF == 1 {
            return true;
        }
        // Release: pairs with the Acquire above and below, in the last one to go.
        let last = self.0.fetch_sub(REF, Ordering::Release) / REF == 1;
        if last {
            // Acquire: what all the others did before they went is over. A load where a fence would do: it costs as
            // little, and thread sanitizers understand it.
            self.0.load(Ordering::Acquire);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_push_for_many_wakes() {
        let state = State::new();
        assert!(!state.notify(), "a new task is in the queue already");
        assert_eq!(state.begin(), Begin::Poll);
        assert!(state.notify());
        assert!(!state.notify());
        assert!(!state.abort(), "the push of the wake carries the abort");
        assert_eq!(state.begin(), Begin::Abort);
    }

    /// Red when a wake is lost, comes twice or keeps its reference, and when the last one is not told.
    #[test]
    fn a_waker_goes_with_its_wake() {
        let state = State::new();
        state.begin();
        (0..3).for_each(|_| state.retain());
        assert_eq!([(); 3].map(|()| state.notify_and_release()), [Gone::Push, Gone::Nothing, Gone::Nothing]);
        assert_eq!(state.begin(), Begin::Poll);
        state.retain();
        state.finish();
        assert!(!state.release(), "the handle's");
        assert_eq!(state.notify_and_release(), Gone::Last);
    }

    #[test]
    fn a_queued_task_leaves_its_reference_to_the_queue() {
        let state = State::new();
        assert!(!state.finish().holds, "the queue holds it");
        assert_eq!(state.begin(), Begin::Spent);
        assert!(!state.notify(), "nobody queues a finished task");
        assert!(!state.release());
        assert!(state.release());
    }

    #[test]
    fn the_plain_end_releases_at_once() {
        let state = State::new();
        state.begin();
        let finish = state.finish();
        assert!(!finish.holds && !finish.joiner && !finish.unclaimed);
        assert_eq!(state.detach(), Detach::Output);
        assert!(state.release(), "only the handle's reference was left");
    }

    #[test]
    fn the_slot_is_lent_and_taken_back() {
        let state = State::new();
        state.begin();
        assert!(state.offer() && state.is_offered());
        assert!(state.withdraw() && !state.is_offered());
        assert!(state.offer());
        assert_eq!(state.detach(), Detach::Waker);
        let finish = state.finish();
        assert!(finish.unclaimed && !finish.joiner && finish.holds);
        assert!(!state.offer() && !state.withdraw(), "too late");
        assert!(!state.release());
        assert!(state.release());
    }

    /// T18: a leak of wakers in a loop ends the process before the count reaches the flags. Red without the look.
    #[test]
    fn references_that_would_overflow_end_the_process() {
        const ROLE: &str = "ANNULUS_TEST_OVERFLOW";
        let highest = i32::MAX as u32;
        if std::env::var_os(ROLE).is_some() {
            State(AtomicU32::new(highest - REF)).retain();
            println!("so many are allowed");
            State(AtomicU32::new(highest + 1)).retain();
            return;
        }
        let mut child = process::Command::new(std::env::current_exe().unwrap());
        child.args([
            "rt::task::state::tests::references_that_would_overflow_end_the_process",
            "--exact",
            "--nocapture",
        ]);
        let output = child.env(ROLE, "1").output().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(signal, Some(libc::SIGABRT), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("so many are allowed"));
    }
}
