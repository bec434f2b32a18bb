//! The models. A cell that two threads may not touch at once is loom's `UnsafeCell`, which notices if they do.

use super::state::{Begin, Detach, Gone, State};
use crate::rt::{
    elsewhere::{Elsewhere, RUNTIME},
    handoff::{Chain, Linked, Sleep, Stack},
    sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed},
};
use loom::{cell::UnsafeCell, sync::Arc, thread};
use std::ptr::{self, NonNull};

pub(crate) const ALL: [(&str, fn()); 17] = [
    ("a shard sleeps only if somebody will wake it", no_lost_wake),
    ("every node is taken once, in its pusher's order", fifo),
    ("what was written before a push is seen by whoever takes", published),
    ("a poll sees what every wake before it wrote", wakes_are_seen),
    ("a late push ends at the closed stack", late_push),
    ("a handle that waits is woken, and the slot has one user", join),
    ("a handle may take its waker back", join_again),
    ("the output is dropped once, whoever is first", detach),
    ("who is told that it is finished may take the output", is_finished),
    ("an abort from afar is heard", abort_is_heard),
    ("an abort from afar against a wake and the run", abort_and_wake),
    ("an abort from afar against the end of the runtime", abort_and_end),
    ("a wake from afar against the end of the runtime", wake_and_end),
    ("whoever notifies a task that has begun has its link", link_is_handed_over),
    ("the shared half goes with the last task, or with the runtime", shared_half),
    ("a wake at home in one step, against one from afar", wake_here),
    ("a wake at home in one step, against a handle that is dropped afar", wake_here_last),
];

struct Node {
    link: AtomicPtr<Node>,
    value: UnsafeCell<usize>,
}

impl Node {
    fn new() -> Node {
        Node { link: AtomicPtr::new(ptr::null_mut()), value: UnsafeCell::new(0) }
    }
}

// SAFETY: Linked: nothing else uses the field.
unsafe impl Linked for Node {
    fn link(&self) -> &AtomicPtr<Node> {
        &self.link
    }
}

// SAFETY: the models are about who uses `value` when; loom checks it.
unsafe impl Sync for Node {}
// SAFETY: as above.
unsafe impl Send for Node {}

struct Shard {
    stack: Stack<Node>,
    sleep: Sleep,
    rung: AtomicBool,
    nodes: [Node; 4],
}

impl Shard {
    fn new() -> Arc<Shard> {
        let nodes = std::array::from_fn(|_| Node::new());
        Arc::new(Shard { stack: Stack::new(), sleep: Sleep::new(), rung: AtomicBool::new(false), nodes })
    }

    /// False if the stack is closed.
    fn offer(&self, n: usize, value: usize) -> bool {
        self.nodes[n].value.with_mut(|v| unsafe { *v = value });
        // SAFETY: the node lives as long as the shard, and each is pushed once.
        unsafe { self.stack.push(NonNull::from(&self.nodes[n])) }
    }

    fn push(&self, n: usize) {
        assert!(self.offer(n, n));
        if self.sleep.must_wake() {
            self.rung.store(true, Relaxed);
        }
    }
}

fn read(chain: Chain<Node>) -> Vec<usize> {
    // SAFETY: a taken node is the taker's.
    chain.map(|node| unsafe { node.as_ref() }.value.with(|v| unsafe { *v })).collect()
}

fn no_lost_wake() {
    let shard = Shard::new();
    let pushers: Vec<_> = (0..2)
        .map(|n| {
            let shard = shard.clone();
            thread::spawn(move || shard.push(n))
        })
        .collect();
    let mut got = read(shard.stack.take()).len();
    shard.sleep.announce();
    let sleeps = shard.stack.is_empty();
    if !sleeps {
        shard.sleep.end();
    }
    pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
    if sleeps && got < 2 {
        assert!(shard.rung.load(Relaxed), "asleep with {got} of 2 taken, and nobody rings");
    }
    got += read(shard.stack.take()).len();
    assert_eq!(got, 2);
}

/// Closing always exchanges the head, so that loom tries it between any two steps of the pushers.
fn fifo() {
    let shard = Shard::new();
    let pushers: Vec<_> = [[0, 1], [2, 3]]
        .into_iter()
        .map(|mine| {
            let shard = shard.clone();
            thread::spawn(move || mine.into_iter().filter(|&n| shard.offer(n, n)).count())
        })
        .collect();
    let got = read(shard.stack.close());
    let pushed: Vec<usize> = pushers.into_iter().map(|pusher| pusher.join().unwrap()).collect();
    let of = |pusher: usize| -> Vec<usize> { got.iter().copied().filter(|n| n / 2 == pusher).collect() };
    assert_eq!(of(0), [0, 1][..pushed[0]], "{got:?}");
    assert_eq!(of(1), [2, 3][..pushed[1]], "{got:?}");
}

/// A push against whoever takes. It closes, because that swaps at once: behind the hint of `take`, which is a relaxed
/// load, loom does not look for the orders in which there is something to take.
fn published() {
    let shard = Shard::new();
    let far = shard.clone();
    let pusher = thread::spawn(move || {
        far.nodes[0].value.with_mut(|v| unsafe { *v = 1 });
        // SAFETY: the node lives as long as the shard, and it is pushed once.
        unsafe { far.stack.push(NonNull::from(&far.nodes[0])) }
    });
    // SAFETY: a taken node is the taker's.
    let taken = shard.stack.close().map(|node| unsafe { node.as_ref() }.value.with(|v| unsafe { *v }));
    let got: usize = taken.sum();
    assert_eq!(got, usize::from(pusher.join().unwrap()), "taken, or refused");
}

/// Two wakers write and notify; the owner polls whenever the task is queued. In the end it has seen both.
fn wakes_are_seen() {
    let (state, queued) = (Arc::new(State::new()), Arc::new(AtomicUsize::new(1)));
    let data = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let wakers: Vec<_> = (0..2)
        .map(|n| {
            let (state, queued, data) = (state.clone(), queued.clone(), data.clone());
            thread::spawn(move || {
                data[n].store(true, Relaxed);
                if state.notify() {
                    queued.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let mut seen = [false; 2];
    let mut poll = || {
        while queued.load(Relaxed) > 0 {
            assert_eq!(queued.fetch_sub(1, Relaxed), 1, "in one queue at most");
            assert_eq!(state.begin(), Begin::Poll);
            seen = [data[0].load(Relaxed), data[1].load(Relaxed)];
        }
    };
    poll();
    wakers.into_iter().for_each(|waker| waker.join().unwrap());
    poll();
    assert_eq!(seen, [true; 2]);
}

/// The owner had the link when it turned its chain around; whoever notifies the task after it has begun has it next.
/// A link is an atomic, and a stale one no race to a sanitizer; so here it is a cell.
fn link_is_handed_over() {
    for aborts in [false, true] {
        let (state, node) = (Arc::new(State::new()), Arc::new(Node::new()));
        let other = {
            let (state, node) = (state.clone(), node.clone());
            thread::spawn(move || {
                if if aborts { state.abort() } else { state.notify() } {
                    node.value.with_mut(|link| unsafe { *link = 2 });
                }
            })
        };
        node.value.with_mut(|link| unsafe { *link = 1 });
        state.begin();
        other.join().unwrap();
    }
}

/// The end of a runtime against a wake: the runtime's reference is released once, by one of them.
fn late_push() {
    let shard = Shard::new();
    let state = Arc::new(State::new());
    assert_eq!(state.begin(), Begin::Poll);
    let released = Arc::new(AtomicUsize::new(0));
    let waker = {
        let (shard, state, released) = (shard.clone(), state.clone(), released.clone());
        thread::spawn(move || {
            // SAFETY: the node lives as long as the shard, and NOTIFIED admits one pusher.
            if state.notify() && !unsafe { shard.stack.push(NonNull::from(&shard.nodes[0])) } {
                released.fetch_add(1, Relaxed);
            }
        })
    };
    assert_eq!(state.detach(), Detach::Nothing);
    let finish = state.finish();
    assert!(finish.unclaimed);
    released.fetch_add(usize::from(finish.holds) + shard.stack.close().count(), Relaxed);
    waker.join().unwrap();
    assert_eq!(released.load(Relaxed), 1);
}

/// A task with loom's cells for what the state word guards.
struct Task {
    link: AtomicPtr<Task>,
    state: State,
    slot: UnsafeCell<bool>,
    output: UnsafeCell<Option<u8>>,
    woken: AtomicUsize,
    freed: AtomicUsize,
}

// SAFETY: Linked: nothing else uses the field.
unsafe impl Linked for Task {
    fn link(&self) -> &AtomicPtr<Task> {
        &self.link
    }
}

// SAFETY: the models are about who uses the cells when; loom checks it.
unsafe impl Sync for Task {}
// SAFETY: as above.
unsafe impl Send for Task {}

impl Task {
    fn polled() -> Task {
        let state = State::new();
        assert_eq!(state.begin(), Begin::Poll);
        Task {
            link: AtomicPtr::new(ptr::null_mut()),
            state,
            slot: UnsafeCell::new(false),
            output: UnsafeCell::new(None),
            woken: AtomicUsize::new(0),
            freed: AtomicUsize::new(0),
        }
    }

    /// What the owner does at the end.
    fn finish(&self) {
        self.output.with_mut(|output| unsafe { *output = Some(1) });
        let todo = self.state.finish();
        if todo.unclaimed {
            self.take_output();
        } else if todo.joiner {
            assert!(self.slot.with_mut(|slot| unsafe { std::mem::take(&mut *slot) }));
            self.woken.fetch_add(1, Relaxed);
        }
        if todo.holds {
            self.release();
        }
    }

    fn take_output(&self) {
        assert_eq!(self.output.with_mut(|output| unsafe { (*output).take() }), Some(1));
    }

    fn release(&self) {
        if self.state.release() {
            assert_eq!(self.freed.fetch_add(1, Relaxed), 0);
            assert!(!self.slot.with(|slot| unsafe { *slot }), "a waker lies about");
            assert!(self.output.with(|output| unsafe { (*output).is_none() }), "an output lies about");
        }
    }

    /// What the handle does when polled; true if it is ready.
    fn ready(&self) -> bool {
        if self.state.is_done() || (self.state.is_offered() && !self.state.withdraw()) {
            return true;
        }
        self.slot.with_mut(|slot| unsafe { *slot = true });
        let pending = self.state.offer();
        if !pending {
            self.slot.with_mut(|slot| unsafe { *slot = false });
        }
        !pending
    }

    fn drop_handle(&self) {
        match self.state.detach() {
            Detach::Nothing => {}
            Detach::Waker => self.slot.with_mut(|slot| unsafe { *slot = false }),
            Detach::Output => self.take_output(),
        }
        self.release();
    }
}

fn race(handle: impl FnOnce(&Task) + Send + 'static) -> Arc<Task> {
    let task = Arc::new(Task::polled());
    let far = task.clone();
    let other = thread::spawn(move || handle(&far));
    task.finish();
    other.join().unwrap();
    task
}

fn await_it(task: &Task, polls: usize) {
    if (0..polls).any(|_| task.ready()) {
        task.take_output();
        task.release();
    }
}

fn joined(polls: usize) {
    let task = race(move |task| await_it(task, polls));
    if task.freed.load(Relaxed) == 0 {
        assert_eq!(task.woken.load(Relaxed), 1, "it waits and was not woken");
        await_it(&task, 1);
    }
    assert_eq!(task.freed.load(Relaxed), 1);
}

fn join() {
    joined(1);
}

fn join_again() {
    joined(2);
}

fn detach() {
    for waits in [false, true] {
        let task = race(move |task| {
            if waits && task.ready() {
                task.take_output();
                task.release();
            } else {
                task.drop_handle();
            }
        });
        assert_eq!(task.freed.load(Relaxed), 1);
    }
}

/// `is_finished` alone: it changes nothing, but what it says has to be true for the output, too.
fn is_finished() {
    let task = race(|task| {
        if task.state.is_done() {
            task.take_output();
            task.release();
        }
    });
    if task.freed.load(Relaxed) == 0 {
        task.drop_handle();
    }
    assert_eq!(task.freed.load(Relaxed), 1);
}

/// A task that was polled once, its runtime's queue, and how often it was polled since.
struct Home {
    task: Task,
    stack: Stack<Task>,
    polls: AtomicUsize,
}

impl Home {
    fn new() -> Arc<Home> {
        Arc::new(Home { task: Task::polled(), stack: Stack::new(), polls: AtomicUsize::new(0) })
    }

    /// What whoever set NOTIFIED does from afar.
    fn schedule(&self) {
        // SAFETY: the task lives as long as its home, and NOTIFIED admits one pusher.
        if !unsafe { self.stack.push(NonNull::from(&self.task)) } {
            self.task.release();
        }
    }

    fn abort(&self) {
        if self.task.state.abort() {
            self.schedule();
        }
        self.task.drop_handle();
    }

    /// The wake and the end of a waker.
    fn wake(&self) {
        if self.task.state.notify() {
            self.schedule();
        }
        self.task.release();
    }

    /// One turn of the owner; the future is ready when it is polled. True if the task is finished.
    fn run(&self) -> bool {
        self.stack.take().fold(false, |finished, _| match self.task.state.begin() {
            Begin::Spent => {
                self.task.release();
                finished
            }
            begin => {
                assert!(!finished, "a finished task begins again");
                self.polls.fetch_add(usize::from(begin == Begin::Poll), Relaxed);
                self.task.finish();
                true
            }
        })
    }

    /// The end of the runtime.
    fn end(&self, finished: bool) {
        if !finished {
            self.task.finish();
        }
        self.stack.close().for_each(|_| self.task.release());
    }
}

fn abort_is_heard() {
    let home = Home::new();
    let far = home.clone();
    thread::spawn(move || far.abort()).join().unwrap();
    assert!(home.run());
    home.end(true);
    assert_eq!((home.polls.load(Relaxed), home.task.freed.load(Relaxed)), (0, 1));
}

fn abort_and_wake() {
    let home = Home::new();
    home.task.state.retain();
    let (aborter, waker) = (home.clone(), home.clone());
    let others = [thread::spawn(move || aborter.abort()), thread::spawn(move || waker.wake())];
    let mut finished = home.run();
    others.into_iter().for_each(|other| other.join().unwrap());
    finished |= home.run();
    assert!(finished, "neither the abort nor the wake was heard");
    home.end(true);
    assert_eq!(home.task.freed.load(Relaxed), 1);
    assert!(home.polls.load(Relaxed) <= 1);
}

fn abort_and_end() {
    let home = Home::new();
    let far = home.clone();
    let other = thread::spawn(move || far.abort());
    let finished = home.run();
    home.end(finished);
    other.join().unwrap();
    assert_eq!(home.task.freed.load(Relaxed), 1);
}

/// Nobody has the handle. The runtime drops the output while a push is on its way that will find the stack closed, and
/// frees the task.
fn wake_and_end() {
    let home = Home::new();
    home.task.state.retain();
    home.task.drop_handle();
    let far = home.clone();
    let other = thread::spawn(move || far.wake());
    home.end(false);
    other.join().unwrap();
    assert_eq!(home.task.freed.load(Relaxed), 1);
}

impl Home {
    /// The wake of a waker that is used up at home.
    fn wake_here(&self) {
        match self.task.state.notify_and_release() {
            // SAFETY: A task is pushed once, by whoever marked it.
            Gone::Push => assert!(unsafe { self.stack.push(NonNull::from(&self.task)) }),
            Gone::Last => assert_eq!(self.task.freed.fetch_add(1, Relaxed), 0),
            Gone::Nothing => {}
        }
    }
}

fn wake_here() {
    let home = Home::new();
    home.task.state.retain();
    home.task.state.retain();
    let (other, handle) = (home.clone(), home.clone());
    let others = [thread::spawn(move || other.wake()), thread::spawn(move || handle.task.drop_handle())];
    home.wake_here();
    let mut finished = home.run();
    others.into_iter().for_each(|other| other.join().unwrap());
    finished |= home.run();
    assert!(finished, "the wake was not heard");
    home.end(true);
    assert_eq!(home.task.freed.load(Relaxed), 1);
}

fn wake_here_last() {
    let home = Home::new();
    home.task.state.retain();
    let handle = home.clone();
    let other = thread::spawn(move || {
        await_it(&handle.task, 1);
    });
    home.task.finish();
    home.wake_here();
    other.join().unwrap();
    if home.task.freed.load(Relaxed) == 0 {
        await_it(&home.task, 1);
    }
    assert_eq!(home.task.freed.load(Relaxed), 1);
}

/// What the count guards, and who counts it.
struct Shared {
    elsewhere: Elsewhere,
    freed: UnsafeCell<usize>,
}

impl Shared {
    fn less(&self, by: usize) {
        // SAFETY: Loom notices who reads while another writes.
        self.freed.with(|freed| assert_eq!(unsafe { *freed }, 0));
        if self.elsewhere.less(by) {
            // SAFETY: Loom notices who writes while another reads.
            self.freed.with_mut(|freed| unsafe { *freed += 1 });
        }
    }
}

/// Three tasks were made; one was freed at home, two elsewhere, while the runtime ends.
fn shared_half() {
    let shared = Arc::new(Shared { elsewhere: Elsewhere::new(), freed: UnsafeCell::new(0) });
    let others = [(); 2].map(|()| {
        let shared = shared.clone();
        thread::spawn(move || shared.less(1))
    });
    shared.less(RUNTIME - 2);
    others.into_iter().for_each(|other| other.join().unwrap());
    // SAFETY: All the others have gone.
    shared.freed.with(|freed| assert_eq!(unsafe { *freed }, 1));
}
