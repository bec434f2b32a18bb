//! The pool's books: who waits, who works, and since when. Nothing here blocks, and the time is told from outside.

use super::{Job, Replies};
use slab::Slab;
use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a job is; each kind has its own queue and its own share of the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Twin,
    Closure,
}

/// The jobs of one kind.
#[derive(Default)]
struct Lane {
    /// Each with the time of its push, oldest first.
    queue: VecDeque<(Instant, Job)>,
    /// How many run and count against the share.
    counted: usize,
    /// How many were begun so far.
    begun: u64,
}

/// A job that runs.
struct Running {
    kind: Kind,
    since: Instant,
    /// It was found to be stuck, and counts no longer.
    excused: bool,
}

/// Jobs wait, and nothing has moved for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    pub(super) kind: Kind,
    pub(super) running: usize,
    pub(super) waiting: usize,
}

pub(super) struct State {
    twins: Lane,
    closures: Lane,
    running: Slab<Running>,
    excused: usize,
    /// How many jobs of each kind may run at once.
    share: usize,
    /// No job is accepted any more.
    pub(super) closed: bool,
    pub(super) threads: usize,
    /// Threads made so far: the number in the next one's name.
    pub(super) made: u64,
    /// A thread's stack in bytes.
    pub(super) stack: usize,
}

impl State {
    pub(super) fn new(share: usize, stack: usize) -> State {
        let (twins, closures, running) = Default::default();
        State { twins, closures, running, excused: 0, share, closed: false, threads: 0, made: 0, stack }
    }

    fn lane(&mut self, kind: Kind) -> &mut Lane {
        match kind {
            Kind::Twin => &mut self.twins,
            Kind::Closure => &mut self.closures,
        }
    }

    /// How many jobs wait.
    pub(super) fn queued(&self) -> usize {
        self.twins.queue.len() + self.closures.queue.len()
    }

    /// How many of those may begin as soon as there are threads.
    pub(super) fn runnable(&self) -> usize {
        let of = |lane: &Lane| lane.queue.len().min(self.share - lane.counted);
        of(&self.twins) + of(&self.closures)
    }

    /// Threads without a job: they wait for one, or have just been made.
    pub(super) fn idle(&self) -> usize {
        self.threads - self.running.len()
    }

    pub(super) fn push(&mut self, job: Job, now: Instant) {
        let kind = Kind::of(&job);
        self.lane(kind).queue.push_back((now, job));
    }

    /// The job that was pushed last, if it was of this kind.
    pub(super) fn take_back(&mut self, kind: Kind) -> Option<Job> {
        self.lane(kind).queue.pop_back().map(|(_, job)| job)
    }

    /// Removes a twin that has not begun.
    pub(super) fn remove(&mut self, user_data: u64, reply: &Arc<Replies>) -> Option<Job> {
        let this = |(_, job): &(Instant, Job)| match job {
            Job::Twin { sqe, reply: theirs, .. } => sqe.user_data == user_data && Arc::ptr_eq(theirs, reply),
            Job::Closure(_) => false,
        };
        let at = self.twins.queue.iter().position(this)?;
        self.twins.queue.remove(at).map(|(_, job)| job)
    }

    /// All that waits.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Job> + use<> {
        let (twins, closures) = (mem::take(&mut self.twins.queue), mem::take(&mut self.closures.queue));
        twins.into_iter().chain(closures).map(|(_, job)| job)
    }

    /// The next job, under the name by which it [ends](State::end): the oldest whose kind has not used up its share.
    ///
    /// It is counted before it can be seen to have an effect.
    pub(super) fn begin(&mut self, now: Instant) -> Option<(usize, Job)> {
        let share = self.share;
        let due = |lane: &Lane| lane.queue.front().filter(|_| lane.counted < share).map(|(pushed, _)| *pushed);
        let kind = match (due(&self.twins), due(&self.closures)) {
            (None, None) => return None,
            (Some(twin), Some(closure)) if closure < twin => Kind::Closure,
            (None, Some(_)) => Kind::Closure,
            (Some(_), _) => Kind::Twin,
        };
        let lane = self.lane(kind);
        let (_, job) = lane.queue.pop_front()?;
        lane.counted += 1;
        lane.begun += 1;
        Some((self.running.insert(Running { kind, since: now, excused: false }), job))
    }

    pub(super) fn end(&mut self, name: usize) {
        let ended = self.running.remove(name);
        match ended.excused {
            true => self.excused -= 1,
            false => self.lane(ended.kind).counted -= 1,
        }
    }

    /// Lets twins wait no longer for others that are stuck: those that have run for `stuck` count no more, as far as
    /// `most` allows.
    pub(super) fn excuse(&mut self, now: Instant, stuck: Duration, most: usize) {
        if self.twins.queue.is_empty() {
            return;
        }
        let is_stuck = |job: &Running| !job.excused && job.kind == Kind::Twin && job.ran(now) >= stuck;
        let room = most.saturating_sub(self.excused);
        for (_, job) in self.running.iter_mut().filter(|(_, job)| is_stuck(job)).take(room) {
            job.excused = true;
            self.excused += 1;
            self.twins.counted -= 1;
        }
    }

    /// The kind of which jobs have waited for `limit` while none began.
    pub(super) fn stall(&self, now: Instant, limit: Duration) -> Option<Stall> {
        let stalls = |kind: Kind, lane: &Lane| {
            let (pushed, _) = lane.queue.front()?;
            let since = self.running.iter().filter(|(_, job)| job.kind == kind).map(|(_, job)| job.since);
            let moves = since.clone().chain([*pushed]).any(|time| now.saturating_duration_since(time) < limit);
            (!moves).then(|| Stall { kind, running: since.count(), waiting: lane.queue.len() })
        };
        stalls(Kind::Twin, &self.twins).or_else(|| stalls(Kind::Closure, &self.closures))
    }

    /// How many jobs run; those of one kind, if it is given.
    pub(super) fn running(&self, kind: Option<Kind>) -> usize {
        self.running.iter().filter(|(_, job)| kind.is_none_or(|kind| kind == job.kind)).count()
    }

    /// How many jobs have run for `limit` and longer.
    pub(super) fn slow(&self, now: Instant, limit: Duration) -> usize {
        self.running.iter().filter(|(_, job)| job.ran(now) >= limit).count()
    }

    /// How long the oldest job has waited; zero if none waits.
    pub(super) fn oldest_wait(&self, now: Instant) -> Duration {
        let fronts = [&self.twins, &self.closures].into_iter().filter_map(|lane| lane.queue.front());
        fronts.map(|(pushed, _)| now.saturating_duration_since(*pushed)).max().unwrap_or_default()
    }

    /// Twins and closures begun so far.
    pub(super) fn begun(&self) -> (u64, u64) {
        (self.twins.begun, self.closures.begun)
    }
}

impl Running {
    fn ran(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Kind {
    pub(super) fn of(job: &Job) -> Kind {
        match job {
            Job::Twin { .. } => Kind::Twin,
            Job::Closure(_) => Kind::Closure,
        }
    }
}
