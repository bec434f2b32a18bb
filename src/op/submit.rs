//! What an operation is, and the future that performs one.

use crate::{
    buf::Fixed,
    driver::{Answers, Driver, Fd, Orphan, Tried},
    entry::{BufIndex, Cqe, CqeFlags, Interest, Place, Sqe, Twin},
    op::{ending, flight::Flight},
    pool::RecvPool,
};
use std::{
    fmt,
    future::Future,
    mem::{self, MaybeUninit},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// One operation: as data, by hand, and as an answer.
///
/// From before [`Op::encode`] until [`Op::finish`] the value lies in `MaybeUninit` and nothing touches it but moves; a
/// moved `Box` or `&mut` would otherwise claim to be the only way to its memory while the kernel writes there.
///
/// # Safety
/// **Lent**: memory that the entry names stays valid and in place until `finish`, even when `self` is moved, and
/// nothing else reads or writes it meanwhile in a way that would conflict with what the entry does to it. `twin` means
/// the same as the entry: it touches no memory and no descriptor that the entry does not name.
pub unsafe trait Op: Unpin + 'static {
    /// What the operation gives.
    type Output;

    /// Whether it goes on where operations are to [end early](crate::io::EarlyEnd). A close does.
    const GOES_ON: bool = false;

    /// Whether the kernel may use the memory for longer than until the result. The result is a completion of its own
    /// then, with `F_MORE`, and the final one says only that the memory is free.
    const LENDS: bool = false;

    /// The system call that does the same.
    fn twin(&self) -> &'static Twin;

    /// The descriptor that it works on, if it is a counted one.
    fn fd(&self) -> Option<&Fd> {
        None
    }

    /// The buffers that the entry selects from, if it does: they belong to one driver.
    fn pool(&self) -> Option<&RecvPool> {
        None
    }

    /// The entry. Called once.
    fn encode(&mut self) -> Sqe;

    /// Where the memory that the entry names is registered, if it is. Asked after `encode`.
    #[doc(hidden)]
    fn fixed(&self) -> Option<Fixed> {
        None
    }

    /// The same entry, for a ring that knows its memory as the registered buffer `index`. The twin takes both.
    #[doc(hidden)]
    fn fix(sqe: Sqe, index: BufIndex) -> Sqe {
        let _ = index;
        sqe
    }

    /// Turns the final completion into the output. Called once, also when nobody wants the output any more.
    fn finish(self, cqe: Cqe) -> Self::Output;
}

/// The future of an operation.
///
/// Dropping it before it is ready cancels the operation; see the [module's documentation](crate::op). Forgetting it
/// leaks the operation and nothing worse.
///
/// # Panics
/// Its first poll panics outside of a runtime, and any poll after it was ready.
#[must_use = "an operation does nothing until it is awaited"]
pub struct Submit<T: Op> {
    flight: Flight,
    op: MaybeUninit<T>,
    /// Why it was asked for an early end by the place that it is polled in: the number that it answers with instead.
    /// 0: it was not.
    ended: i32,
}

/// Makes an operation a future.
pub fn submit<T: Op>(op: T) -> Submit<T> {
    Submit { flight: Flight::new(), op: MaybeUninit::new(op), ended: 0 }
}

/// An answer to an operation that may be answered twice.
pub(super) enum Answer<T> {
    /// The result of one that lends; the final completion is owed.
    First(Cqe),
    /// The output.
    Last(T),
}

/// The answer to an operation whose buffers or direct descriptor belong to another runtime.
pub(super) const ELSEWHERE: Cqe = Cqe { user_data: 0, res: -libc::EXDEV, flags: CqeFlags::empty() };

/// The driver for an operation: the current one. `None` if its buffers or its descriptor belong to another.
pub(super) fn driver_of<T: Op>(op: &T) -> Option<Rc<Driver>> {
    let driver = Driver::current().expect("an annulus operation was polled outside of an annulus runtime");
    let knows_buffers = op.pool().is_none_or(|pool| Rc::ptr_eq(pool.driver(), &driver));
    let knows_descriptor = op.fd().is_none_or(|fd| fd.is_known_to(&driver));
    (knows_buffers && knows_descriptor).then_some(driver)
}

/// The descriptor that an operation waits for room in, if it does that.
fn written<T: Op>(op: &T) -> Option<&Fd> {
    op.fd().filter(|_| op.twin().place == Place::Ready(Interest::Write))
}

impl<T: Op> Submit<T> {
    /// Asks for an early end. The future has to be polled on: it gives whatever had been done, with the buffer, or
    /// `ECANCELED` if nothing had; a call that was running already may say `EINTR`. Does nothing before the first poll
    /// and after the last.
    pub fn cancel(&mut self) {
        if let Some((driver, key)) = self.flight.flying() {
            driver.cancel(key);
        }
    }

    /// Does it by hand and now, if that can be done without waiting; otherwise it is as if it had answered `EAGAIN`.
    /// For operations of which the twin waits for readiness, and that have not begun. On a direct descriptor nothing is
    /// done by hand: `EOPNOTSUPP`.
    pub(crate) fn now(mut self) -> T::Output {
        debug_assert!(self.flight.is_fresh(), "it has begun");
        // SAFETY: Fresh: `op` was put there by `submit`, and the operation has not begun.
        let op = unsafe { self.op.assume_init_mut() };
        if op.fd().is_some_and(Fd::is_direct) {
            return self.failed(libc::EOPNOTSUPP);
        }
        let (sqe, twin) = (op.encode(), op.twin());
        // SAFETY: Lent: until the call returns, which finishes the operation.
        let res = unsafe { (twin.call)(&sqe, 0) };
        self.finish_unbegun(Cqe { user_data: 0, res, flags: CqeFlags::empty() })
    }

    /// The operation itself, if it has not begun and is `idle`: there is nothing to be done.
    pub(super) fn take_unless_begun(&mut self, idle: impl FnOnce(&T) -> bool) -> Option<T> {
        if !self.flight.is_fresh() {
            return None;
        }
        // SAFETY: Fresh: `op` was put there by `submit` and has not been moved out.
        if !idle(unsafe { self.op.assume_init_ref() }) {
            return None;
        }
        self.flight.leave();
        // SAFETY: Fresh: the same; the flight says that it is moved out now.
        Some(unsafe { self.op.assume_init_read() })
    }

    /// Lets it go on by itself: nobody cancels it or hears what came of it. Where it cannot begin, it does not.
    pub(crate) fn detach(mut self) {
        if Driver::current().is_none() || self.start(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        if let Some((driver, key)) = self.flight.part() {
            let op = mem::replace(&mut self.op, MaybeUninit::uninit());
            driver.park(key, Box::new(Parked(op)), false);
        }
    }

    fn start(&mut self, cx: &mut Context<'_>) -> Poll<T::Output> {
        // SAFETY: Fresh: `op` was put there by `submit` and has not been moved out.
        let op = unsafe { self.op.assume_init_mut() };
        let Some(driver) = driver_of(op) else { return Poll::Ready(self.finish_unbegun(ELSEWHERE)) };
        let sqe = op.encode();
        let sqe = op.fixed().map_or(sqe, |fixed| driver.fixed(sqe, fixed, T::fix));
        let (mut twin, mut attempt) = (op.twin(), 0);
        let tried = driver.try_now(&sqe, &mut twin, &mut attempt, op.fd());
        if let Tried::Done(cqe) = tried {
            return Poll::Ready(self.finish_unbegun(cqe));
        }
        if let Some(fd) = written(op) {
            fd.begin_write();
        }
        let waker = cx.waker().clone();
        let key = match tried {
            Tried::Later(res) => driver.push_done(&sqe, twin, res, waker),
            _ => driver.push(&sqe, (twin, attempt), T::LENDS, op.fd(), waker),
        };
        self.flight.begin(driver, key);
        Poll::Pending
    }

    /// The answer of an operation that has not begun, and has no effect.
    fn failed(&mut self, errno: i32) -> T::Output {
        self.finish_unbegun(Cqe { user_data: 0, res: -errno, flags: CqeFlags::empty() })
    }

    /// The output, with the reason for an early end if nothing had been done.
    fn done(&mut self, cqe: Cqe) -> T::Output {
        let cqe = self.told(cqe);
        self.flight.part();
        // SAFETY: Settled: this is the operation's only final completion, so `op` is there and no longer lent; the
        // flight says that it is moved out now.
        let op = unsafe { self.op.assume_init_read() };
        if let Some(fd) = written(&op) {
            fd.end_write();
        }
        op.finish(cqe)
    }

    /// What is told of a completion.
    fn told(&self, cqe: Cqe) -> Cqe {
        let nothing = || [-libc::ECANCELED, -libc::EINTR].contains(&cqe.res);
        if self.ended != 0 && nothing() { Cqe { res: -self.ended, ..cqe } } else { cqe }
    }

    /// The output of an operation that was never given to a driver.
    fn finish_unbegun(&mut self, cqe: Cqe) -> T::Output {
        self.flight.leave();
        // SAFETY: Fresh: `op` was put there by `submit`; the flight says that it is moved out now.
        let op = unsafe { self.op.assume_init_read() };
        op.finish(cqe)
    }
}

impl<T: Op> Submit<T> {
    /// The next answer.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer<T::Output>> {
        let Some((driver, key)) = self.flight.flying() else {
            assert!(self.flight.is_fresh(), "an annulus operation was polled after it had given its output");
            return match ending::meant::<T>() {
                0 => self.start(cx).map(Answer::Last),
                errno => Poll::Ready(Answer::Last(self.failed(errno))),
            };
        };
        let mut answer = driver.poll(key, cx.waker());
        if answer.is_none() && self.ended == 0 && ending::meant::<T>() != 0 {
            self.ended = ending::meant::<T>();
            driver.cancel(key);
            answer = driver.poll(key, cx.waker());
        }
        match answer {
            None => Poll::Pending,
            Some(cqe) if cqe.is_final() => Poll::Ready(Answer::Last(self.done(cqe))),
            Some(cqe) => Poll::Ready(Answer::First(self.told(cqe))),
        }
    }
}

impl<T: Op> Future for Submit<T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        loop {
            match self.poll_answer(cx) {
                Poll::Ready(Answer::Last(output)) => return Poll::Ready(output),
                Poll::Ready(Answer::First(_)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: Op> Drop for Submit<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.flight.is_gone() {
            self.give_up();
        }
    }
}

impl<T: Op> Submit<T> {
    /// The end of an operation that has not given its output.
    #[cold]
    fn give_up(&mut self) {
        if self.flight.is_fresh() {
            // SAFETY: Fresh: `op` is there, was never lent, and nobody else will drop it.
            unsafe { self.op.assume_init_drop() }
        } else if let Some((driver, key)) = self.flight.part() {
            let op = mem::replace(&mut self.op, MaybeUninit::uninit());
            driver.abandon(key, Box::new(Parked(op)));
        }
    }
}

/// An operation whose future is gone, in its slot.
struct Parked<T: Op>(MaybeUninit<T>);

impl<T: Op> Orphan for Parked<T> {
    fn settle(self: Box<Self>, _: Answers, last: Cqe) {
        // SAFETY: Settled: a slot settles its operation once, with the final completion, so it is no longer lent.
        let op = unsafe { self.0.assume_init() };
        if let Some(fd) = written(&op) {
            fd.end_write();
        }
        // What it opened closes here, and what it borrowed is freed here.
        drop(op.finish(last));
    }
}

impl<T: Op> fmt::Debug for Submit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Submit({})", self.flight.state())
    }
}
