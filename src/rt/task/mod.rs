//! Tasks: one allocation each, polled on one thread, woken from any.
//!
//! A [`RawTask`] is a plain pointer without a count of its own: which references exist, and who holds them, is told in
//! `state`. The invariant that the `SAFETY` comments here cite is *Owner*: whoever holds a reference may use the
//! header; the stage belongs to the runtime's thread before `DONE` and to the handle afterwards.

mod abort;
mod about;
mod cell;
mod class;
mod error;
mod id;
mod join;
mod state;
mod store;

pub use abort::AbortHandle;
pub use class::Class;
pub use error::JoinError;
pub use id::Id;
pub use join::JoinHandle;

pub(super) use about::About;
pub(crate) use cell::Header;
pub(super) use cell::{Outcome, drop_quietly};
pub(super) use id::Ids;
pub(super) use state::Begin;
pub(super) use store::{KEPT, Store};

use super::{current, hold::Hold};
use crate::driver::quietly;
use state::Gone;
use std::{
    ptr::{self, NonNull},
    task::{RawWaker, RawWakerVTable, Waker},
};

/// A pointer to a task, for somebody who holds a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawTask(NonNull<Header>);

/// Makes a task that counts as queued: whoever made it has to queue it.
pub(super) fn new<F, T>(future: F, about: About, remote: Hold, store: &Store) -> (RawTask, JoinHandle<T>)
where
    F: Future<Output = Outcome<T>> + 'static,
    T: 'static,
{
    let task = RawTask(cell::allocate(future, about, remote, store));
    (task, JoinHandle::new(task))
}

impl RawTask {
    /// A task that a queue yielded.
    pub(super) fn from_header(header: NonNull<Header>) -> RawTask {
        RawTask(header)
    }

    pub(super) fn header(self) -> NonNull<Header> {
        self.0
    }

    fn get(&self) -> &Header {
        // SAFETY: Owner: whoever has a RawTask holds a reference, or borrows one.
        unsafe { self.0.as_ref() }
    }

    /// What it is called and where it came from.
    pub(super) fn about(&self) -> &About {
        &self.get().about
    }

    /// The key in the runtime's list.
    pub(super) fn key(self) -> usize {
        self.get().key.get()
    }

    pub(super) fn set_key(self, key: usize) {
        self.get().key.set(key);
    }

    /// Took it from a queue.
    pub(super) fn begin(self) -> Begin {
        self.get().state.begin()
    }

    /// Polls the future; true if the task is to be finished. Owner's thread, not yet finished.
    pub(super) fn poll(self) -> bool {
        // SAFETY: Typed: the table is the header's own.
        unsafe { (self.get().vtable.poll)(self.0) }
    }

    /// Drops the future; the task is to be finished. Owner's thread, not yet finished.
    pub(super) fn cancel(self) {
        // SAFETY: Typed: the table is the header's own.
        unsafe { (self.get().vtable.cancel)(self.0) }
    }

    /// Publishes the output and gives the runtime's reference away. Owner's thread, once.
    pub(super) fn finish(self) {
        let todo = self.get().state.finish();
        if !(todo.holds || todo.joiner || todo.unclaimed) {
            return;
        }
        if todo.unclaimed {
            // SAFETY: Typed: the table is the header's own. There is no handle, so the output is ours.
            unsafe { (self.get().vtable.discard)(self.0) };
        } else if todo.joiner {
            // SAFETY: Owner: JOINER was set when DONE came, so the slot is the finisher's for good.
            let joiner = unsafe { &mut *self.get().joiner.get() }.take();
            quietly(|| joiner.into_iter().for_each(Waker::wake));
        }
        if todo.holds {
            self.release();
        }
    }

    /// Asks for the end of the task, from any thread.
    fn abort(self) {
        if self.get().state.abort() {
            self.schedule();
        }
    }

    fn notify(self) {
        if self.get().state.notify() {
            self.schedule();
        }
    }

    /// A wake of a waker that is used up. On the runtime's own thread it is one step: nobody frees the task meanwhile.
    /// On another one, the reference is needed until the task is handed over and its owner roused.
    fn wake(self) {
        let here = current::with(|core| {
            let here = ptr::eq(&**core.remote(), &*self.get().remote);
            if here {
                match self.get().state.notify_and_release() {
                    Gone::Push => core.push(self),
                    Gone::Last => self.free(),
                    Gone::Nothing => {}
                }
            }
            here
        });
        if here != Some(true) {
            self.notify();
            self.release();
        }
    }

    /// Frees the task, after its last reference: its stage is empty by then.
    fn free(self) {
        // SAFETY: Typed: the table is the header's own. There is no reference left.
        unsafe { (self.get().vtable.free)(self.0) };
    }

    /// Puts a task, just marked as notified, into its runtime's queue: the local one, if its runtime runs here.
    fn schedule(self) {
        let remote = &self.get().remote;
        if !current::push(remote, self) {
            remote.push(self);
        }
    }

    /// Whether the output is there, or was taken.
    fn is_done(self) -> bool {
        self.get().state.is_done()
    }

    /// A waker of the task, and with it a reference of its own.
    fn waker(self) -> Waker {
        self.get().state.retain();
        // SAFETY: Owner: the data is a task's header, and the waker has the reference that was just made.
        unsafe { Waker::from_raw(RawWaker::new(self.0.as_ptr().cast(), &WAKER)) }
    }

    /// Gives a reference back and frees the task with the last one: its stage is empty by then.
    pub(super) fn release(self) {
        if self.get().state.release() {
            self.free();
        }
    }
}

/// A waker's data is the header, and a waker holds one reference.
static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        task(data).get().state.retain();
        RawWaker::new(data, &WAKER)
    },
    |data| task(data).wake(),
    |data| task(data).notify(),
    |data| task(data).release(),
);

fn task(data: *const ()) -> RawTask {
    RawTask(NonNull::new(data.cast_mut().cast()).expect("a waker's data is a task"))
}
