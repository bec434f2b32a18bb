//! `io_uring_prep_timeout(3)`: `IORING_OP_TIMEOUT`, since Linux 5.4. Lets time pass, once or again and again.

use crate::{
    entry::{After, Cqe, Multishot, Sqe, TimeoutFlags, Twin},
    op::{Multi, MultiOp, Op, Submit, multi, submit},
    sys::{self, __kernel_timespec, unix::ETIME},
};
use std::{fmt, io, time::Duration};

impl Sqe {
    /// Lets the time at `time` pass, which is read when this is submitted. Takes
    /// [`TimeoutFlags`](crate::entry::TimeoutFlags): on `CLOCK_MONOTONIC` if they name no other one. It may be
    /// [changed](Sqe::timeout_update) meanwhile, and [removed](Sqe::timeout_remove).
    ///
    /// *Result*: `-ETIME`, which is no failure of it, but breaks a link. `EINVAL` for negative nanoseconds. *Since*
    /// Linux 5.4. *Cancel*: while it waits. *Twin*: a timer.
    #[must_use]
    pub fn timeout(time: *const __kernel_timespec) -> Sqe {
        Sqe { opcode: sys::IORING_OP_TIMEOUT as u8, fd: -1, addr: time as u64, len: 1, ..Sqe::default() }
    }

    /// The same, or until the ring has had `count` completions of other entries, whatever comes first.
    ///
    /// *Result*: `-ETIME`, or 0 by the count. *Since* Linux 5.4. *Cancel*: while it waits. *Twin*: none.
    #[must_use]
    pub fn timeout_or_count(time: *const __kernel_timespec, count: u32) -> Sqe {
        Sqe { off: count.into(), ..Sqe::timeout(time) }
    }

    /// Lets the time at `time` pass again and again: `times` times, or without end for 0. Not with
    /// [`ABS`](TimeoutFlags::ABS), which is `EINVAL`.
    ///
    /// A cancel does not find one that has just fired and was not started again yet: ask again, until its final
    /// completion is there.
    ///
    /// *Result*: `-ETIME` of each; the last has no [`CqeFlags::MORE`](crate::entry::CqeFlags::MORE). *Since* Linux 6.4;
    /// `EINVAL` before. *Cancel*: while it waits. Multishot. *Twin*: a timer that is started again.
    #[must_use]
    pub fn timeout_multi(time: *const __kernel_timespec, times: u32) -> Sqe {
        Sqe::timeout_or_count(time, times).timeout_flags(TimeoutFlags::MULTISHOT)
    }

    /// Lets a number of nanoseconds pass, which lies in the entry itself. Takes [`TimeoutFlags`], and so do
    /// [links](Sqe::link_timeout) by [`immediate`](Sqe::immediate).
    ///
    /// *Result*: as of [`timeout`](Sqe::timeout). *Since* Linux 7.1; `EINVAL` or `EFAULT` before. *Cancel*: while it
    /// waits. *Twin*: none.
    #[must_use]
    pub fn timeout_nanos(nanos: u64) -> Sqe {
        Sqe::timeout(std::ptr::null()).immediate(nanos)
    }

    /// For timeouts, those of links among them, that were made with a null pointer: the time is so many nanoseconds.
    /// Since Linux 7.1; `EINVAL` or `EFAULT` before.
    #[must_use]
    pub const fn immediate(mut self, nanos: u64) -> Sqe {
        self.addr = nanos;
        self.op_flags |= sys::IORING_TIMEOUT_IMMEDIATE_ARG;
        self
    }
}

static TWIN: Twin = Twin::timer();

pub(super) static MULTISHOT: Multishot = Multishot {
    // Not by TIMEOUT_MULTISHOT (since Linux 6.4): a cancel does not find a timer that has fired and was not started
    // again yet. It would go on for ever then, and for a short time that is all that a cancel ever meets.
    flag: None,
    after: |res| if res == -ETIME { After::More } else { After::End },
};

/// A timeout, as an operation.
pub struct Timeout {
    time: Box<__kernel_timespec>,
}

impl Timeout {
    fn new(time: Duration) -> Timeout {
        let tv_sec = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timeout { time: Box::new(__kernel_timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }) }
    }

    fn sqe(&self) -> Sqe {
        Sqe::timeout(&raw const *self.time)
    }
}

// SAFETY: Lent: the time lies in a box of its own, which stays where it is, and is only read.
unsafe impl Op for Timeout {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        self.sqe()
    }

    fn finish(self, cqe: Cqe) -> io::Result<()> {
        passed(cqe)
    }
}

fn passed(cqe: Cqe) -> io::Result<()> {
    if cqe.res == -ETIME { Ok(()) } else { cqe.result().map(drop) }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeout({}.{:09} s)", self.time.tv_sec, self.time.tv_nsec)
    }
}

/// Lets `time` pass, as an entry of its own. [`sleep`](crate::time::sleep) is cheaper, as it needs none; this is for
/// whoever wants the kernel's own timer, or one beside other entries.
///
/// # Errors
/// `ECANCELED` if it was cancelled.
///
/// # Cancellation
/// **Clean**: there is nothing to lose.
pub fn timeout(time: Duration) -> Submit<Timeout> {
    submit(Timeout::new(time))
}

/// A timeout that begins again each time it has passed, as an operation.
#[derive(Debug)]
pub struct TimeoutMulti {
    timeout: Timeout,
}

// SAFETY: Lent: as for `Timeout`, whose entry this is.
unsafe impl Op for TimeoutMulti {
    type Output = Option<io::Result<()>>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        self.timeout.sqe()
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        if cqe.res == -libc::ECANCELED { None } else { Some(passed(cqe)) }
    }
}

// SAFETY: Lent: the other side only reads the time, and `each` does not touch it.
unsafe impl MultiOp for TimeoutMulti {
    type Item = io::Result<()>;

    fn multishot(&self) -> &'static Multishot {
        &MULTISHOT
    }

    fn each(&mut self, cqe: Cqe) -> Self::Item {
        passed(cqe)
    }
}

/// Tells each time that `time` has passed since the last time. What comes late delays what follows: it is no clock. An
/// error is the last item.
pub fn timeout_multi(time: Duration) -> Multi<TimeoutMulti> {
    multi(TimeoutMulti { timeout: Timeout::new(time) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{poll_once, settle};
    use std::time::Instant;

    #[crate::test]
    async fn time_passes() {
        let start = Instant::now();
        timeout(Duration::from_millis(20)).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(20));
        timeout(Duration::ZERO).await.unwrap();
    }

    #[crate::test]
    async fn it_can_be_ended_early() {
        let mut long = timeout(Duration::MAX);
        poll_once(&mut long).await;
        long.cancel();
        let ended = crate::time::timeout(Duration::from_secs(5), long).await.expect("the cancel was lost");
        assert_eq!(ended.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        let mut dropped = timeout(Duration::from_secs(1000));
        poll_once(&mut dropped).await;
        drop(dropped);
        settle().await;
    }

    /// Red when a stream on the poll driver waits for readiness, or the ring's is not started again.
    #[crate::test]
    async fn it_comes_again_and_again() {
        let start = Instant::now();
        let mut ticks = timeout_multi(Duration::from_millis(3));
        for n in 1..=10 {
            ticks.next().await.unwrap().unwrap();
            assert!(start.elapsed() >= Duration::from_millis(3) * n, "{n} ticks in {:?}", start.elapsed());
        }
        ticks.cancel();
        while let Some(tick) = ticks.next().await {
            tick.unwrap();
        }
        drop(timeout_multi(Duration::from_secs(1)));
        settle().await;
    }

    /// Red when the kernel is asked for many ticks by one entry: a timer that has just fired is not found by its
    /// cancel, and goes on for ever.
    #[crate::test]
    async fn a_tick_that_is_on_its_way_does_not_save_the_stream() {
        let soon = Duration::from_secs(5);
        for micros in [0, 100, 3000] {
            let mut ticks = timeout_multi(Duration::from_micros(micros));
            ticks.next().await.unwrap().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            ticks.cancel();
            let rest = async { while ticks.next().await.is_some() {} };
            crate::time::timeout(soon, rest).await.expect("the cancel was lost");
            let mut dropped = timeout_multi(Duration::from_micros(micros));
            dropped.next().await.unwrap().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            drop(dropped);
            settle().await;
        }
    }

    /// Red likewise: the request to stop is lost, and ticks that nobody takes pile up.
    #[crate::test]
    async fn ticks_that_nobody_takes_are_bounded() {
        let mut ticks = timeout_multi(Duration::ZERO);
        ticks.next().await.unwrap().unwrap();
        let before = crate::metrics().driver.cqes;
        for _ in 0..20 {
            crate::time::sleep(Duration::from_millis(1)).await;
        }
        let more = crate::metrics().driver.cqes - before;
        assert!(more < 400, "{more} more");
        crate::time::timeout(Duration::from_secs(5), async {
            for _ in 0..1000 {
                ticks.next().await.unwrap().unwrap();
            }
        })
        .await
        .expect("the stream rests on");
    }
}
