//! A clock that stands, for tests.

use super::{Instant, sleep_until};
use crate::rt::{self, clock::Clock};
use std::time::Duration;

/// Stops the clock of this thread's runtime. From now on [`Instant::now`] says the same, and everything in this module
/// goes by that, until the time is [advanced](advance), or advances by itself.
///
/// **By itself** it does so when the runtime would go to sleep with nothing but timers to wait for: then it is at once
/// the time of the next deadline, to the nanosecond. So a test that sleeps for an hour takes no time, and the order of
/// what happens is that of the deadlines. What else there is to wait for keeps the clock from moving:
///
/// - closures of [`spawn_blocking`](crate::spawn_blocking), until they are done; nothing is bounded by the clock
///   meanwhile, so this is also the way to keep it still,
/// - operations that end by themselves, as those on files do,
/// - operations that may wait for ever, as `accept` and `recv` do, keep it only as long as something happens: after a
///   millisecond of the machine's time in which nothing did, it moves.
///
/// What a thread does that the runtime knows nothing of is waited for by nobody: let `spawn_blocking` do it.
///
/// The clock is the runtime's alone. Outside of it, on threads of the pool too, [`Instant::now`] is the machine's, and
/// so is what the kernel counts ([`op::timeout`](crate::op::timeout)) and [`std::time::Instant`].
///
/// [`Builder::start_paused`](crate::Builder::start_paused), or `#[annulus::test(start_paused = true)]`, stops the clock
/// before anything runs.
///
/// ```
/// use annulus::time::{self, Duration, Instant};
///
/// annulus::run(async {
///     time::pause();
///     let start = Instant::now();
///     time::sleep(Duration::from_secs(3600)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
/// });
/// ```
///
/// # Panics
/// Outside a runtime, and if the clock stands already.
#[track_caller]
pub fn pause() {
    assert!(with_clock("pause", Clock::stop), "annulus::time::pause: the clock stands already");
}

/// Lets a clock go on that [`pause`] stopped, from where it stands. It stays as far from the machine's as it is then.
///
/// # Panics
/// Outside a runtime, and if the clock does not stand.
#[track_caller]
pub fn resume() {
    assert!(with_clock("resume", Clock::resume), "annulus::time::resume: the clock does not stand; pause it first");
}

/// Sets a clock forward that [`pause`] stopped.
///
/// It jumps, so all deadlines on the way come at the same time. They have when this returns, and the tasks that waited
/// for them are awake; as a rule, each has been polled once. To wait for what they do then, sleep instead, and let the
/// clock advance by itself.
///
/// # Panics
/// Outside a runtime, if the clock does not stand, and if it cannot say the time.
///
/// # Cancellation
/// **Clean**: once it was polled, the clock is set.
pub async fn advance(duration: Duration) {
    let set = with_clock("advance", |clock| clock.set_forward(duration));
    assert!(set, "annulus::time::advance: the clock does not stand (pause it first), or {duration:?} is too far");
    // Of all timers that are due, this is the last.
    sleep_until(Instant::now()).await;
    rt::yield_now().await;
}

#[track_caller]
fn with_clock<R>(who: &str, f: impl FnOnce(&Clock) -> R) -> R {
    rt::clock(f).unwrap_or_else(|| panic!("annulus::time::{who} was called outside a runtime"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::{Driver, Outlook},
        fs::File,
        io::{AsyncReadRent, AsyncWriteRentExt},
        net::{TcpListener, TcpStream},
        op,
        testing::{poll_once, settle, temp_file, temp_path},
        time::{MissedTickBehavior, interval, sleep, timeout},
    };
    use std::{
        cell::RefCell,
        ffi::CString,
        fs,
        os::unix::ffi::OsStrExt,
        panic::{AssertUnwindSafe, catch_unwind},
        rc::Rc,
        thread,
    };

    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3600);
    const NS: Duration = Duration::from_nanos(1);

    #[crate::test(start_paused = true)]
    async fn an_hour_is_over_at_once_and_to_the_nanosecond() {
        let (start, real) = (Instant::now(), std::time::Instant::now());
        for time in [HOUR, NS, MS, HOUR + NS * 17, Duration::ZERO, HOUR * 24 * 365] {
            let before = Instant::now();
            sleep(time).await;
            assert_eq!(before.elapsed(), time);
        }
        let limited = timeout(HOUR, std::future::pending::<()>()).await;
        assert!(limited.is_err() && start.elapsed() > HOUR * 24 * 365);
        assert!(real.elapsed() < HOUR / 2, "the machine's clock goes its own way");
    }

    /// Sleeps in tasks that tell their times, among them several within one tick of the wheel.
    #[crate::test(start_paused = true)]
    async fn things_happen_in_the_order_of_their_deadlines() {
        let (start, seen) = (Instant::now(), Rc::new(RefCell::new(Vec::new())));
        let times = [MS * 5, NS * 3, MS * 5 + NS, HOUR, NS, MS * 5, NS * 2, MS];
        let tasks = times.map(|time| {
            let seen = seen.clone();
            crate::spawn(async move {
                sleep(time).await;
                seen.borrow_mut().push(start.elapsed());
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        let mut sorted = times;
        sorted.sort();
        assert_eq!(*seen.borrow(), sorted);
    }

    #[crate::test(start_paused = true)]
    async fn advance_fires_what_is_due_and_nothing_else() {
        let (start, done) = (Instant::now(), Rc::new(RefCell::new(Vec::new())));
        let tasks = [MS * 20 + NS, MS * 20, MS * 10].map(|time| {
            let done = done.clone();
            crate::spawn(async move {
                sleep(time).await;
                done.borrow_mut().push(time);
            })
        });
        crate::yield_now().await;
        advance(MS * 20).await;
        assert_eq!((start.elapsed(), &*done.borrow()), (MS * 20, &vec![MS * 10, MS * 20]));
        advance(Duration::ZERO).await;
        advance(NS).await;
        assert_eq!((start.elapsed(), done.borrow().len()), (MS * 20 + NS, 3));
        assert!(tasks.iter().all(|task| task.is_finished()));
    }

    #[crate::test(start_paused = true)]
    async fn a_closure_on_the_pool_keeps_the_clock_still() {
        let start = Instant::now();
        let there = timeout(
            MS,
            crate::spawn_blocking(|| {
                thread::sleep(MS * 50);
                Instant::now()
            }),
        );
        let there = there.await.expect("no timer may come first").unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(there > start, "on the pool it is the machine's clock");
        drop(crate::spawn_blocking(|| thread::sleep(MS * 50)));
        let real = std::time::Instant::now();
        sleep(MS).await;
        assert!(real.elapsed() >= MS * 40, "a detached one, too");
    }

    #[crate::test]
    async fn an_outlook_is_that_of_the_most_certain_operation() {
        let driver = Driver::current().unwrap();
        assert_eq!(driver.outlook(), Outlook::Rests);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut accept = Box::pin(listener.accept());
        poll_once(&mut accept).await;
        assert_eq!(driver.outlook(), Outlook::Waits);
        let file = File::from_std(temp_file()).unwrap();
        let mut write = Box::pin(file.write_at(vec![0; 8], 0));
        poll_once(&mut write).await;
        assert_eq!(driver.outlook(), Outlook::Ends);
        write.await.0.unwrap();
        assert_eq!(driver.outlook(), Outlook::Waits);
        drop(accept);
        settle().await;
        assert_eq!(driver.outlook(), Outlook::Rests);
    }

    /// Red when a direct descriptor keeps the clock still for ever, because it has no twin that could wait.
    #[crate::test]
    async fn an_outlook_does_not_depend_on_who_has_a_number() {
        let driver = Driver::current().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut accept = Box::pin(op::accept_direct(listener.fd()));
        poll_once(&mut accept).await;
        assert_eq!(driver.outlook(), Outlook::Waits);
        drop(accept);
        settle().await;
        let socket = op::socket_direct(libc::AF_INET, libc::SOCK_DGRAM, 0).await.unwrap();
        let mut receive = Box::pin(op::recv(&socket, vec![0; 8]));
        poll_once(&mut receive).await;
        assert_eq!(driver.outlook(), Outlook::Waits);
        drop(receive);
        settle().await;
        assert_eq!(driver.outlook(), Outlook::Rests);
    }

    /// Opening a FIFO waits for its other end. (The ring opens it at once, but that is all the same.)
    #[crate::test(start_paused = true)]
    async fn an_operation_that_ends_by_itself_keeps_the_clock_still() {
        let path = temp_path();
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name ends with a zero, and nothing else is named.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let other = path.clone();
        let peer = thread::spawn(move || {
            thread::sleep(MS * 50);
            fs::File::options().write(true).open(other).unwrap()
        });
        let start = Instant::now();
        timeout(MS, File::open(&path)).await.expect("no timer may come first").unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(peer.join().unwrap());
        fs::remove_file(path).unwrap();
    }

    #[crate::test(start_paused = true)]
    async fn what_waits_for_ever_does_not_keep_the_clock() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let waits = crate::spawn(async move { drop(listener.accept().await) });
        let (start, real) = (Instant::now(), std::time::Instant::now());
        for _ in 0..10 {
            sleep(HOUR).await;
        }
        assert_eq!(start.elapsed(), HOUR * 10);
        assert!(real.elapsed() >= MS * 10, "each time, it was given a moment");
        assert!(!waits.is_finished());
        waits.abort();
    }

    #[crate::test(start_paused = true)]
    async fn what_is_on_its_way_comes_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = crate::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buf = Vec::with_capacity(64);
            loop {
                let (n, back) = stream.read(buf).await;
                if n.unwrap() == 0 {
                    return;
                }
                buf = stream.write_all(back).await.1;
                buf.clear();
            }
        });
        let start = Instant::now();
        let mut client = timeout(MS, TcpStream::connect(addr)).await.unwrap().unwrap();
        for _ in 0..100 {
            client.write_all(b"ping").await.0.unwrap();
            let (n, _) = timeout(MS, client.read(vec![0; 4])).await.expect("it was on its way");
            assert_eq!(n.unwrap(), 4);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(client);
        server.await.unwrap();
    }

    #[crate::test]
    async fn a_clock_that_goes_on_stays_ahead() {
        pause();
        let (start, real) = (Instant::now(), std::time::Instant::now());
        sleep(HOUR).await;
        resume();
        let ahead = start.elapsed();
        assert!(ahead >= HOUR && ahead < HOUR + real.elapsed());
        sleep(MS * 5).await;
        assert!(real.elapsed() >= MS * 5, "it goes as fast as the machine's");
        assert!(start.elapsed() >= ahead + MS * 5);
        pause();
        let here = Instant::now();
        thread::sleep(MS);
        assert_eq!(Instant::now(), here);
        resume();
    }

    /// The table of `MissedTickBehavior`.
    #[crate::test(start_paused = true)]
    async fn missed_ticks_come_when_the_table_says() {
        use MissedTickBehavior::{Burst, Delay, Skip};
        let tables =
            [(Burst, &[0, 10, 35, 35, 40, 50][..]), (Delay, &[0, 10, 35, 45, 55]), (Skip, &[0, 10, 35, 40, 50])];
        for (behavior, table) in tables {
            let (start, mut ticks, mut seen) = (Instant::now(), interval(MS * 10), Vec::new());
            ticks.set_missed_tick_behavior(behavior);
            for n in 0..table.len() {
                ticks.tick().await;
                seen.push(start.elapsed().as_millis());
                if n == 1 {
                    advance(MS * 25).await;
                }
            }
            assert_eq!(seen, table, "{behavior:?}");
        }
    }

    #[crate::test]
    async fn a_clock_is_stopped_once_and_set_only_when_it_stands() {
        fn fault(f: impl FnOnce()) -> String {
            let fault = catch_unwind(AssertUnwindSafe(f)).expect_err("it does not fit");
            fault.downcast_ref::<String>().cloned().unwrap_or_else(|| (*fault.downcast_ref::<&str>().unwrap()).into())
        }
        assert!(fault(resume).contains("does not stand"));
        let unfit = crate::spawn(advance(MS)).await.unwrap_err();
        assert!(unfit.to_string().contains("does not stand"), "{unfit}");
        pause();
        assert!(fault(pause).contains("stands already"));
        let unfit = crate::spawn(advance(Duration::MAX)).await.unwrap_err();
        assert!(unfit.to_string().contains("too far"), "{unfit}");
        let abroad = thread::spawn(|| (fault(pause), fault(resume))).join().unwrap();
        assert!(abroad.0.contains("outside a runtime") && abroad.1.contains("outside a runtime"));
    }

    #[test]
    fn the_clock_is_the_runtimes_own() {
        let (stands, goes) = (crate::Builder::new().start_paused(true).build(), crate::Runtime::new());
        let (stands, goes) = (stands.unwrap(), goes.unwrap());
        let here = stands.block_on(async { Instant::now() });
        assert!(Instant::now() > here, "outside, it is the machine's");
        assert!(goes.block_on(async { Instant::now() }) > here);
        assert_eq!(stands.block_on(async { Instant::now() }), here);
    }
}
