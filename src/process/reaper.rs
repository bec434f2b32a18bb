//! Children that were let go: one thread waits for all of them, as long as there are any.
//!
//! It is a thread and no task of the runtime that had the child, because the child may outlive that. The thread runs a
//! runtime of its own, and a task in it for each child.

use super::watched::Watched;
use crate::{driver::DriverKind, rt, sys::per_process::PerProcess, time};
use std::{
    cell::Cell,
    future::poll_fn,
    mem,
    process::Child,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

/// A forked child has none of its parent's.
static ORPHANS: PerProcess<Mutex<Orphans>> = PerProcess::new();

#[derive(Default)]
struct Orphans {
    /// Those that the thread has not seen.
    new: Vec<Child>,
    /// There is a thread, and it will look here before it ends.
    is_reaped: bool,
    /// Wakes the thread.
    waker: Option<Waker>,
}

/// Nothing of others runs under the lock, so a poisoned one guards what is whole.
fn orphans() -> MutexGuard<'static, Orphans> {
    ORPHANS.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaps a child that has ended, or sees to it that somebody does.
pub(super) fn adopt(mut child: Child) {
    // An error means that it is no child any more, and nobody can wait for it.
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let mut orphans = orphans();
    orphans.new.push(child);
    if !orphans.is_reaped {
        // Without a thread they stay until the next one comes, and with it perhaps a thread.
        let thread = thread::Builder::new().name("annulus-reaper".into());
        orphans.is_reaped = thread.spawn(reap).is_ok();
    }
    drop(orphans);
    wake();
}

fn wake() {
    let waker = orphans().waker.take();
    waker.into_iter().for_each(Waker::wake);
}

/// How often children are asked after that cannot be waited for.
const PAUSE: Duration = Duration::from_millis(100);

/// Should the thread fail, the next orphan gets another one. One that ends in peace has left its place before, and what
/// is there may be the next one's.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut orphans = orphans();
            orphans.is_reaped = false;
            let waker = orphans.waker.take();
            drop(orphans);
            drop(waker);
        }
    }
}

/// The thread's life: until there are no orphans any more.
fn reap() {
    let _gone = Gone;
    match rt::Builder::new().driver(DriverKind::Poll).build() {
        Ok(runtime) => runtime.block_on(reap_all()),
        Err(_) => reap_by_asking(),
    }
}

/// Waits for one. Whatever keeps us from that (no descriptors are left), it is asked after instead.
async fn reap_one(mut child: Watched) {
    loop {
        match child.wait().await {
            Err(error) if error.raw_os_error() != Some(libc::ECHILD) => time::sleep(PAUSE).await,
            // Somebody else may have reaped it, and that is over as well.
            _ => return,
        }
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
    }
}

async fn reap_all() {
    let alive = Rc::new(Cell::new(0usize));
    poll_fn(|cx| {
        let new = {
            let mut orphans = orphans();
            orphans.is_reaped = alive.get() > 0 || !orphans.new.is_empty();
            orphans.waker = orphans.is_reaped.then(|| cx.waker().clone());
            mem::take(&mut orphans.new)
        };
        let none = new.is_empty() && alive.get() == 0;
        for child in new {
            alive.set(alive.get() + 1);
            let alive = alive.clone();
            rt::spawn(async move {
                reap_one(Watched::new(child)).await;
                alive.set(alive.get() - 1);
                wake();
            });
        }
        if none { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Where no runtime can be had (no descriptors are left): by asking, again and again.
fn reap_by_asking() {
    let mut alive = Vec::new();
    loop {
        let mut orphans = orphans();
        alive.append(&mut orphans.new);
        orphans.is_reaped = !alive.is_empty();
        drop(orphans);
        if alive.is_empty() {
            return;
        }
        thread::sleep(PAUSE);
        // An error means that it is no child any more.
        alive.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

#[cfg(test)]
mod tests {
    use super::{Gone, adopt, orphans};
    use crate::testing::in_child;
    use std::{
        process::{Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    /// Red when it has its parent's, which the thread may hold at the fork.
    #[test]
    fn a_forked_child_has_orphans_of_its_own() {
        let held = orphans();
        assert!(in_child(|| drop(orphans())));
        drop(held);
    }

    fn until(what: impl Fn() -> bool) {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not come");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Red when a thread that ends takes the waker of the next one, which has come already: that one hears of no orphan
    /// any more.
    #[test]
    fn one_that_ends_leaves_the_next_one_its_waker() {
        let lasting = || Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (mut first, mut second) = (lasting(), lasting());
        let held = first.stdin.take();
        adopt(first);
        until(|| orphans().waker.is_some());
        drop(Gone);
        let (pid, input) = (second.id() as i32, second.stdin.take());
        adopt(second);
        drop(input);
        // SAFETY: Plain call: no signal is sent.
        until(|| unsafe { libc::kill(pid, 0) } != 0);
        drop(held);
    }
}
