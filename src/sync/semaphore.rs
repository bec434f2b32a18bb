//! A semaphore: permits, and a fair line for those who want more than there are.

use super::wait::{Line, Place};
use crate::rt::coop;
use std::{
    cell::Cell,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Counts permits for the tasks of one shard.
///
/// It is fair: who asks first is served first, and a request for many permits is not overtaken by requests for few.
/// While somebody waits, permits that come back are kept together for whoever is first in the line, and
/// [`try_acquire`](Semaphore::try_acquire) gets none. A future that is dropped leaves the line; the one behind it is
/// served if there is enough for it.
///
/// ```
/// # annulus::run(async {
/// use annulus::sync::Semaphore;
/// use std::rc::Rc;
///
/// let connections = Rc::new(Semaphore::new(2));
/// let mut tasks = Vec::new();
/// for _ in 0..10 {
///     let permit = connections.clone().acquire_owned().await?;
///     tasks.push(annulus::spawn(async move {
///         // At most two are here at a time.
///         drop(permit);
///     }));
/// }
/// # for task in tasks { task.await.unwrap(); }
/// # Ok::<(), annulus::sync::AcquireError>(()) }).unwrap();
/// ```
pub struct Semaphore {
    /// In nobody's hands.
    permits: Cell<usize>,
    closed: Cell<bool>,
    /// Each asks for a number of permits.
    line: Line<usize, Answer>,
}

#[derive(Clone, Copy)]
enum Answer {
    /// The permits that were asked for have been taken out of the semaphore.
    Granted,
    Closed,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    /// A semaphore with so many permits.
    ///
    /// # Panics
    /// If `permits` is more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[must_use]
    pub const fn new(permits: usize) -> Semaphore {
        assert!(permits <= Semaphore::MAX_PERMITS, "a semaphore cannot have more than Semaphore::MAX_PERMITS");
        Semaphore { permits: Cell::new(permits), closed: Cell::new(false), line: Line::new() }
    }

    /// How many permits are in nobody's hands. While somebody waits for more than that, they are not to be had.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.permits.get()
    }

    /// Adds permits, and serves those who wait for them.
    ///
    /// # Panics
    /// If there were more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS) then.
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        let fits = n <= Semaphore::MAX_PERMITS - self.permits.get().min(Semaphore::MAX_PERMITS);
        assert!(fits, "a semaphore cannot have more than Semaphore::MAX_PERMITS");
        self.release(n);
    }

    /// Takes up to `n` permits away for good, of those that are in nobody's hands, and says how many.
    pub fn forget_permits(&self, n: usize) -> usize {
        let n = n.min(self.permits.get());
        self.permits.set(self.permits.get() - n);
        n
    }

    /// Takes a permit, and waits for one if there is none.
    ///
    /// # Errors
    /// If the semaphore is [closed](Semaphore::close) or is closed meanwhile.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; a permit that it had got already goes to the next.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Takes `n` permits at once, and waits until it is first in the line and there are so many.
    ///
    /// # Errors
    /// If the semaphore is [closed](Semaphore::close) or is closed meanwhile.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; permits that it had got already go to the next.
    pub async fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let permits = n as usize;
        self.take(permits).await?;
        Ok(SemaphorePermit { semaphore: self, permits })
    }

    /// Takes a permit if there is one for whoever asks.
    ///
    /// # Errors
    /// If the semaphore is closed, if there is no permit, or if others wait.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if there are so many for whoever asks.
    ///
    /// # Errors
    /// If the semaphore is closed, if there are not enough permits, or if others wait.
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let permits = n as usize;
        self.try_take(permits)?;
        Ok(SemaphorePermit { semaphore: self, permits })
    }

    /// As [`acquire`](Semaphore::acquire), with a permit that may outlive the borrow.
    ///
    /// # Errors
    /// If the semaphore is [closed](Semaphore::close) or is closed meanwhile.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; a permit that it had got already goes to the next.
    pub async fn acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// As [`acquire_many`](Semaphore::acquire_many), with a permit that may outlive the borrow.
    ///
    /// # Errors
    /// If the semaphore is [closed](Semaphore::close) or is closed meanwhile.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; permits that it had got already go to the next.
    pub async fn acquire_many_owned(self: Rc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        let permits = n as usize;
        self.take(permits).await?;
        Ok(OwnedSemaphorePermit { semaphore: self, permits })
    }

    /// As [`try_acquire`](Semaphore::try_acquire), with a permit that may outlive the borrow.
    ///
    /// # Errors
    /// If the semaphore is closed, if there is no permit, or if others wait.
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Semaphore::try_acquire_many), with a permit that may outlive the borrow.
    ///
    /// # Errors
    /// If the semaphore is closed, if there are not enough permits, or if others wait.
    pub fn try_acquire_many_owned(self: Rc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let permits = n as usize;
        self.try_take(permits)?;
        Ok(OwnedSemaphorePermit { semaphore: self, permits })
    }

    /// Gives out no permits any more: who waits and who comes later gets an error. Permits that were given out stay.
    pub fn close(&self) {
        self.closed.set(true);
        self.line.answer_all(Answer::Closed);
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Takes permits without a guard: who gets them has to [`release`](Semaphore::release) them.
    pub(super) fn take(&self, permits: usize) -> Take<'_> {
        Take { semaphore: self, permits, place: Place::default() }
    }

    /// Takes permits without a guard, if they are there for whoever asks.
    pub(super) fn try_take(&self, permits: usize) -> Result<(), TryAcquireError> {
        match self.at_once(permits) {
            Some(Answer::Granted) => Ok(()),
            Some(Answer::Closed) => Err(TryAcquireError::Closed),
            None => Err(TryAcquireError::NoPermits),
        }
    }

    fn at_once(&self, permits: usize) -> Option<Answer> {
        if self.closed.get() {
            return Some(Answer::Closed);
        }
        let there = self.permits.get();
        let enough = permits == 0 || (permits <= there && self.line.is_empty());
        enough.then(|| {
            self.permits.set(there - permits);
            Answer::Granted
        })
    }

    /// Gives permits back, and serves those who wait for them.
    pub(super) fn release(&self, permits: usize) {
        // So many permits that this does not hold would need as many guards to be alive.
        self.permits.set(self.permits.get().saturating_add(permits));
        self.serve();
    }

    /// Serves the line from its front, as far as the permits go. Each wake may change everything.
    fn serve(&self) {
        while let Some(permits) = self.line.first() {
            let there = self.permits.get();
            if there < permits || self.closed.get() {
                return;
            }
            self.permits.set(there - permits);
            self.line.answer_first(Answer::Granted);
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.permits.get())
            .field("closed", &self.closed.get())
            .field("line", &self.line)
            .finish()
    }
}

/// Takes permits; made by [`Semaphore::take`].
#[derive(Debug)]
pub(super) struct Take<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
    place: Place,
}

impl Future for Take<'_> {
    type Output = Result<(), AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let proceed = ready!(coop::poll_proceed(cx));
        let Take { semaphore, permits, place } = self.get_mut();
        let answer = ready!(semaphore.line.poll(place, cx, *permits, || semaphore.at_once(*permits)));
        proceed.made_progress();
        Poll::Ready(match answer {
            Answer::Granted => Ok(()),
            Answer::Closed => Err(AcquireError(())),
        })
    }
}

impl Drop for Take<'_> {
    fn drop(&mut self) {
        match self.semaphore.line.leave(&mut self.place) {
            Some(Answer::Granted) => self.semaphore.release(self.permits),
            // It may have been the first, and who is first now may want less.
            _ => self.semaphore.serve(),
        }
    }
}

/// Permits of a [`Semaphore`], given back when it is dropped.
#[must_use = "the permits go back at once if this is dropped"]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl SemaphorePermit<'_> {
    /// How many permits these are.
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// Does not give the permits back: the semaphore has fewer from now on.
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Adds the permits of `other`.
    ///
    /// # Panics
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(std::ptr::eq(self.semaphore, other.semaphore), "merging permits of two semaphores");
        self.permits = self.permits.saturating_add(std::mem::take(&mut other.permits));
    }

    /// Takes `n` of these permits out; `None` if there are fewer.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(SemaphorePermit { semaphore: self.semaphore, permits: n })
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.semaphore.release(self.permits);
    }
}

/// Permits of a [`Semaphore`] behind an [`Rc`], given back when it is dropped.
#[must_use = "the permits go back at once if this is dropped"]
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    semaphore: Rc<Semaphore>,
    permits: usize,
}

impl OwnedSemaphorePermit {
    /// How many permits these are.
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// The semaphore that they are of.
    #[must_use]
    pub fn semaphore(&self) -> &Rc<Semaphore> {
        &self.semaphore
    }

    /// Does not give the permits back: the semaphore has fewer from now on.
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Adds the permits of `other`.
    ///
    /// # Panics
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Rc::ptr_eq(&self.semaphore, &other.semaphore), "merging permits of two semaphores");
        self.permits = self.permits.saturating_add(std::mem::take(&mut other.permits));
    }

    /// Takes `n` of these permits out; `None` if there are fewer.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(OwnedSemaphorePermit { semaphore: self.semaphore.clone(), permits: n })
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.semaphore.release(self.permits);
    }
}

/// The semaphore was closed.
#[derive(Debug, PartialEq, Eq)]
pub struct AcquireError(());

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl std::error::Error for AcquireError {}

/// Why there is no permit at once.
#[derive(Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore was closed.
    Closed,
    /// There are not enough permits, or others wait for them.
    NoPermits,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::Closed => "the semaphore is closed",
            TryAcquireError::NoPermits => "there are not enough permits",
        })
    }
}

impl std::error::Error for TryAcquireError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Dice, Wakes, hostile, now, poll, unhurt};
    use std::{
        collections::{BTreeMap, VecDeque},
        sync::Arc,
        task::Waker,
    };

    #[test]
    fn permits_come_and_go() {
        let semaphore = Semaphore::new(3);
        let mut two = semaphore.try_acquire_many(2).unwrap();
        assert_eq!(semaphore.try_acquire_many(2).unwrap_err(), TryAcquireError::NoPermits);
        let one = now(semaphore.acquire()).unwrap();
        assert_eq!((semaphore.available_permits(), two.num_permits()), (0, 2));
        two.merge(one);
        assert!(two.split(4).is_none());
        let third = two.split(1).unwrap();
        assert_eq!((two.num_permits(), third.num_permits()), (2, 1));
        third.forget();
        drop(two);
        assert_eq!(semaphore.available_permits(), 2);
        semaphore.add_permits(1);
        assert_eq!((semaphore.forget_permits(2), semaphore.forget_permits(5)), (2, 1));
        assert_eq!(now(semaphore.acquire_many(0)).unwrap().num_permits(), 0);
    }

    #[test]
    fn owned_permits_hold_their_semaphore() {
        let semaphore = Rc::new(Semaphore::new(3));
        let mut all = now(semaphore.clone().acquire_many_owned(2)).unwrap();
        all.merge(semaphore.clone().try_acquire_owned().unwrap());
        assert!(semaphore.clone().try_acquire_owned().is_err() && Rc::ptr_eq(all.semaphore(), &semaphore));
        all.split(1).unwrap().forget();
        drop(all.split(1));
        assert_eq!((semaphore.available_permits(), all.num_permits()), (1, 1));
        semaphore.close();
        assert_eq!(semaphore.clone().try_acquire_owned().unwrap_err(), TryAcquireError::Closed);
    }

    #[test]
    fn nobody_is_overtaken() {
        let (semaphore, (wakes, waker)) = (Semaphore::new(1), Wakes::new());
        let (mut two, mut one) = (semaphore.take(2), semaphore.take(1));
        assert!(poll(&mut two, &waker).is_pending() && poll(&mut one, &waker).is_pending());
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
        assert_eq!((wakes.take(), semaphore.available_permits()), (0, 1));
        semaphore.add_permits(1);
        assert_eq!(wakes.take(), 1);
        assert!(poll(&mut one, &waker).is_pending() && poll(&mut two, &waker).is_ready());
    }

    /// Red when a dropped future serves nobody.
    #[test]
    fn who_is_dropped_lets_the_next_pass() {
        let (semaphore, (wakes, waker)) = (Semaphore::new(1), Wakes::new());
        let (mut many, mut one, mut other) = (semaphore.take(2), semaphore.take(1), semaphore.take(1));
        for future in [&mut many, &mut one, &mut other] {
            assert!(poll(future, &waker).is_pending());
        }
        drop(many);
        assert_eq!(wakes.take(), 1, "there is enough for the next");
        drop(one);
        assert_eq!(wakes.take(), 1, "what was granted and not fetched goes on");
        assert!(poll(&mut other, &waker).is_ready());
    }

    #[test]
    fn after_the_end_all_are_told_and_what_was_granted_stays() {
        let (semaphore, (wakes, waker)) = (Semaphore::new(0), Wakes::new());
        let (mut first, mut second) = (semaphore.take(1), semaphore.take(1));
        assert!(poll(&mut first, &waker).is_pending() && poll(&mut second, &waker).is_pending());
        semaphore.add_permits(1);
        semaphore.close();
        assert_eq!(wakes.take(), 2);
        assert_eq!(poll(&mut first, &waker), Poll::Ready(Ok(())));
        assert_eq!(poll(&mut second, &waker), Poll::Ready(Err(AcquireError(()))));
        semaphore.add_permits(1);
        assert!(semaphore.is_closed() && now(semaphore.acquire()).is_err());
    }

    /// Red when the line is served while it is told of the end.
    #[test]
    fn after_the_end_nothing_is_granted() {
        let semaphore = Rc::new(Semaphore::new(0));
        let inside = semaphore.clone();
        let waker = hostile(move || inside.release(usize::from(inside.is_closed())));
        let (mut first, mut second) = (semaphore.take(1), semaphore.take(1));
        assert!(poll(&mut first, &waker).is_pending() && poll(&mut second, &waker).is_pending());
        semaphore.close();
        assert!(now(first).is_err() && now(second).is_err() && semaphore.available_permits() > 0);
    }

    #[test]
    fn a_future_that_is_forgotten_keeps_its_place_and_harms_nobody() {
        let semaphore = Semaphore::new(0);
        let mut lost = semaphore.take(1);
        assert!(poll(&mut lost, Waker::noop()).is_pending());
        std::mem::forget(lost);
        semaphore.add_permits(2);
        assert_eq!(semaphore.available_permits(), 1);
        drop(now(semaphore.acquire()).unwrap());
    }

    #[test]
    fn wakers_may_do_what_they_like() {
        let semaphore = Rc::new(Semaphore::new(1));
        let inside = semaphore.clone();
        let waker = hostile(move || {
            drop(inside.try_acquire());
            let mut future = inside.take(1);
            let _ = poll(&mut future, Waker::noop());
            inside.add_permits(0);
        });
        for _ in 0..3 {
            let held = semaphore.try_acquire().unwrap();
            let (mut a, mut b) = (semaphore.take(1), semaphore.take(1));
            assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, &waker).is_pending());
            assert!(poll(&mut a, &waker).is_pending());
            drop(held);
            assert!(poll(&mut a, &waker).is_ready());
            drop(a);
            semaphore.release(1);
            drop(b);
            assert_eq!(semaphore.available_permits(), 1);
        }
        unhurt();
    }

    #[test]
    #[should_panic(expected = "more than Semaphore::MAX_PERMITS")]
    fn too_many_permits_are_refused() {
        Semaphore::new(1).add_permits(Semaphore::MAX_PERMITS);
    }

    /// What a semaphore should do, said in the plainest way.
    #[derive(Default)]
    struct Model {
        permits: usize,
        waiting: VecDeque<(usize, usize)>,
        granted: BTreeMap<usize, usize>,
    }

    impl Model {
        fn serve(&mut self) {
            while let Some(&(id, n)) = self.waiting.front().filter(|(_, n)| *n <= self.permits) {
                self.waiting.pop_front();
                self.permits -= n;
                self.granted.insert(id, n);
            }
        }

        fn give(&mut self, n: usize) {
            self.permits += n;
            self.serve();
        }

        fn leave(&mut self, id: usize) {
            self.waiting.retain(|(waiting, _)| *waiting != id);
            self.give(0);
            let granted = self.granted.remove(&id).unwrap_or(0);
            self.give(granted);
        }
    }

    struct Waiting<'a> {
        id: usize,
        future: Take<'a>,
        wakes: Arc<Wakes>,
        owed: bool,
    }

    /// Every future that was granted its permits since its last poll has been woken, by the waker of that poll.
    fn settle(waiting: &mut [Waiting<'_>], model: &Model) {
        for one in waiting {
            let granted = model.granted.contains_key(&one.id);
            assert_eq!(one.wakes.take(), usize::from(granted && !one.owed), "the wakes of {}", one.id);
            one.owed = granted;
        }
    }

    fn repoll(one: &mut Waiting<'_>, model: &mut Model) -> Option<usize> {
        let (wakes, waker) = Wakes::new();
        let ready = poll(&mut one.future, &waker).is_ready();
        let granted = model.granted.remove(&one.id);
        assert_eq!(ready, granted.is_some(), "future {}", one.id);
        one.wakes = wakes;
        granted
    }

    fn agrees_with_the_model(seed: u64) {
        let (semaphore, mut dice) = (Semaphore::new(2), Dice::new(seed));
        let mut model = Model { permits: 2, ..Model::default() };
        let (mut waiting, mut held): (Vec<Waiting<'_>>, usize) = (Vec::new(), 0);
        for id in 0..400 {
            let at = dice.roll(waiting.len().max(1));
            match dice.roll(6) {
                0 | 1 => {
                    let n = dice.roll(4);
                    let (wakes, waker) = Wakes::new();
                    let mut one = Waiting { id, future: semaphore.take(n), wakes, owed: false };
                    if n == 0 || (model.waiting.is_empty() && n <= model.permits) {
                        model.permits -= n;
                        held += n;
                        assert!(poll(&mut one.future, &waker).is_ready());
                    } else {
                        model.waiting.push_back((id, n));
                        assert!(poll(&mut one.future, &waker).is_pending());
                        waiting.push(one);
                    }
                }
                2 if held > 0 => {
                    let n = 1 + dice.roll(held);
                    held -= n;
                    semaphore.release(n);
                    model.give(n);
                }
                3 if !waiting.is_empty() => {
                    model.leave(waiting.remove(at).id);
                }
                4 if !waiting.is_empty() => {
                    if let Some(n) = repoll(&mut waiting[at], &mut model) {
                        held += n;
                        drop(waiting.remove(at));
                    }
                }
                _ => {
                    let n = dice.roll(3);
                    let expected = n == 0 || (model.waiting.is_empty() && n <= model.permits);
                    assert_eq!(semaphore.try_take(n).is_ok(), expected);
                    let n = if expected { n } else { 0 };
                    (model.permits, held) = (model.permits - n, held + n);
                }
            }
            settle(&mut waiting, &model);
            assert_eq!(semaphore.available_permits(), model.permits, "seed {seed}, step {id}");
        }
    }

    /// Red when the line is not served on a drop, when it is served out of order, and when a wake is missing.
    #[test]
    fn it_does_what_the_model_does() {
        (0..500).for_each(agrees_with_the_model);
    }
}
