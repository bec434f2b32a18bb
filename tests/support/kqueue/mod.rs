//! kqueue(2) for Linux, for tests: so that the driver of macOS and the BSDs runs where the tests run.
//!
//! A kqueue is an epoll here, a knote is an entry of it, and each filter is one file: `read`, `write`, `timer`, `user`.
//! epoll only says *look*; then the filter is run, as the kernels of the BSDs run it when an event is fetched, and says
//! what there is. Every entry is edge-triggered, which is EV_CLEAR; a knote without that flag is asked for again each
//! time that it was told. What waits for room to write has an epoll of its own, a member of the first: an epoll holds a
//! descriptor only once, and an edge of one filter must not be one of the other.
//!
//! # Whose answers these are
//!
//! The layout and the numbers are Darwin's. What happens is what kqueue(2) says, the manual of FreeBSD and of macOS;
//! where it says nothing, what the kernels do (FreeBSD: `kqueue_register`, `kqueue_scan` and the filters; Darwin:
//! `kevent_register`, `knote_process` and the filters). Where they differ, it is mostly the answer that forgives less:
//!
//! - A knote is enabled by EV_ENABLE and by nothing else, not by EV_ADD (both kernels, against the manual).
//! - EV_ADD does not change EV_CLEAR, EV_ONESHOT, EV_DISPATCH or EV_RECEIPT of a knote that is there (both).
//! - Every change of a knote replaces its `udata`, even a trigger (both).
//! - Every change of a knote runs its filter again: what is ready is told again, EV_CLEAR or not (both).
//! - EV_ENABLE together with EV_DISABLE is EINVAL (FreeBSD; Darwin takes EV_DISABLE).
//! - EV_CLEAR in the change that triggers takes the trigger back (FreeBSD).
//! - Every change of a timer starts it again, with or without EV_ADD; NOTE_ABSOLUTE implies EV_ONESHOT (Darwin). Less
//!   than zero is EINVAL (FreeBSD; Darwin fires at once).
//! - The number of a closed descriptor is EBADF for EV_ADD, otherwise ENOENT (Darwin; FreeBSD says EBADF to all).
//! - An entry about an error keeps the flags of the change beside EV_ERROR (Darwin; FreeBSD clears them), and an event
//!   has the flags that its knote was added with, EV_ADD among them (Darwin; FreeBSD leaves that out).
//! - A receipt for which there is no room is left out (Darwin; FreeBSD stops at it, and returns 0).
//!
//! # What Linux cannot do, or this does not
//!
//! - READ, WRITE, TIMER and USER are all filters; any other is EINVAL. NOTE_LOWAT, NOTE_OOB, leeway and the like are
//!   ignored or refused.
//! - A kqueue is known by its number, and a duplicate of it is EBADF. A fork shares it. Of one that was closed, the
//!   private descriptors are closed when its number is met again, or when the next kqueue is made.
//! - A socket's error can be seen but not looked at, as looking takes it away. So `fflags` says ECONNREFUSED where
//!   there never was a connection, and ECONNRESET where there was one.
//! - The backlog of a listener other than TCP is 1 when there is any, of datagrams only the first is counted, and a
//!   terminal has room for 1.
//! - A regular file is looked at when a change is made or its event was told, so one at its end may grow unseen.
//! - What has no readiness on Linux and is no regular file (a directory, `/dev/null`) is EINVAL.
//! - A number that was closed, and then got the very same open file back by dup2(2), still has its knotes.
//! - Linux tells of room to write once there was none, and when the peer ends its side; the BSDs at each
//!   acknowledgement.

#![allow(
    dead_code,
    non_camel_case_types,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the names are those of sys/event.h, all of them, for whoever includes this"
)]

mod descriptor;
mod knote;
mod linux;
mod queue;
mod read;
mod timer;
mod user;
mod write;

use queue::Queue;
use std::{
    collections::BTreeMap,
    ffi::{c_int, c_void},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct kevent {
    pub ident: usize,
    pub filter: i16,
    pub flags: u16,
    pub fflags: u32,
    pub data: isize,
    pub udata: *mut c_void,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<kevent>() == 32 && align_of::<kevent>() == 8);

pub const EVFILT_READ: i16 = -1;
pub const EVFILT_WRITE: i16 = -2;
pub const EVFILT_TIMER: i16 = -7;
pub const EVFILT_USER: i16 = -10;

pub const EV_ADD: u16 = 0x1;
pub const EV_DELETE: u16 = 0x2;
pub const EV_ENABLE: u16 = 0x4;
pub const EV_DISABLE: u16 = 0x8;
pub const EV_ONESHOT: u16 = 0x10;
pub const EV_CLEAR: u16 = 0x20;
pub const EV_RECEIPT: u16 = 0x40;
pub const EV_DISPATCH: u16 = 0x80;
pub const EV_ERROR: u16 = 0x4000;
pub const EV_EOF: u16 = 0x8000;

pub const NOTE_TRIGGER: u32 = 0x0100_0000;
pub const NOTE_FFNOP: u32 = 0;
pub const NOTE_FFAND: u32 = 0x4000_0000;
pub const NOTE_FFOR: u32 = 0x8000_0000;
pub const NOTE_FFCOPY: u32 = 0xc000_0000;
pub const NOTE_FFCTRLMASK: u32 = 0xc000_0000;
pub const NOTE_FFLAGSMASK: u32 = 0x00ff_ffff;

pub const NOTE_SECONDS: u32 = 0x1;
pub const NOTE_USECONDS: u32 = 0x2;
pub const NOTE_NSECONDS: u32 = 0x4;
pub const NOTE_ABSOLUTE: u32 = 0x8;

/// An error number.
pub(crate) type Errno = c_int;

/// The kqueues by their numbers. One whose number was closed stays here until somebody looks.
static QUEUES: Mutex<BTreeMap<c_int, Arc<Queue>>> = Mutex::new(BTreeMap::new());

/// # Safety
/// None is needed: the signature is that of the system's.
pub unsafe fn kqueue() -> c_int {
    answer(Queue::new().map(|(number, queue)| {
        let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|&number, queue| queue.is_at(number));
        queues.insert(number, Arc::new(queue));
        number
    }))
}

/// # Safety
/// As the system's: `changelist` has `nchanges` entries, `eventlist` has room for `nevents`, and `timeout` is null or
/// valid. The two lists may be one.
pub unsafe fn kevent(
    kq: c_int,
    changelist: *const kevent,
    nchanges: c_int,
    eventlist: *mut kevent,
    nevents: c_int,
    timeout: *const libc::timespec,
) -> c_int {
    // Copied, because the room may be the list itself.
    let changes: Vec<kevent> = (0..usize::try_from(nchanges).unwrap_or(0))
        .map(|i| {
            let change = changelist.wrapping_add(i);
            // SAFETY: Caller's word: there are `nchanges` entries, and `i` is below that.
            unsafe { change.read() }
        })
        .collect();
    // SAFETY: Caller's word: null, or a timespec.
    let timeout = unsafe { timeout.as_ref() };
    let mut events = Vec::new();
    let outcome = call(kq, &changes, usize::try_from(nevents).unwrap_or(0), timeout, &mut events);
    answer(outcome.map(|()| {
        for (i, &event) in events.iter().enumerate() {
            let room = eventlist.wrapping_add(i);
            // SAFETY: Caller's word: there is room for `nevents`, and `call` gives no more than these.
            unsafe { room.write(event) };
        }
        events.len() as c_int
    }))
}

/// What a system call gives back: the outcome, or -1 and `errno`.
fn answer(outcome: Result<c_int, Errno>) -> c_int {
    outcome.unwrap_or_else(|error| {
        linux::set_errno(error);
        -1
    })
}

/// First all changes, then the wait, unless the changes had something to say.
fn call(
    kq: c_int,
    changes: &[kevent],
    room: usize,
    timeout: Option<&libc::timespec>,
    events: &mut Vec<kevent>,
) -> Result<(), Errno> {
    let queue = find(kq)?;
    for change in changes {
        let outcome = queue.change(change).map_err(|error| error as isize);
        if outcome.is_err() || change.flags & EV_RECEIPT != 0 {
            let data = outcome.err().unwrap_or(0);
            if events.len() < room {
                events.push(kevent { flags: change.flags | EV_ERROR, data, ..*change });
            } else if data != 0 {
                return Err(data as Errno);
            }
        }
    }
    if events.is_empty() && room > 0 { wait(&queue, room, timeout, events) } else { Ok(()) }
}

/// The kqueue behind a number, if it is that one still.
fn find(number: c_int) -> Result<Arc<Queue>, Errno> {
    let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
    let queue = queues.get(&number).ok_or(libc::EBADF)?.clone();
    if queue.is_at(number) {
        return Ok(queue);
    }
    queues.remove(&number);
    Err(libc::EBADF)
}

fn wait(queue: &Queue, room: usize, timeout: Option<&libc::timespec>, events: &mut Vec<kevent>) -> Result<(), Errno> {
    let deadline = timeout.map(duration).transpose()?.map(|limit| Instant::now().checked_add(limit));
    // Without a limit, or with one that no clock will reach.
    let deadline = deadline.flatten();
    loop {
        queue.collect(room, events);
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if !events.is_empty() || left.is_some_and(|left| left.is_zero()) {
            return Ok(());
        }
        queue.sleep(left)?;
    }
}

fn duration(time: &libc::timespec) -> Result<Duration, Errno> {
    match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (Ok(seconds), Ok(nanoseconds @ ..1_000_000_000)) => Ok(Duration::new(seconds, nanoseconds)),
        _ => Err(libc::EINVAL),
    }
}
