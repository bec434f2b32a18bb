//! Children that were let go: one thread waits for all of them, as long as there are any.
//!
//! It is a thread and no task of the runtime that had the child, because the child may outlive that. The thread runs a
//! runtime of its own, and a task in it for each child.

use super::watched::Watched;
use crate::{driver::DriverKind, rt};
use std::{
    cell::Cell,
    future::poll_fn,
    mem,
    process::{self, Child},
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
};

static ORPHANS: Mutex<Orphans> = Mutex::new(Orphans { new: Vec::new(), is_reaped: false, waker: None, process: 0 });

struct Orphans {
    /// Those that the thread has not seen.
    new: Vec<Child>,
    /// There is a thread, and it will look here before it ends.
    is_reaped: bool,
    /// Wakes the thread.
    waker: Option<Waker>,
    /// The process that all of that is of.
    process: u32,
}

/// Nothing of others runs under the lock, so a poisoned one guards what is whole.
fn orphans() -> MutexGuard<'static, Orphans> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaps a child that has ended, or sees to it that somebody does.
pub(super) fn adopt(mut child: Child) {
    // An error means that it is no child any more, and nobody can wait for it.
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let mut orphans = orphans();
    if orphans.process != process::id() {
        // A forked child: what is there is its parent's.
        mem::forget((mem::take(&mut orphans.new), orphans.waker.take()));
        (orphans.is_reaped, orphans.process) = (false, process::id());
    }
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

/// The thread's life: until there are no orphans any more.
fn reap() {
    match rt::Builder::new().driver(DriverKind::Poll).build() {
        Ok(runtime) => runtime.block_on(reap_all()),
        Err(_) => reap_in_turn(),
    }
}

async fn reap_all() {
    let alive = Rc::new(Cell::new(0usize));
    poll_fn(|cx| {
        let new = {
            let mut orphans = orphans();
            orphans.waker = Some(cx.waker().clone());
            orphans.is_reaped = alive.get() > 0 || !orphans.new.is_empty();
            mem::take(&mut orphans.new)
        };
        let none = new.is_empty() && alive.get() == 0;
        for child in new {
            alive.set(alive.get() + 1);
            let alive = alive.clone();
            rt::spawn(async move {
                // An error means that somebody else has reaped it, and that this is over as well.
                let _ = Watched::new(child).wait().await;
                alive.set(alive.get() - 1);
                wake();
            });
        }
        if none { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Where no runtime can be had (no descriptors are left): one after the other.
fn reap_in_turn() {
    loop {
        let new = {
            let mut orphans = orphans();
            orphans.is_reaped = !orphans.new.is_empty();
            mem::take(&mut orphans.new)
        };
        if new.is_empty() {
            return;
        }
        for mut child in new {
            let _ = child.wait();
        }
    }
}
