//! The task's one allocation, and the functions that know its type.
//!
//! A [`Cell`] is a [`Header`] that everybody may look at, and a stage that has one user at a time (see `state`): first
//! the future, then the output. Everything outside this file holds a pointer to the header; the table in the header
//! leads back to the type, and to the place of the output (*Typed*: a header only ever lies at the start of the cell
//! whose table it names).

use super::{
    super::{core::Core, current, hold::Hold},
    About, JoinError, WAKER,
    about::Key,
    state::State,
    store::{self, Store},
};
use crate::{driver::quietly, rt::handoff::Linked, trace::Span};
use std::{
    alloc::Layout,
    cell::UnsafeCell,
    mem::{self, ManuallyDrop},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    ptr::{self, NonNull},
    sync::atomic::AtomicPtr,
    task::{Context, Poll, RawWaker, Waker},
};

/// What a task's future yields inside: an error of its own counts as the task's.
pub(in crate::rt) type Outcome<T> = Result<T, JoinError>;

/// The part of a task that is the same for all types.
#[derive(Debug)]
pub(crate) struct Header {
    pub(super) state: State,
    pub(super) key: Key,
    pub(super) vtable: &'static Vtable,
    pub(super) remote: Hold,
    link: AtomicPtr<Header>,
    /// The waker of whoever awaits the handle; see `JOINER` in `state` for whose it is.
    pub(super) joiner: UnsafeCell<Option<Waker>>,
    pub(super) about: About,
    span: Span,
}

// What each task takes beside its future.
static_assertions::const_assert!(size_of::<Header>() <= 64 + size_of::<Span>());
// What keeps small outputs in registers.
static_assertions::const_assert!(size_of::<JoinError>() == size_of::<usize>());

// SAFETY: Linked: the field is private and nothing here uses it.
unsafe impl Linked for Header {
    fn link(&self) -> &AtomicPtr<Header> {
        &self.link
    }
}

/// What has to know the task's type. The functions take the header of a cell of that type.
#[derive(Debug)]
pub(super) struct Vtable {
    /// Polls the future; true if it is gone and the output is in its place.
    pub(super) poll: unsafe fn(NonNull<Header>) -> bool,
    /// Drops the future and puts a cancellation in its place.
    pub(super) cancel: unsafe fn(NonNull<Header>),
    /// Where the output lies, an `Outcome<T>`, in bytes from the header's start.
    pub(super) output: usize,
    /// Drops an output that nobody will take.
    pub(super) discard: unsafe fn(NonNull<Header>),
    /// Frees the cell, whose stage is empty.
    pub(super) free: unsafe fn(NonNull<Header>),
}

#[repr(C)]
union Stage<F, T> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<Outcome<T>>,
}

#[repr(C)]
struct Cell<F, T> {
    header: Header,
    stage: UnsafeCell<Stage<F, T>>,
}

/// Makes the cell of a new task.
pub(super) fn allocate<F, T>(future: F, about: About, remote: Hold, store: &Store) -> NonNull<Header>
where
    F: Future<Output = Outcome<T>>,
{
    // The place comes first, so that the cell is made in it and not beside it.
    let place = store.take(Layout::new::<Cell<F, T>>()).cast();
    let cell = Cell::<F, T> {
        header: Header {
            state: State::new(),
            key: Key::none(),
            vtable: const {
                &Vtable {
                    poll: poll::<F, T>,
                    cancel: cancel::<F, T>,
                    output: mem::offset_of!(Cell<F, T>, stage),
                    discard: discard::<F, T>,
                    free: free::<F, T>,
                }
            },
            remote,
            link: AtomicPtr::new(ptr::null_mut()),
            joiner: UnsafeCell::new(None),
            span: Span::new(about.id().get(), about.name(), about.class(), about.spawned()),
            about,
        },
        stage: UnsafeCell::new(Stage { future: ManuallyDrop::new(future) }),
    };
    // SAFETY: Fresh: memory of this layout that nobody else has.
    unsafe { place.write(cell) };
    place.cast()
}

/// The stage of a cell: a future before DONE, an output from then on. All variants of the union start where it starts.
unsafe fn stage<F, T>(header: NonNull<Header>) -> *mut Stage<F, T> {
    let cell = header.cast::<Cell<F, T>>().as_ptr();
    // SAFETY: Typed: the header is the start of a live cell of this type; no reference is made.
    UnsafeCell::raw_get(unsafe { &raw const (*cell).stage })
}

unsafe fn poll<F, T>(header: NonNull<Header>) -> bool
where
    F: Future<Output = Outcome<T>>,
{
    // SAFETY: Typed, by the caller: the table that led here is that of `F` and `T`.
    let future: *mut F = unsafe { stage::<F, T>(header) }.cast();
    // SAFETY: the vtable's contract holds: the data is a task's header. The reference is the queue's, borrowed: the
    // waker is never dropped.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(header.as_ptr().cast(), &WAKER)) });
    let step = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: Owner: before DONE the stage is the owner's thread's alone, and no poll is inside another.
        let future = unsafe { &mut *future };
        // SAFETY: Owner: the future was moved into its cell before anybody polled it and is dropped there.
        let future = unsafe { Pin::new_unchecked(future) };
        // SAFETY: Typed: the header lives, as the runtime still holds its reference.
        unsafe { header.as_ref() }.span.enter(|| future.poll(&mut Context::from_waker(&waker)))
    }));
    let output = match step {
        Ok(Poll::Pending) => return false,
        Ok(Poll::Ready(output)) => output,
        Err(payload) => Err(JoinError::panicked(payload)),
    };
    // SAFETY: Typed, by the caller; the future is still there, and it will not be polled again.
    unsafe { settle::<F, T>(header, output) };
    true
}

unsafe fn cancel<F, T>(header: NonNull<Header>) {
    // SAFETY: Typed, by the caller, who also knows that the future is still there.
    unsafe { settle::<F, T>(header, Err(JoinError::cancelled())) };
}

/// Drops the future and puts `output` in its place. If dropping panics, the panic is the output, unless it was one.
unsafe fn settle<F, T>(header: NonNull<Header>, mut output: Outcome<T>) {
    // SAFETY: Typed, by the caller, who has not settled this task before.
    let stage = unsafe { stage::<F, T>(header) };
    // SAFETY: Typed, by the caller, whose reference keeps the header until the end of this.
    let span = unsafe { &header.as_ref().span };
    // SAFETY: Owner: before DONE the stage holds the future, which is dropped on its own thread, once.
    let drop_future = || unsafe { ptr::drop_in_place(stage.cast::<F>()) };
    let dropped = catch_unwind(AssertUnwindSafe(|| span.enter(drop_future)));
    if let Err(payload) = dropped {
        if !output.as_ref().is_err_and(JoinError::is_panic) {
            let lost = mem::replace(&mut output, Err(JoinError::panicked(payload)));
            drop_quietly(lost);
        } else {
            drop_quietly(payload);
        }
    }
    // SAFETY: Owner: the future is gone, the place is free and ours until DONE.
    unsafe { stage.cast::<Outcome<T>>().write(output) };
}

unsafe fn discard<F, T>(header: NonNull<Header>) {
    // SAFETY: Typed, by the caller: the finisher, through the table of this cell.
    let output = unsafe { stage::<F, T>(header) }.cast::<Outcome<T>>();
    // SAFETY: Owner: the handle was gone when the task finished, so the output is the finisher's, once.
    let output = unsafe { output.read() };
    if let Some(panic) = output.as_ref().err().filter(|error| error.is_panic()) {
        // SAFETY: Typed: the finisher, or the queue that it empties later, still holds a reference.
        let header = unsafe { header.as_ref() };
        header.remote.unawaited_panic(&header.about, panic);
    }
    drop_quietly(output);
}

unsafe fn free<F, T>(header: NonNull<Header>) {
    let cell = header.cast::<Cell<F, T>>();
    // SAFETY: Typed: the header lives for so long.
    let hold = unsafe { header.as_ref() }.remote;
    // SAFETY: Owner: the last reference is gone, so nobody else looks; Typed: this is the cell that `allocate` made.
    // Its stage is empty.
    unsafe { cell.drop_in_place() };
    current::with_or(|core| {
        // SAFETY: Typed: `allocate` took the memory of a cell of this type. It is nobody's now.
        unsafe { store::give_back(cell.cast(), Layout::new::<Cell<F, T>>(), core.map(Core::store)) };
        // SAFETY: Counted: it was made for this task, which is no more.
        unsafe { hold.give_back(core.map(Core::holds)) };
    });
}

/// Drops `value` where a panic has nobody to go to.
pub(in crate::rt) fn drop_quietly<T>(value: T) {
    quietly(|| drop(value));
}
