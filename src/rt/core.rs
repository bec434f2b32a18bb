//! The loop, and what it keeps: the run queue, the list of tasks, the timers and the driver.
//!
//! No borrow of the core's cells spans a stranger's code (*Quiet*): wakers, polls and drops run between borrows, so
//! they may spawn, wake, abort and drop whatever they like.

use super::{
    blocking,
    clock::Clock,
    coop::Budget,
    current::{self, Running},
    hold::Holds,
    metrics::{Metrics, PollTimes},
    next::Next,
    observer::{self, Card, Observer},
    pool::Closures,
    pulse::Phase,
    queue::Queue,
    remote::Remote,
    stall::{self, Watch, Watched},
    task::{self, About, Begin, Class, Id, Ids, JoinHandle, KEPT, Outcome, RawTask, Store},
    timer::Timers,
};
use crate::{
    driver::{Batch, Driver, Histogram, Outlook, Wait, quietly, threads::Job},
    trace,
};
use std::{
    cell::{Cell, OnceCell, RefCell},
    io::{self, Write},
    mem,
    os::fd::BorrowedFd,
    panic::Location,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// How many polls a turn may hold before the driver, the timers and other threads' wakes are looked at: so many that
/// a turn's cost is spread thin, so few that a busy shard still looks up every few microseconds.
pub(super) const POLLS_PER_TURN: usize = 128;

/// How long the background runs for free in a turn. What is urgent may come with the next one.
const BACKGROUND_SLICE: Duration = Duration::from_micros(200);

/// How long nothing may happen before a clock that stands moves on in spite of operations that may wait for ever: so
/// long that what comes over a loopback device has come, so short that a test does not notice.
const PATIENCE: Duration = Duration::from_millis(1);

/// The thread's half of a runtime.
#[derive(Debug)]
pub(crate) struct Core {
    driver: Rc<Driver>,
    timers: Rc<RefCell<Timers>>,
    clock: Clock,
    remote: Arc<Remote>,
    holds: Holds,
    store: Store,
    /// Tasks to run.
    queue: Queue,
    /// The task that is being polled, which a poll inside of it borrows.
    current: Cell<Option<RawTask>>,
    budget: Budget,
    ids: Ids,
    /// Every task whose future is not gone, each with the runtime's reference, and at its key.
    tasks: RefCell<Vec<RawTask>>,
    closed: Cell<bool>,
    /// Made for the first observer.
    card: OnceCell<Arc<Card>>,
    /// There, if a watchdog looks for stalls.
    watched: Option<Arc<Watched>>,
    poll_times: Option<PollTimes>,
    background_polls: Cell<u64>,
    spawned: Cell<u64>,
    local_wakes: Cell<u64>,
    blocking: Cell<u64>,
    /// How many tasks wait for closures on other threads.
    blocked: Rc<Cell<usize>>,
    /// Where closures run.
    closures: Closures,
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

impl Core {
    pub(super) fn new(driver: Rc<Driver>, background_share: u8, start_paused: bool, closures: Closures) -> Core {
        let remote = Arc::new(Remote::new(driver.wake_handle()));
        let clock = Clock::new(start_paused);
        driver.learn_alone(|| current::with(Core::is_alone).unwrap_or(false));
        Core {
            driver,
            timers: Rc::new(RefCell::new(Timers::new(clock.now()))),
            clock,
            holds: Holds::new(remote.clone()),
            remote,
            store: Store::new(KEPT),
            queue: Queue::new(background_share),
            current: Cell::new(None),
            budget: Budget::new(),
            ids: Ids::new(),
            tasks: RefCell::default(),
            closed: Cell::new(false),
            card: OnceCell::new(),
            watched: None,
            poll_times: None,
            background_polls: Cell::new(0),
            spawned: Cell::new(0),
            local_wakes: Cell::new(0),
            blocking: Cell::new(0),
            blocked: Rc::default(),
            closures,
        }
    }

    pub(super) fn driver(&self) -> Rc<Driver> {
        self.driver.clone()
    }

    pub(super) fn timers(&self) -> Rc<RefCell<Timers>> {
        self.timers.clone()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// The count of tasks that hold the shared half.
    pub(super) fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Memory for tasks.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What is readable when the driver has something to do.
    pub(super) fn pollable(&self) -> io::Result<BorrowedFd<'_>> {
        let fd = self.driver.descriptor()?;
        // SAFETY: Home: the backend that owns the descriptor lives until the runtime ends, which takes the runtime by
        // value; so it outlives a borrow of it.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// The task that is being polled.
    pub(super) fn current(&self) -> Option<RawTask> {
        self.current.get()
    }

    /// The class of whoever runs now.
    pub(super) fn class(&self) -> Class {
        self.queue.class()
    }

    pub(super) fn next_id(&self) -> Id {
        self.ids.next()
    }

    pub(super) fn metrics(&self) -> Metrics {
        let (remote_wakes_sent, remote_wakes_elided, unawaited_panics) = self.remote.counts();
        let (turns, polls) = self.remote.pulse().beat();
        let (runnable, runnable_background) = self.queue.lengths();
        Metrics {
            turns,
            polls,
            background_polls: self.background_polls.get(),
            poll_times: self.poll_times.as_ref().map_or(Histogram::new(), PollTimes::times),
            tasks_alive: self.tasks.borrow().len(),
            runnable,
            runnable_background,
            tasks_spawned: self.spawned.get(),
            local_wakes: self.local_wakes.get(),
            remote_wakes_sent,
            remote_wakes_elided,
            unawaited_panics,
            blocking_jobs: self.blocking.get(),
            driver: self.driver.counters(),
            pool: self.driver.threads().counts(),
        }
    }

    /// Queues a task that was just notified on this thread.
    pub(super) fn push(&self, task: RawTask) {
        count(&self.local_wakes);
        self.queue.push(task, task.about());
    }

    /// Starts a task. A runtime that is ending drops its future at once: the handle gives a cancellation.
    pub(super) fn spawn<F, T>(&self, future: F, about: About) -> JoinHandle<T>
    where
        F: Future<Output = Outcome<T>> + 'static,
        T: 'static,
    {
        count(&self.spawned);
        let (task, handle) = task::new(future, about, self.holds.make(), &self.store);
        if self.closed.get() {
            task.begin();
            task.cancel();
            task.finish();
        } else {
            self.list(task);
            self.remote.pulse().meet(task.about());
            self.queue.push(task, task.about());
        }
        handle
    }

    /// Whether a program may ask for a closure to be run.
    pub(super) fn takes_closures(&self) -> bool {
        !matches!(self.closures, Closures::Refused)
    }

    /// Runs `job`, of the program's, where the program wants it.
    pub(super) fn spawn_blocking<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
        about: About,
    ) -> JoinHandle<R> {
        match &self.closures {
            Closures::Here => self.spawn_closure(job, about, |job| {
                quietly(job);
                Ok(())
            }),
            _ => self.spawn_aside(job, about),
        }
    }

    /// Runs `job`, which would keep this thread, on another one, whatever the program wants of its own closures.
    pub(super) fn spawn_aside<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
        about: About,
    ) -> JoinHandle<R> {
        self.spawn_closure(job, about, |job| match &self.closures {
            Closures::Outside(outside) => outside.schedule(job),
            _ => self.driver.threads().push(Job::Closure(job)),
        })
    }

    fn spawn_closure<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
        about: About,
        hand_over: impl FnOnce(Box<dyn FnOnce() + Send>) -> io::Result<()>,
    ) -> JoinHandle<R> {
        count(&self.blocking);
        let (job, result) = blocking::pair(job, about.clone(), self.remote.clone());
        if self.closed.get() {
            drop(job);
        } else if let Err(error) = hand_over(job) {
            result.refuse(error);
        }
        let blocked = Blocked::new(&self.blocked);
        let counted = async move {
            let _blocked = blocked;
            result.await
        };
        self.spawn(counted, about)
    }

    /// Takes a task into the list.
    fn list(&self, task: RawTask) {
        let mut tasks = self.tasks.borrow_mut();
        task.set_key(tasks.len());
        tasks.push(task);
    }

    /// Takes a task out of the list. The last one has its place from now on.
    fn strike(&self, task: RawTask) {
        let mut tasks = self.tasks.borrow_mut();
        let key = task.key();
        tasks.swap_remove(key);
        tasks.get(key).into_iter().for_each(|moved| moved.set_key(key));
    }

    /// Runs one task that came out of the queue.
    fn run(&self, task: RawTask) {
        let pulse = self.remote.pulse();
        match task.begin() {
            Begin::Spent => return task.release(),
            Begin::Abort => self.cancel(task),
            Begin::Poll => {
                pulse.poll(task.about());
                if task.about().class() == Class::Background {
                    count(&self.background_polls);
                }
                self.budget.renew();
                self.current.set(Some(task));
                let ended = self.measured(|| task.poll());
                self.current.set(None);
                if !ended {
                    return;
                }
            }
        }
        self.strike(task);
        pulse.forget(task.about());
        task.finish();
    }

    /// Has polls watched that take too long.
    pub(super) fn watch(&mut self, watch: Watch) -> io::Result<()> {
        let name = self.observer().name().map(String::from);
        self.watched = Some(stall::watch(self.remote.clone(), name, watch)?);
        Ok(())
    }

    /// Measures one poll in each `every` from now on; none, if that is 0.
    pub(super) fn measure_polls(&mut self, every: u32) {
        self.poll_times = (every > 0).then(|| PollTimes::new(every));
    }

    /// Runs a poll, and measures it if somebody wants to know.
    fn measured<R>(&self, poll: impl FnOnce() -> R) -> R {
        match &self.poll_times {
            None => poll(),
            Some(times) => times.measure(poll),
        }
    }

    /// From now on, others may look at this runtime.
    pub(super) fn observer(&self) -> Observer {
        let pulse = self.remote.pulse();
        if pulse.watch() {
            self.tasks.borrow().iter().for_each(|task| pulse.meet(task.about()));
            pulse.answer(|| self.metrics());
        }
        let card = self.card.get_or_init(|| Arc::new(Card { name: None, driver: self.driver.info().clone() }));
        Observer::new(self.remote.clone(), card.clone())
    }

    /// Gives the runtime a name, by which others find it.
    pub(super) fn name(&self, name: String) {
        let card = Card { name: Some(name), driver: self.driver.info().clone() };
        self.card.get_or_init(|| Arc::new(card));
        observer::list(&self.observer());
    }

    /// Says where the runtime is from now on. Who looks at it while nobody is inside gets what is told here.
    fn set_phase(&self, phase: Phase) {
        let pulse = self.remote.pulse();
        if phase != Phase::Running && pulse.is_watched() {
            pulse.rest(phase, || self.metrics());
        } else {
            pulse.set_phase(phase);
        }
    }

    /// Drops a task's future, which may ask whose it is.
    fn cancel(&self, task: RawTask) {
        self.remote.pulse().turn_to(task.about());
        self.current.set(Some(task));
        task.cancel();
        self.current.set(None);
    }

    /// Runs what is queued now, at most `most` tasks, and says how many. What they wake comes after them.
    fn round(&self, most: usize) -> usize {
        let round = self.queue.urgent().min(most);
        for _ in 0..round {
            self.queue.pop(Class::Latency).into_iter().for_each(|task| self.run(task));
        }
        round
    }

    fn is_urgent(&self) -> bool {
        self.queue.urgent() > 0 || self.remote.main_is_due()
    }

    /// Whether nothing waits for the end of the poll that runs now.
    pub(super) fn is_alone(&self) -> bool {
        !self.is_runnable()
    }

    fn is_runnable(&self) -> bool {
        self.is_urgent() || self.queue.has_background()
    }

    /// Runs tasks and `main` until `main` is ready.
    pub(super) fn block_on<F: Future>(self: &Rc<Self>, main: F, here: &'static Location<'static>) -> F::Output {
        let _running = Running::start(here);
        let _enter = current::enter(self);
        let _inside = Inside::enter(self);
        let mut main = pin!(main);
        let waker = Waker::from(self.remote.clone());
        let mut batch = Batch::default();
        self.remote.notify_main();
        loop {
            let main = || self.measured(|| main.as_mut().poll(&mut Context::from_waker(&waker)));
            if let Poll::Ready(output) = self.polls(here, main) {
                return output;
            }
            if let Err(error) = self.turn(Wait::Forever, &mut batch) {
                panic!("annulus: the driver failed, and with it the runtime: {error}");
            }
        }
    }

    /// One turn, for whoever has a loop of his own: it sleeps `limit` long at most, and not at all after it has run
    /// something, which may be what the caller waits for. Says what comes next.
    pub(super) fn turn_once(self: &Rc<Self>, limit: Duration, here: &'static Location<'static>) -> io::Result<Next> {
        let _running = Running::start(here);
        let _enter = current::enter(self);
        let _inside = Inside::enter(self);
        self.remote.end_sleep();
        let before = self.remote.pulse().beat();
        let _: Poll<()> = self.polls(here, || Poll::Pending);
        let limit = if self.remote.pulse().beat() == before { limit } else { Duration::ZERO };
        self.turn(Wait::For(limit), &mut Batch::default())?;
        if self.is_runnable() {
            return Ok(Next::Now);
        }
        let timer = self.timers.borrow().next().map(|next| next.saturating_duration_since(self.clock.now()));
        // A clock that stands is moved by turns. The announced sleep is the caller's: whoever wakes the runtime from
        // now on rings its bell.
        let moves = timer.is_some() && self.clock.stopped().is_some();
        match self.driver.rests().filter(|_| !moves && self.remote.try_sleep()) {
            None => Ok(Next::Now),
            Some(wait) => Ok(Next::after(wait.at_most(timer))),
        }
    }

    /// A turn's polls: what is urgent, and what waits in the background as far as its share goes.
    fn polls<T>(&self, here: &'static Location<'static>, main: impl FnMut() -> Poll<T>) -> Poll<T> {
        let waited_for = self.queue.has_background().then(Instant::now);
        let main = self.slice(here, main);
        if let (Poll::Pending, Some(since)) = (&main, waited_for) {
            self.background(since);
        }
        main
    }

    /// Runs rounds until nothing is urgent or the turn's polls are used up. `main` has its place in each round.
    fn slice<T>(&self, here: &'static Location<'static>, mut main: impl FnMut() -> Poll<T>) -> Poll<T> {
        let mut left = POLLS_PER_TURN;
        while left > 0 && self.is_urgent() {
            if self.remote.take_main() {
                self.remote.pulse().poll_main(here);
                left -= 1;
                self.budget.renew();
                if let Poll::Ready(output) = main() {
                    return Poll::Ready(output);
                }
            }
            left -= self.round(left);
        }
        Poll::Pending
    }

    /// Runs what waits in the background and has done so `since`: as long as its credit lasts, or, when nothing is
    /// urgent, for a while, since that may have changed.
    fn background(&self, since: Instant) {
        let began = Instant::now();
        self.queue.earn(began.duration_since(since));
        self.queue.turn_to(Class::Background);
        let mut now = began;
        while self.queue.has_credit() || (!self.is_urgent() && now.duration_since(began) < BACKGROUND_SLICE) {
            let Some(task) = self.queue.pop(Class::Background) else { break };
            self.run(task);
            let before = mem::replace(&mut now, Instant::now());
            self.queue.spend(now.duration_since(before), self.is_urgent());
        }
        self.queue.turn_to(Class::Latency);
        self.queue.settle();
    }

    /// Lets the driver work, and sleeps in it, as `limit` allows, if there is nothing to run.
    fn turn(&self, limit: Wait, batch: &mut Batch) -> io::Result<()> {
        let pulse = self.remote.pulse();
        pulse.turn();
        let until = self.expire(batch);
        let sleeps = !self.is_runnable() && self.remote.try_sleep();
        let wait = match until {
            _ if !sleeps => Wait::Not,
            Some(_) if self.clock.stopped().is_some() => self.patience().no_longer_than(limit),
            until => limit.at_most(until),
        };
        let result = self.driver.turn(wait, batch);
        self.remote.end_sleep();
        batch.run();
        for task in self.remote.take().map(RawTask::from_header) {
            self.queue.push(task, task.about());
        }
        if pulse.is_asked() && pulse.is_watched() {
            pulse.answer(|| self.metrics());
        }
        if sleeps && self.clock.stopped().is_some() {
            self.skip();
        }
        result
    }

    /// How long a clock that stands is kept from moving by what is under way.
    fn patience(&self) -> Wait {
        match self.driver.outlook() {
            _ if self.blocked.get() > 0 => Wait::Forever,
            Outlook::Ends => Wait::Forever,
            Outlook::Waits => Wait::For(PATIENCE),
            Outlook::Rests => Wait::Not,
        }
    }

    /// Sets a clock that stands to the next deadline, when there is nothing else to wait for.
    fn skip(&self) {
        if self.is_runnable() || self.patience() == Wait::Forever {
            return;
        }
        if let Some(next) = self.timers.borrow().next_exactly() {
            self.clock.set_forward(next.saturating_duration_since(self.clock.now()));
        }
    }

    /// Wakes what is due and says how long to wait for the next: the turn's one look at the clock.
    fn expire(&self, batch: &mut Batch) -> Option<Duration> {
        self.timers.borrow().next()?;
        let now = self.clock.now();
        match self.clock.stopped() {
            None => self.timers.borrow_mut().expire(now, batch.wakers()),
            Some(now) => self.timers.borrow_mut().expire_exactly(now, batch.wakers()),
        }
        batch.run();
        let next = self.timers.borrow().next()?;
        Some(next.saturating_duration_since(now))
    }

    /// Ends the runtime: no new entries, no new tasks, every future dropped here, late wakes stopped, the driver
    /// drained for at most `deadline`. The second call does nothing.
    pub(super) fn shut_down(self: &Rc<Self>, deadline: Duration) {
        if self.closed.replace(true) {
            return;
        }
        let _enter = current::enter(self);
        self.driver.close();
        let tasks = mem::take(&mut *self.tasks.borrow_mut());
        for task in tasks {
            self.cancel(task);
            task.finish();
        }
        self.queue.take().for_each(RawTask::release);
        self.remote.close().map(RawTask::from_header).for_each(RawTask::release);
        let mut idle = Vec::new();
        self.timers.borrow_mut().clear(&mut idle);
        idle.into_iter().for_each(task::drop_quietly);
        let began = matches!(self.closures, Closures::Outside(_)).then(Instant::now);
        let (leaked, inside) = self.driver.drain(deadline);
        let left = began.map_or(deadline, |began| deadline.saturating_sub(began.elapsed()));
        let closures = inside + self.closures.wait(left);
        // A forked child says nothing: its parent waits, and another thread may have had the lock of that as well.
        if leaked > 0 && self.remote.is_here() {
            tell(&format!("{leaked} operations did not end within {deadline:?}; leaked"));
        }
        if closures > 0 {
            let left = "closures of spawn_blocking did not end within";
            tell(&format!("{closures} {left} {deadline:?}; they run on by themselves"));
        }
        self.set_phase(Phase::Ended);
        if self.remote.pulse().is_watched() {
            observer::strike(&self.remote);
        }
    }
}

/// Tells what went wrong at the end.
fn tell(text: &str) {
    trace::error(text);
    let _ = writeln!(io::stderr(), "annulus: {text}");
}

/// Marks a runtime as running, as long as it lives.
struct Inside<'a>(&'a Core);

impl Inside<'_> {
    fn enter(core: &Core) -> Inside<'_> {
        core.set_phase(Phase::Running);
        core.watched.iter().for_each(|watched| watched.enter());
        Inside(core)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.set_phase(Phase::Resting);
        self.0.watched.iter().for_each(|watched| watched.leave());
    }
}

/// Counts a task that waits for a closure, as long as it does.
struct Blocked(Rc<Cell<usize>>);

impl Blocked {
    fn new(count: &Rc<Cell<usize>>) -> Blocked {
        count.set(count.get() + 1);
        Blocked(count.clone())
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
