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

/// One for either direction.
type Queues = [VecDeque<Waiter>; 2];

/// Two queues.
#[derive(Debug, Default)]
pub(super) enum Waiting {
    #[default]
    Nobody,
    /// A [`Waiter`], in parts: so the variant has a byte of its own, and is told at a glance.
    One { key: Key, interest: Interest, in_turn: bool },
    /// There were two at the same time once; the room for them is kept.
    Queues(Box<Queues>),
}

// Each source has one, and of most it is the larger half.
static_assertions::const_assert!(size_of::<Waiting>() <= 16);

fn place(interest: Interest) -> usize {
    match interest {
        Interest::Read => 0,
        Interest::Write => 1,
    }
}

// Few sources have queues. Calls keep what becomes of them out of the way of the others.
#[inline(never)]
fn front(queues: &Queues, interest: Interest) -> Option<Key> {
    queues[place(interest)].front().map(|waiter| waiter.key)
}

#[inline(never)]
fn queues(waiters: [Waiter; 2]) -> Box<Queues> {
    let mut queues = Box::<Queues>::default();
    waiters.into_iter().for_each(|waiter| push_back(&mut queues, waiter));
    queues
}

#[inline(never)]
fn push_back(queues: &mut Queues, waiter: Waiter) {
    queues[place(waiter.interest)].push_back(waiter);
}

#[inline(never)]
fn pop_front(queues: &mut Queues, interest: Interest) -> Option<Key> {
    queues[place(interest)].pop_front();
    front(queues, interest)
}

#[inline(never)]
fn is_queue(queues: &Queues, interest: Interest) -> bool {
    queues[place(interest)].iter().any(|waiter| waiter.in_turn)
}

impl Waiting {
    #[inline]
    pub(super) fn is_empty(&self, interest: Interest) -> bool {
        self.front(interest).is_none()
    }

    #[inline]
    pub(super) fn front(&self, interest: Interest) -> Option<Key> {
        match self {
            Waiting::Nobody => None,
            Waiting::One { key, interest: its, .. } => (*its == interest).then_some(*key),
            Waiting::Queues(queues) => front(queues, interest),
        }
    }

    #[inline]
    pub(super) fn push_back(&mut self, waiter: Waiter) {
        let Waiter { key, interest, in_turn } = waiter;
        match self {
            Waiting::Nobody => *self = Waiting::One { key, interest, in_turn },
            &mut Waiting::One { key, interest, in_turn } => {
                *self = Waiting::Queues(queues([Waiter { key, interest, in_turn }, waiter]));
            }
            Waiting::Queues(queues) => push_back(queues, waiter),
        }
    }

    /// Takes the first one out, and gives the next one.
    #[inline]
    pub(super) fn pop_front(&mut self, interest: Interest) -> Option<Key> {
        match self {
            Waiting::One { interest: its, .. } if *its == interest => *self = Waiting::Nobody,
            Waiting::Queues(queues) => return pop_front(queues, interest),
            _ => {}
        }
        None
    }

    /// Takes back what was pushed last.
    pub(super) fn pop_back(&mut self, interest: Interest) {
        match self {
            Waiting::Queues(queues) => drop(queues[place(interest)].pop_back()),
            _ => _ = self.pop_front(interest),
        }
    }

    /// Takes `key` out; true if it was there.
    pub(super) fn remove(&mut self, interest: Interest, key: Key) -> bool {
        if self.front(interest) == Some(key) {
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
            Waiting::One { interest: its, in_turn, .. } => *its == interest && *in_turn,
            Waiting::Queues(queues) => is_queue(queues, interest),
        }
    }

    /// Takes all out, of both queues.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Key> {
        iter::from_fn(|| {
            let of = |interest| self.front(interest).map(|key| (interest, key));
            let (interest, key) = of(Interest::Read).or_else(|| of(Interest::Write))?;
            self.pop_front(interest);
            Some(key)
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
                    model.pop_front();
                    assert_eq!(waiting.pop_front(interest), model.front().map(|waiter| waiter.key));
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
                    let all: Vec<_> =
                        models.iter_mut().flat_map(|model| model.drain(..).map(|waiter| waiter.key)).collect();
                    assert_eq!(waiting.drain().collect::<Vec<_>>(), all);
                    waiting = Waiting::default();
                }
                _ => {}
            }
            for interest in [Interest::Read, Interest::Write] {
                let model = &models[place(interest)];
                assert_eq!(
                    (waiting.front(interest), waiting.is_empty(interest)),
                    (model.front().map(|waiter| waiter.key), model.is_empty())
                );
                assert_eq!(waiting.is_queue(interest), model.iter().any(|waiter| waiter.in_turn));
            }
        }
    }
}
