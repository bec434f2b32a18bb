//! The run queue: what is runnable, in two classes.
//!
//! Latency goes first. While nothing waits in the background, that is all there is to it: no clock is read, nothing is
//! counted. Else the time that latency took in a turn earns the background a credit, so large that with its share both
//! come out even, and the background is run until the credit is used up. Without anybody in its way, it runs for free.

use super::{
    Class,
    task::{About, RawTask},
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::Duration,
};

/// Tasks to run, oldest wake first in each class.
#[derive(Debug)]
pub(super) struct Queue {
    latency: RefCell<VecDeque<RawTask>>,
    background: RefCell<VecDeque<RawTask>>,
    /// Whose turn it is, which is the class of whoever spawns a task now.
    class: Cell<Class>,
    /// The background's percentage of the time.
    share: u8,
    /// Nanoseconds that the background may run before it has had its share; negative if it had more.
    credit: Cell<i64>,
}

impl Queue {
    /// An empty queue. `share` is from 1 to 99.
    pub(super) fn new(share: u8) -> Queue {
        let (latency, background, class, credit) = Default::default();
        Queue { latency, background, class, share, credit }
    }

    pub(super) fn push(&self, task: RawTask, about: &About) {
        let queue = match about.class() {
            Class::Latency => &self.latency,
            Class::Background => &self.background,
        };
        queue.borrow_mut().push_back(task);
    }

    pub(super) fn pop(&self, class: Class) -> Option<RawTask> {
        match class {
            Class::Latency => self.latency.borrow_mut().pop_front(),
            Class::Background => self.background.borrow_mut().pop_front(),
        }
    }

    /// How many tasks of the latency class wait.
    pub(super) fn urgent(&self) -> usize {
        self.latency.borrow().len()
    }

    /// How many tasks of each class wait: latency, background.
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.urgent(), self.background.borrow().len())
    }

    /// Whether there is something in the background.
    pub(super) fn has_background(&self) -> bool {
        !self.background.borrow().is_empty()
    }

    /// The class whose turn it is.
    pub(super) fn class(&self) -> Class {
        self.class.get()
    }

    /// It is now the turn of `class`.
    pub(super) fn turn_to(&self, class: Class) {
        self.class.set(class);
    }

    /// Latency has run for `time` while the background waited.
    pub(super) fn earn(&self, time: Duration) {
        let (share, time) = (i64::from(self.share), nanos(time));
        self.credit.set(self.credit.get().saturating_add(time.saturating_mul(share) / (100 - share)));
    }

    /// The background has run for `time`; `in_the_way`: while latency waited.
    pub(super) fn spend(&self, time: Duration, in_the_way: bool) {
        let credit = if in_the_way { self.credit.get().saturating_sub(nanos(time)) } else { 0 };
        self.credit.set(credit);
    }

    /// Whether the background has had less than its share.
    pub(super) fn has_credit(&self) -> bool {
        self.credit.get() > 0
    }

    /// Who has nothing to do saves nothing up.
    pub(super) fn settle(&self) {
        if !self.has_background() {
            self.credit.set(self.credit.get().min(0));
        }
    }

    /// Empties the queue.
    pub(super) fn take(&self) -> impl Iterator<Item = RawTask> {
        let (latency, background) = (self.latency.take(), self.background.take());
        latency.into_iter().chain(background)
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs both classes, always busy, with polls of these lengths, and gives the background's percentage of the time.
    fn share(queue: &Queue, latency: Duration, background: Duration) -> u64 {
        let mut ran = [Duration::ZERO; 2];
        for _ in 0..10_000 {
            queue.earn(latency);
            ran[0] += latency;
            while queue.has_credit() {
                queue.spend(background, true);
                ran[1] += background;
            }
        }
        (ran[1].as_nanos() * 100 / (ran[0] + ran[1]).as_nanos()) as u64
    }

    #[test]
    fn each_class_has_its_share_whatever_its_polls_take() {
        let us = Duration::from_micros;
        for percent in [1, 20, 50, 99] {
            let queue = Queue::new(percent);
            for (latency, background) in [(us(10), us(1)), (us(1), us(100)), (us(5), us(5))] {
                let got = share(&queue, latency, background);
                assert!(got.abs_diff(percent.into()) <= 1, "{got} of {percent} percent");
            }
        }
    }

    #[test]
    fn nothing_is_saved_up_and_no_debt_is_made_alone() {
        let queue = Queue::new(50);
        queue.earn(Duration::from_secs(1));
        queue.settle();
        assert!(!queue.has_credit());
        queue.spend(Duration::from_secs(100), false);
        queue.earn(Duration::from_nanos(1));
        assert!(queue.has_credit(), "what ran while nobody waited is not owed");
        queue.earn(Duration::MAX);
        queue.spend(Duration::MAX, true);
        assert!(!queue.has_credit());
    }
}
