//! Envelopes that are used again, so that messages cost no allocation.

use crate::buf::Envelope;
use std::cell::RefCell;

/// How many wait at most: one for each message that is on its way at the same time.
const MOST: usize = 64;

/// A socket's spare envelopes. All of them are as [`Envelope::new`] makes them, but for an address.
#[derive(Debug, Default)]
pub(super) struct Spare(RefCell<Vec<Envelope>>);

impl Spare {
    /// One of them, or a new one.
    pub(super) fn take(&self) -> Envelope {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps one for the next message.
    pub(super) fn put(&self, envelope: Envelope) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < MOST {
            spare.push(envelope);
        }
    }
}
