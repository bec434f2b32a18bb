//! The pool: no job waits beside an idle thread, none is lost, and each is answered once.

use super::{
    sync::{Condvar, Mutex, TIRED, thread},
    threads::{Job, Replies, Threads},
};
use crate::entry::{Cqe, Sqe, Twin};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

pub(crate) const ALL: [(&str, fn()); 6] = [
    ("a thread that is about to retire misses no job", || with_tired_threads(retire)),
    ("a thread that waits is told of a job", told),
    ("two jobs do not count on one thread", together),
    ("a push and the shutdown: run, or refused", || with_tired_threads(shutdown)),
    ("a twin and the shutdown: one answer", answered),
    ("a driver sleeps only if the next answer wakes it", no_lost_answer),
];

fn with_tired_threads(model: fn()) {
    TIRED.store(true, Relaxed);
    model();
    TIRED.store(false, Relaxed);
}

/// Something to wait for: a lost wake is a deadlock, which loom finds.
#[derive(Clone, Default)]
struct Counter(Arc<(Mutex<usize>, Condvar)>);

impl Counter {
    fn add(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    fn wait_for(&self, number: usize) {
        let mut now = self.0.0.lock().unwrap();
        while *now < number {
            now = self.0.1.wait_timeout(now, Duration::MAX).unwrap().0;
        }
    }

    fn get(&self) -> usize {
        *self.0.0.lock().unwrap()
    }

    /// A job that counts.
    fn job(&self) -> Job {
        let counter = self.clone();
        Job::Closure(Box::new(move || counter.add()))
    }
}

/// Ends a pool that is not to have anything to do.
fn end(pool: &Threads) {
    assert_eq!(pool.shutdown(Duration::MAX), 0);
    assert_eq!(pool.counts().threads, 0);
}

fn retire() {
    let (pool, done) = (Threads::new(1), Counter::default());
    for number in 1..=2 {
        pool.push(done.job()).unwrap();
        done.wait_for(number);
    }
    end(&pool);
}

fn told() {
    let (pool, done) = (Threads::new(1), Counter::default());
    for number in 1..=2 {
        pool.push(done.job()).unwrap();
        done.wait_for(number);
    }
    assert_eq!(pool.counts().threads, 1);
    end(&pool);
}

/// The first of two jobs waits for the second one.
fn together() {
    let (pool, done) = (Threads::new(2), Counter::default());
    let first = done.clone();
    let waits = move || {
        first.wait_for(1);
        first.add();
    };
    pool.push(Job::Closure(Box::new(waits))).unwrap();
    pool.push(done.job()).unwrap();
    done.wait_for(2);
    end(&pool);
}

fn shutdown() {
    /// Counts when it is dropped.
    struct Guard(Counter);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.add();
        }
    }
    let (pool, ran, dropped) = (Threads::new(1), Counter::default(), Counter::default());
    let pusher = {
        let (pool, ran, guard) = (pool.clone(), ran.clone(), Guard(dropped.clone()));
        thread::spawn(move || {
            let job = move || {
                let _guard = guard;
                ran.add();
            };
            pool.push(Job::Closure(Box::new(job))).is_ok()
        })
    };
    end(&pool);
    let accepted = pusher.join().unwrap();
    assert_eq!((dropped.get(), pool.counts().threads), (1, 0));
    assert!(accepted || ran.get() == 0);
    assert_eq!(pool.counts().closures_run, ran.get() as u64);
}

static ECHO: Twin = Twin(|sqe| sqe.user_data as i32);

fn twin(user_data: u64, reply: &Arc<Replies>) -> Job {
    Job::Twin { sqe: Sqe { user_data }, twin: &ECHO, reply: reply.clone() }
}

/// Each twin is answered once: by its call, by the shutdown, or by whoever cancelled it.
fn answered() {
    let (pool, replies) = (Threads::new(1), Replies::new(|| ()));
    (1..=2).for_each(|n| pool.push(twin(n, &replies)).unwrap());
    let cancelled = pool.cancel(2, &replies);
    end(&pool);
    let mut answers = Vec::new();
    replies.drain(&mut answers);
    answers.sort_by_key(|cqe| cqe.user_data);
    let refused = |n| Cqe::new(n, -libc::ECANCELED);
    assert!(answers[0] == Cqe::new(1, 1) || answers[0] == refused(1), "{answers:?}");
    match answers[1..] {
        [] => assert!(cancelled),
        [two] => assert!(!cancelled && (two == Cqe::new(2, 2) || two == refused(2)), "{answers:?}"),
        _ => panic!("{answers:?}"),
    }
}

/// What a driver does: drain, ask, sleep if that is allowed, drain.
fn no_lost_answer() {
    let rung = Counter::default();
    let bell = rung.clone();
    let (pool, replies) = (Threads::new(1), Replies::new(move || bell.add()));
    (1..=2).for_each(|n| pool.push(twin(n, &replies)).unwrap());
    let (mut answers, mut heard) = (Vec::new(), 0);
    while answers.len() < 2 {
        if replies.ask() {
            heard += 1;
            rung.wait_for(heard);
        }
        let mut some = Vec::new();
        replies.drain(&mut some);
        answers.extend(some);
    }
    end(&pool);
}
