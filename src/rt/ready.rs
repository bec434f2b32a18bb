//! Which of many children were woken, for a parent that waits for all of them: a set of tasks, or a scope.
//!
//! Every child has a waker of its own, which puts the child's key into a queue and wakes the parent; so the parent
//! looks at nobody else. A wake may come from any thread, hence the lock; no stranger's code runs under it.
//!
//! A key may be woken for nothing: by the waker of an earlier child that had the same one. The parent has to look.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// The keys of the woken children, in the order of their wakes.
#[derive(Debug)]
pub(super) struct Ready(Arc<Woken>);

#[derive(Debug, Default)]
struct Woken(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<usize>,
    /// By key, whether it is in the queue.
    queued: Vec<bool>,
    /// Of the parent, if it waits.
    parent: Option<Waker>,
}

impl State {
    fn pop(&mut self) -> Option<usize> {
        let key = self.queue.pop_front()?;
        self.queued[key] = false;
        Some(key)
    }
}

impl Woken {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, key: usize) {
        let mut state = self.lock();
        if key >= state.queued.len() {
            state.queued.resize(key + 1, false);
        }
        if mem::replace(&mut state.queued[key], true) {
            return;
        }
        state.queue.push_back(key);
        let parent = state.parent.take();
        drop(state);
        parent.into_iter().for_each(Waker::wake);
    }
}

impl Ready {
    pub(super) fn new() -> Ready {
        Ready(Arc::default())
    }

    /// The waker of the child `key`.
    pub(super) fn waker(&self, key: usize) -> Waker {
        Waker::from(Arc::new(Child { woken: self.0.clone(), key }))
    }

    /// Counts the child `key` as woken.
    pub(super) fn push(&self, key: usize) {
        self.0.push(key);
    }

    /// How many are woken now.
    pub(super) fn len(&self) -> usize {
        self.0.lock().queue.len()
    }

    /// The child that was woken first.
    pub(super) fn next(&self) -> Option<usize> {
        self.0.lock().pop()
    }

    /// The child that was woken first. If there is none, the next one's wake will wake the parent.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<usize> {
        if let Some(key) = self.next() {
            return Poll::Ready(key);
        }
        let parent = cx.waker().clone();
        let mut state = self.0.lock();
        let (next, unused) = match state.pop() {
            Some(key) => (Poll::Ready(key), Some(parent)),
            None => (Poll::Pending, state.parent.replace(parent)),
        };
        drop(state);
        drop(unused);
        next
    }

    /// The next wake will wake the parent; if somebody is woken already, it is woken now.
    pub(super) fn wait(&self, cx: &mut Context<'_>) {
        let parent = cx.waker().clone();
        let mut state = self.0.lock();
        let (unused, due) = match state.queue.is_empty() {
            true => (state.parent.replace(parent), None),
            false => (None, Some(parent)),
        };
        drop(state);
        drop(unused);
        due.into_iter().for_each(Waker::wake);
    }
}

impl Default for Ready {
    fn default() -> Ready {
        Ready::new()
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // The children's wakers may live on, and have nobody to wake.
        let parent = self.0.lock().parent.take();
        drop(parent);
    }
}

/// What a child's waker is made of.
struct Child {
    woken: Arc<Woken>,
    key: usize,
}

impl Wake for Child {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.push(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Red when a child is queued twice, and when the parent is woken more than once for a wait.
    #[test]
    fn oldest_first_and_each_once() {
        let (ready, count) = (Ready::new(), Arc::<Count>::default());
        let parent = Waker::from(count.clone());
        let mut cx = Context::from_waker(&parent);
        assert!(ready.poll_next(&mut cx).is_pending());
        let [two, seven] = [2, 7].map(|key| ready.waker(key));
        seven.wake_by_ref();
        two.wake_by_ref();
        seven.wake_by_ref();
        ready.push(2);
        assert_eq!(count.0.load(SeqCst), 1);
        assert_eq!(ready.poll_next(&mut cx), Poll::Ready(7));
        seven.wake();
        assert_eq!((ready.next(), ready.next(), ready.next()), (Some(2), Some(7), None));
        assert_eq!(count.0.load(SeqCst), 1);
    }

    /// Red when the wakers of children keep the parent's.
    #[test]
    fn nobody_is_woken_after_the_end() {
        let (ready, count) = (Ready::new(), Arc::<Count>::default());
        let parent = Waker::from(count.clone());
        assert!(ready.poll_next(&mut Context::from_waker(&parent)).is_pending());
        let child = ready.waker(0);
        drop((ready, parent));
        assert_eq!(Arc::strong_count(&count), 1);
        child.wake();
        assert_eq!(count.0.load(SeqCst), 0);
    }

    /// Wakes from other threads, while the parent goes to sleep and wakes: none is lost. Seldom red when `poll_next`
    /// does not look again after it has let go of the lock: that window is small.
    #[test]
    fn no_wake_is_lost_between_threads() {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        const ROUNDS: usize = 5_000;
        let ready = Ready::new();
        let seen = [0, 1].map(|_| Arc::<AtomicUsize>::default());
        let threads = [0, 1].map(|key| {
            let (waker, seen) = (ready.waker(key), seen[key].clone());
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    waker.wake_by_ref();
                    while seen.load(SeqCst) <= round {
                        thread::yield_now();
                    }
                }
            })
        });
        let parent = Waker::from(Arc::new(Unpark(thread::current())));
        let mut left = 2 * ROUNDS;
        while left > 0 {
            match ready.poll_next(&mut Context::from_waker(&parent)) {
                Poll::Ready(key) => {
                    seen[key].fetch_add(1, SeqCst);
                    left -= 1;
                }
                Poll::Pending => thread::park(),
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
