//! What a subscriber is told: a span for each task, around each of its polls, and what the drivers meet.

use annulus::{
    Builder, DriverKind,
    rt::{Class, TaskBuilder},
    yield_now,
};
use std::{
    collections::HashMap,
    fmt::Debug,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// What was told, in the order of its telling, with the thread that told it.
static TOLD: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());
/// Whether the subscriber panics when a span is entered or left.
static FAULTY: AtomicBool = AtomicBool::new(false);
/// The spans that are entered.
static INSIDE: Mutex<Vec<(ThreadId, u64)>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(text: String) {
    lock(&TOLD).push((thread::current().id(), text));
}

/// Takes what this thread told.
fn told() -> Vec<String> {
    let here = thread::current().id();
    let mut all = lock(&TOLD);
    let ours = all.iter().filter(|(thread, _)| *thread == here).map(|(_, text)| text.clone()).collect();
    all.retain(|(thread, _)| *thread != here);
    ours
}

struct Collector;

struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("annulus")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut fields = Fields(HashMap::new());
        span.record(&mut fields);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let get = |name| fields.0.get(name).cloned().unwrap_or_default();
        let (name, class, spawned) = (get("name"), get("class"), get("spawned"));
        note(format!("new {name} {class} {} {}", spawned.starts_with("tests/tracing.rs:"), span.is_root()));
        // From inside of a borrow of the runtime's, this would panic.
        let _ = annulus::metrics();
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(HashMap::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        let of_turn = fields.0["message"].contains("overrun");
        if of_turn {
            // From inside of the driver's borrow, this would panic, and nothing was noted.
            let _ = annulus::metrics();
        }
        note(format!("{} {} {}", metadata.level(), metadata.target(), fields.0["message"]));
        assert!(!of_turn, "a subscriber that panics, on purpose");
    }

    fn enter(&self, span: &Id) {
        lock(&INSIDE).push((thread::current().id(), span.into_u64()));
        note("enter".into());
        assert!(!FAULTY.load(Ordering::Relaxed), "a subscriber that panics, on purpose");
    }

    fn exit(&self, span: &Id) {
        let top = lock(&INSIDE).pop();
        let same = top == Some((thread::current().id(), span.into_u64()));
        note(if same { "exit" } else { "exit of another" }.into());
        assert!(!FAULTY.load(Ordering::Relaxed), "a subscriber that panics, on purpose");
    }

    fn try_close(&self, _: Id) -> bool {
        note("close".into());
        true
    }
}

/// All in one, as a process has one subscriber, and what is entered is seen across threads.
#[test]
fn a_subscriber_is_told_of_tasks_and_of_trouble() {
    tracing::subscriber::set_global_default(Collector).unwrap();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.to_string().contains("on purpose") {
            hook(info);
        }
    }));
    let poll = Builder::new().driver(DriverKind::Poll).build().unwrap();
    let first = told();
    let expected = format!("{} annulus::driver a driver was made, and it is not the ring's", Level::INFO);
    assert_eq!(first, [expected]);

    let mut left = None;
    poll.block_on(async {
        let task = TaskBuilder::new().name("walker").class(Class::Background).spawn(async {
            assert_eq!(lock(&INSIDE).len(), 1, "inside of its span");
            yield_now().await;
        });
        assert_eq!(lock(&INSIDE).len(), 0, "the main future has none");
        task.await.unwrap();
        left = Some(annulus::spawn(std::future::pending::<()>()));
    });
    // The future is polled twice and dropped once inside of its span, which is closed with the task's memory.
    let walk = ["new \"walker\" Background true true", "enter", "exit", "enter", "exit", "enter", "exit", "close"];
    let told_now = told();
    let of_walker: Vec<&str> = told_now.iter().map(String::as_str).take(walk.len()).collect();
    assert_eq!(of_walker, walk);
    assert_eq!(told_now[walk.len()..], ["new  Latency true true"]);
    drop(poll);
    drop(left);
    assert_eq!(told(), ["enter", "exit", "close"], "what a runtime's end drops is dropped inside of its span");

    // A subscriber that panics costs nobody an answer, and a task that panics by itself is not the process's end.
    FAULTY.store(true, Ordering::Relaxed);
    Builder::new().driver(DriverKind::Poll).build().unwrap().block_on(async {
        assert_eq!(annulus::spawn(async { 7 }).await.unwrap(), 7);
        let error = annulus::spawn(async { panic!("a task that panics, on purpose") }).await.unwrap_err();
        assert!(error.to_string().contains("a task that panics"), "{error}");
    });
    FAULTY.store(false, Ordering::Relaxed);
    told();

    match Builder::new().driver(DriverKind::Uring).entries(1).build() {
        Err(error) => drop(catch_unwind(AssertUnwindSafe(|| skip(&error)))),
        Ok(ring) => {
            ring.block_on(async {
                let nops: Vec<_> = (0..300).map(|_| annulus::spawn(annulus::op::nop())).collect();
                for nop in nops {
                    nop.await.unwrap().unwrap();
                }
            });
            let all = told();
            assert!(all[0].contains("a ring was set up") && all[1].contains("a driver was made"), "{all:?}");
            assert!(all.iter().any(|text| text.starts_with("WARN annulus::driver the completion queue")), "{all:?}");
        }
    }
}

/// Past the test harness, which hides what a passing test prints.
fn skip(error: &std::io::Error) {
    use std::io::Write;
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIP a_subscriber_is_told_of_tasks_and_of_trouble (on a ring): {error}").unwrap();
}
