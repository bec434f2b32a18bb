//! What has to come of a case: a task as a reader of the documentation would think of it, without its parts.

use crate::case::{Act, Bomb, By, Case, Deed, Kept, Moment};

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Output,
    Cancelled,
    /// With this text.
    Panic(&'static str),
}

/// What can be seen of a case, from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) polls: usize,
    pub(crate) futures_dropped: usize,
    pub(crate) outputs_dropped: usize,
    /// Wakes of who awaits the handle.
    pub(crate) wakes: usize,
    /// Panics that came out of dropping the handle.
    pub(crate) loud: usize,
    /// What the handle said, if it was asked when there was an answer.
    pub(crate) answer: Option<Outcome>,
    /// Whether the handle said that the task is finished, each time it was there to be asked.
    pub(crate) finished: Vec<bool>,
}

struct Task {
    case: Case,
    seen: Seen,
    queued: bool,
    aborted: bool,
    /// The handle is there.
    handle: bool,
    /// Somebody awaits it.
    awaited: bool,
    outcome: Option<Outcome>,
    /// Panics that nobody awaited.
    unawaited: usize,
}

/// What is to be seen, and how many panics the runtime counts as unawaited.
pub(crate) fn expect(case: Case) -> (Seen, usize) {
    let seen = Seen { futures_dropped: 1, ..Seen::default() };
    let (queued, handle) = (true, true);
    let (aborted, awaited, outcome, unawaited) = Default::default();
    let mut task = Task { case, seen, queued, aborted, handle, awaited, outcome, unawaited };
    task.live();
    if task.outcome.is_none() {
        task.finish(Outcome::Cancelled);
    }
    let unawaited = task.unawaited;
    task.handle(Moment::Ended);
    if task.handle {
        task.ask();
    }
    (task.seen, unawaited)
}

impl Task {
    /// Until the runtime ends.
    fn live(&mut self) {
        let waker = |task: &Task| task.seen.polls > 0;
        self.handle(Moment::Spawned);
        if self.case.end == Moment::Spawned {
            return;
        }
        self.run();
        self.handle(Moment::Polled);
        if self.case.end == Moment::Polled {
            return;
        }
        self.queued |= waker(self) && self.case.by != By::Nobody;
        self.handle(Moment::Woken);
        if self.case.end == Moment::Woken {
            return;
        }
        self.run();
        self.queued |= waker(self) && self.case.kept != Kept::No;
        self.handle(Moment::Done);
    }

    /// Polls it as long as somebody wants that.
    fn run(&mut self) {
        while std::mem::take(&mut self.queued) && self.outcome.is_none() {
            if self.aborted {
                self.finish(Outcome::Cancelled);
                return;
            }
            self.seen.polls += 1;
            if let Some(outcome) = self.poll() {
                self.finish(outcome);
            }
        }
    }

    fn poll(&mut self) -> Option<Outcome> {
        match (self.case.act, self.seen.polls) {
            (Act::Never, _) => None,
            (Act::WaitAndPanic, 2) => Some(Outcome::Panic("second poll")),
            (Act::Ready | Act::ReadyWoken(_) | Act::ReadyAborted, _) | (_, 2) => Some(Outcome::Output),
            (Act::Panic | Act::PanicWoken(_), _) => Some(Outcome::Panic("poll")),
            (Act::Yield, _) => {
                self.queued = true;
                None
            }
            (Act::AbortSelf, _) => {
                self.abort();
                None
            }
            (Act::DropHandle, _) => {
                self.drop_handle();
                None
            }
            (Act::JoinSelf, _) => {
                self.awaited = false;
                None
            }
            (Act::Wait | Act::WaitAndPanic, _) => None,
        }
    }

    fn abort(&mut self) {
        let reaches = self.handle && self.outcome.is_none();
        self.aborted |= reaches;
        self.queued |= reaches;
    }

    fn finish(&mut self, outcome: Outcome) {
        let is_panic = matches!(outcome, Outcome::Panic(_));
        let outcome = if self.case.bomb == Bomb::Future && !is_panic {
            self.seen.outputs_dropped += usize::from(outcome == Outcome::Output);
            Outcome::Panic("future")
        } else {
            outcome
        };
        self.outcome = Some(outcome);
        if !self.handle {
            self.lose(outcome);
        }
        self.seen.wakes += usize::from(std::mem::take(&mut self.awaited));
    }

    /// Nobody wants the outcome.
    fn lose(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Output => self.seen.outputs_dropped += 1,
            Outcome::Cancelled => {}
            Outcome::Panic(_) => self.unawaited += 1,
        }
    }

    fn drop_handle(&mut self) {
        if !std::mem::take(&mut self.handle) {
            return;
        }
        let awaited = std::mem::take(&mut self.awaited);
        self.seen.loud += usize::from(awaited && self.case.bomb == Bomb::Waker);
        if let Some(outcome) = self.outcome {
            self.seen.loud += usize::from(outcome == Outcome::Output && self.case.bomb == Bomb::Output);
            self.lose(outcome);
        }
    }

    fn ask(&mut self) {
        if let Some(outcome) = self.outcome {
            self.handle = false;
            self.seen.answer = Some(outcome);
            self.seen.outputs_dropped += usize::from(outcome == Outcome::Output);
        } else {
            self.awaited = true;
        }
    }

    fn handle(&mut self, now: Moment) {
        if self.handle {
            self.seen.finished.push(self.outcome.is_some());
        }
        let Case { deed, when, .. } = self.case;
        match deed {
            Deed::AwaitAndDrop if now > when => self.drop_handle(),
            _ if now != when || !self.handle => {}
            Deed::Drop => self.drop_handle(),
            Deed::Abort => self.abort(),
            Deed::Await | Deed::AwaitAndDrop => self.ask(),
        }
    }
}
