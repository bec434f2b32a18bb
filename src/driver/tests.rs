//! What the drivers owe to their callers, seen from above.

use crate::{
    driver::Fd,
    entry::{Cqe, Interest, Sqe, Twin},
    op::{Op, Submit, submit},
    sys::unix::ret,
    testing,
};
use std::{
    io::{self, Write},
    os::fd::AsRawFd,
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
