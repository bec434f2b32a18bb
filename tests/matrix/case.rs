//! What there is to combine, and which combinations mean something.

/// What the future does when it is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It is ready.
    Ready,
    /// It is woken from there while it is polled, and ready all the same.
    ReadyWoken(Place),
    /// It aborts itself, and is ready all the same.
    ReadyAborted,
    /// It panics.
    Panic,
    /// It is woken from there while it is polled, and panics.
    PanicWoken(Place),
    /// It wakes itself, and is ready at the second poll.
    Yield,
    /// It is ready at the second poll.
    Wait,
    /// It panics at the second poll.
    WaitAndPanic,
    /// It is never ready.
    Never,
    /// It aborts itself, and is not to be polled again.
    AbortSelf,
    /// It drops its own handle, and is ready at the second poll.
    DropHandle,
    /// It awaits its own handle, and is ready at the second poll.
    JoinSelf,
}

/// Where something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the runtime's thread.
    Home,
    /// On another thread, while the runtime's waits for it.
    Afar,
}

/// Who wakes a task that was polled once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Nobody,
    /// Somebody there.
    Somebody(Place),
    /// The `Drop` of another task's future.
    Drop,
}

/// What becomes of a clone of the task's waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The last wake is its end.
    No,
    /// It wakes again at [`Moment::Done`], and is dropped there.
    Done,
    /// It wakes again at [`Moment::Done`] and [`Moment::Ended`], and is dropped there.
    Ended,
}

/// What is done with the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Drop,
    /// Abort, and ask at the very end.
    Abort,
    /// Ask; if there is no answer yet, ask again at the very end.
    Await,
    /// Ask; if there is no answer yet, drop it at the next moment.
    AwaitAndDrop,
}

/// When that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// Before the first poll.
    Spawned,
    /// After the first poll.
    Polled,
    /// After the wakes, before the poll that they ask for.
    Woken,
    /// After that poll.
    Done,
    /// After the runtime's end.
    Ended,
}

/// What panics, besides a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bomb {
    Nothing,
    /// The drop of the future.
    Future,
    /// The drop of the output.
    Output,
    /// The wake of whoever awaits the handle.
    Wake,
    /// The drop of the waker of whoever awaits the handle.
    Waker,
}

/// One combination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) act: Act,
    pub(crate) by: By,
    pub(crate) times: usize,
    pub(crate) kept: Kept,
    pub(crate) deed: Deed,
    pub(crate) when: Moment,
    pub(crate) place: Place,
    pub(crate) bomb: Bomb,
    /// After this moment the runtime ends.
    pub(crate) end: Moment,
}

const PLACES: [Place; 2] = [Place::Home, Place::Afar];
const ACTS: [Act; 14] = [
    Act::Ready,
    Act::ReadyWoken(Place::Home),
    Act::ReadyWoken(Place::Afar),
    Act::ReadyAborted,
    Act::Panic,
    Act::PanicWoken(Place::Home),
    Act::PanicWoken(Place::Afar),
    Act::Yield,
    Act::Wait,
    Act::WaitAndPanic,
    Act::Never,
    Act::AbortSelf,
    Act::DropHandle,
    Act::JoinSelf,
];
const WAKES: [(By, usize); 7] = [
    (By::Nobody, 0),
    (By::Somebody(Place::Home), 1),
    (By::Somebody(Place::Home), 3),
    (By::Somebody(Place::Afar), 1),
    (By::Somebody(Place::Afar), 3),
    (By::Drop, 1),
    (By::Drop, 3),
];
const KEPT: [Kept; 3] = [Kept::No, Kept::Done, Kept::Ended];
const DEEDS: [Deed; 4] = [Deed::Drop, Deed::Abort, Deed::Await, Deed::AwaitAndDrop];
const MOMENTS: [Moment; 5] = [Moment::Spawned, Moment::Polled, Moment::Woken, Moment::Done, Moment::Ended];
const BOMBS: [Bomb; 5] = [Bomb::Nothing, Bomb::Future, Bomb::Output, Bomb::Wake, Bomb::Waker];

impl Case {
    /// All that mean something and end at `end`.
    pub(crate) fn all(end: Moment) -> impl Iterator<Item = Case> {
        let deeds = DEEDS.iter().flat_map(|&deed| MOMENTS.map(|when| (deed, when)));
        let handles: Vec<_> = deeds.flat_map(|(deed, when)| PLACES.map(|place| (deed, when, place))).collect();
        let wakes: Vec<_> = WAKES.iter().flat_map(|&(by, times)| KEPT.map(|kept| (by, times, kept))).collect();
        let lives = ACTS.iter().flat_map(move |&act| wakes.clone().into_iter().map(move |wake| (act, wake)));
        let cases = lives.flat_map(move |(act, (by, times, kept))| {
            let handles = handles.clone().into_iter();
            handles.flat_map(move |(deed, when, place)| {
                BOMBS.map(|bomb| Case { act, by, times, kept, deed, when, place, bomb, end })
            })
        });
        cases.filter(Case::means_something)
    }

    /// Whether no other case is the same, and what it combines can come together.
    fn means_something(&self) -> bool {
        let handle = self.when <= self.end || self.when == Moment::Ended;
        handle && self.life_makes_sense() && self.wakes_make_sense() && self.bomb_makes_sense()
    }

    /// A task that is never polled is like another.
    fn life_makes_sense(&self) -> bool {
        self.end >= Moment::Polled || self.act == Act::Ready && (self.by, self.kept) == (By::Nobody, Kept::No)
    }

    /// Who does not wait is not woken often or by many.
    fn wakes_make_sense(&self) -> bool {
        let waits = match self.act {
            Act::Ready | Act::ReadyWoken(_) | Act::ReadyAborted | Act::Panic | Act::PanicWoken(_) | Act::Yield => false,
            Act::Wait | Act::WaitAndPanic | Act::Never | Act::AbortSelf | Act::DropHandle | Act::JoinSelf => true,
        };
        let simple = matches!((self.by, self.times), (By::Nobody, _) | (By::Somebody(_), 1));
        let kept = self.end >= Moment::Done || self.kept != Kept::Done;
        kept && (simple || waits && self.end >= Moment::Woken)
    }

    fn bomb_makes_sense(&self) -> bool {
        let asks = matches!(self.deed, Deed::Await | Deed::AwaitAndDrop);
        match self.bomb {
            Bomb::Nothing | Bomb::Future | Bomb::Output => true,
            Bomb::Wake => asks,
            // That of a waker which the task's own replaces would go off inside of its poll.
            Bomb::Waker => asks && self.act != Act::JoinSelf,
        }
    }
}
