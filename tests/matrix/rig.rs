//! The task, the output and the wakers of a case, and what counts them.

use crate::{
    case::{Act, Bomb, By, Case, Deed, Kept, Moment, Place},
    oracle::{Outcome, Seen},
};
use annulus::{JoinHandle, spawn};
use std::{
    future::pending,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
};

/// A thread that does what it is told while the other one waits. (A channel would allocate whenever it has to wait.)
#[derive(Clone)]
pub(crate) struct Afar(Arc<(Mutex<Order>, Condvar)>);

enum Order {
    None,
    Given(Box<dyn FnOnce() + Send>),
    Taken,
    Panicked,
}

impl Afar {
    pub(crate) fn new() -> Afar {
        let afar = Afar(Arc::new((Mutex::new(Order::None), Condvar::new())));
        let there = afar.clone();
        // It is there until the process ends.
        thread::spawn(move || {
            loop {
                there.wait_while(|order| !matches!(order, Order::Given(_)));
                let order = mem::replace(&mut *lock(&there.0.0), Order::Taken);
                let panicked = if let Order::Given(order) = order { panics(order) } else { false };
                there.set(if panicked { Order::Panicked } else { Order::None });
            }
        });
        afar
    }

    pub(crate) fn run(&self, order: impl FnOnce() + Send + 'static) {
        self.set(Order::Given(Box::new(order)));
        self.wait_while(|order| matches!(order, Order::Given(_) | Order::Taken));
        assert!(matches!(*lock(&self.0.0), Order::None), "the other thread panicked");
    }

    fn set(&self, order: Order) {
        *lock(&self.0.0) = order;
        self.0.1.notify_all();
    }

    fn wait_while(&self, condition: impl Fn(&mut Order) -> bool) {
        drop(self.0.1.wait_while(lock(&self.0.0), condition));
    }

    fn run_at(&self, place: Place, order: impl FnOnce() + Send + 'static) {
        match place {
            Place::Home => order(),
            Place::Afar => self.run(order),
        }
    }
}

/// A panic while one is held is on purpose.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it panics.
fn panics(code: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(code)).is_err()
}

/// A case under way.
#[derive(Clone)]
pub(crate) struct Trial {
    pub(crate) case: Case,
    shared: Arc<Shared>,
    afar: Afar,
}

struct Shared {
    home: ThreadId,
    seen: Mutex<Seen>,
    /// Things of the runtime's thread that were dropped on another one.
    strays: Mutex<usize>,
    handle: Mutex<Option<JoinHandle<Output>>>,
    waker: Mutex<Option<Waker>>,
}

impl Trial {
    pub(crate) fn new(case: Case, afar: Afar) -> Trial {
        let (seen, strays, handle, waker) = Default::default();
        let shared = Arc::new(Shared { home: thread::current().id(), seen, strays, handle, waker });
        Trial { case, shared, afar }
    }

    pub(crate) fn spawn(&self) {
        let handle = spawn(Subject { trial: self.clone(), _here: Rc::default() });
        *lock(&self.shared.handle) = Some(handle);
    }

    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut lock(&self.shared.seen));
    }

    fn take_handle(&self) -> Option<JoinHandle<Output>> {
        lock(&self.shared.handle).take()
    }

    fn abort(&self) {
        lock(&self.shared.handle).iter().for_each(JoinHandle::abort);
    }

    fn drop_handle(&self) {
        let handle = self.take_handle();
        let loud = panics(|| drop(handle));
        self.see(|seen| seen.loud += usize::from(loud));
    }

    /// Polls the handle, and keeps it if there is no answer yet.
    fn ask(&self) {
        let Some(mut handle) = self.take_handle() else { return };
        let waker = Waker::from(Arc::new(Joiner(self.clone())));
        match pin!(&mut handle).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => *lock(&self.shared.handle) = Some(handle),
            Poll::Ready(answer) => {
                let outcome = match &answer {
                    Ok(_) => Outcome::Output,
                    Err(error) if error.is_cancelled() => Outcome::Cancelled,
                    Err(error) => {
                        let text = error.to_string();
                        let known = ["poll", "second poll", "future"].into_iter();
                        let mut known = known.filter(|known| text == format!("the task panicked: {known}"));
                        Outcome::Panic(known.next().unwrap_or("of somebody else"))
                    }
                };
                self.see(|seen| seen.answer = Some(outcome));
                panics(|| drop(answer));
            }
        }
        panics(|| drop(waker));
    }

    /// What the case does with its handle at `now`.
    pub(crate) fn handle(&self, now: Moment) {
        if let Some(handle) = &*lock(&self.shared.handle) {
            self.see(|seen| seen.finished.push(handle.is_finished()));
        }
        let Case { deed, when, place, .. } = self.case;
        let trial = self.clone();
        match deed {
            Deed::AwaitAndDrop if now > when => self.afar.run_at(place, move || trial.drop_handle()),
            _ if now != when => {}
            Deed::Drop => self.afar.run_at(place, move || trial.drop_handle()),
            Deed::Abort => self.afar.run_at(place, move || trial.abort()),
            Deed::Await | Deed::AwaitAndDrop => self.afar.run_at(place, move || trial.ask()),
        }
    }

    /// Wakes as the case wants it, with the waker that the future handed out, and lets go of that if it is not kept.
    pub(crate) fn wake(&self) {
        let kept = if self.case.kept == Kept::No { None } else { lock(&self.shared.waker).clone() };
        let Some(waker) = mem::replace(&mut *lock(&self.shared.waker), kept) else { return };
        let wake = move |times| {
            (1..times).for_each(|_| waker.wake_by_ref());
            waker.wake();
        };
        let times = self.case.times;
        match self.case.by {
            By::Nobody => drop(wake),
            By::Somebody(place) => self.afar.run_at(place, move || wake(times)),
            By::Drop => {
                let mut wake = Some(wake);
                let guard = OnDrop(move || wake.take().into_iter().for_each(|wake| wake(times)));
                let other = spawn(async {
                    let _guard = guard;
                    pending::<()>().await;
                });
                other.abort();
            }
        }
    }

    /// Wakes again, and lets go of the waker if this was its last time.
    pub(crate) fn wake_late(&self, now: Moment) {
        let last = now == Moment::Ended || self.case.kept != Kept::Ended;
        let waker = if last { lock(&self.shared.waker).take() } else { lock(&self.shared.waker).clone() };
        let place = if self.case.by == By::Somebody(Place::Afar) { Place::Afar } else { Place::Home };
        self.afar.run_at(place, move || waker.into_iter().for_each(Waker::wake));
    }

    /// What was seen in the end; nothing else of the case may be left.
    pub(crate) fn end(self) -> Result<Seen, String> {
        self.ask();
        let strays = *lock(&self.shared.strays);
        let shared = Arc::try_unwrap(self.shared)
            .map_err(|shared| format!("{} parts of it are left over", Arc::strong_count(&shared) - 1))?;
        if strays > 0 {
            return Err(format!("{strays} futures were dropped on another thread"));
        }
        Ok(shared.seen.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The future. It is not `Send`.
struct Subject {
    trial: Trial,
    _here: Rc<()>,
}

impl Future for Subject {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let trial = &self.trial;
        trial.see(|seen| seen.polls += 1);
        let polls = lock(&trial.shared.seen).polls;
        if polls > 1 {
            return match trial.case.act {
                Act::Never => Poll::Pending,
                Act::WaitAndPanic => panic!("second poll"),
                _ => Poll::Ready(Output(trial.clone())),
            };
        }
        *lock(&trial.shared.waker) = Some(cx.waker().clone());
        let wake = |place| {
            let waker = cx.waker().clone();
            trial.afar.run_at(place, move || waker.wake());
        };
        match trial.case.act {
            Act::Ready => return Poll::Ready(Output(trial.clone())),
            Act::ReadyWoken(place) => {
                wake(place);
                return Poll::Ready(Output(trial.clone()));
            }
            Act::ReadyAborted => {
                trial.abort();
                return Poll::Ready(Output(trial.clone()));
            }
            Act::Panic => panic!("poll"),
            Act::PanicWoken(place) => {
                wake(place);
                panic!("poll");
            }
            Act::Yield => wake(Place::Home),
            Act::Wait | Act::WaitAndPanic | Act::Never => {}
            Act::AbortSelf => trial.abort(),
            Act::DropHandle => trial.drop_handle(),
            Act::JoinSelf => {
                let mut handle = lock(&trial.shared.handle);
                let answers = handle.as_mut().is_some_and(|handle| pin!(handle).poll(cx).is_ready());
                assert!(!answers, "a task that runs has an output");
            }
        }
        Poll::Pending
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.trial.see(|seen| seen.futures_dropped += 1);
        if thread::current().id() != self.trial.shared.home {
            *lock(&self.trial.shared.strays) += 1;
        }
        assert!(self.trial.case.bomb != Bomb::Future, "future");
    }
}

/// What the task gives.
struct Output(Trial);

impl Drop for Output {
    fn drop(&mut self) {
        self.0.see(|seen| seen.outputs_dropped += 1);
        assert!(self.0.case.bomb != Bomb::Output, "output");
    }
}

/// Who awaits the handle.
struct Joiner(Trial);

impl Wake for Joiner {
    fn wake(self: Arc<Self>) {
        self.0.see(|seen| seen.wakes += 1);
        assert!(self.0.case.bomb != Bomb::Wake, "wake");
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        assert!(self.0.case.bomb != Bomb::Waker, "waker");
    }
}

/// Runs a closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
