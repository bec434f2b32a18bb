//! Sockets that the ring watches: receives wait for one multishot POLL of their connection, and are done by a call.
//!
//! A receive that will wait costs the ring an entry, a poll of its own that is set up and taken down, and the way back
//! through the ring. Where the kernel is entered for each completion anyway, none of that is shared with anybody, and a
//! poll that stays with a call for each receive costs less. So while turns are small (`backend` measures that), a
//! receive that is told to wait first ([`suits`]) stands in line at its socket's watch instead.
//!
//! **Announced**: a watch without news ([`News::None`]) has a POLL that will tell of whatever there is to receive. Of
//! that these are the reasons:
//!
//! 1. The POLL looks at the socket when it begins, and tells what it finds. So a watch that begins has no news yet,
//!    whatever is there.
//! 2. From then on each wake of the socket is told: by a completion of its own, or by one for several wakes, for
//!    which the kernel looks at the socket. What comes wakes after it can be received. So what a call that answered
//!    EAGAIN did not find wakes after that call, and its completion has not been fetched yet.
//! 3. A call that came short of its buffer has emptied its socket, too, unless something divides what is there: an end,
//!    an error, urgent data. Each of these has a wake of its own, beside that of the bytes that come with it, under the
//!    socket's lock, which a receive takes as well. So it is believed after exactly one wake that was for bytes
//!    ([`News::One`]): whatever divides them has another wake, which has not been told yet. When it has (two
//!    completions, or one for several wakes, or one that says more than that there are bytes), receives go on until one
//!    answers EAGAIN, or gives the end.
//!    Urgent data that overtook what stands before it is the exception: its wake came first, and nothing was found
//!    then. It can be seen at that time, so who finds nothing asks ([`Watches::doubt`]).
//! 4. What else takes from the socket leaves less to announce, not more.
//!
//! Which completion is for one wake alone, the kernel shows by handing the wake's mask on as it is: that of bytes has
//! `POLLRDBAND`, which TCP never says when it is asked. Before Linux 6.1 one completion might be for several wakes and
//! look like that for the first (5.17 to 6.0), or some could be lost while one was told; so there are no watches there.
//! Other sockets than TCP's divide what is theirs in ways of their own: no short receive is believed at those.
//!
//! A watch that has ended is begun anew for whoever waits. One that ends with an error leaves those who wait to the
//! ring, as entries. Its place is another's only after the POLL's last completion, so a late one finds its own watch.
//!
//! The POLL holds the open file, so an [`Fd`](crate::Fd) that goes has it cancelled before its number closes.

use crate::{
    driver::{
        Few,
        slots::{Key, Slot},
        source::SourceId,
    },
    entry::{Cqe, Interest, Place, Sqe},
    sys,
};
use slab::Slab;
use std::os::fd::RawFd;

/// What a POLL of a watch asks for: bytes, and the end; what marks a wake for bytes ([`News`]). Errors come by
/// themselves.
pub(super) const EVENTS: i16 = libc::POLLIN | libc::POLLRDHUP | libc::POLLRDBAND;

/// So many events may come while nobody receives. Then the watch is not worth them.
const UNHEARD: u8 = 8;

/// Whether an entry is a receive that is told to wait before it tries.
pub(super) fn waits_first(sqe: &Sqe) -> bool {
    u32::from(sqe.opcode) == sys::IORING_OP_RECV && sqe.ioprio == sys::IORING_RECVSEND_POLL_FIRST as u16
}

/// Whether a call does the same when there is something: a receive that is told to wait, of a counted descriptor that
/// has a number, into memory of its own, and without anything that only the kernel does.
pub(super) fn suits(slot: &Slot) -> bool {
    let sqe = &slot.sqe;
    if !waits_first(sqe) {
        return false;
    }
    let (ioprio, user_data) = (sqe.ioprio, sqe.user_data);
    let plain = Sqe { ioprio, user_data, ..Sqe::recv(sqe.fd, sqe.addr as *mut u8, sqe.len, 0) };
    let by_readiness = slot.twin.place == Place::Ready(Interest::Read) && slot.twin.otherwise.is_none();
    *sqe == plain && sqe.len > 0 && slot.owned && slot.is_plain() && by_readiness
}

/// What its POLL has told that no call has found to be all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Nothing: whatever there is will be told.
    None,
    /// One wake, for bytes.
    One,
    /// There may be anything.
    Any,
}

/// What its POLL is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    No,
    Yes,
    /// It was asked to end, and will say so.
    Ending,
}

/// A watched socket.
#[derive(Debug)]
struct Watch {
    fd: RawFd,
    armed: Armed,
    news: News,
    /// The last POLL ended with an error: those who wait are the ring's.
    failed: bool,
    /// A call that came short of its buffer may not have emptied the socket, however many wakes there were.
    doubted: bool,
    /// Its `Fd` is gone.
    over: bool,
    /// So many events came since somebody waited.
    unheard: u8,
    waiting: Few<Key>,
}

/// What is to be done at a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until something comes.
    Rest,
    /// Its POLL is to begin.
    Arm(RawFd),
    /// The first who waits is to be called.
    Call(Key),
}

/// What to do about a POLL that told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is nobody's.
    Stray,
    /// Look after the watch.
    Serve,
    /// End it: nobody listens.
    Stop,
    /// Nothing.
    Noted,
}

/// All watches of a ring.
#[derive(Debug, Default)]
pub(super) struct Watches {
    all: Slab<Watch>,
    /// How many POLLs owe a last completion.
    armed: usize,
}

impl Watches {
    fn get(&mut self, id: SourceId) -> Option<&mut Watch> {
        self.all.get_mut(id.index() as usize)
    }

    /// Whether a POLL owes its last completion.
    pub(super) fn is_armed(&self) -> bool {
        self.armed > 0
    }

    /// Lets `key` wait for the socket `fd`, of which this is the watch, if it has one. Gives it.
    pub(super) fn join(&mut self, id: Option<SourceId>, fd: RawFd, key: Key) -> SourceId {
        let id = id.unwrap_or_else(|| SourceId::at(self.all.insert(Watch::new(fd)) as u32));
        if let Some(watch) = self.get(id) {
            watch.unheard = 0;
            watch.waiting.push_back(key);
        }
        id
    }

    /// Whether anybody waits there.
    pub(super) fn is_waited_for(&mut self, id: SourceId) -> bool {
        self.get(id).is_some_and(|watch| !watch.waiting.is_empty())
    }

    /// `key` waits no longer.
    pub(super) fn leave(&mut self, id: SourceId, key: Key) {
        if let Some(watch) = self.get(id) {
            watch.waiting.retain(|&waiting| waiting != key);
        }
    }

    /// Who waited at a watch that has failed, and waits there no longer.
    pub(super) fn next_left(&mut self, id: SourceId) -> Option<Key> {
        let watch = self.get(id)?;
        let left = if watch.failed { watch.waiting.pop_front() } else { None };
        watch.failed = left.is_some();
        left
    }

    /// What is to be done at a watch. To begin is taken to be done.
    pub(super) fn next(&mut self, id: SourceId) -> Next {
        let Some(watch) = self.get(id) else { return Next::Rest };
        match (watch.waiting.front(), watch.news, watch.armed) {
            (None, ..) | (_, News::None, Armed::Yes | Armed::Ending) => Next::Rest,
            (Some(&first), News::One | News::Any, _) => Next::Call(first),
            (_, News::None, Armed::No) => {
                let fd = watch.fd;
                watch.armed = Armed::Yes;
                self.armed += 1;
                Next::Arm(fd)
            }
        }
    }

    /// From now on nothing but EAGAIN tells that this socket was emptied.
    pub(super) fn doubt(&mut self, id: SourceId) {
        if let Some(watch) = self.get(id) {
            watch.doubted = true;
        }
    }

    /// Learns what the call of the first who waits has answered, which had so much `room`. `false`: it waits on.
    pub(super) fn answered(&mut self, id: SourceId, res: i32, room: u32) -> bool {
        let Some(watch) = self.get(id) else { return true };
        let waits = res == -libc::EAGAIN;
        let came_short = res > 0 && (res as u32) < room;
        let emptied = waits || (came_short && watch.news == News::One && !watch.doubted);
        watch.news = if emptied { News::None } else { News::Any };
        if !waits {
            watch.waiting.pop_front();
        }
        !waits
    }

    /// Takes in what a POLL told.
    pub(super) fn told(&mut self, id: SourceId, cqe: Cqe) -> Told {
        let Some(watch) = self.get(id).filter(|watch| watch.armed != Armed::No) else { return Told::Stray };
        if cqe.res >= 0 {
            watch.news = watch.news.and(cqe.res);
        }
        if !cqe.is_final() {
            return watch.heard();
        }
        watch.failed = cqe.res < 0 && watch.armed == Armed::Yes;
        self.ended(id);
        Told::Serve
    }

    /// Its POLL has ended, or has not begun and never will.
    pub(super) fn ended(&mut self, id: SourceId) {
        let Some(watch) = self.get(id) else { return };
        watch.armed = Armed::No;
        if watch.over {
            self.all.remove(id.index() as usize);
        }
        self.armed -= 1;
    }

    /// Ends a watch that nobody waits at. `true`: its POLL is to be cancelled.
    pub(super) fn stop(&mut self, id: SourceId) -> bool {
        let Some(watch) = self.get(id) else { return false };
        let stops = watch.armed == Armed::Yes && watch.waiting.is_empty();
        if stops {
            watch.armed = Armed::Ending;
        }
        stops
    }

    /// Its `Fd` is gone: so is the watch, as soon as its POLL has ended. `true`: that is to be cancelled.
    pub(super) fn forget(&mut self, id: SourceId) -> bool {
        let Some(watch) = self.get(id) else { return false };
        debug_assert!(watch.waiting.is_empty(), "whoever waits holds the descriptor");
        watch.over = true;
        if watch.armed == Armed::No {
            self.all.remove(id.index() as usize);
            return false;
        }
        self.stop(id)
    }

    /// Ends all of them. Gives those whose POLLs are to be cancelled.
    pub(super) fn end(&mut self) -> impl Iterator<Item = SourceId> {
        self.all.iter_mut().filter(|(_, watch)| watch.armed == Armed::Yes).map(|(index, watch)| {
            watch.armed = Armed::Ending;
            SourceId::at(index as u32)
        })
    }
}

impl Watch {
    fn new(fd: RawFd) -> Watch {
        let waiting = Few::default();
        Watch {
            fd,
            armed: Armed::No,
            news: News::None,
            failed: false,
            doubted: false,
            over: false,
            unheard: 0,
            waiting,
        }
    }

    /// Something came.
    fn heard(&mut self) -> Told {
        if !self.waiting.is_empty() {
            return Told::Serve;
        }
        self.unheard = self.unheard.saturating_add(1);
        if self.unheard < UNHEARD { Told::Noted } else { Told::Stop }
    }
}

impl News {
    /// With what a completion says, which is a mask.
    fn and(self, mask: i32) -> News {
        let says = |event: i16| mask & i32::from(event) != 0;
        let of_bytes =
            says(libc::POLLRDBAND) && !says(libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR | libc::POLLNVAL);
        if self == News::None && of_bytes { News::One } else { News::Any }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::Driver,
        entry::CqeFlags,
        op,
        testing::{poll_once, tcp_pair},
    };
    use std::io::Write;

    const BYTES: i32 = (libc::POLLIN | libc::POLLRDBAND) as i32;
    const LOOKED: i32 = libc::POLLIN as i32;

    /// An answer with more to come.
    fn event(res: i32) -> Cqe {
        Cqe { flags: CqeFlags::MORE, ..Cqe::new(0, res) }
    }

    /// A watch whose POLL has begun, and who waits there.
    fn begun(keys: &[Key]) -> (Watches, SourceId) {
        let mut watches = Watches::default();
        let id = watches.join(None, 7, Key::own(1));
        assert_eq!(watches.next(id), Next::Arm(7));
        watches.leave(id, Key::own(1));
        for &key in keys {
            assert_eq!(watches.join(Some(id), 7, key), id);
        }
        (watches, id)
    }

    /// Whoever waits next is called.
    fn is_called(watches: &mut Watches, id: SourceId) -> bool {
        matches!(watches.next(id), Next::Call(_))
    }

    /// Red when a short receive is believed after more than one wake for bytes, and when it is not after one.
    #[test]
    fn a_short_receive_is_believed_after_one_wake_for_bytes() {
        let odd = [libc::POLLRDHUP, libc::POLLHUP, libc::POLLERR].map(|odd| BYTES | i32::from(odd));
        let told: [(&[i32], bool); 7] = [
            (&[BYTES], true),
            (&[LOOKED], false),
            (&[BYTES, BYTES], false),
            (&[LOOKED, BYTES], false),
            (&[odd[0]], false),
            (&[odd[1]], false),
            (&[odd[2]], false),
        ];
        for (events, believed) in told {
            let (mut watches, id) = begun(&[Key::own(2), Key::own(3)]);
            assert_eq!(watches.next(id), Next::Rest, "nothing was told");
            for &mask in events {
                assert_eq!(watches.told(id, event(mask)), Told::Serve);
            }
            assert_eq!(watches.next(id), Next::Call(Key::own(2)));
            assert!(watches.answered(id, 3, 8));
            assert_eq!(is_called(&mut watches, id), !believed, "{events:?}");
            if !believed {
                assert!(!watches.answered(id, -libc::EAGAIN, 8));
                assert_eq!(watches.next(id), Next::Rest, "it waits on");
                // The next wake is one again.
                assert_eq!(watches.told(id, event(BYTES)), Told::Serve);
                assert_eq!(watches.next(id), Next::Call(Key::own(3)));
                assert!(watches.answered(id, 3, 8));
                watches.join(Some(id), 7, Key::own(4));
                assert_eq!(watches.next(id), Next::Rest);
            }
        }
    }

    /// Red when a short receive is believed where something may divide what is there without a wake of its own.
    #[test]
    fn a_short_receive_is_not_believed_at_a_watch_in_doubt() {
        let (mut watches, id) = begun(&[Key::own(2), Key::own(3)]);
        watches.doubt(id);
        watches.told(id, event(BYTES));
        assert!(is_called(&mut watches, id) && watches.answered(id, 3, 8));
        assert!(is_called(&mut watches, id) && !watches.answered(id, -libc::EAGAIN, 8));
        assert_eq!(watches.next(id), Next::Rest);
    }

    /// Red when a full buffer, an end or an error is taken to have emptied the socket.
    #[test]
    fn only_what_came_short_has_emptied_it() {
        for res in [8, 9, 0, -libc::ECONNRESET] {
            let (mut watches, id) = begun(&[Key::own(2), Key::own(3)]);
            watches.told(id, event(BYTES));
            assert!(is_called(&mut watches, id) && watches.answered(id, res, 8));
            assert!(is_called(&mut watches, id), "{res}");
        }
    }

    /// Red when a watch that ended is not begun again, or its place is given away before its POLL has ended.
    #[test]
    fn a_watch_ends_with_its_last_completion() {
        let (mut watches, id) = begun(&[Key::own(2)]);
        assert!(!watches.stop(id), "somebody waits");
        // The kernel had no room for another answer.
        assert_eq!(watches.told(id, Cqe::new(0, BYTES)), Told::Serve);
        assert!(is_called(&mut watches, id) && !watches.answered(id, -libc::EAGAIN, 8));
        assert_eq!((watches.next(id), watches.next(id)), (Next::Arm(7), Next::Rest), "begun anew");
        watches.leave(id, Key::own(2));
        assert!(watches.forget(id) && watches.is_armed());
        let newer = watches.join(None, 7, Key::own(3));
        assert_ne!(newer, id, "its POLL is still to be heard of");
        assert_eq!(watches.told(id, event(BYTES)), Told::Noted);
        assert_eq!(watches.next(newer), Next::Arm(7));
        assert_eq!(watches.told(id, Cqe::new(0, -libc::ECANCELED)), Told::Serve);
        assert_eq!(watches.told(id, event(BYTES)), Told::Stray);
        assert_eq!((watches.next_left(id), watches.next(id)), (None, Next::Rest));
        assert_eq!(watches.join(None, 8, Key::own(4)), id);
        assert!(!watches.forget(SourceId::at(9)));
    }

    /// Red when who waits is left to nobody, or whoever was asked to end is taken to have failed.
    #[test]
    fn who_waits_at_a_watch_that_failed_is_the_rings() {
        let (mut watches, id) = begun(&[Key::own(2), Key::own(3)]);
        assert_eq!(watches.told(id, Cqe::new(0, -libc::ENOMEM)), Told::Serve);
        assert_eq!([(); 3].map(|()| watches.next_left(id)), [Some(Key::own(2)), Some(Key::own(3)), None]);
        watches.join(Some(id), 7, Key::own(4));
        assert_eq!((watches.next_left(id), watches.next(id)), (None, Next::Arm(7)), "another try");
        watches.leave(id, Key::own(4));
        assert!(watches.stop(id) && !watches.stop(id));
        watches.join(Some(id), 7, Key::own(5));
        assert_eq!(watches.next(id), Next::Rest, "it is ending");
        assert_eq!(watches.told(id, Cqe::new(0, -libc::ECANCELED)), Told::Serve);
        assert_eq!((watches.next_left(id), watches.next(id)), (None, Next::Arm(7)));
        assert_eq!(watches.end().collect::<Vec<_>>(), [id]);
        watches.ended(id);
        assert!(!watches.is_armed());
    }

    /// Red when a watch goes on and on though nobody listens, or ends while somebody does now and then.
    #[test]
    fn a_watch_that_nobody_listens_to_ends() {
        let (mut watches, id) = begun(&[]);
        for _ in 1..UNHEARD {
            assert_eq!(watches.told(id, event(BYTES)), Told::Noted);
        }
        watches.join(Some(id), 7, Key::own(2));
        watches.leave(id, Key::own(2));
        for _ in 1..UNHEARD {
            assert_eq!(watches.told(id, event(BYTES)), Told::Noted);
        }
        assert_eq!(watches.told(id, event(BYTES)), Told::Stop);
    }

    /// Red when anything but a plain receive that waits is watched.
    #[test]
    fn only_a_plain_receive_that_waits_is_watched() {
        static TWIN: crate::entry::Twin = crate::entry::Twin::ready(Interest::Read, |_, _| 0);
        static OTHER: crate::entry::Twin = crate::entry::Twin::here(|_, _| 0);
        let slot = |change: fn(&mut Slot)| {
            let ioprio = sys::IORING_RECVSEND_POLL_FIRST as u16;
            let sqe = Sqe { ioprio, user_data: 5, ..Sqe::recv(3, 64 as *mut u8, 8, 0) };
            let mut slot = Slot { sqe, owned: true, twin: &TWIN, ..Slot::unused() };
            change(&mut slot);
            suits(&slot)
        };
        assert!(slot(|_| {}));
        let changes: [fn(&mut Slot); 10] = [
            |slot| slot.sqe.ioprio = 0,
            |slot| slot.sqe.op_flags = libc::MSG_PEEK as u32,
            |slot| slot.sqe.op_flags = libc::MSG_WAITALL as u32,
            |slot| slot.sqe.off = 1,
            |slot| slot.sqe.len = 0,
            |slot| slot.sqe.flags = crate::entry::SqeFlags::FIXED_FILE,
            |slot| slot.sqe.flags = crate::entry::SqeFlags::BUFFER_SELECT,
            |slot| slot.sqe.personality = 1,
            |slot| slot.owned = false,
            |slot| slot.twin = &OTHER,
        ];
        for (n, change) in changes.into_iter().enumerate() {
            assert!(!slot(change), "{n}");
        }
    }

    /// A receive that is watched, if this kernel can, and how many were.
    async fn watched(fd: &crate::driver::Fd, peer: &mut std::net::TcpStream) -> u64 {
        let before = crate::metrics().driver.watched;
        let mut receiving = op::recv_tcp(fd, Vec::with_capacity(64));
        poll_once(&mut receiving).await;
        peer.write_all(b"bytes").unwrap();
        assert_eq!(receiving.await.0.unwrap(), 5);
        crate::metrics().driver.watched - before
    }

    /// Somebody else ends the POLL. Red when whoever waits is told so, or waits for ever.
    #[crate::test(driver = "uring")]
    async fn a_poll_that_ended_costs_nobody_a_byte() {
        let (a, mut b) = tcp_pair();
        assert_eq!(watched(&a, &mut b).await, 0, "nothing is known yet");
        if watched(&a, &mut b).await == 0 {
            return;
        }
        for waits in [true, false] {
            let driver = Driver::current().unwrap();
            let mut receiving = op::recv_tcp(&a, Vec::with_capacity(64));
            if waits {
                poll_once(&mut receiving).await;
            }
            let (id, before) = (a.source(&driver).unwrap(), driver.counters());
            driver.core.borrow_mut().cancel_watch(id);
            crate::yield_now().await;
            op::nop().await.unwrap();
            poll_once(&mut receiving).await;
            b.write_all(b"bytes").unwrap();
            assert_eq!(receiving.await.0.unwrap(), 5);
            let after = driver.counters();
            assert_eq!(after.watched - before.watched, u64::from(!waits), "who waited is an entry");
            assert_eq!(after.watches - before.watches, u64::from(!waits), "watched anew");
            assert_eq!(watched(&a, &mut b).await, 1);
        }
    }
}
