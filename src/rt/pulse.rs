//! What a runtime lets other threads see while it runs.
//!
//! The runtime's thread stores plain numbers here, a few for each poll, and waits for nobody: they tell where it is.
//! Whoever wants all of the counters asks; the end of the turn answers, and a sleeper is woken for it. The lock is
//! taken by those who ask, by the answer, and for tasks with a name; never by a runtime that nobody looks at.

use super::{
    metrics::Metrics,
    task::{About, Id},
};
use crate::driver::WakeHandle;
use std::{
    collections::BTreeMap,
    fmt,
    panic::Location,
    ptr,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// In the place of a task's number: nothing is polled.
const NOTHING: u64 = 0;
/// The main future is polled.
const MAIN: u64 = u64::MAX;

/// Where a runtime is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Not inside of a `block_on`.
    Resting,
    /// In its loop, or asleep in it.
    Running,
    /// It was shut down.
    Ended,
}

/// A runtime's pulse. Only its own thread stores the numbers; the lines are its own, so that wakes from other threads
/// do not take them away from it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Pulse {
    home: WakeHandle,
    turns: AtomicU64,
    polls: AtomicU64,
    task: AtomicU64,
    /// Where that task was spawned, or `block_on` was called.
    place: AtomicPtr<Location<'static>>,
    phase: AtomicU8,
    /// Somebody waits for an answer.
    asked: AtomicBool,
    /// Somebody may ask, at any time from now on.
    watched: AtomicBool,
    seen: Mutex<Seen>,
    answered: Condvar,
}

/// What was seen of a runtime.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The latest answer.
    metrics: Option<Box<Metrics>>,
    answers: u64,
    /// Turns and polls when somebody last looked, and since when they have been so.
    beat: (u64, u64),
    since: Option<Instant>,
    /// Of the tasks that have one.
    names: BTreeMap<u64, Box<str>>,
}

/// What is polled: a task, or the main future of a [`block_on`](super::Runtime::block_on).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Polled {
    /// The task's number; `None` for a main future.
    pub task: Option<Id>,
    /// The task's name, if it has one.
    pub name: Option<String>,
    /// Where the task was spawned, or `block_on` was called.
    pub from: &'static Location<'static>,
}

/// `task 7 "reader" (src/main.rs:10:5)`.
impl fmt::Display for Polled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.task, &self.name) {
            (None, _) => write!(f, "the main future ({})", self.from),
            (Some(task), None) => write!(f, "task {task} ({})", self.from),
            (Some(task), Some(name)) => write!(f, "task {task} {name:?} ({})", self.from),
        }
    }
}

/// What came of a question.
pub(super) enum Answer {
    /// These are the counters.
    Metrics(Metrics),
    /// None in time: the latest counters, and for how long at least nothing has moved.
    None(Metrics, Duration),
}

/// Adds one to a counter that only this thread stores.
fn count(counter: &AtomicU64) {
    // Relaxed: a counter with one writer, so that a plain addition does.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl Pulse {
    /// The pulse of a runtime whose driver is woken by `home`.
    pub(super) fn new(home: WakeHandle) -> Pulse {
        Pulse {
            home,
            turns: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            task: AtomicU64::new(NOTHING),
            place: AtomicPtr::new(ptr::null_mut()),
            phase: AtomicU8::new(Phase::Resting as u8),
            asked: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            seen: Mutex::default(),
            answered: Condvar::new(),
        }
    }

    /// A turn begins: nothing is polled any more.
    pub(super) fn turn(&self) {
        count(&self.turns);
        self.task.store(NOTHING, Ordering::Relaxed);
    }

    /// A task is about to be polled.
    pub(super) fn poll(&self, task: &About) {
        self.turn_to(task);
        count(&self.polls);
    }

    /// The main future of the `block_on` at `here` is about to be polled.
    pub(super) fn poll_main(&self, here: &'static Location<'static>) {
        self.is_at(MAIN, here);
        count(&self.polls);
    }

    /// What happens from now on is a task's doing: its future is polled or dropped.
    pub(super) fn turn_to(&self, task: &About) {
        self.is_at(task.id().get(), task.spawned());
    }

    fn is_at(&self, task: u64, place: &'static Location<'static>) {
        // Relaxed: who looks takes them for what they are, numbers that may be a poll apart.
        self.task.store(task, Ordering::Relaxed);
        self.place.store(ptr::from_ref(place).cast_mut(), Ordering::Relaxed);
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.task.store(NOTHING, Ordering::Relaxed);
        // Relaxed: what an observer reads with it is under the lock, which `rest` takes.
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Leaves a last answer, for as long as nobody is there to give one.
    pub(super) fn rest(&self, phase: Phase, metrics: impl FnOnce() -> Metrics) {
        self.answer_and(metrics, || self.set_phase(phase));
    }

    pub(super) fn phase(&self) -> Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        [Phase::Resting, Phase::Running, Phase::Ended][usize::from(phase)]
    }

    /// Turns and polls so far.
    pub(super) fn beat(&self) -> (u64, u64) {
        // Relaxed: counters.
        (self.turns.load(Ordering::Relaxed), self.polls.load(Ordering::Relaxed))
    }

    /// What is polled now. Right for as long as the beat stays the same.
    pub(super) fn polled(&self) -> Option<Polled> {
        let task = self.task.load(Ordering::Relaxed);
        let place = self.place.load(Ordering::Relaxed);
        if task == NOTHING {
            return None;
        }
        // SAFETY: Fresh: the pointer is null or was made from a reference that lives for ever, to what nobody writes.
        let from: &'static Location<'static> = unsafe { place.as_ref() }?;
        let name = self.lock().names.get(&task).map(|name| name.to_string());
        Some(Polled { task: Id::from_number(task).filter(|_| task != MAIN), name, from })
    }

    /// No stranger's code runs under the lock, so a poisoned one is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody may ask. False if that was so before.
    pub(super) fn watch(&self) -> bool {
        !self.watched.swap(true, Ordering::Relaxed)
    }

    /// Whether somebody may ask. Nobody does in a forked child: observers are its parent's, and one may have had the
    /// lock at the fork.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed) && self.home.is_here()
    }

    /// Notes the name of a new task, if it has one.
    pub(super) fn meet(&self, task: &About) {
        if let Some(name) = task.name().filter(|_| self.is_watched()) {
            self.lock().names.insert(task.id().get(), name.into());
        }
    }

    /// Forgets the name of a task that has ended.
    pub(super) fn forget(&self, task: &About) {
        if task.name().is_some() && self.is_watched() {
            self.lock().names.remove(&task.id().get());
        }
    }

    /// Whether somebody waits for an answer. The sleeper's second step, as the look at the stack is: see `handoff`.
    pub(super) fn is_asked(&self) -> bool {
        // Relaxed: a hint while awake; before sleep the fence of `announce` orders it.
        self.asked.load(Ordering::Relaxed)
    }

    /// Tells `metrics` to whoever asked before they were taken.
    pub(super) fn answer(&self, metrics: impl FnOnce() -> Metrics) {
        self.answer_and(metrics, || ());
    }

    /// The same, and does something that is seen together with the answer.
    fn answer_and(&self, metrics: impl FnOnce() -> Metrics, also: impl FnOnce()) {
        self.asked.store(false, Ordering::Relaxed);
        let metrics = metrics();
        let mut seen = self.lock();
        match &mut seen.metrics {
            Some(latest) => **latest = metrics,
            none => *none = Some(Box::new(metrics)),
        }
        seen.answers = seen.answers.wrapping_add(1);
        also();
        drop(seen);
        self.answered.notify_all();
    }

    /// Asks, and waits for an answer until `patience` is over or the runtime rests. `rouse` wakes it if it sleeps.
    pub(super) fn ask(&self, patience: Duration, rouse: impl FnOnce()) -> Answer {
        let began = Instant::now();
        let mut seen = self.lock();
        self.note_beat(&mut seen, began);
        let answers = seen.answers;
        if self.phase() == Phase::Running {
            // Relaxed: the fence in `rouse` orders it.
            self.asked.store(true, Ordering::Relaxed);
            rouse();
            let silent = |seen: &mut Seen| seen.answers == answers && self.phase() == Phase::Running;
            let waited = self.answered.wait_timeout_while(seen, patience, silent);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let latest = seen.metrics.as_deref().copied().expect("who lets itself be watched answers at once");
        if seen.answers != answers || self.phase() != Phase::Running {
            return Answer::Metrics(latest);
        }
        let now = Instant::now();
        let since = self.note_beat(&mut seen, now);
        let (turns, polls) = seen.beat;
        Answer::None(Metrics { turns, polls, ..latest }, now.duration_since(since))
    }

    /// Looks at the beat, and says since when it has been so.
    fn note_beat(&self, seen: &mut Seen, now: Instant) -> Instant {
        let beat = self.beat();
        if beat != seen.beat {
            (seen.beat, seen.since) = (beat, None);
        }
        *seen.since.get_or_insert(now)
    }
}
