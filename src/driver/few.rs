//! A queue that is mostly empty or of one: that one costs no allocation.

use std::collections::VecDeque;

/// Some things in their order. Nothing is in `rest` while there is no first; its room is kept.
#[derive(Debug)]
pub(crate) struct Few<T> {
    first: Option<T>,
    #[allow(clippy::box_collection, reason = "most have none, and an empty queue would be four words")]
    rest: Option<Box<VecDeque<T>>>,
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few { first: None, rest: None }
    }
}

impl<T> Few<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    #[allow(dead_code, reason = "where there is no ring, nobody queues for what it watches")]
    pub(crate) fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    #[inline]
    pub(crate) fn push_back(&mut self, item: T) {
        match self.first {
            None => self.first = Some(item),
            Some(_) => self.push_behind(item),
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, item: T) {
        self.rest.get_or_insert_default().push_back(item);
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        std::mem::replace(&mut self.first, next)
    }

    #[allow(dead_code, reason = "where there is no ring, nobody queues for what it watches")]
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.rest.iter_mut().for_each(|rest| rest.retain(&mut keep));
        if !self.first.as_ref().is_none_or(keep) {
            self.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when it is not the queue that it stands for.
    #[test]
    fn few_are_as_many() {
        let (mut few, mut model, mut dice) = (Few::default(), VecDeque::new(), 1u32);
        for n in 0..20_000u32 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match dice >> 28 {
                0..6 => {
                    few.push_back(n);
                    model.push_back(n);
                }
                6..12 => assert_eq!(few.pop_front(), model.pop_front()),
                12 | 13 => {
                    few.retain(|&item| (item ^ dice) & 1 == 0);
                    model.retain(|&item| (item ^ dice) & 1 == 0);
                }
                _ => {}
            }
            assert_eq!((few.len(), few.is_empty(), few.front()), (model.len(), model.is_empty(), model.front()));
        }
    }
}
