//! Looking at a runtime from other threads.

use super::{
    metrics::Metrics,
    pulse::{Answer, Phase, Polled},
    remote::Remote,
};
use crate::{driver::DriverInfo, sys::per_process::PerProcess};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// Looks at a runtime from any thread, while it runs.
///
/// Made by [`Runtime::observer`](super::Runtime::observer), and by [`runtimes`] for each runtime with a
/// [name](super::Builder::name). It keeps neither the runtime nor its driver alive.
///
/// ```
/// use std::time::Duration;
///
/// let runtime = annulus::Runtime::new()?;
/// let observer = runtime.observer();
/// let monitor = std::thread::spawn(move || observer.look(Duration::from_secs(1)));
/// runtime.block_on(annulus::time::sleep(Duration::from_millis(50)));
/// let sight = monitor.join().unwrap();
/// println!("{}: {} polls", sight.activity, sight.metrics.polls);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    remote: Arc<Remote>,
    card: Arc<Card>,
}

/// What does not change about a runtime.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) name: Option<String>,
    pub(super) driver: DriverInfo,
}

/// What an [`Observer`] saw.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sight {
    /// What the runtime was doing.
    pub activity: Activity,
    /// Its counters: those of the moment if it answered; the latest that it told otherwise, but for `turns` and
    /// `polls`, which are always known.
    pub metrics: Metrics,
}

/// What a runtime was doing when somebody looked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Activity {
    /// It runs tasks, or sleeps until there is something to do.
    Running,
    /// Nobody is inside of its [`block_on`](super::Runtime::block_on), so its tasks rest.
    Resting,
    /// It did not answer, and has not moved.
    Stuck(Stuck),
    /// It was shut down.
    Ended,
}

/// A runtime that does not move.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stuck {
    /// For how long at least: since somebody first saw it where it is now.
    pub since: Duration,
    /// What it polls. `None`: it is in its driver, or in somebody's waker.
    pub polled: Option<Polled>,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activity::Running => f.write_str("running"),
            Activity::Resting => f.write_str("resting"),
            Activity::Ended => f.write_str("ended"),
            Activity::Stuck(stuck) => stuck.fmt(f),
        }
    }
}

/// `no turn for 3.2 s, in task 7 "reader" (src/main.rs:10:5)`.
impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no turn for {:.1} s, in ", self.since.as_secs_f64())?;
        match &self.polled {
            Some(polled) => polled.fmt(f),
            None => f.write_str("no task"),
        }
    }
}

impl Observer {
    pub(super) fn new(remote: Arc<Remote>, card: Arc<Card>) -> Observer {
        Observer { remote, card }
    }

    /// The runtime's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.card.name.as_deref()
    }

    /// Which driver it has, and why.
    #[must_use]
    pub fn driver(&self) -> &DriverInfo {
        &self.card.driver
    }

    /// Asks the runtime what it is doing. It answers at the end of its turn, and is woken for that if it sleeps.
    ///
    /// This blocks until it has, for at most `patience`. A runtime that has not moved by then is called stuck, so
    /// `patience` should be longer than a poll may take: a tenth of a second is plenty. On the runtime's own thread
    /// this waits in vain; [`metrics`](super::metrics) is for that.
    #[must_use]
    pub fn look(&self, patience: Duration) -> Sight {
        let pulse = self.remote.pulse();
        let (metrics, silent) = match pulse.ask(patience, || self.remote.rouse()) {
            Answer::Metrics(metrics) => (metrics, Duration::ZERO),
            Answer::None(metrics, silent) => (metrics, silent),
        };
        let activity = match pulse.phase() {
            Phase::Resting => Activity::Resting,
            Phase::Ended => Activity::Ended,
            // What has moved meanwhile is slow, but not stuck.
            Phase::Running if silent < patience || patience.is_zero() => Activity::Running,
            Phase::Running => Activity::Stuck(Stuck { since: silent, polled: pulse.polled() }),
        };
        Sight { activity, metrics }
    }
}

type Named = Vec<(Weak<Remote>, Arc<Card>)>;

/// The runtimes that have a name. Nothing here keeps one alive. A forked child has none of its parent's.
static NAMED: PerProcess<Mutex<Named>> = PerProcess::new();

/// No stranger's code runs under the lock, so a poisoned one is whole.
fn named() -> MutexGuard<'static, Named> {
    NAMED.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lists a runtime.
pub(super) fn list(observer: &Observer) {
    named().push((Arc::downgrade(&observer.remote), observer.card.clone()));
}

/// Strikes out a runtime that has ended.
pub(super) fn strike(remote: &Arc<Remote>) {
    named().retain(|(there, _)| there.as_ptr() != Arc::as_ptr(remote));
}

/// The process's runtimes that were given a [name](super::Builder::name) and have not ended, oldest first.
/// A forked child begins with none.
#[must_use]
pub fn runtimes() -> Vec<Observer> {
    let alive =
        |(remote, card): &(Weak<Remote>, Arc<Card>)| Some(Observer { remote: remote.upgrade()?, card: card.clone() });
    named().iter().filter_map(alive).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rt::{Builder, Polled, Runtime, TaskBuilder, observer, spawn, yield_now},
        testing::in_child,
        time::sleep,
    };
    use static_assertions::assert_impl_all;
    use std::{future::pending, sync::mpsc, thread, time::Instant};

    assert_impl_all!(Observer: Send, Sync, Clone);

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(10);

    /// Red when it has its parent's list, which another thread may hold at the fork.
    #[test]
    fn a_forked_child_has_none_of_its_parents_runtimes() {
        let _parents = Builder::new().name("parents").build().unwrap();
        let held = named();
        assert!(!held.is_empty() && in_child(|| assert!(runtimes().is_empty())));
        drop(held);
    }

    /// Red when it is told that a runtime rests before the answer is there that goes with it.
    #[test]
    fn who_rests_has_answered() {
        let runtime = Runtime::new().unwrap();
        let pulse = runtime.core.remote().pulse();
        pulse.set_phase(Phase::Running);
        pulse.rest(Phase::Resting, || {
            assert_eq!(pulse.phase(), Phase::Running);
            runtime.metrics()
        });
        assert_eq!(pulse.phase(), Phase::Resting);
    }

    /// Awaits what another thread does, and lets this one's tasks run meanwhile.
    async fn elsewhere<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        crate::spawn_blocking(work).await.unwrap()
    }

    /// Red when the sleeper is not roused, or does not look at the question before it sleeps.
    #[crate::test]
    async fn who_sleeps_answers_and_who_is_busy_does_too() {
        let observer = observer();
        assert_eq!(observer.driver(), &crate::driver());
        let sleeper = spawn(pending::<()>());
        for busy in [false, true] {
            let worker = busy.then(|| {
                spawn(async {
                    loop {
                        yield_now().await
                    }
                })
            });
            let (other, before) = (observer.clone(), crate::metrics());
            elsewhere(move || {
                for _ in 0..50 {
                    let (began, sight) = (Instant::now(), other.look(LONG));
                    assert!(began.elapsed() < LONG, "it was not roused");
                    assert!(matches!(sight.activity, Activity::Running), "{sight:?}");
                    assert!(sight.metrics.turns > before.turns && sight.metrics.tasks_alive >= 2, "{sight:?}");
                }
            })
            .await;
            worker.inspect(|worker| worker.abort());
        }
        assert_eq!(crate::metrics().remote_wakes_sent + crate::metrics().remote_wakes_elided, 2, "one for each answer");
        sleeper.abort();
    }

    /// Red when the beat is not remembered from one look to the next, or a name is looked up nowhere.
    #[crate::test]
    async fn who_is_stuck_is_named() {
        let observer = observer();
        let (stuck, line) = (TaskBuilder::new().name("reader"), line!() + 1);
        let stuck = stuck.spawn(async move {
            let look = |patience| move |observer: &Observer| observer.look(Duration::from_millis(patience));
            thread::scope(|scope| {
                let first = scope.spawn(|| look(50)(&observer)).join().unwrap();
                let second = scope.spawn(|| look(30)(&observer)).join().unwrap();
                [first, second]
            })
        });
        let id = stuck.id();
        let sights = stuck.await.unwrap();
        let mut before = Duration::from_millis(50);
        for sight in &sights {
            let Activity::Stuck(Stuck { since, polled: Some(polled), .. }) = &sight.activity else {
                panic!("{sight:?}")
            };
            let Polled { task, name, from } = polled;
            assert_eq!((task, name.as_deref(), from.file(), from.line()), (&Some(id), Some("reader"), file!(), line));
            assert!(*since >= before, "{sight:?}");
            before = *since + Duration::from_millis(30);
            let text = sight.activity.to_string();
            assert!(text.starts_with("no turn for 0."), "{text}");
            assert!(text.ends_with(&format!(" s, in task {id} \"reader\" ({from})")), "{text}");
        }
        assert!(crate::metrics().polls > sights[1].metrics.polls);
    }

    /// Red when the main future leaves no mark, or when what moves counts as stuck.
    #[test]
    fn a_main_future_that_is_stuck_is_named_and_a_slow_one_is_none() {
        let runtime = Runtime::new().unwrap();
        let (observer, line) = (runtime.observer(), line!() + 1);
        let sight = runtime.block_on(async {
            yield_now().await;
            thread::scope(|scope| scope.spawn(|| observer.look(Duration::from_millis(20))).join().unwrap())
        });
        let Activity::Stuck(Stuck { polled: Some(polled), .. }) = &sight.activity else { panic!("{sight:?}") };
        assert_eq!((polled.task, polled.from.line()), (None, line));
        // Ten polls of ten milliseconds, and no turn's end in sight.
        let other = observer.clone();
        let sight = runtime.block_on(async move {
            let (tell, told) = mpsc::channel();
            let look = thread::spawn(move || {
                told.recv().unwrap();
                other.look(Duration::from_millis(50))
            });
            tell.send(()).unwrap();
            while !look.is_finished() {
                thread::sleep(Duration::from_millis(1));
                yield_now().await;
            }
            look.join().unwrap()
        });
        assert!(matches!(sight.activity, Activity::Running), "{sight:?}");
    }

    #[test]
    fn who_rests_and_who_is_gone_is_known_without_asking() {
        let runtime = Runtime::new().unwrap();
        let observer = runtime.observer();
        let looks = || {
            let began = Instant::now();
            let sight = observer.look(LONG);
            assert!(began.elapsed() < LONG);
            sight
        };
        assert!(matches!(looks().activity, Activity::Resting));
        runtime.block_on(async { spawn(pending::<()>()).detach() });
        let sight = looks();
        assert!(matches!(sight.activity, Activity::Resting));
        assert_eq!((sight.metrics, sight.metrics.tasks_alive), (runtime.metrics(), 1), "as it was left");
        let end = runtime.shut_down();
        let sight = looks();
        assert!(matches!(sight.activity, Activity::Ended));
        assert_eq!((sight.metrics, sight.activity.to_string().as_str()), (end, "ended"));
    }

    #[test]
    fn runtimes_with_a_name_are_listed_until_their_end() {
        let listed = |name: &str| {
            let all = runtimes();
            all.into_iter().filter(|observer| observer.name() == Some(name)).count()
        };
        let build = |name: &str| Builder::new().name(name).build().unwrap();
        let (one, two) = (build("listed 1"), build("listed 2"));
        let unnamed = Runtime::new().unwrap();
        let _ = unnamed.observer();
        assert!(runtimes().iter().all(|observer| observer.name().is_some()));
        assert_eq!((listed("listed 1"), listed("listed 2")), (1, 1));
        drop(one);
        assert_eq!((listed("listed 1"), listed("listed 2")), (0, 1));
        two.shut_down();
        assert_eq!(listed("listed 2"), 0);
    }

    /// Red when a poll is measured that is not the `every`th.
    #[test]
    fn polls_are_measured_as_often_as_asked() {
        for (every, measured) in [(0, 0), (1, 40), (4, 10), (41, 0)] {
            let runtime = Builder::new().poll_time_histogram(every).build().unwrap();
            runtime.block_on(async {
                for _ in 0..39 {
                    yield_now().await;
                }
            });
            let metrics = runtime.metrics();
            assert_eq!((metrics.polls, metrics.poll_times.count()), (40, measured), "one in {every}");
        }
        let runtime = Builder::new().poll_time_histogram(1).build().unwrap();
        runtime.block_on(async { thread::sleep(Duration::from_millis(3)) });
        let metrics = runtime.metrics();
        assert!(*metrics.poll_times.quantile(1.0).unwrap().end() > 3_000_000, "{metrics}");
        assert!(metrics.to_string().contains("polls    1 in 0 turns, half of them below "), "{metrics}");
    }

    #[crate::test]
    async fn classes_are_counted_apart() {
        let class = crate::task::Class::Background;
        let tasks: Vec<_> = (0..5).map(|_| TaskBuilder::new().class(class).spawn(yield_now())).collect();
        let waiting = crate::metrics();
        assert_eq!((waiting.runnable, waiting.runnable_background), (0, 5));
        for task in tasks {
            task.await.unwrap();
        }
        sleep(Duration::from_millis(1)).await;
        let done = crate::metrics();
        assert_eq!((done.background_polls - waiting.background_polls, done.runnable_background), (10, 0));
    }
}
