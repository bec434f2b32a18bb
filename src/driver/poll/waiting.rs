//! Who waits at a source: for either direction a queue that is mostly empty or of one, which costs no allocation.

use crate::{driver::slots::Key, entry::Interest};
use std::{collections::VecDeque, iter, num::NonZeroU64};

/// Who waits at a source: a name, and a mark in it. Never 0, so that none takes no room beside some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter(NonZeroU64);

impl Waiter {
    /// `in_turn`: it waits for its turn to take something. Whoever wants to hear of the next change takes nothing, and
    /// may wait at what is ready: nobody queues behind it.
    pub(super) fn new(key: Key, in_turn: bool) -> Waiter {
        Waiter(key.marked(in_turn))
    }

    pub(super) fn key(self) -> Key {
        Key::of_marked(self.0)
    }

    pub(super) fn is_in_turn(self) -> bool {
        Key::mark(self.0)
    }
}

/// Two queues. Nothing is in the rest of one while it has no first; the room of both rests is kept.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    first: [Option<Waiter>; 2],
    rest: Option<Box<[VecDeque<Waiter>; 2]>>,
}

fn place(interest: Interest) -> usize {
    match interest {
        Interest::Read => 0,
        Interest::Write => 1,
    }
}

impl Waiting {
    #[inline]
    pub(super) fn is_empty(&self, interest: Interest) -> bool {
        self.front(interest).is_none()
    }

    #[inline]
    pub(super) fn front(&self, interest: Interest) -> Option<Waiter> {
        self.first[place(interest)]
    }

    #[inline]
    pub(super) fn push_back(&mut self, interest: Interest, waiter: Waiter) {
        match &mut self.first[place(interest)] {
            first @ None => *first = Some(waiter),
            Some(_) => self.push_behind(interest, waiter),
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, interest: Interest, waiter: Waiter) {
        self.rest.get_or_insert_default()[place(interest)].push_back(waiter);
    }

    #[inline]
    pub(super) fn pop_front(&mut self, interest: Interest) {
        self.first[place(interest)] = if self.rest.is_some() { self.pop_behind(interest) } else { None };
    }

    #[inline(never)]
    fn pop_behind(&mut self, interest: Interest) -> Option<Waiter> {
        self.rest.as_mut().and_then(|rest| rest[place(interest)].pop_front())
    }

    /// Takes back what was pushed last.
    pub(super) fn pop_back(&mut self, interest: Interest) {
        if self.rest.as_mut().and_then(|rest| rest[place(interest)].pop_back()).is_none() {
            self.first[place(interest)] = None;
        }
    }

    /// Takes `key` out; true if it was there.
    pub(super) fn remove(&mut self, interest: Interest, key: Key) -> bool {
        if self.front(interest).is_some_and(|first| first.key() == key) {
            self.pop_front(interest);
            return true;
        }
        let Some(rest) = self.rest.as_mut().map(|rest| &mut rest[place(interest)]) else { return false };
        let before = rest.len();
        rest.retain(|waiter| waiter.key() != key);
        rest.len() < before
    }

    /// Whether there is somebody who waits for a turn.
    #[inline]
    pub(super) fn is_queue(&self, interest: Interest) -> bool {
        !self.is_empty(interest) && self.has_in_turn(interest)
    }

    #[inline(never)]
    fn has_in_turn(&self, interest: Interest) -> bool {
        let rest = self.rest.iter().flat_map(|rest| &rest[place(interest)]);
        self.first[place(interest)].iter().chain(rest).any(|waiter| waiter.is_in_turn())
    }

    /// Takes all out, of both queues.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiter> {
        iter::from_fn(|| {
            let interest = [Interest::Read, Interest::Write].into_iter().find(|&interest| !self.is_empty(interest))?;
            let waiter = self.front(interest);
            self.pop_front(interest);
            waiter
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when it is not the two queues that it stands for.
    #[test]
    fn it_is_two_queues() {
        let (mut waiting, mut models, mut dice) = (Waiting::default(), [VecDeque::new(), VecDeque::new()], 1u32);
        for n in 0..20_000u64 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let interest = if dice & 1 << 20 == 0 { Interest::Read } else { Interest::Write };
            let model = &mut models[place(interest)];
            match dice >> 28 {
                0..7 => {
                    let waiter = Waiter::new(Key::from_user_data(n), dice & 1 << 21 == 0);
                    waiting.push_back(interest, waiter);
                    model.push_back(waiter);
                }
                7..11 => {
                    waiting.pop_front(interest);
                    model.pop_front();
                }
                11 => {
                    waiting.pop_back(interest);
                    model.pop_back();
                }
                12..15 => {
                    let at = (dice >> 8) as usize % (model.len() + 1);
                    let key = model.get(at).map_or(Key::from_user_data(n), |waiter| waiter.key());
                    assert_eq!(waiting.remove(interest, key), model.remove(at).is_some());
                }
                _ if n % 32 == 0 => {
                    let all: Vec<_> = models.iter_mut().flat_map(|model| model.drain(..)).collect();
                    assert_eq!(waiting.drain().collect::<Vec<_>>(), all);
                }
                _ => {}
            }
            for interest in [Interest::Read, Interest::Write] {
                let model = &models[place(interest)];
                assert_eq!(
                    (waiting.front(interest), waiting.is_empty(interest)),
                    (model.front().copied(), model.is_empty())
                );
                assert_eq!(waiting.is_queue(interest), model.iter().any(|waiter| waiter.is_in_turn()));
            }
        }
    }
}
