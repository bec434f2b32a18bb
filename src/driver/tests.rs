//! What the drivers owe to their callers, seen from above.

use crate::{
    driver::{Batch, Driver, Fd, Wait, threads::Replies},
    entry::{Cqe, Interest, Sqe, Twin},
    op::{Op, Submit, submit},
    sys::unix::ret,
    testing,
};
use std::{
    cell::RefCell,
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// A receive of four bytes that the ring answers with EAGAIN when there is nothing, as old kernels do for an accept on
/// a listener that does not block.
struct Impatient {
    fd: Fd,
    buf: Box<[u8; 4]>,
}

static IMPATIENT: Twin = Twin::ready(Interest::Read, |sqe, _| {
    // SAFETY: Lent: the box has four bytes, and they are the operation's alone.
    ret(unsafe { libc::recv(sqe.fd, sqe.addr as *mut libc::c_void, sqe.len as usize, libc::MSG_DONTWAIT) })
});

// SAFETY: Lent: the box stays where it is while the operation is moved.
unsafe impl Op for Impatient {
    type Output = io::Result<Vec<u8>>;

    fn twin(&self) -> &'static Twin {
        &IMPATIENT
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::recv(self.fd.as_raw_fd(), self.buf.as_mut_ptr(), 4, libc::MSG_DONTWAIT)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        cqe.result().map(|n| self.buf[..n as usize].to_vec())
    }
}

fn impatient(fd: &Fd) -> Submit<Impatient> {
    submit(Impatient { fd: fd.clone(), buf: Box::default() })
}

/// Red when the stage stays `Waiting` after the twin's call: its completion is taken for readiness again then.
#[crate::test]
async fn a_twin_that_waited_is_called_until_it_succeeds_and_no_more() {
    let (a, mut b) = testing::socket_pair();
    let mut receiving = impatient(&a);
    testing::poll_once(&mut receiving).await;
    crate::time::sleep(Duration::from_millis(5)).await;
    b.write_all(b"onetwo").unwrap();
    assert_eq!(receiving.await.unwrap(), b"onet");
    assert_eq!(impatient(&a).await.unwrap(), b"wo", "nothing was received twice");
}

/// Red when `review` forgets that the slot was cancelled: the twin waits on for what never comes.
#[crate::test]
async fn a_cancel_is_not_lost_between_an_answer_and_the_wait() {
    let (a, _b) = testing::socket_pair();
    let mut receiving = impatient(&a);
    testing::poll_once(&mut receiving).await;
    receiving.cancel();
    let answer = crate::time::timeout(Duration::from_secs(2), receiving).await.expect("the cancel was lost");
    assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    testing::settle().await;
}

/// Red when a second driver's registration ends the first one's: whoever waits there is never tried again.
#[crate::test]
async fn a_descriptor_is_watched_by_each_driver_that_needs_it() {
    std::thread::spawn(|| {
        let make = || crate::Builder::new().driver(crate::DriverKind::Poll).build().unwrap();
        let (one, two) = (make(), make());
        let (a, mut b) = testing::socket_pair();
        let mut first = crate::op::recv(&a, Vec::with_capacity(1));
        one.block_on(testing::poll_once(&mut first));
        let mut second = crate::op::recv(&a, Vec::with_capacity(1));
        two.block_on(testing::poll_once(&mut second));
        drop(second);
        b.write_all(b"x").unwrap();
        let (n, _) = one.block_on(crate::time::timeout(Duration::from_secs(2), first)).expect("nobody watches");
        assert_eq!(n.unwrap(), 1);
    })
    .join()
    .unwrap();
}

/// Red when a close that the pool refused counts as done.
#[crate::test]
async fn a_close_that_finds_no_thread_happens_all_the_same() {
    crate::driver::Driver::current().unwrap().threads().shutdown(Duration::from_secs(1));
    let (a, b) = io::pipe().unwrap();
    drop(Fd::new(a.into()));
    let closing = crate::op::close(Fd::new(b.into())).unwrap();
    let (rx, tx) = io::pipe().unwrap();
    let dropped = Fd::new(tx.into());
    drop(dropped);
    let _ = closing.await;
    testing::settle().await;
    let mut end = Vec::new();
    let reader = std::thread::spawn(move || io::Read::read_to_end(&mut { rx }, &mut end).map(|n| n == 0));
    for _ in 0..200 {
        if reader.is_finished() {
            return assert!(reader.join().unwrap().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the descriptor leaked");
}

/// Red when a limit is added to the clock, or given to the kernel, as it is: both overflow.
#[test]
fn a_limit_without_end_is_one() {
    for driver in [crate::DriverKind::Uring, crate::DriverKind::Poll] {
        let Ok(runtime) = crate::Builder::new().driver(driver).shutdown_deadline(Duration::MAX).build() else {
            continue;
        };
        runtime.block_on(async {
            let turns = || crate::metrics().driver.turns;
            let mut long = Box::pin(crate::time::sleep(Duration::from_secs(9_223_372_036)));
            testing::poll_once(&mut long).await;
            let before = turns();
            let (a, mut b) = testing::socket_pair();
            let writer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                b.write_all(b"x").unwrap();
            });
            crate::op::recv(&a, Vec::with_capacity(1)).await.0.unwrap();
            assert!(turns() - before < 10, "{} turns for one byte", turns() - before);
            writer.join().unwrap();
        });
    }
}

/// A wait for room in a number that no `Fd` owns, as far as the driver knows.
struct Bare(RawFd);

fn has_room(sqe: &Sqe, _: u32) -> i32 {
    let mut ask = libc::pollfd { fd: sqe.fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: Kernel's word: `ask` is one live, writable entry.
    match ret(unsafe { libc::poll(&mut ask, 1, 0) } as isize) {
        0 => -libc::EAGAIN,
        n => n,
    }
}

// SAFETY: Lent: a mask and a number, and no memory.
unsafe impl Op for Bare {
    type Output = io::Result<()>;

    fn twin(&self) -> &'static Twin {
        static TWIN: Twin = Twin::ready(Interest::Write, has_room);
        &TWIN
    }

    fn encode(&mut self) -> Sqe {
        Sqe::poll_add(self.0, Interest::Write)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        cqe.result().map(drop)
    }
}

/// Writes until there is no more room.
fn fill(fd: &Fd) {
    let mut ours = UnixStream::from(fd.duplicate().unwrap());
    ours.set_nonblocking(true).unwrap();
    while ours.write(&[0; 4096]).is_ok() {}
}

/// Red when the `Fd` of a stream does not learn where it is watched: the next operation takes the place for that of a
/// closed number then, and ends all who wait there.
#[crate::test]
async fn who_waits_for_an_open_number_is_never_ended() {
    let (a, mut b) = testing::socket_pair();
    fill(&a);
    let mut bare = submit(Bare(a.as_raw_fd()));
    testing::poll_once(&mut bare).await;
    let bufs = crate::pool::RecvPool::new(4, 8).unwrap();
    let mut stream = crate::op::recv_multi(&a, &bufs);
    for _ in 0..3 {
        b.write_all(b"x").unwrap();
        assert_eq!(&stream.next().await.unwrap().unwrap()[..], b"x");
        assert!(crate::time::timeout(Duration::from_millis(2), stream.next()).await.is_err());
        let mut polling = crate::op::poll(&a, Interest::Read);
        testing::poll_once(&mut polling).await;
        crate::yield_now().await;
    }
    let early = crate::time::timeout(Duration::from_millis(2), &mut bare).await;
    assert!(early.is_err(), "{early:?}");
    drop((stream, bare));
    testing::settle().await;
}

/// Red when the request for an early end answers whoever was answered already.
#[crate::test]
async fn who_waited_for_a_number_that_is_another_file_is_answered_once() {
    let (a, _b) = testing::socket_pair();
    let number = a.as_raw_fd();
    let mut first = crate::op::poll(&a, Interest::Read);
    testing::poll_once(&mut first).await;
    // Somebody puts another file in the place of this one.
    let (c, _d) = UnixStream::pair().unwrap();
    // SAFETY: Plain call: two numbers.
    assert_eq!(unsafe { libc::dup2(c.as_raw_fd(), number) }, number);
    // SAFETY: Fresh descriptor: the number is the one `dup2` made; `a` gives up its own below.
    let c = Fd::new(unsafe { OwnedFd::from_raw_fd(number) });
    let mut second = crate::op::poll(&c, Interest::Read);
    testing::poll_once(&mut second).await;
    drop((first, second));
    testing::settle().await;
    std::mem::forget(a);
    assert_eq!(crate::metrics().driver.strays, 0);
}

/// Red when whoever waits for a bare number is lost with the `Fd` that had joined it.
#[crate::test]
async fn who_waits_for_a_number_waits_on_when_its_fd_leaves() {
    let (a, mut b) = testing::socket_pair();
    fill(&a);
    let mut bare = submit(Bare(a.as_raw_fd()));
    testing::poll_once(&mut bare).await;
    let early = crate::time::timeout(Duration::from_millis(1), crate::op::poll(&a, Interest::Read)).await;
    assert!(early.is_err(), "{early:?}");
    // The bare wait remains, and what was dropped has to let go of the `Fd`.
    testing::turn().await;
    let _open = a.try_into_owned().unwrap();
    b.set_nonblocking(true).unwrap();
    while b.read(&mut [0; 65536]).is_ok() {}
    crate::time::timeout(Duration::from_millis(500), bare).await.expect("nobody tells").unwrap();
}

/// Red when turns without completions are counted as batches, or a turn's completions one by one.
#[crate::test]
async fn completions_are_counted_by_the_turn_that_found_them() {
    let before = crate::metrics().driver;
    let (mut a, b) = (Vec::new(), testing::socket_pair());
    for _ in 0..20 {
        let mut receiving = crate::op::recv(&b.0, Vec::with_capacity(1));
        testing::poll_once(&mut receiving).await;
        a.push(receiving);
    }
    assert_eq!(crate::metrics().driver.slots, before.slots + 20);
    b.1.shutdown(std::net::Shutdown::Write).unwrap();
    for receiving in a {
        receiving.await.0.unwrap();
    }
    let after = crate::metrics().driver;
    assert!(after.slots_max >= 20 && after.slots < 20, "{after:?}");
    let batches = after.batches.since(&before.batches);
    assert!(batches.count() <= 20 && batches.buckets()[0] == 0, "{batches:?}");
    assert!(batches.buckets()[5..].iter().sum::<u64>() >= 1, "twenty ends are found by one turn: {batches:?}");
    let turns = after.turns - before.turns;
    testing::turn().await;
    let idle = crate::metrics().driver;
    assert!(idle.turns > after.turns && turns > 0);
    assert_eq!(idle.batches.count(), after.batches.count(), "a timer is no completion");
}

/// Red when the flag is not looked at before the enter that takes it back.
#[crate::test(entries = 1)]
async fn an_overrun_queue_is_noted_and_costs_nobody_an_answer() {
    let many: Vec<_> = (0..300).map(|_| crate::op::nop()).collect();
    let tasks: Vec<_> = many.into_iter().map(crate::spawn).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let counters = crate::metrics().driver;
    assert_eq!(counters.lost, 0);
    let by_ring = counters.sqes_of("NOP") > 0;
    assert_eq!(counters.overflows > 0, by_ring, "{counters:?}");
}

/// Red when a plain answer overtakes that of a stream which was served before it. The ring promises no such order.
#[crate::test(driver = "poll")]
async fn who_is_served_first_is_told_first() {
    let (a, b) = UnixDatagram::pair().unwrap();
    let (fd, pool) = (Fd::new(a.into()), crate::pool::RecvPool::new(2, 8).unwrap());
    let told = Rc::new(RefCell::new(Vec::new()));
    let (streaming, order) = (fd.clone(), told.clone());
    let first = crate::spawn(async move {
        let got = crate::op::recv_multi(&streaming, &pool).next().await.unwrap().unwrap().to_vec();
        order.borrow_mut().push(got);
    });
    crate::yield_now().await;
    let order = told.clone();
    let second = crate::spawn(async move {
        let got = crate::op::recv(&fd, Vec::with_capacity(8)).await.1;
        order.borrow_mut().push(got);
    });
    crate::yield_now().await;
    b.send(b"one").unwrap();
    b.send(b"two").unwrap();
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(*told.borrow(), [b"one", b"two"]);
}

/// A read of a byte of which the answer is never in memory, as far as the call says that would have it.
struct Cold {
    fd: Fd,
    buf: Box<u8>,
}

/// How often that call was made.
static TRIES: AtomicU32 = AtomicU32::new(0);

unsafe fn read_byte(sqe: &Sqe, _: u32) -> i32 {
    // SAFETY: Lent: the box is the operation's alone.
    ret(unsafe { libc::read(sqe.fd, sqe.addr as *mut libc::c_void, 1) })
}

// SAFETY: Lent: the box stays where it is while the operation is moved.
unsafe impl Op for Cold {
    type Output = io::Result<u32>;

    fn twin(&self) -> &'static Twin {
        static CACHED: Twin = Twin::here(|_, _| {
            TRIES.fetch_add(1, Relaxed);
            -libc::EOPNOTSUPP
        });
        static TWIN: Twin = Twin::pool(read_byte).after(&CACHED);
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        Sqe::read(self.fd.as_raw_fd(), &raw mut *self.buf, 1, 0)
    }

    fn finish(self, cqe: Cqe) -> Self::Output {
        cqe.result()
    }
}

/// Red when a turn that may complete no more inline tries in vain, and learns nothing from it.
#[crate::test]
async fn what_is_tried_in_vain_is_remembered_whatever_is_left_of_the_turn() {
    let zero = || Fd::new(std::fs::File::open("/dev/zero").unwrap().into());
    let (warm, cold) = (zero(), zero());
    for _ in 0..300 {
        testing::poll_once(&mut crate::op::read_at(&warm, Vec::with_capacity(1), 0)).await;
    }
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut one = submit(Cold { fd: cold.clone(), buf: Box::new(1) });
        testing::poll_once(&mut one).await;
        all.push(one);
    }
    assert!(TRIES.load(Relaxed) <= 8 * 2, "{TRIES:?}");
    for one in all {
        assert_eq!(one.await.unwrap(), 1);
    }
}

/// T21. Red when a child that has a turn looks for what its parent's threads owe: one may have had the lock.
#[crate::test]
async fn a_forked_child_has_no_turn() {
    let driver = Driver::current().unwrap();
    let replies = Replies::new(|| ());
    {
        let mut core = driver.core.borrow_mut();
        (core.replies, core.on_pool) = (Some(replies.clone()), 1);
    }
    let held = replies.lock();
    assert!(testing::in_child(|| {
        for wait in [Wait::Not, Wait::Forever] {
            let error = driver.turn(wait, &mut Batch::default()).unwrap_err();
            assert!(error.to_string().contains("forked child"), "{error}");
        }
        assert_eq!(driver.rests(), None);
    }));
    drop(held);
    let mut core = driver.core.borrow_mut();
    (core.replies, core.on_pool) = (None, 0);
}
