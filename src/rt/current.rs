//! Which runtime runs on this thread.
//!
//! The invariant is *Scoped*: the thread's pointer is set by an [`Enter`] that borrows the core it names, and the guard
//! puts the former pointer back when it goes, in unwinding too; so a pointer that is found is valid while it is used.

use super::{core::Core, remote::Remote, task::RawTask};
use crate::driver;
use std::{cell::Cell, marker::PhantomData, panic::Location, ptr, rc::Rc};

thread_local! {
    static CORE: Cell<*const Core> = const { Cell::new(ptr::null()) };
    static RUNNING: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Makes a core the thread's current one, as long as it lives.
pub(super) struct Enter<'a> {
    outer: *const Core,
    core: PhantomData<&'a Rc<Core>>,
    _driver: driver::Entered,
}

pub(super) fn enter(core: &Rc<Core>) -> Enter<'_> {
    let _driver = core.driver().enter();
    Enter { outer: CORE.replace(Rc::as_ptr(core)), core: PhantomData, _driver }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        CORE.set(self.outer);
    }
}

/// Marks the thread as inside a `block_on`, as long as it lives.
pub(super) struct Running(());

impl Running {
    pub(super) fn start(here: &'static Location<'static>) -> Running {
        if let Some(outer) = RUNNING.get() {
            panic!(
                "block_on at {here} was called inside block_on at {outer}: a thread runs one future at a time; \
                 `await` or `spawn` it instead, or start it on a thread of its own"
            );
        }
        RUNNING.set(Some(here));
        Running(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(None);
    }
}

/// Gives the thread's current core to `f`, if there is one.
pub(super) fn with<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    with_or(|core| core.map(f))
}

/// Gives the thread's current core to `f`, or none if there is none.
pub(super) fn with_or<R>(f: impl FnOnce(Option<&Core>) -> R) -> R {
    let core = CORE.get();
    // SAFETY: Scoped: the guard that set the pointer is further up this stack.
    f(unsafe { core.as_ref() })
}

/// Whether the runtime that `remote` belongs to runs on this thread.
pub(super) fn is(remote: &Remote) -> bool {
    with(|core| ptr::eq(&**core.remote(), remote)).unwrap_or(false)
}

/// Puts a notified task into the local queue, if its runtime runs on this thread.
pub(super) fn push(remote: &Remote, task: RawTask) -> bool {
    with(|core| {
        let here = ptr::eq(&**core.remote(), remote);
        if here {
            core.push(task);
        }
        here
    })
    .unwrap_or(false)
}
