//! Waiting: the line that the primitives of this room share, and the seat for one.
//!
//! A waiter is an entry of a slab, linked to its neighbours by index: joining and leaving take constant time, wherever
//! in the line, and allocate nothing once the slab has grown to the number of those who wait at the same time. No
//! unsafe list through the futures themselves: a future that was forgotten would have to be trusted with its memory,
//! and what it would save is one index.
//!
//! An entry is its future's alone: only the future removes it, when it is ready or dropped. Who has something for a
//! waiter *answers* it, which takes it out of the line and wakes it, and the answer lies in the entry until the future
//! fetches it. So a future that is dropped in between finds it, and can pass on what it was given
//! ([`leave`](Line::leave)). A future that was forgotten keeps its entry, and its place if it has not been answered.
//!
//! The invariant **Quiet** in this room: a waker is cloned, woken and dropped only here, and never while the list is
//! borrowed. Each such call may be anybody's code and come back into the primitive. So a primitive brings its own state
//! in order *before* it answers, and whatever was looked at before a clone is looked at again after it. A panic in a
//! wake or a drop of a waker ends there: it is not the one who sends that broke.

use crate::{driver::quietly, rt::coop};
use slab::Slab;
use std::{
    cell::{Cell, RefCell},
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

/// No entry lies at this index.
const NIL: usize = usize::MAX;

/// Those who wait, in the order in which they came. Each has a question, and gets an answer.
pub(super) struct Line<Q, A>(RefCell<Entries<Q, A>>);

/// A line in which all wait for the same: that somebody calls them to look again.
pub(super) type Crowd = Line<(), ()>;

struct Entries<Q, A> {
    slab: Slab<Entry<Q, A>>,
    first: usize,
    last: usize,
    /// How many have come so far.
    arrivals: u64,
}

struct Entry<Q, A> {
    question: Q,
    /// Whether it was answered; if so, it is not linked any more.
    answer: Option<A>,
    waker: Option<Waker>,
    arrival: u64,
    before: usize,
    behind: usize,
}

/// A future's place in a line. It has to [`leave`](Line::leave) before it is dropped.
#[derive(Debug, Default)]
pub(super) struct Place(Option<usize>);

impl<Q, A> Entries<Q, A> {
    fn join(&mut self, question: Q, waker: Option<Waker>) -> usize {
        let before = self.last;
        let arrival = self.arrivals;
        self.arrivals += 1;
        let key = self.slab.insert(Entry { question, answer: None, waker, arrival, before, behind: NIL });
        self.relink(before, NIL, key, key);
        key
    }

    /// Takes an entry out of the line, but not out of the slab.
    fn unlink(&mut self, key: usize) {
        let Entry { before, behind, .. } = self.slab[key];
        self.relink(before, behind, behind, before);
    }

    /// Says who comes behind `before`, and who before `behind`; the ends of the line stand for `NIL`.
    fn relink(&mut self, before: usize, behind: usize, next: usize, previous: usize) {
        match self.slab.get_mut(before) {
            Some(entry) => entry.behind = next,
            None => self.first = next,
        }
        match self.slab.get_mut(behind) {
            Some(entry) => entry.before = previous,
            None => self.last = previous,
        }
    }

    fn answer(&mut self, key: usize, answer: A) -> Option<Waker> {
        self.unlink(key);
        let entry = &mut self.slab[key];
        entry.answer = Some(answer);
        entry.waker.take()
    }
}

impl<Q: Copy, A: Copy> Line<Q, A> {
    pub(super) const fn new() -> Line<Q, A> {
        Line(RefCell::new(Entries { slab: Slab::new(), first: NIL, last: NIL, arrivals: 0 }))
    }

    /// Whether nobody waits. Those who were answered do not wait.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().first == NIL
    }

    /// The question of who has waited the longest.
    pub(super) fn first(&self) -> Option<Q> {
        let entries = self.0.borrow();
        entries.slab.get(entries.first).map(|entry| entry.question)
    }

    /// Answers and wakes who has waited the longest; false if nobody waits.
    pub(super) fn answer_first(&self, answer: A) -> bool {
        let first = self.0.borrow().first;
        self.answer(first, answer)
    }

    /// Answers and wakes who came last; false if nobody waits.
    pub(super) fn answer_last(&self, answer: A) -> bool {
        let last = self.0.borrow().last;
        self.answer(last, answer)
    }

    fn answer(&self, key: usize, answer: A) -> bool {
        let waits = key != NIL;
        if waits {
            let waker = self.0.borrow_mut().answer(key, answer);
            wake(waker);
        }
        waits
    }

    /// Answers all who wait now, the longest first. Who comes while they are woken is not among them.
    pub(super) fn answer_all(&self, answer: A) {
        let end = self.0.borrow().arrivals;
        let is_due = |entries: &Entries<Q, A>| entries.slab.get(entries.first).is_some_and(|entry| entry.arrival < end);
        while is_due(&self.0.borrow()) {
            self.answer_first(answer);
        }
    }

    /// Takes a place, if there is none, without anybody to wake: for a future that will be polled later.
    pub(super) fn join(&self, place: &mut Place, question: Q) {
        place.0.get_or_insert_with(|| self.0.borrow_mut().join(question, None));
    }

    /// Gives the answer, and frees the place. Who has no place gets what there is `at_once`, or joins the line with
    /// its question. `at_once` is asked twice; as long as it gives nothing, it must run no code of others.
    pub(super) fn poll(
        &self,
        place: &mut Place,
        cx: &mut Context<'_>,
        question: Q,
        mut at_once: impl FnMut() -> Option<A>,
    ) -> Poll<A> {
        let Some(key) = place.0 else {
            if let Some(answer) = at_once() {
                return Poll::Ready(answer);
            }
            let waker = cx.waker().clone();
            if let Some(answer) = at_once() {
                discard(Some(waker));
                return Poll::Ready(answer);
            }
            place.0 = Some(self.0.borrow_mut().join(question, Some(waker)));
            return Poll::Pending;
        };
        if self.will_wake(key, cx.waker()) {
            return Poll::Pending;
        }
        if self.0.borrow().slab[key].answer.is_none() {
            let waker = cx.waker().clone();
            // The clone may have brought the answer, to a waker that is not asked for any more.
            let old = self.0.borrow_mut().slab[key].waker.replace(waker);
            discard(old);
        }
        self.fetch(place).map_or(Poll::Pending, Poll::Ready)
    }

    /// Gives the answer, if there is one, and frees the place then.
    pub(super) fn fetch(&self, place: &mut Place) -> Option<A> {
        self.0.borrow().slab[place.0?].answer?;
        self.leave(place)
    }

    fn will_wake(&self, key: usize, waker: &Waker) -> bool {
        let entry = &self.0.borrow().slab[key];
        entry.answer.is_none() && entry.waker.as_ref().is_some_and(|old| old.will_wake(waker))
    }

    /// Frees the place, if it is taken. An answer that was not fetched is the caller's to pass on.
    pub(super) fn leave(&self, place: &mut Place) -> Option<A> {
        let key = place.0.take()?;
        let entry = self.remove(key);
        discard(entry.waker);
        entry.answer
    }

    fn remove(&self, key: usize) -> Entry<Q, A> {
        let mut entries = self.0.borrow_mut();
        if entries.slab[key].answer.is_none() {
            entries.unlink(key);
        }
        entries.slab.remove(key)
    }
}

impl Crowd {
    /// Waits until `check` gives something. It is asked at every poll; as long as it gives nothing, it must run no code
    /// of others. Who changes what it looks at calls [`answer_all`](Line::answer_all).
    pub(super) fn until<R, F: FnMut() -> Option<R>>(&self, check: F) -> Until<'_, F> {
        Until { crowd: self, place: Place::default(), check }
    }

    /// What [`until`](Crowd::until) does in one poll.
    pub(super) fn poll_until<R>(
        &self,
        place: &mut Place,
        cx: &mut Context<'_>,
        mut check: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        loop {
            if let Some(found) = check() {
                self.leave(place);
                return Poll::Ready(found);
            }
            let mut found = None;
            ready!(self.poll(place, cx, (), || {
                found = check();
                found.as_ref().map(|_| ())
            }));
            if let Some(found) = found {
                return Poll::Ready(found);
            }
        }
    }
}

impl<Q, A> fmt::Debug for Line<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("waiters", &self.0.borrow().slab.len()).finish()
    }
}

/// Waits in a crowd; made by [`Crowd::until`].
pub(super) struct Until<'a, F> {
    crowd: &'a Crowd,
    place: Place,
    check: F,
}

impl<R, F: FnMut() -> Option<R> + Unpin> Future for Until<'_, F> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = self.get_mut();
        let proceed = ready!(coop::poll_proceed(cx));
        let found = ready!(this.crowd.poll_until(&mut this.place, cx, &mut this.check));
        proceed.made_progress();
        Poll::Ready(found)
    }
}

impl<F> Drop for Until<'_, F> {
    fn drop(&mut self) {
        self.crowd.leave(&mut self.place);
    }
}

/// Where at most one waits: whoever polled last.
#[derive(Default)]
pub(super) struct Seat(Cell<Option<Waker>>);

impl Seat {
    /// Gives what `check` finds, or takes the seat. As long as `check` gives nothing, it must run no code of others.
    /// Who changes what it looks at calls [`wake`](Seat::wake).
    pub(super) fn poll_until<R>(&self, cx: &mut Context<'_>, mut check: impl FnMut() -> Option<R>) -> Poll<R> {
        if let Some(found) = check() {
            return Poll::Ready(found);
        }
        self.sit(cx.waker());
        // Taking the seat ran the code of wakers, which may have brought it while nobody sat here.
        check().map_or(Poll::Pending, Poll::Ready)
    }

    fn sit(&self, waker: &Waker) {
        let old = self.0.take();
        if old.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.0.set(old);
            return;
        }
        let between = self.0.replace(Some(waker.clone()));
        discard(old);
        discard(between);
    }

    /// Frees the seat.
    #[inline]
    pub(super) fn leave(&self) {
        discard(self.0.take());
    }

    /// Wakes who sits here, and frees the seat.
    #[inline]
    pub(super) fn wake(&self) {
        wake(self.0.take());
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seat")
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        quietly(|| waker.wake());
    }
}

fn discard(waker: Option<Waker>) {
    if let Some(waker) = waker {
        quietly(|| drop(waker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Wakes, hostile, unhurt};
    use std::rc::Rc;

    fn join(line: &Line<u8, ()>, question: u8, waker: &Waker) -> Place {
        let mut place = Place::default();
        assert!(line.poll(&mut place, &mut Context::from_waker(waker), question, || None).is_pending());
        place
    }

    #[test]
    fn who_leaves_from_anywhere_leaves_the_order_of_the_others() {
        for leaving in 0..5u8 {
            let (line, waker) = (Line::new(), Waker::noop());
            let mut places: Vec<Place> = (0..5).map(|n| join(&line, n, waker)).collect();
            assert!(line.leave(&mut places[usize::from(leaving)]).is_none());
            assert!(line.leave(&mut places[usize::from(leaving)]).is_none(), "a second time changes nothing");
            places.push(join(&line, 5, waker));
            let mut order = Vec::new();
            while let Some(question) = line.first() {
                order.push(question);
                assert!(line.answer_first(()));
            }
            assert_eq!(order, (0..6).filter(|&n| n != leaving).collect::<Vec<_>>());
            assert!(line.is_empty() && !line.answer_first(()) && !line.answer_last(()));
            let answers = places.iter_mut().filter_map(|place| line.leave(place)).count();
            assert_eq!((answers, line.0.borrow().slab.len()), (5, 0));
        }
    }

    #[test]
    fn a_slab_does_not_grow_with_those_who_were_there() {
        let (line, waker) = (Line::new(), Waker::noop());
        for _ in 0..1000 {
            let mut places: Vec<Place> = (0..3).map(|n| join(&line, n, waker)).collect();
            line.answer_last(());
            places.iter_mut().for_each(|place| _ = line.leave(place));
        }
        assert!(line.0.borrow().slab.capacity() <= 4);
    }

    #[test]
    fn only_the_waker_of_the_last_poll_is_woken() {
        let (line, (one, first), (two, second)) = (Line::new(), Wakes::new(), Wakes::new());
        let mut place = join(&line, 0, &first);
        assert!(line.poll(&mut place, &mut Context::from_waker(&second), 0, || None).is_pending());
        assert!(line.answer_first(()));
        assert_eq!((one.take(), two.take()), (0, 1));
        assert!(line.poll(&mut place, &mut Context::from_waker(&first), 0, || None).is_ready());
    }

    /// Red when the answer is not looked for after the clone: the wake went to the waker that was replaced.
    #[test]
    fn an_answer_that_comes_during_a_clone_is_not_lost() {
        let line = Rc::new(Line::new());
        let mut place = join(&line, 0, Waker::noop());
        let inside = line.clone();
        let waker = hostile(move || _ = inside.answer_first(()));
        assert!(line.poll(&mut place, &mut Context::from_waker(&waker), 0, || None).is_ready());
        let inside = Rc::new(Cell::new(None));
        let there = inside.clone();
        let waker = hostile(move || there.set(Some(())));
        let mut place = Place::default();
        assert!(line.poll(&mut place, &mut Context::from_waker(&waker), 0, || inside.get()).is_ready());
        let (seat, found) = (Rc::new(Seat::default()), Rc::new(Cell::new(None)));
        let (there, bring) = (seat.clone(), found.clone());
        let waker = hostile(move || {
            bring.set(Some(()));
            there.wake();
        });
        assert!(seat.poll_until(&mut Context::from_waker(&waker), || found.get()).is_ready());
    }

    /// Red without the bound: whoever joins while all are woken would be woken, too, and join again without end.
    #[test]
    fn all_are_those_who_were_there() {
        let crowd = Rc::new(Crowd::new());
        let places = Rc::new(RefCell::new(Vec::new()));
        let (again, kept) = (crowd.clone(), places.clone());
        let waker = hostile(move || {
            let mut place = Place::default();
            again.join(&mut place, ());
            kept.borrow_mut().push(place);
            assert!(kept.borrow().len() < 100, "woken without end");
        });
        let mut place = Place::default();
        let _ = crowd.poll(&mut place, &mut Context::from_waker(&waker), (), || None);
        crowd.answer_all(());
        assert!(crowd.leave(&mut place).is_some() && !crowd.is_empty());
        unhurt();
    }

    #[test]
    fn a_waker_that_panics_costs_the_others_nothing() {
        let (crowd, (wakes, waker)) = (Crowd::new(), Wakes::new());
        let bad = hostile(|| panic!("a waker that panics, on purpose"));
        let mut places = [const { Place(None) }; 2];
        crowd.join(&mut places[0], ());
        crowd.0.borrow_mut().slab[0].waker = Some(bad);
        assert!(crowd.poll(&mut places[1], &mut Context::from_waker(&waker), (), || None).is_pending());
        crowd.answer_all(());
        assert_eq!(wakes.take(), 1);
    }
}
