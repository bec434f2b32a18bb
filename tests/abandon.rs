//! **Lent**, **Home** and **Settled**: whatever becomes of a future, its operation has its memory and its descriptors
//! until its final completion, at the driver that has it, and the memory is freed and the descriptors are closed once.

#[path = "sound/scenes.rs"]
mod scenes;
#[path = "sound/mod.rs"]
mod sound;

#[cfg(not(annulus_kqueue))]
use annulus::ring::{Ring, Sqe};
use annulus::{
    DriverKind, Runtime,
    buf::IoBufMut,
    op::{self, Recv, Submit},
    spawn,
    time::{Duration, timeout},
};
use scenes::{Flight, SCENES, Scene};
use sound::{
    Guarded, Yard, a_moment, descriptors, end, no_more_than, on_both, poll_once, runtime, settle, socket_pair,
};
use static_assertions::assert_not_impl_any;
use std::{
    future::Future,
    io::Write,
    mem,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
};

// Home, as far as the compiler can tell: an operation does not leave the thread of its driver.
assert_not_impl_any!(Submit<Recv<Vec<u8>>>: Send, Sync);
assert_not_impl_any!(annulus::Fd: Send, Sync);
assert_not_impl_any!(Runtime: Send, Sync);

/// Where an operation is when its future is given up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Fresh,
    Queued,
    InFlight,
    Done,
    AfterPanic,
}

const STATES: [State; 5] = [State::Fresh, State::Queued, State::InFlight, State::Done, State::AfterPanic];

/// Brings the operation into `state`; `None` if it is done with.
fn bring(runtime: &Runtime, mut scene: Scene, state: State) -> (Option<Flight>, Box<dyn FnMut()>) {
    let over = runtime.block_on(async {
        if state == State::Fresh || poll_once(&mut scene.flight).await.is_some() {
            return state != State::Fresh;
        }
        match state {
            State::InFlight => a_moment().await,
            State::Done => {
                (scene.trigger)();
                a_moment().await;
                a_moment().await;
            }
            State::AfterPanic => assert!(spawn(async { panic!("on purpose") }).await.is_err()),
            State::Fresh | State::Queued => {}
        }
        false
    });
    ((!over).then_some(scene.flight), scene.trigger)
}

/// The runtime works as if nothing had been.
async fn still_works() {
    let (fd, mut peer) = socket_pair();
    let receiving = op::recv(&fd, Vec::with_capacity(8));
    peer.write_all(b"well").unwrap();
    let (n, buf) = receiving.await;
    assert_eq!((n.unwrap(), &buf[..]), (4, &b"well"[..]));
}

/// Runs `give_up` for each operation in each state, on both drivers, and looks at memory and descriptors afterwards.
fn each_case(name: &str, give_up: impl Fn(DriverKind, Scene, State, &str)) {
    on_both(name, |kind| {
        for (scene, make) in SCENES {
            for state in STATES {
                let what = format!("{name}: {scene}, {state:?}, on {kind}");
                let (before, yard) = (descriptors(), Yard::new());
                give_up(kind, make(&yard), state, &what);
                no_more_than(&before, &what);
                assert_eq!((yard.changed(), yard.alive()), (0, 0), "{what}: buffers written to late, and not freed");
            }
        }
    });
}

#[test]
fn dropped_inside_its_runtime() {
    each_case("dropped", |kind, scene, state, what| {
        let a = runtime(kind, 8);
        let (flight, mut trigger) = bring(&a, scene, state);
        a.block_on(async {
            drop(flight);
            trigger();
            assert!(settle().await, "{what}: the operation does not end");
            still_works().await;
        });
        end(a, what);
    });
}

#[test]
fn dropped_outside_any_runtime() {
    each_case("dropped outside", |kind, scene, state, what| {
        let a = runtime(kind, 8);
        let (flight, mut trigger) = bring(&a, scene, state);
        drop(flight);
        trigger();
        end(a, what);
    });
}

#[test]
fn dropped_inside_another_runtime_and_after_its_own() {
    for first in [false, true] {
        each_case("dropped elsewhere", |kind, scene, state, what| {
            let (a, b) = (runtime(kind, 8), runtime(kind, 8));
            let (flight, mut trigger) = bring(&a, scene, state);
            if first {
                trigger();
                end(a, what);
                b.block_on(async { drop(flight) });
            } else {
                b.block_on(async { drop(flight) });
                trigger();
                end(a, what);
            }
            b.block_on(still_works());
            end(b, what);
        });
    }
}

#[test]
fn dropped_as_a_task_by_the_end_of_the_runtime() {
    each_case("a task", |kind, scene, state, what| {
        let a = runtime(kind, 8);
        let (flight, mut trigger) = bring(&a, scene, state);
        if let Some(flight) = flight {
            a.block_on(async {
                drop(spawn(flight));
                annulus::yield_now().await;
            });
        }
        trigger();
        end(a, what);
        trigger();
    });
}

/// Gives the output, or fails.
fn await_in(runtime: &Runtime, flight: Flight, what: &str) {
    let within = runtime.block_on(timeout(Duration::from_secs(2), flight));
    assert!(within.is_ok(), "{what}: no output comes");
}

#[test]
fn awaited_in_another_runtime_while_its_own_lives() {
    each_case("moved", |kind, scene, state, what| {
        let (a, b) = (runtime(kind, 8), runtime(kind, 8));
        let ends = scene.ends;
        let (flight, mut trigger) = bring(&a, scene, state);
        if let Some(mut flight) = flight.filter(|_| ends) {
            let mut over = b.block_on(poll_once(&mut flight)).is_some();
            trigger();
            for _ in 0..1000 {
                // Its completion comes to the driver that has it, so that one has to run.
                a.block_on(a_moment());
                over = over || b.block_on(poll_once(&mut flight)).is_some();
                if over {
                    break;
                }
                b.block_on(a_moment());
            }
            assert!(over, "{what}: no output comes");
        }
        b.block_on(still_works());
        a.block_on(still_works());
        end(a, what);
        end(b, what);
    });
}

#[test]
fn awaited_in_another_runtime_after_its_own() {
    each_case("outlived", |kind, scene, state, what| {
        let (a, b) = (runtime(kind, 8), runtime(kind, 8));
        let (ends, blocks) = (scene.ends, scene.blocks);
        let (flight, mut trigger) = bring(&a, scene, state);
        if blocks || state == State::Fresh {
            trigger();
        }
        end(a, what);
        trigger();
        if let Some(flight) = flight.filter(|_| ends || state != State::Fresh) {
            await_in(&b, flight, what);
        }
        b.block_on(still_works());
        end(b, what);
    });
}

#[test]
fn forgotten() {
    on_both("forgotten", |kind| {
        for (scene, make) in SCENES {
            for state in STATES {
                let (what, yard) = (format!("forgotten: {scene}, {state:?}, on {kind}"), Yard::new());
                let a = runtime(kind, 8);
                let (flight, mut trigger) = bring(&a, make(&yard), state);
                let (was_alive, over) = (yard.alive(), flight.is_none());
                mem::forget(flight);
                trigger();
                a.block_on(async {
                    a_moment().await;
                    still_works().await;
                });
                end(a, &what);
                assert_eq!(yard.changed(), 0, "{what}: written to after its drop");
                assert!(over || yard.alive() == was_alive, "{what}: forgotten memory was freed");
            }
        }
    });
}

/// The control of all of the above: a buffer that is dropped during its read does lose its canary.
#[cfg(not(annulus_kqueue))]
#[test]
fn the_canary_sees_a_late_write() {
    let _alone = sound::alone();
    let (fd, mut peer) = socket_pair();
    let (yard, mut ring) = (
        Yard::new(),
        match Ring::new(8) {
            Ok(ring) => ring,
            Err(e) => return drop(writeln!(std::io::stderr(), "SKIP the_canary_sees_a_late_write: {e}")),
        },
    );
    let buf = yard.buffer(4096);
    let sqe = Sqe::recv(std::os::fd::AsRawFd::as_raw_fd(&fd), buf.start(), 4096, 0);
    // SAFETY: not Lent, on purpose: the memory is quarantined below and stays mapped, so that the harm can be seen.
    unsafe { ring.push(&sqe) }.unwrap();
    ring.submit().unwrap();
    drop(buf);
    assert_eq!(yard.changed(), 0);
    peer.write_all(b"late").unwrap();
    ring.submit_and_wait(1).unwrap();
    assert_eq!(ring.completions().next().map(|cqe| cqe.res), Some(4));
    assert_eq!((yard.changed(), yard.freed()), (1, 1), "the canary is blind");
}

/// Cancelled, an operation still gives its buffer, and what had been done or ECANCELED.
#[test]
fn a_cancelled_operation_gives_its_buffer_back() {
    on_both("a_cancelled_operation", |kind| {
        let (a, yard) = (runtime(kind, 8), Yard::new());
        a.block_on(async {
            for round in 0..200 {
                let (fd, mut peer) = socket_pair();
                let mut receiving = op::recv(&fd, yard.buffer(64));
                receiving.cancel();
                assert!(poll_once(&mut receiving).await.is_none(), "a cancel before the start does nothing");
                if round % 2 == 0 {
                    a_moment().await;
                }
                let written = round % 3 == 0;
                if written {
                    peer.write_all(&[sound::DATA; 10]).unwrap();
                }
                receiving.cancel();
                receiving.cancel();
                match timeout(Duration::from_secs(2), receiving).await.expect("a cancel that is lost") {
                    (Ok(n), buf) => assert!(written && n == 10 && buf.has(10)),
                    (Err(e), buf) => assert!(e.raw_os_error() == Some(libc::ECANCELED) && buf.len() == 64),
                }
            }
        });
        end(a, "a_cancelled_operation");
        assert_eq!((yard.changed(), yard.alive()), (0, 0));
    });
}

/// Two wait for one byte without RECV, so by polling; the loser is cancelled when its poll has just succeeded.
fn cancelled_between_two_waits() {
    let a = runtime(DriverKind::Uring, 8);
    a.block_on(async {
        let (fd, mut peer) = socket_pair();
        let (mut first, mut second) = (op::recv(&fd, vec![0; 1]), op::recv(&fd, vec![0; 1]));
        assert!(poll_once(&mut first).await.is_none() && poll_once(&mut second).await.is_none());
        a_moment().await;
        assert_eq!(annulus::metrics().driver.sqes_of("RECV"), 0, "the poll was not needed");
        peer.write_all(b"!").unwrap();
        first.cancel();
        second.cancel();
        let first = timeout(Duration::from_secs(2), first).await.expect("a cancel that is lost").0;
        let second = timeout(Duration::from_secs(2), second).await.expect("a cancel that is lost").0;
        assert!(first.is_err() || second.is_err(), "one byte for two");
    });
    end(a, "two waits");
}

#[test]
fn a_cancel_between_two_waits_is_not_lost() {
    const NAME: &str = "a_cancel_between_two_waits_is_not_lost";
    if std::env::var_os("ANNULUS_HIDE_OPS").is_some() {
        return cancelled_between_two_waits();
    }
    if sound::try_runtime(NAME, annulus::Builder::new().driver(DriverKind::Uring)).is_none() {
        return;
    }
    // Where completions interrupt the owner, they are there as soon as the byte is.
    for setup in ["plain", "coop", "defer"] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", NAME]).env("ANNULUS_HIDE_OPS", "RECV").env("ANNULUS_SETUP", setup);
        let output = child.output().unwrap();
        assert!(output.status.success(), "{setup}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

type Receives = Vec<Submit<Recv<Vec<u8>>>>;

/// Starts `n` receives that have nothing to receive, in one go.
async fn receives(fd: &annulus::Fd, n: usize) -> Receives {
    let mut all: Receives = (0..n).map(|_| op::recv(fd, Vec::with_capacity(1))).collect();
    for receiving in &mut all {
        assert!(poll_once(receiving).await.is_none());
    }
    all
}

/// Cancels all, and waits for all.
async fn cancel_all(mut all: Receives) {
    all.iter_mut().for_each(Submit::cancel);
    for receiving in all {
        let (res, buf) = timeout(Duration::from_secs(5), receiving).await.expect("a cancel that is lost");
        assert_eq!((res.unwrap_err().raw_os_error(), buf.capacity()), (Some(libc::ECANCELED), 1));
    }
}

#[test]
fn ten_thousand_cancels_are_not_lost_in_a_small_ring() {
    on_both("ten_thousand_cancels", |kind| {
        for (turns, n) in [(false, 10_000), (true, 1000)] {
            let a = runtime(kind, 8);
            a.block_on(async {
                let (fd, _peer) = socket_pair();
                let all = receives(&fd, n).await;
                if turns {
                    a_moment().await;
                }
                cancel_all(all).await;
                assert!(settle().await);
                let counters = annulus::metrics().driver;
                assert_eq!((counters.cancels, counters.strays), (n as u64, 0));
            });
            end(a, "ten thousand cancels");
        }
    });
}

/// The completion queue of a ring of 8 has 32 places: what does not fit waits in the kernel, and comes.
#[test]
fn an_overflowing_completion_queue_loses_nothing() {
    on_both("an_overflowing_completion_queue", |kind| {
        let a = runtime(kind, 8);
        a.block_on(async {
            let mut all: Vec<_> = (0..10_000).map(|_| op::nop()).collect();
            let mut over = 0;
            for nop in &mut all {
                over += usize::from(poll_once(nop).await.is_some());
            }
            let counters = annulus::metrics().driver;
            if kind == DriverKind::Uring {
                assert_eq!((counters.sqes_of("NOP"), counters.backlogged, counters.cqes), (10_000, 0, 0));
            }
            for nop in all.into_iter().skip(over) {
                timeout(Duration::from_secs(5), nop).await.expect("a completion that is lost").unwrap();
            }
            assert_eq!((annulus::metrics().driver.cqes, annulus::metrics().driver.strays), (10_000, 0));
        });
        end(a, "overflow");
    });
}

/// Makes the kernel refuse every submission from this thread that does not wait: the full submission queue cannot be
/// emptied then before the next turn.
#[cfg(not(annulus_kqueue))]
fn refuse_submissions() {
    let load = |k: usize| libc::sock_filter {
        code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k: k as u32,
    };
    let jump = |op: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: (libc::BPF_JMP | op | libc::BPF_K) as u16,
        jt,
        jf,
        k,
    };
    let answer = |k: u32| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let flags = mem::offset_of!(libc::seccomp_data, args) + 3 * 8 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut filter = [
        load(mem::offset_of!(libc::seccomp_data, nr)),
        jump(libc::BPF_JEQ, libc::SYS_io_uring_enter as u32, 0, 3),
        load(flags),
        jump(libc::BPF_JSET, annulus::sys::IORING_ENTER_GETEVENTS, 1, 0),
        answer(libc::SECCOMP_RET_ERRNO | libc::EBUSY as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program and its instructions live until the call returns.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// Whatever happens to operations that never reached the submission queue: they are cancelled, abandoned, or done.
#[cfg(not(annulus_kqueue))]
fn in_the_backlog(entries: u32) {
    refuse_submissions();
    let (a, yard) = (runtime(DriverKind::Uring, entries), Yard::new());
    a.block_on(async {
        let (fd, mut peer) = socket_pair();
        let all = receives(&fd, 3000).await;
        let waiting = annulus::metrics().driver.backlogged;
        assert_eq!(waiting, 3000 - u64::from(entries), "the submission queue was emptied");
        cancel_all(all).await;
        let all = receives(&fd, 3000).await;
        drop(all);
        assert!(settle().await, "abandoned in the backlog, and never ended");
        let mut buffers: Vec<_> = (0..1000).map(|_| op::recv(&fd, yard.buffer(1))).collect();
        for receiving in &mut buffers {
            assert!(poll_once(receiving).await.is_none());
        }
        peer.write_all(&[sound::DATA; 1000]).unwrap();
        for receiving in buffers {
            let (n, buf) = timeout(Duration::from_secs(5), receiving).await.expect("lost in the backlog");
            assert!(n.unwrap() == 1 && buf.has(1));
        }
        mem::forget(receives(&fd, 3000).await);
        drop(spawn(async move { drop(op::recv(&fd, yard.buffer(1)).await) }));
        annulus::yield_now().await;
    });
    end(a, "a full backlog");
}

#[cfg(not(annulus_kqueue))]
#[test]
fn operations_in_the_backlog_are_cancelled_too() {
    let _alone = sound::alone();
    if sound::try_runtime("operations_in_the_backlog", annulus::Builder::new().driver(DriverKind::Uring)).is_none() {
        return;
    }
    for entries in [1, 8] {
        // The filter is the thread's for as long as it lives.
        std::thread::spawn(move || in_the_backlog(entries)).join().unwrap();
    }
}

/// Lossy: an abandoned receive may take bytes with it, but the next one gets what comes later.
#[test]
fn the_next_receive_gets_what_comes_later() {
    on_both("the_next_receive", |kind| {
        let (a, yard) = (runtime(kind, 8), Yard::new());
        a.block_on(async {
            let (fd, mut peer) = socket_pair();
            for _ in 0..200 {
                let mut first = op::recv(&fd, yard.buffer(64));
                assert!(poll_once(&mut first).await.is_none());
                a_moment().await;
                drop(first);
                // Cancelled before there is anything to take, it takes nothing.
                a_moment().await;
                peer.write_all(&[sound::DATA; 10]).unwrap();
                let (n, buf) = op::recv(&fd, yard.buffer(64)).await;
                assert!(n.unwrap() == 10 && buf.has(10));
            }
        });
        end(a, "the_next_receive");
        assert_eq!((yard.changed(), yard.alive()), (0, 0));
    });
}

/// A runtime that ends with operations, forgotten and not, in many tasks: all futures go, all descriptors close.
#[test]
fn the_end_of_a_runtime_ends_its_tasks() {
    on_both("the_end_of_a_runtime", |kind| {
        let (before, yard, held) = (descriptors(), Yard::new(), Rc::new(()));
        let (a, mut peers) = (runtime(kind, 8), Vec::new());
        a.block_on(async {
            for _ in 0..500 {
                let (fd, peer) = socket_pair();
                let (buf, held) = (yard.buffer(100), held.clone());
                drop(spawn(async move {
                    let _held = held;
                    drop(op::recv(&fd, buf).await);
                }));
                peers.push(peer);
            }
            a_moment().await;
        });
        assert_eq!(Rc::strong_count(&held), 501);
        end(a, "500 tasks");
        assert_eq!((Rc::strong_count(&held), yard.alive()), (1, 0));
        peers.iter_mut().for_each(|peer| drop(peer.write(&[sound::DATA; 100])));
        assert_eq!(yard.changed(), 0);
        drop(peers);
        no_more_than(&before, "500 tasks");
    });
}

/// A waker that panics, in the hands of a future that somebody polls by hand.
#[test]
fn a_panicking_waker_costs_its_neighbours_nothing() {
    struct Loud;
    impl Wake for Loud {
        fn wake(self: Arc<Self>) {
            panic!("on purpose: a waker");
        }
    }
    on_both("a_panicking_waker", |kind| {
        let (a, yard) = (runtime(kind, 64), Yard::new());
        a.block_on(async {
            let mut neighbours = Vec::new();
            for i in 0..30 {
                let (fd, mut peer) = socket_pair();
                let mut receiving = Box::pin(op::recv(&fd, yard.buffer(8)));
                if i % 3 == 0 {
                    let loud = Waker::from(Arc::new(Loud));
                    assert!(receiving.as_mut().poll(&mut Context::from_waker(&loud)).is_pending());
                }
                neighbours.push((
                    i,
                    spawn(async move {
                        if i % 3 == 0 {
                            annulus::time::sleep(Duration::from_millis(20)).await;
                        }
                        receiving.await.0.unwrap()
                    }),
                    peer.try_clone().unwrap(),
                ));
                annulus::yield_now().await;
                drop(peer.flush());
            }
            neighbours.iter_mut().for_each(|(_, _, peer)| peer.write_all(b"12345678").unwrap());
            for (i, task, _) in neighbours {
                let n = timeout(Duration::from_secs(2), task).await;
                assert_eq!(n.unwrap_or_else(|_| panic!("{i} was not woken")).unwrap(), 8);
            }
            still_works().await;
        });
        end(a, "a panicking waker");
        assert_eq!((yard.changed(), yard.alive()), (0, 0));
    });
}

/// Which of a buffer's methods panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Total,
    Pointer,
    Told,
    Drop,
}

/// A buffer that breaks its promise not to panic.
struct Faulty(Guarded, Fault);

impl Faulty {
    fn panics_at(&self, fault: Fault) {
        assert!(self.1 != fault || std::thread::panicking(), "on purpose: a buffer");
    }
}

// SAFETY: Steady and Filled are the inner buffer's. The promise not to panic is broken on purpose.
unsafe impl IoBufMut for Faulty {
    fn write_ptr(&mut self) -> *mut u8 {
        self.panics_at(Fault::Pointer);
        self.0.write_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.panics_at(Fault::Total);
        self.0.bytes_total()
    }

    unsafe fn set_init(&mut self, pos: usize) {
        self.panics_at(Fault::Told);
        // SAFETY: Told, by our caller.
        unsafe { self.0.set_init(pos) };
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.panics_at(Fault::Drop);
    }
}

/// What happens to the receive that has the faulty buffer.
async fn meet(fault: Fault, abandon: bool, yard: &Rc<Yard>) {
    let (fd, mut peer) = socket_pair();
    let receiving = op::recv(&fd, Faulty(yard.buffer(8), fault));
    let task = spawn(async move {
        let mut receiving = receiving;
        if poll_once(&mut receiving).await.is_none() && !abandon {
            drop(receiving.await);
        }
    });
    a_moment().await;
    drop(peer.write_all(b"12345678"));
    let outcome = timeout(Duration::from_secs(2), task).await.expect("the task hangs");
    // An abandoned operation is settled by the driver, and its panic is nobody's.
    assert_eq!(outcome.is_err(), !abandon || matches!(fault, Fault::Total | Fault::Pointer));
    assert!(settle().await, "{fault:?}: a slot is left over");
    still_works().await;
}

#[test]
fn a_panicking_buffer_harms_nobody_else() {
    on_both("a_panicking_buffer", |kind| {
        for fault in [Fault::Total, Fault::Pointer, Fault::Told, Fault::Drop] {
            for abandon in [false, true] {
                let (before, yard) = (descriptors(), Yard::new());
                let a = runtime(kind, 8);
                a.block_on(meet(fault, abandon, &yard));
                end(a, "a panicking buffer");
                no_more_than(&before, "a panicking buffer");
                assert_eq!((yard.changed(), yard.alive()), (0, 0), "{fault:?}, abandoned: {abandon}, on {kind}");
            }
        }
    });
}
