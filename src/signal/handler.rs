//! The handler, and whom it tells: what a process has only one of.
//!
//! A handler runs on any thread, between any two of its instructions, maybe inside the allocator. So this one adds to a
//! counter, sends a byte to each runtime that listens, and calls the handler that was there before; it takes no lock,
//! allocates nothing, and leaves `errno` alone.
//!
//! **Lasting**: a bell is never freed and its sockets are never closed. So the handler may walk the list while others
//! add to it, and rings nobody else's descriptor. Who listens no more leaves its bell to whoever comes next; a ring
//! that comes late makes that one look at the counter, and no more. There are as many bells for a signal as there ever
//! were runtimes that listened for it at the same time.

use crate::sys::{per_process::PerProcess, unix};
use std::{
    io::{self, Read},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
    },
};

/// One more than the largest number of a signal: FreeBSD's last is 126, Linux's 64.
const SIGNALS: usize = 128;

static LINES: [Line; SIGNALS] = [const { Line::new() }; SIGNALS];

/// What there is for one signal.
pub(super) struct Line {
    /// How often the signal came. It wraps.
    count: AtomicUsize,
    /// The first of the bells.
    bells: AtomicPtr<Bell>,
    /// Whether the handler is installed. Held while that, or the list, changes.
    installed: PerProcess<Mutex<bool>>,
    /// What the process did at this signal before.
    former: OnceLock<libc::sigaction>,
}

/// What a runtime that listens is woken by.
#[derive(Debug)]
pub(super) struct Bell {
    near: UnixStream,
    far: UnixStream,
    taken: AtomicBool,
    next: Option<&'static Bell>,
}

/// Makes the process hear of `signal`, and gives a bell that rings for it.
///
/// # Errors
/// Those of `sigaction(2)`, and `EMFILE` when no descriptors are left for a bell.
pub(super) fn listen(signal: i32) -> io::Result<(&'static Line, &'static Bell)> {
    let none = || io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} is no signal that can be heard here"));
    let line = usize::try_from(signal).ok().and_then(|signal| LINES.get(signal)).ok_or_else(none)?;
    // What is guarded is whole at any time, so a poisoned lock is as good as another.
    let mut installed = line.installed.get().lock().unwrap_or_else(PoisonError::into_inner);
    // First the bell: a signal that is taken from the process, and that nobody hears, would be lost.
    let idle = line.bells().find(|bell| !bell.taken.load(Ordering::Relaxed));
    let made = if idle.is_none() { Some(Bell::new(line.bells().next())?) } else { None };
    if !*installed {
        let explain = |error: io::Error| if error.raw_os_error() == Some(libc::EINVAL) { none() } else { error };
        // Kept before the handler can be called, which will want it.
        let _ = line.former.set(unix::signal_action(signal).map_err(explain)?);
        // SAFETY: Lasting: `handle` does nothing but what this file's head says.
        unsafe { unix::handle_signal(signal, handle) }.map_err(explain)?;
        *installed = true;
    }
    let bell = idle.unwrap_or_else(|| {
        let bell: &'static Bell = Box::leak(Box::new(made.expect("made, as there was none")));
        // Pairs with the walk: whoever finds the bell finds it made. SeqCst: see below.
        line.bells.store(std::ptr::from_ref(bell).cast_mut(), Ordering::SeqCst);
        bell
    });
    // Before the caller looks at the counter. The handler counts before it looks at the list, and at this: so it rings
    // the bell, or the caller has seen the signal (SeqCst on both sides, at each step).
    bell.taken.store(true, Ordering::SeqCst);
    Ok((line, bell))
}

impl Line {
    const fn new() -> Line {
        Line {
            count: AtomicUsize::new(0),
            bells: AtomicPtr::new(std::ptr::null_mut()),
            installed: PerProcess::new(),
            former: OnceLock::new(),
        }
    }

    /// How often the signal came so far.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn bells(&self) -> impl Iterator<Item = &'static Bell> {
        // Pairs with the store in `listen`.
        let first = self.bells.load(Ordering::SeqCst).cast_const();
        // SAFETY: Lasting: the pointer is null, or that of a bell, which is never freed nor changed but by atomics.
        let first: Option<&'static Bell> = unsafe { first.as_ref() };
        std::iter::successors(first, |bell| bell.next)
    }
}

impl Bell {
    fn new(next: Option<&'static Bell>) -> io::Result<Bell> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        Ok(Bell { near, far, taken: AtomicBool::new(false), next })
    }

    /// What can be read when the bell has rung.
    pub(super) fn watched(&self) -> RawFd {
        self.near.as_raw_fd()
    }

    /// Takes back all rings so far.
    pub(super) fn hush(&self) {
        let mut rings = [0; 256];
        while matches!((&self.near).read(&mut rings), Ok(256)) {}
    }

    /// Leaves the bell to whoever comes next.
    pub(super) fn leave(&self) {
        self.taken.store(false, Ordering::Release);
    }
}

/// The handler.
extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(line) = usize::try_from(signal).ok().and_then(|signal| LINES.get(signal)) else { return };
    unix::keep_errno(|| {
        line.count.fetch_add(1, Ordering::SeqCst);
        line.bells().filter(|bell| bell.taken.load(Ordering::SeqCst)).for_each(|bell| unix::ring(bell.far.as_raw_fd()));
        if let Some(former) = line.former.get() {
            // SAFETY: Kernel's word: what it said of this signal, and the arguments that it has just made.
            unsafe { unix::pass_on(former, signal, info, context) };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    fn raise(signal: i32) {
        // SAFETY: Plain call: the signal has a handler, which returns.
        assert_eq!(unsafe { libc::raise(signal) }, 0);
    }

    /// Red when a child has its parent's lock, which another thread may hold at the fork.
    #[test]
    fn a_forked_child_can_listen() {
        let (line, _) = listen(libc::SIGWINCH).unwrap();
        let held = line.installed.get().lock();
        let heard = || {
            let (line, before) = (listen(libc::SIGWINCH).unwrap().0, line.count());
            raise(libc::SIGWINCH);
            assert_eq!(line.count(), before + 1);
        };
        assert!(in_child(heard));
        drop(held);
    }

    /// Red when the handler does not put `errno` back: the bell is full, so its call fails.
    #[test]
    fn the_handler_leaves_errno_alone() {
        let (line, bell) = listen(libc::SIGIO).unwrap();
        let before = line.count();
        for _ in 0..2000 {
            raise(libc::SIGIO);
        }
        std::fs::File::open("/no/such/file").unwrap_err();
        raise(libc::SIGIO);
        assert_eq!(unix::errno(), libc::ENOENT);
        assert!(line.count().wrapping_sub(before) >= 2001);
        bell.hush();
        assert_eq!((&bell.near).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        bell.leave();
    }

    /// Red when a bell that was left is not given again.
    #[test]
    fn bells_are_used_again() {
        let (line, first) = listen(libc::SIGWINCH).unwrap();
        let (_, second) = listen(libc::SIGWINCH).unwrap();
        assert!(!std::ptr::eq(first, second));
        first.leave();
        second.leave();
        let there = line.bells().count();
        for _ in 0..100 {
            listen(libc::SIGWINCH).unwrap().1.leave();
        }
        assert_eq!(line.bells().count(), there);
    }
}
