//! The task by all its states: what the future does when it is polled, who wakes it and how often, what becomes of the
//! handle and when, what panics besides, and when the runtime ends. Every combination is played out on both drivers,
//! and must show what the oracle says: how often it was polled, that the future and the output were dropped once and
//! where, who was woken, what the handle answered, which panics were counted as nobody's. And nothing may be left: no
//! part of a case, and no allocation.
//!
//! Whatever another thread does here, it does while the runtime's thread waits for it, so that each case has one order
//! of events. All orders of the few steps that can overlap are the business of `tests/loom`.

#[path = "outside/again.rs"]
mod again;
#[path = "matrix/case.rs"]
mod case;
#[path = "matrix/oracle.rs"]
mod oracle;
#[path = "matrix/rig.rs"]
mod rig;

use again::{again, passes, role};
use annulus::{Builder, DriverKind, yield_now};
use case::{Case, Moment};
use rig::{Afar, Trial};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{self, Write},
    panic,
    sync::atomic::{AtomicIsize, Ordering::SeqCst},
};

/// Counts what was allocated and not freed.
struct Counting;

static ALIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: all is the system's work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALIVE.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(1, SeqCst);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Cases that share a runtime: so few that all of their tasks run in one turn.
const TOGETHER: usize = 100;
/// More faults are not shown.
const ENOUGH: usize = 20;

/// What the cases do until their runtime ends, step by step and side by side.
async fn live(trials: &[Trial], end: Moment) {
    let all = |step: &dyn Fn(&Trial)| trials.iter().for_each(step);
    all(&Trial::spawn);
    all(&|trial| trial.handle(Moment::Spawned));
    if end == Moment::Spawned {
        return;
    }
    rest().await;
    all(&|trial| trial.handle(Moment::Polled));
    if end == Moment::Polled {
        return;
    }
    all(&Trial::wake);
    all(&|trial| trial.handle(Moment::Woken));
    if end == Moment::Woken {
        return;
    }
    rest().await;
    all(&|trial| trial.wake_late(Moment::Done));
    all(&|trial| trial.handle(Moment::Done));
}

/// Lets everything run that can. What another thread woke is queued at the end of a turn.
async fn rest() {
    let begun = annulus::metrics().turns;
    while annulus::metrics().turns < begun + 3 {
        yield_now().await;
    }
}

/// Plays the cases, and tells the faults.
fn play(kind: DriverKind, end: Moment, cases: &[Case], afar: &Afar) -> Vec<String> {
    let runtime = Builder::new().driver(kind).entries(8).build().expect("there was one before");
    let trials: Vec<Trial> = cases.iter().map(|&case| Trial::new(case, afar.clone())).collect();
    runtime.block_on(live(&trials, end));
    let metrics = runtime.shut_down();
    for trial in &trials {
        trial.wake_late(Moment::Ended);
        trial.handle(Moment::Ended);
    }
    let mut faults = Vec::new();
    let mut unawaited = 0;
    for (trial, &case) in trials.into_iter().zip(cases) {
        let (expected, lost) = oracle::expect(case);
        unawaited += lost as u64;
        match trial.end() {
            Ok(seen) if seen == expected => {}
            Ok(seen) => faults.push(format!("{case:?}\n    expected {expected:?}\n    seen     {seen:?}")),
            Err(fault) => faults.push(format!("{case:?}\n    {fault}")),
        }
    }
    if faults.is_empty() && (metrics.unawaited_panics, metrics.tasks_alive) != (unawaited, 0) {
        faults.push(format!("{unawaited} unawaited panics expected in {cases:#?}, with {metrics:?}"));
    }
    faults
}

fn play_all(kind: DriverKind) {
    const ENDS: [Moment; 4] = [Moment::Spawned, Moment::Polled, Moment::Woken, Moment::Done];
    let (afar, mut faults, mut played) = (Afar::new(), Vec::new(), 0);
    // There are thousands of panics on purpose.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    for end in ENDS {
        let cases: Vec<Case> = Case::all(end).collect();
        // Whoever is first has thread-locals and buffers to make.
        let some: Vec<Case> = cases.iter().copied().step_by(cases.len().div_ceil(TOGETHER)).collect();
        faults.extend(play(kind, end, &some, &afar));
        for cases in cases.chunks(TOGETHER) {
            let before = ALIVE.load(SeqCst);
            let found = play(kind, end, cases, &afar);
            let left = ALIVE.load(SeqCst) - before;
            if found.is_empty() && left != 0 {
                faults.push(format!("{left} allocations are left of {cases:#?}"));
            }
            faults.extend(found);
            played += cases.len();
            if faults.len() >= ENOUGH {
                break;
            }
        }
    }
    panic::set_hook(hook);
    println!("{kind}: {played} cases");
    faults.truncate(ENOUGH);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(played > 10_000, "{played} cases are not all");
}

#[test]
fn every_state_of_a_task() {
    const NAME: &str = "every_state_of_a_task";
    let kind = match role().as_deref() {
        Some("uring") => DriverKind::Uring,
        Some(_) => DriverKind::Poll,
        // What nobody awaited is told on the standard error, past the harness: thousands of lines.
        None => return ["poll", "uring"].iter().for_each(|role| print!("{}", passes(&mut again(NAME, role)))),
    };
    match Builder::new().driver(kind).entries(8).build() {
        Ok(runtime) => drop(runtime),
        Err(error) => return drop(writeln!(io::stderr(), "SKIP {NAME}: {error}")),
    }
    play_all(kind);
}
