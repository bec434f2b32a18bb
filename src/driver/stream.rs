//! What a slot keeps for a request that is answered many times, and the rules by which it goes on.
//!
//! Above, there is one stream of completions, each with `F_MORE` but for the last. Below, a stream is one multishot
//! entry, or an entry or a call of the twin for each answer, and these end for reasons that are nobody's business
//! above: the completion queue was full, no buffer was left, the kernel does not know the flag. This file decides what
//! is told and what is done; it is pure, and `backend.rs` carries it out.

use crate::{
    driver::{Few, later::pause},
    entry::{After, Cqe, CqeFlags, Multishot},
};
use std::{iter, time::Duration};

/// How many answers wait to be fetched at most before no more are asked for. The kernel may add some until it hears.
pub(super) const FULL: usize = 256;

/// The limit of a stream that may have any number of buffers.
pub(crate) const NO_LIMIT: u32 = u32::MAX;

/// Completions of one request, of which everybody knows the name: only the rest is kept.
#[derive(Debug, Default)]
pub(crate) struct Answers(Few<(i32, CqeFlags)>);

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push_back(&mut self, cqe: Cqe) {
        self.0.push_back((cqe.res, cqe.flags));
    }

    /// The first one, without its name.
    pub(super) fn pop_front(&mut self) -> Option<Cqe> {
        self.0.pop_front().map(|(res, flags)| Cqe { flags, ..Cqe::new(0, res) })
    }

    /// Takes all of it out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Cqe> {
        iter::from_fn(|| self.pop_front())
    }
}

/// A stream of answers.
pub(crate) struct Stream {
    pub(super) rule: &'static Multishot,
    /// Answers that were not fetched.
    pub(super) queue: Answers,
    /// What was asked for is a multishot entry.
    pub(super) multishot: bool,
    trust: Trust,
    /// The kernel was told to stop, because nobody fetches.
    stopped: bool,
    /// Attempts since the last answer that ended for lack of something.
    failures: u8,
    /// How many buffers of its group it may have, and how many it has, fetched or not, that were not given back.
    limit: u16,
    has: u16,
}

// Each connection with a stream has one while it waits.
static_assertions::const_assert!(size_of::<Stream>() <= 40);

/// The same as [`NO_LIMIT`], in a stream. No group has so many buffers.
const UNLIMITED: u16 = u16::MAX;

/// What is known of the flag that makes an entry a multishot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Nothing.
    Untried,
    /// The entry was refused with it, and is tried without: the flag may be unknown, or the request be wrong.
    Doubted,
    /// The entry was taken without it. That says nothing of the flag yet: a socket may have begun to listen meanwhile.
    /// If the next entry is refused with it, it is unknown.
    Suspect,
    /// The entry was taken with it.
    Taken,
}

/// What is to be done after an answer of the backend's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing: more answers will come by themselves.
    Go,
    /// Tell the kernel to stop: nobody fetches.
    Stop,
    /// Ask again.
    Again,
    /// Ask again, but not before something has changed.
    Change,
    /// Ask again after this long.
    Pause(Duration),
    /// Ask again when a buffer has come back; if there is one already, after this long, or, if that is none, in line.
    Starve(Duration),
    /// Ask again when everything was fetched.
    Rest,
    /// Nothing any more: the answer is the last.
    End,
}

impl Stream {
    pub(super) fn new(rule: &'static Multishot, limit: u32) -> Box<Stream> {
        Box::new(Stream {
            rule,
            queue: Answers::default(),
            multishot: false,
            trust: Trust::Untried,
            stopped: false,
            failures: 0,
            limit: if limit == NO_LIMIT { UNLIMITED } else { limit.min(u32::from(UNLIMITED) - 1) as u16 },
            has: 0,
        })
    }

    /// What to tell of an answer, and what to do next. `selects` says that the buffers come from a group, `ending`
    /// that no more answers are wanted.
    pub(super) fn judge(&mut self, cqe: Cqe, selects: bool, ending: bool) -> (Option<Cqe>, Then) {
        if !cqe.is_final() {
            self.answered();
            let stop = !ending && !self.stopped && self.is_full();
            self.stopped |= stop;
            return (Some(cqe), if stop { Then::Stop } else { Then::Go });
        }
        match self.lacks(-cqe.res, selects) {
            Some(_) if ending => return (Some(Cqe { res: -libc::ECANCELED, ..cqe }), Then::End),
            Some(_) if self.stopped => return (None, Then::Rest),
            Some(then) => return (None, then),
            None if ending => return (Some(cqe), Then::End),
            None => self.answered(),
        }
        let more = Cqe { flags: cqe.flags | CqeFlags::MORE, ..cqe };
        match (self.rule.after)(cqe.res) {
            After::End => (Some(cqe), Then::End),
            _ if self.stopped || self.is_full() => (Some(more), Then::Rest),
            After::More => (Some(more), Then::Again),
            After::Change => (Some(more), Then::Change),
        }
    }

    /// Whether it has to rest, with one answer more.
    fn is_full(&self) -> bool {
        self.queue.len() + 1 >= FULL || self.has >= self.limit
    }

    /// Whether its buffers are counted.
    pub(super) fn is_limited(&self) -> bool {
        self.limit != UNLIMITED
    }

    /// Whether it may have more buffers.
    pub(super) fn has_credit(&self) -> bool {
        self.has < self.limit
    }

    /// How many bytes it may receive before it has all the buffers that it may have, if they are of `size` bytes each;
    /// 0 stands for any number.
    #[allow(dead_code, reason = "where there is no ring, each answer is one buffer")]
    pub(super) fn budget(&self, size: u32) -> u32 {
        match self.limit {
            UNLIMITED => 0,
            limit => u32::from(limit.saturating_sub(self.has).max(1)).saturating_mul(size).min(i32::MAX as u32),
        }
    }

    /// It has got buffers.
    pub(super) fn took(&mut self, buffers: u32) {
        if self.is_limited() {
            self.has = self.has.saturating_add(u16::try_from(buffers).unwrap_or(u16::MAX));
        }
    }

    /// A buffer of its was given back.
    pub(super) fn gave(&mut self) {
        self.has = self.has.saturating_sub(1);
    }

    /// There was an answer, so the entry was right as it was.
    fn answered(&mut self) {
        self.failures = 0;
        self.trust = match self.trust {
            _ if self.multishot => Trust::Taken,
            Trust::Doubted => Trust::Suspect,
            trust => trust,
        };
    }

    /// Whether to ask by a multishot, where the kernel is not known to have none.
    #[allow(dead_code, reason = "where there is no ring, nobody dares")]
    pub(super) fn dares(&self) -> bool {
        self.trust != Trust::Doubted
    }

    /// What to do when an answer is none, but the lack of something.
    fn lacks(&mut self, error: i32, selects: bool) -> Option<Then> {
        match error {
            libc::EINVAL if self.multishot && self.trust != Trust::Taken => {
                self.trust = Trust::Doubted;
                Some(Then::Again)
            }
            libc::ECANCELED if self.stopped => Some(Then::Rest),
            libc::ENOBUFS if selects => {
                // A buffer that came back meanwhile is reason to ask soon, but not again and again.
                let pause = if self.failures == 0 { Duration::ZERO } else { pause(self.failures.into()) };
                self.failures = self.failures.saturating_add(1);
                Some(Then::Starve(pause))
            }
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => {
                self.failures = self.failures.saturating_add(1);
                Some(Then::Pause(pause(u32::from(self.failures) - 1)))
            }
            _ => None,
        }
    }

    /// The flag of a multishot, if an answer shows that the entry is right but for that.
    pub(super) fn refused_flag(&self, cqe: Cqe) -> Option<&'static str> {
        let refused = self.multishot && self.trust == Trust::Suspect && cqe.res == -libc::EINVAL;
        self.rule.flag.as_ref().filter(|_| refused).map(|flag| flag.name)
    }

    /// Everything was fetched, and more is wanted.
    pub(super) fn resume(&mut self) {
        self.stopped = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Flag;

    static RULE: Multishot = Multishot {
        flag: Some(Flag { name: "TEST", set: |sqe| sqe }),
        after: |res| match res {
            1.. => After::More,
            0 => After::End,
            _ if res == -libc::ECONNABORTED => After::Change,
            _ => After::End,
        },
    };

    fn more(res: i32) -> Cqe {
        Cqe { flags: CqeFlags::MORE, ..Cqe::new(0, res) }
    }

    fn last(res: i32) -> Cqe {
        Cqe::new(0, res)
    }

    #[test]
    fn an_end_of_the_backend_is_no_end_of_the_stream() {
        let mut stream = Stream::new(&RULE, NO_LIMIT);
        assert_eq!(stream.judge(more(5), false, false), (Some(more(5)), Then::Go));
        assert_eq!(stream.judge(last(5), false, false), (Some(more(5)), Then::Again), "the queue was full");
        assert_eq!(stream.judge(last(-libc::ECONNABORTED), false, false).1, Then::Change);
        assert_eq!(stream.judge(last(0), false, false), (Some(last(0)), Then::End));
        assert_eq!(stream.judge(last(-libc::EBADF), false, false), (Some(last(-libc::EBADF)), Then::End));
        assert_eq!(stream.judge(last(7), false, true), (Some(last(7)), Then::End), "no more are wanted");
    }

    #[test]
    fn what_is_lacking_is_waited_for_and_not_told() {
        let mut stream = Stream::new(&RULE, NO_LIMIT);
        let starves = (0..3).map(|_| stream.judge(last(-libc::ENOBUFS), true, false));
        let millis = [0, 2, 4].map(|n| (None, Then::Starve(Duration::from_millis(n))));
        assert_eq!(starves.collect::<Vec<_>>(), millis);
        stream.judge(more(1), true, false);
        let pauses = (0..3).map(|_| stream.judge(last(-libc::EMFILE), false, false));
        let millis = [1, 2, 4].map(|n| (None, Then::Pause(Duration::from_millis(n))));
        assert_eq!(pauses.collect::<Vec<_>>(), millis);
        stream.judge(more(1), false, false);
        assert_eq!(stream.judge(last(-libc::ENFILE), false, false).1, Then::Pause(Duration::from_millis(1)));
    }

    #[test]
    fn a_refused_flag_is_doubted_and_a_wrong_request_is_told() {
        let mut stream = Stream::new(&RULE, NO_LIMIT);
        let refused = last(-libc::EINVAL);
        stream.multishot = true;
        assert!(stream.dares() && stream.refused_flag(refused).is_none(), "it may be the request");
        assert_eq!(stream.judge(refused, false, false), (None, Then::Again));
        assert!(!stream.dares());
        stream.multishot = false;
        stream.judge(last(1), false, false);
        assert!(stream.dares(), "it may have been too early");
        stream.multishot = true;
        assert_eq!(stream.refused_flag(refused), Some("TEST"));
        assert_eq!(stream.judge(refused, false, false), (None, Then::Again));
        stream.multishot = false;
        assert_eq!(stream.judge(refused, false, false), (Some(refused), Then::End));
        let mut stream = Stream::new(&RULE, NO_LIMIT);
        stream.multishot = true;
        stream.judge(more(1), false, false);
        assert_eq!(stream.judge(last(-libc::EINVAL), false, false).1, Then::End, "the flag was taken before");
    }

    #[test]
    fn nobody_fetches_and_so_it_rests() {
        let mut stream = Stream::new(&RULE, NO_LIMIT);
        let mut give = |cqe| {
            let (told, then) = stream.judge(cqe, false, false);
            told.into_iter().for_each(|cqe| stream.queue.push_back(cqe));
            then
        };
        for _ in 1..FULL {
            assert_eq!(give(more(1)), Then::Go);
        }
        assert_eq!(give(more(1)), Then::Stop);
        assert_eq!(give(more(1)), Then::Go, "told once");
        assert_eq!(give(last(-libc::ECANCELED)), Then::Rest);
        stream.queue = Answers::default();
        stream.resume();
        assert_eq!(stream.judge(last(-libc::ECANCELED), false, false).1, Then::End, "somebody else's cancel");
        (1..FULL).for_each(|_| stream.queue.push_back(more(1)));
        assert_eq!(stream.judge(last(3), false, false), (Some(more(3)), Then::Rest));
    }

    /// Red when a stream takes more buffers than it may, or does not go on when it may again.
    #[test]
    fn a_stream_with_all_its_buffers_rests() {
        let mut stream = Stream::new(&RULE, 3);
        assert_eq!((stream.budget(100), stream.is_limited()), (300, true));
        stream.took(2);
        assert_eq!((stream.judge(last(1), true, false).1, stream.budget(100)), (Then::Again, 100));
        stream.took(1);
        assert_eq!(stream.judge(last(1), true, false), (Some(more(1)), Then::Rest));
        assert!(!stream.has_credit());
        stream.gave();
        assert!(stream.has_credit());
        stream.took(1);
        assert_eq!(stream.judge(more(1), true, false).1, Then::Stop);
        assert_eq!(stream.judge(last(-libc::ECANCELED), true, false), (None, Then::Rest));
        let big = Stream::new(&RULE, 1 << 20);
        assert_eq!(big.budget(1 << 20), i32::MAX as u32);
        assert_eq!(Stream::new(&RULE, NO_LIMIT).budget(100), 0);
    }

    #[test]
    fn a_stream_that_was_stopped_asks_for_no_more() {
        for error in [libc::EMFILE, libc::ENOBUFS] {
            let mut stream = Stream::new(&RULE, NO_LIMIT);
            (1..FULL).for_each(|_| stream.queue.push_back(more(1)));
            assert_eq!(stream.judge(more(1), true, false).1, Then::Stop);
            assert_eq!(stream.judge(last(-error), true, false), (None, Then::Rest));
        }
    }

    #[test]
    fn what_is_lacking_is_no_answer_to_a_cancel() {
        for error in [libc::EMFILE, libc::ENOBUFS, libc::EINVAL] {
            let mut stream = Stream::new(&RULE, NO_LIMIT);
            stream.multishot = true;
            let (told, then) = stream.judge(last(-error), true, true);
            assert_eq!((told.map(|cqe| cqe.res), then), (Some(-libc::ECANCELED), Then::End));
        }
    }
}
