//! Where another thread is: its stack, written down by itself when a signal asks for it.
//!
//! The one who asks names the thread and sends it SIGURG, which nobody's program ends by. The handler walks the stack
//! it lies on and stores bare addresses in memory that is always there; turning those into names takes locks and
//! memory, and is done by whoever asked, later and elsewhere. The walk is the unwinder's, which allocates nothing once
//! it has been used; that is seen to before the first signal.
//!
//! A thread that blocks the signal, or comes to it too late, answers nobody: a question that is withdrawn is not there
//! any more when the handler looks.

use crate::sys::{per_process::PerProcess, unix};
use std::{
    fmt::Write,
    io, mem, ptr,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How many frames are written down.
const DEPTH: usize = 192;
/// How long a thread may take to answer. It is stuck anyway.
const PATIENCE: Duration = Duration::from_millis(500);

/// The question's states: there is none; the thread writes; the answer is there. Any other is the `pthread_t` of the
/// thread that is asked, a pointer: who is meant and that he is asked is one word, so that a thread that comes late
/// does not take the question of another.
const NONE: usize = 0;
const WRITING: usize = 1;
const ANSWERED: usize = 2;

/// The one question there can be at a time. Whoever asks owns it from NONE on, and from ANSWERED on.
static STATE: AtomicUsize = AtomicUsize::new(NONE);
static FRAMES: [AtomicUsize; DEPTH] = [const { AtomicUsize::new(0) }; DEPTH];
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// A thread that can be asked, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thread(usize);

impl Thread {
    /// This thread.
    pub(super) fn here() -> Thread {
        // SAFETY: Plain call: it has no arguments and cannot fail.
        Thread(unsafe { libc::pthread_self() } as usize)
    }
}

/// Whom the signal went to before: it may be somebody's.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    unix::keep_errno(|| if is_meant() { write_down() } else { pass_on(signal, info, context) });
}

/// Whether this thread was asked, and nobody has answered for it. Then it has to.
fn is_meant() -> bool {
    // Acquire: pairs with the Release of `ask`, so that the frames are ours.
    STATE.compare_exchange(Thread::here().0, WRITING, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

/// Writes down where this thread is.
fn write_down() {
    let mut length = 0;
    // SAFETY: Asked once: the crate's lock, which is not taken here, keeps symbols from being looked up at the same
    // time; none are looked up in this closure, and the walk itself has no state to share.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            // Relaxed: published by the store below.
            FRAMES[length].store(frame.ip().addr(), Ordering::Relaxed);
            length += 1;
            length < DEPTH
        });
    }
    LENGTH.store(length, Ordering::Relaxed);
    // Release: pairs with the Acquire of `frames`.
    STATE.store(ANSWERED, Ordering::Release);
}

/// The signal was not ours.
fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if let Some(before) = BEFORE.get() {
        // SAFETY: Kernel's word: what it said of this signal, and the arguments that it has just made.
        unsafe { unix::pass_on(before, signal, info, context) };
    }
}

/// Makes ready for questions: takes the signal, and uses the unwinder once, because its first use may allocate.
///
/// # Errors
/// Those of `sigaction(2)`.
pub(super) fn prepare() -> io::Result<()> {
    static TAKEN: PerProcess<Mutex<bool>> = PerProcess::new();
    let mut taken = TAKEN.get().lock().unwrap_or_else(PoisonError::into_inner);
    if !*taken {
        backtrace::trace(|_| true);
        // Kept before the handler can be called, which will want it.
        let _ = BEFORE.set(unix::signal_action(libc::SIGURG)?);
        // SAFETY: Asked once: the handler answers a question, into memory that is there for ever, or calls the one that
        // was there before.
        unsafe { unix::handle_signal(libc::SIGURG, on_signal)? };
        *taken = true;
    }
    Ok(())
}

/// A stack: addresses of code, innermost first.
#[derive(Debug)]
pub(super) struct Stack(Vec<usize>);

/// Asks a thread where it is. `alive` runs what it is given while the thread is sure to live.
pub(super) fn ask(thread: Thread, alive: impl FnOnce(&dyn Fn())) -> Option<Stack> {
    static ONE: PerProcess<Mutex<bool>> = PerProcess::new();
    let mut begun = ONE.get().lock().unwrap_or_else(PoisonError::into_inner);
    if !mem::replace(&mut *begun, true) {
        // A forked child may have a copy of its parent's question, which nobody here will answer.
        STATE.store(NONE, Ordering::Relaxed);
    }
    // Acquire: pairs with the Release of the handler. An answer that came too late is nobody's.
    let free = STATE.load(Ordering::Acquire);
    if free != NONE && free != ANSWERED {
        // A thread began to answer, and has not come to the end of it.
        return None;
    }
    // Release: pairs with the Acquire of the handler.
    STATE.store(thread.0, Ordering::Release);
    alive(&|| {
        // SAFETY: Plain call: the caller answers for the thread, which lives.
        unsafe { libc::pthread_kill(thread.0 as libc::pthread_t, libc::SIGURG) };
    });
    let until = Instant::now() + PATIENCE;
    // Acquire: pairs with the Release of the handler.
    while STATE.load(Ordering::Acquire) != ANSWERED {
        if Instant::now() > until {
            // Who writes already is let finish, and answers nobody.
            let withdrawn = STATE.compare_exchange(thread.0, NONE, Ordering::Relaxed, Ordering::Relaxed);
            if withdrawn.is_ok() || STATE.load(Ordering::Relaxed) == WRITING {
                return None;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    let frames = &FRAMES[..LENGTH.load(Ordering::Relaxed)];
    let frames = frames.iter().map(|frame| frame.load(Ordering::Relaxed)).collect();
    STATE.store(NONE, Ordering::Relaxed);
    Some(Stack(frames))
}

/// A frame in words: a function, and where in the source it is, as far as the program knows.
struct Line(String, Option<String>);

/// The lines of a stack, innermost first; several for a frame into which others were inlined.
fn lines(frames: &[usize]) -> Vec<Line> {
    let mut lines = Vec::new();
    for &frame in frames {
        let known = lines.len();
        backtrace::resolve(ptr::without_provenance_mut(frame), |symbol| {
            let name = symbol.name().map_or_else(|| format!("{frame:#x}"), |name| format!("{name:#}"));
            let place = symbol.filename().zip(symbol.lineno());
            lines.push(Line(name, place.map(|(file, line)| format!("{}:{line}", file.display()))));
        });
        if lines.len() == known {
            lines.push(Line(format!("{frame:#x}"), None));
        }
    }
    lines
}

impl Stack {
    /// What the task did, in words: without the handler on top of it, and the runtime below.
    pub(super) fn describe(&self) -> String {
        let mut lines = lines(&self.0);
        let of_handler = |line: &Line| line.0.starts_with(concat!(module_path!(), "::"));
        if let Some(handler) = lines.iter().rposition(of_handler) {
            // The frame that the kernel put below it has no name, or one like `__restore_rt`.
            lines.drain(..lines.len().min(handler + 2));
        }
        let of_loop = |line: &Line| LOOP.iter().any(|name| line.0.starts_with(name));
        if let Some(end) = lines.iter().position(of_loop) {
            lines.truncate(end);
        }
        let mut text = String::new();
        for (n, Line(name, place)) in lines.iter().enumerate() {
            let _ = writeln!(text, "{n:4}: {name}");
            if let Some(place) = place {
                let _ = writeln!(text, "             at {place}");
            }
        }
        text
    }
}

/// The functions from which a task, or a main future, is polled.
const LOOP: [&str; 2] = ["annulus::rt::task::cell::poll", "annulus::rt::core::Core::slice"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    /// Red when a thread takes a question that is another's, and when a child waits for the answer to its parent's.
    #[test]
    fn a_question_is_for_one_thread_of_one_process() {
        prepare().unwrap();
        let here = Thread::here();
        // Of another thread, and then of this one.
        STATE.store(here.0 + 64, Ordering::Relaxed);
        assert!(!is_meant());
        STATE.store(here.0, Ordering::Relaxed);
        assert!(is_meant());
        // The parent's thread writes at the moment of the fork.
        assert_eq!(STATE.load(Ordering::Relaxed), WRITING);
        assert!(in_child(|| assert!(ask(here, |ask| ask()).is_some())));
        STATE.store(NONE, Ordering::Relaxed);
    }
}
