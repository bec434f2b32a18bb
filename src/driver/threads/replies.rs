//! The answers of twins, on their way home.

use crate::{
    driver::sync::{Mutex, MutexGuard},
    entry::Cqe,
};
use std::{
    mem,
    sync::{Arc, PoisonError},
};

/// The answers of one driver's twins, on their way home.
///
/// The driver drains them in its turns. Before it goes to sleep it [asks](Replies::ask) to be woken: the next reply,
/// and only that one, calls the wake. Both sides do so under one lock, so none can slip between asking and sleeping.
pub(crate) struct Replies {
    inbox: Mutex<Inbox>,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
pub(in crate::driver) struct Inbox {
    ready: Vec<Cqe>,
    asked: bool,
}

impl Replies {
    /// No replies yet. `wake` is called on any thread, also after the driver's end.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Arc<Replies> {
        Arc::new(Replies { inbox: Mutex::default(), wake: Box::new(wake) })
    }

    /// Moves all replies into `out`, which is empty, and takes back what was asked.
    ///
    /// The two vectors change places, so in steady state nothing is allocated.
    pub(crate) fn drain(&self, out: &mut Vec<Cqe>) {
        debug_assert!(out.is_empty(), "replies that nobody handled would be handed to other threads");
        let mut inbox = self.lock();
        inbox.asked = false;
        mem::swap(&mut inbox.ready, out);
    }

    /// Asks for a wake at the next reply. `false` if replies are there: drain them instead of sleeping.
    pub(crate) fn ask(&self) -> bool {
        let mut inbox = self.lock();
        inbox.asked = inbox.ready.is_empty();
        inbox.asked
    }

    /// Takes in an answer, and wakes the driver if it asked for that.
    pub(super) fn push(&self, cqe: Cqe) {
        let mut inbox = self.lock();
        inbox.ready.push(cqe);
        let wake = mem::take(&mut inbox.asked);
        drop(inbox);
        if wake {
            (self.wake)();
        }
    }

    pub(in crate::driver) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
