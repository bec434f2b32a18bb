//! The watchdog: tells of polls that take too long, while they do.
//!
//! One thread, for all runtimes that want it, looks at their pulses four times in each limit. A poll that it finds
//! again and again is a stall: the runtime's other tasks, its timers and its completions wait for it. The runtime
//! pays nothing beyond its pulse. What sleeps in the kernel polls nothing, so it is never taken for stuck.
//!
//! What it finds is put into words and told by a second thread: that may take its time, the watch may not.
//!
//! Only time that the watchdog itself saw pass counts: a process that was stopped, or a machine that slept, stalls
//! nobody.

use super::{
    pulse::Polled,
    remote::Remote,
    stack::{self, Stack, Thread},
};
use crate::{driver::quietly, sys::per_process::PerProcess, trace};
use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// A poll that takes longer than the [limit](super::Builder::stall_detector).
///
/// Prints as a line of text, and the stack below it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    /// The runtime's name, if it has one.
    pub runtime: Option<String>,
    /// What is polled.
    pub polled: Polled,
    /// For how long it has been, at least.
    pub lasted: Duration,
    /// Whether it is over.
    pub over: bool,
    /// What the thread did when it was asked, in words, innermost function first. Only with the feature `backtrace`,
    /// only while it lasts, and only if the thread answers signals.
    pub backtrace: Option<String>,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (polled, lasted) = (&self.polled, self.lasted.as_secs_f64());
        if let Some(runtime) = &self.runtime {
            write!(f, "runtime {runtime:?}: ")?;
        }
        match (self.over, &self.backtrace) {
            (true, _) => write!(f, "{polled} was polled for {lasted:.1} s, and that is over"),
            (false, None) => write!(f, "{polled} has been polled for {lasted:.1} s, and keeps all others waiting"),
            (false, Some(stack)) => {
                writeln!(f, "{polled} has been polled for {lasted:.1} s, and keeps all others waiting:")?;
                f.write_str(stack.trim_end())
            }
        }
    }
}

/// How a runtime is watched.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) limit: Duration,
    pub(super) tell: Tell,
}

/// Who is told of stalls.
type Tell = Arc<dyn Fn(&Stall) + Send + Sync>;

impl Watch {
    /// What stalls for longer than `limit` is told on the standard error.
    pub(super) fn new(limit: Duration) -> Watch {
        // Not eprintln: it panics when the other end is closed.
        let tell = |stall: &Stall| drop(writeln!(io::stderr(), "annulus: {stall}"));
        Watch { limit, tell: Arc::new(tell) }
    }

    /// How often to look.
    fn pace(&self) -> Duration {
        (self.limit / 4).max(Duration::from_millis(1))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A runtime under watch. The watchdog lets it go some time after the runtime has.
#[derive(Debug)]
pub(super) struct Watched {
    remote: Arc<Remote>,
    name: Option<String>,
    watch: Watch,
    /// The thread that is inside of the runtime now. Under its lock, and there, it is alive.
    inside: Mutex<Option<Thread>>,
}

impl Watched {
    fn inside(&self) -> MutexGuard<'_, Option<Thread>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This thread enters the runtime.
    pub(super) fn enter(&self) {
        self.is(Some(Thread::here()));
    }

    /// It leaves it.
    pub(super) fn leave(&self) {
        self.is(None);
    }

    /// Who is inside now. Not in a forked child: nobody asks there, and the watchdog may have had the lock.
    fn is(&self, inside: Option<Thread>) {
        if self.remote.is_here() {
            *self.inside() = inside;
        }
    }

    /// What the thread inside does now.
    fn stack(&self) -> Option<Stack> {
        let thread = (*self.inside())?;
        stack::ask(thread, |ask| {
            let inside = self.inside();
            if *inside == Some(thread) {
                ask();
            }
        })
    }
}

/// What the watchdog knows of a runtime.
struct Charge {
    watched: Arc<Watched>,
    /// How many polls there were, and what is polled.
    poll: Option<(u64, Polled)>,
    /// For how long that has been seen.
    lasted: Duration,
    told: bool,
}

impl Charge {
    /// Looks at the runtime, `passed` after it did so before.
    fn look(&mut self, passed: Duration, reports: &Sender<Report>) {
        let pulse = self.watched.remote.pulse();
        let polls = pulse.beat().1;
        let now = pulse.polled().map(|polled| (polls, polled));
        if now.is_some() && now == self.poll {
            self.lasted += passed;
            if self.lasted >= self.watched.watch.limit && !self.told {
                let stack = self.watched.stack();
                // If it has gone on meanwhile, the stack may be somebody else's.
                self.tell(false, stack.filter(|_| pulse.beat().1 == polls), reports);
            }
            return;
        }
        if self.told {
            self.tell(true, None, reports);
        }
        (self.poll, self.lasted) = (now, Duration::ZERO);
    }

    fn tell(&mut self, over: bool, stack: Option<Stack>, reports: &Sender<Report>) {
        self.told = !over;
        let Some((_, polled)) = self.poll.clone() else { return };
        let stall = Stall { runtime: self.watched.name.clone(), polled, lasted: self.lasted, over, backtrace: None };
        // Nobody hears it if the other thread is gone, which it is not before this one.
        let _ = reports.send(Report { stall, stack, tell: self.watched.watch.tell.clone() });
    }

    /// Whether the runtime is still there.
    fn lives(&self) -> bool {
        Arc::strong_count(&self.watched) > 1
    }
}

/// Something to tell.
struct Report {
    stall: Stall,
    stack: Option<Stack>,
    tell: Tell,
}

/// Tells what the watchdog found, as long as there is one.
fn report(reports: Receiver<Report>) {
    for Report { stall, stack, tell } in reports {
        // The hook's own drop may be here, when its runtime has ended meanwhile.
        quietly(move || {
            let stall = Stall { backtrace: stack.map(|stack| stack.describe()), ..stall };
            trace::warning(&stall);
            tell(&stall);
        });
    }
}

/// Where the watchdog is at home. A forked child has none.
#[derive(Default)]
struct Kennel {
    inside: Mutex<Inside>,
    /// There is a new runtime.
    whistle: Condvar,
}

/// The runtimes that the watchdog has not seen yet, and whether it is there.
#[derive(Default)]
struct Inside {
    new: Vec<Arc<Watched>>,
    is_out: bool,
}

static KENNEL: PerProcess<Kennel> = PerProcess::new();

impl Kennel {
    /// No stranger's code runs under the lock, so a poisoned one is whole.
    fn open(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a runtime watched until what this returns is dropped.
///
/// # Errors
/// If there can be no thread for it.
pub(super) fn watch(remote: Arc<Remote>, name: Option<String>, watch: Watch) -> io::Result<Arc<Watched>> {
    stack::prepare()?;
    let watched = Arc::new(Watched { remote, name, watch, inside: Mutex::new(None) });
    let kennel = KENNEL.get();
    let mut inside = kennel.open();
    if !inside.is_out {
        let (reports, told) = mpsc::channel();
        thread::Builder::new().name("annulus-stalls".into()).spawn(|| report(told))?;
        thread::Builder::new().name("annulus-watch".into()).spawn(|| run(kennel, reports))?;
        inside.is_out = true;
    }
    inside.new.push(watched.clone());
    drop(inside);
    kennel.whistle.notify_one();
    Ok(watched)
}

/// The watchdog, which ends when there is nobody to watch.
fn run(kennel: &Kennel, reports: Sender<Report>) {
    let mut charges: Vec<Charge> = Vec::new();
    let mut looked = Instant::now();
    loop {
        let mut inside = kennel.open();
        let new = inside.new.drain(..);
        charges.extend(new.map(|watched| Charge { watched, poll: None, lasted: Duration::ZERO, told: false }));
        let Some(pace) = charges.iter().map(|charge| charge.watched.watch.pace()).min() else {
            inside.is_out = false;
            return;
        };
        let waited = kennel.whistle.wait_timeout(inside, pace.saturating_sub(looked.elapsed()));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let passed = looked.elapsed();
        if passed < pace {
            continue;
        }
        looked = Instant::now();
        // Nobody knows who ran while the watchdog did not.
        charges.iter_mut().for_each(|charge| charge.look(passed.min(2 * pace), &reports));
        let (alive, gone) = charges.into_iter().partition(Charge::lives);
        charges = alive;
        // With the last one, the hook goes that the user gave.
        let gone: Vec<Charge> = gone;
        gone.into_iter().for_each(|charge| quietly(|| drop(charge)));
    }
}

#[cfg(test)]
mod tests {
    use super::{KENNEL, Watch, watch};
    use crate::{Builder, testing::in_child};
    use std::time::Duration;

    /// Red when it has its parent's, which the watchdog may hold at the fork.
    #[test]
    fn a_forked_child_has_a_kennel_of_its_own() {
        let held = KENNEL.get().open();
        assert!(in_child(|| drop(KENNEL.get().open())));
        drop(held);
    }

    /// Red when a child that enters its parent's runtime, and leaves it, tells whoever looks at it there.
    #[test]
    fn a_forked_child_tells_nobody_where_it_is() {
        let runtime = Builder::new().build().unwrap();
        let _observer = runtime.observer();
        let remote = runtime.core.remote().clone();
        let watched = watch(remote.clone(), None, Watch::new(Duration::from_secs(1000))).unwrap();
        let held = (watched.inside(), remote.pulse().lock());
        assert!(in_child(|| {
            watched.enter();
            runtime.block_on(async {});
            watched.leave();
        }));
        drop(held);
    }
}
