//! Who waits at a source: for either direction a queue. One waiter in both together, as mostly, is no allocation.

use crate::{driver::slots::Key, entry::Interest};
use std::{collections::VecDeque, iter};

/// Who waits at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) key: Key,
    pub(super) interest: Interest,
    /// It waits for its turn to take something. Whoever wants to hear of the next change takes nothing, and may wait at
    /// what is ready: nobody queues behind it.
    pub(super) in_turn: bool,
}

/// Two queues.
#[derive(Debug, Default)]
pub(super) enum Waiting {
    #[default]
    Nobody,
    One(Waiter),
    /// There were two at the same time once; the room for them is kept.
    Queues(Box<[VecDeque<Waiter>; 2]>),
}

// Each source has one, and of most it is the larger half.
static_assertions::const_assert!(size_of::<Waiting>() <= 16);

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
        match self {
            Waiting::One(waiter) if waiter.interest == interest => Some(*waiter),
            Waiting::Queues(queues) => queues[place(interest)].front().copied(),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn push_back(&mut self, waiter: Waiter) {
        match self {
            Waiting::Nobody => *self = Waiting::One(waiter),
            &mut Waiting::One(first) => *self = Waiting::queues([first, waiter]),
            Waiting::Queues(queues) => queues[place(waiter.interest)].push_back(waiter),
        }
    }

    #[inline(never)]
    fn queues(waiters: [Waiter; 2]) -> Waiting {
        let mut queues = Box::<[VecDeque<Waiter>; 2]>::default();
        waiters.into_iter().for_each(|waiter| queues[place(waiter.interest)].push_back(waiter));
        Waiting::Queues(queues)
    }

    #[inline]
    pub(super) fn pop_front(&mut self, interest: Interest) {
        match self {
            Waiting::One(waiter) if waiter.interest == interest => *self = Waiting::Nobody,
            Waiting::Queues(queues) => drop(queues[place(interest)].pop_front()),
            _ => {}
        }
    }

    /// Takes back what was pushed last.
    pub(super) fn pop_back(&mut self, interest: Interest) {
        match self {
            Waiting::Queues(queues) => drop(queues[place(interest)].pop_back()),
            _ => self.pop_front(interest),
        }
    }

    /// Takes `key` out; true if it was there.
    pub(super) fn remove(&mut self, interest: Interest, key: Key) -> bool {
        if self.front(interest).is_some_and(|first| first.key == key) {
            self.pop_front(interest);
            return true;
        }
        let Waiting::Queues(queues) = self else { return false };
        let queue = &mut queues[place(interest)];
        let before = queue.len();
        queue.retain(|waiter| waiter.key != key);
        queue.len() < before
    }

    /// Whether there is somebody who waits for a turn.
    #[inline]
    pub(super) fn is_queue(&self, interest: Interest) -> bool {
        match self {
            Waiting::Nobody => false,
            Waiting::One(waiter) => waiter.interest == interest && waiter.in_turn,
            Waiting::Queues(queues) => queues[place(interest)].iter().any(|waiter| waiter.in_turn),
        }
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
                    let waiter = Waiter { key: Key::from_user_data(n), interest, in_turn: dice & 1 << 21 == 0 };
                    waiting.push_back(waiter);
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
                    let key = model.get(at).map_or(Key::from_user_data(n), |waiter| waiter.key);
                    assert_eq!(waiting.remove(interest, key), model.remove(at).is_some());
                }
                _ if n % 32 == 0 => {
                    let all: Vec<_> = models.iter_mut().flat_map(|model| model.drain(..)).collect();
                    assert_eq!(waiting.drain().collect::<Vec<_>>(), all);
                    waiting = Waiting::default();
                }
                _ => {}
            }
            for interest in [Interest::Read, Interest::Write] {
                let model = &models[place(interest)];
                assert_eq!(
                    (waiting.front(interest), waiting.is_empty(interest)),
                    (model.front().copied(), model.is_empty())
                );
                assert_eq!(waiting.is_queue(interest), model.iter().any(|waiter| waiter.in_turn));
            }
        }
    }
}
