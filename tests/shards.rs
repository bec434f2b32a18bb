//! Several runtimes in one process: what passes between them, and how they end.

use annulus::{
    Builder, DriverKind, Shards,
    io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt},
    net::{Detached, TcpListener, TcpStream},
    shard::{CallError, Peers, Placement, Reply, SendError, Shard, ShardsBuilder, TrySendError},
    time::{sleep, timeout},
};
use std::{
    cell::Cell,
    collections::BTreeSet,
    future::pending,
    io::{self, Read, Write},
    rc::Rc,
    sync::{
        Arc, Barrier, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(60);

/// One test counts what the whole process has, so all take turns.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime(kind: DriverKind) -> Builder {
    Builder::new().driver(kind).entries(8)
}

fn shards(kind: DriverKind, count: usize) -> ShardsBuilder {
    Shards::builder().count(count).mailbox(16).runtime(move |_| runtime(kind))
}

fn both(name: &str, test: impl Fn(DriverKind)) {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        match runtime(kind).build() {
            Ok(_) => test(kind),
            Err(e) => drop(writeln!(io::stderr(), "SKIP {name}: {e}")),
        }
    }
}

/// A number that seems random.
fn noise(seed: &Cell<u64>) -> u64 {
    seed.set(seed.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    seed.get() >> 33
}

/// From, and the how manieth.
type Letter = (usize, u64);

/// Everybody sends to everybody, and everything arrives in its order. `pause` is what a sender does after some letters.
async fn all_to_all(mut shard: Shard<Letter>, letters: u64, pause: impl AsyncFn(u64)) -> u64 {
    let (me, count) = (shard.index(), shard.count());
    let peers = shard.peers().clone();
    let sending = annulus::spawn(async move {
        for n in 0..letters {
            for to in 0..peers.count() {
                peers.send(to, (me, n)).await.unwrap();
            }
        }
    });
    let mut next = vec![0; count];
    for received in 0..letters * count as u64 {
        let (from, n) = timeout(LONG, shard.recv()).await.expect("a wake was lost").unwrap();
        assert_eq!(n, next[from], "letters of shard {from} came out of order");
        next[from] += 1;
        pause(received).await;
    }
    timeout(LONG, sending).await.expect("a wake was lost").unwrap();
    assert!(shard.try_recv().is_none());
    next.iter().sum()
}

/// Red when the line at a full mailbox is overtaken, and when a wake is lost on the way.
#[test]
fn a_hundred_thousand_letters_arrive_in_their_order() {
    both("a_hundred_thousand_letters_arrive_in_their_order", |kind| {
        for count in 1..=4 {
            let letters = 100_000 / (count * count) as u64;
            let all = shards(kind, count);
            let sums = all.run(async move |shard| all_to_all(shard, letters, async |_| ()).await).unwrap();
            for sum in sums {
                assert_eq!(sum.unwrap(), letters * count as u64);
            }
        }
    });
}

#[test]
fn no_wake_is_lost_when_shards_sleep_and_work_at_random() {
    both("no_wake_is_lost_when_shards_sleep_and_work_at_random", |kind| {
        let all = shards(kind, 3).run(async |shard: Shard<Letter>| {
            let seed = Cell::new(shard.index() as u64);
            let pause = async |_| match noise(&seed) % 64 {
                0 => sleep(Duration::from_micros(noise(&seed) % 300)).await,
                1 => thread::sleep(Duration::from_micros(noise(&seed) % 100)),
                2..=8 => annulus::yield_now().await,
                _ => {}
            };
            all_to_all(shard, 3000, pause).await
        });
        all.unwrap().into_iter().for_each(|sum| assert_eq!(sum.unwrap(), 9000));
    });
}

/// Red when a newcomer is let in beyond the bound.
#[test]
fn a_full_mailbox_keeps_senders_waiting() {
    both("a_full_mailbox_keeps_senders_waiting", |kind| {
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let main = async move |mut shard: Shard<u32>| {
            let gate = gate.clone();
            annulus::spawn_blocking(move || gate.lock().unwrap().recv()).await.unwrap().unwrap();
            let mut sum = 0;
            while let Some(n) = shard.recv().await {
                sum += n;
            }
            sum
        };
        let all = shards(kind, 1).start(main).unwrap();
        let peers = all.peers().clone();
        assert!((0..16).all(|_| peers.try_send(0, 1).is_ok()));
        assert_eq!(peers.try_send(0, 7), Err(TrySendError::Full(7)));
        annulus::run(async {
            let mut waiting = Box::pin(peers.send(0, 100));
            assert!(timeout(Duration::from_millis(20), &mut waiting).await.is_err(), "there is no room");
            // Dropped while it waits, a send takes its letter along.
            drop(timeout(Duration::from_millis(1), peers.send(0, 1_000_000)).await);
            go.send(()).unwrap();
            waiting.await.unwrap();
        });
        let sums = all.shutdown(LONG);
        assert_eq!(sums[0].as_ref().unwrap(), &116);
    });
}

enum Question {
    Square(u64, Reply<u64>),
    Nothing(Reply<u64>),
}

#[test]
fn questions_are_answered_or_it_is_said_that_they_are_not() {
    both("questions_are_answered_or_it_is_said_that_they_are_not", |kind| {
        let main = async |mut shard: Shard<Question>| {
            if shard.index() > 0 {
                while let Some(question) = shard.recv().await {
                    match question {
                        Question::Square(n, reply) => drop(reply.send(n * n)),
                        Question::Nothing(reply) => drop(reply),
                    }
                }
                return 0;
            }
            let mut sum = 0;
            for n in 0..1000 {
                sum += shard.call(1 + n as usize % 2, |reply| Question::Square(n, reply)).await.unwrap();
            }
            assert!(matches!(shard.call(1, Question::Nothing).await, Err(CallError::NoReply)));
            assert!(matches!(shard.call(3, Question::Nothing).await, Err(CallError::Closed(Question::Nothing(_)))));
            shard.token().request();
            sum
        };
        let results = shards(kind, 3).run(main).unwrap();
        assert_eq!(results[0].as_ref().unwrap(), &(0..1000).map(|n| n * n).sum());
    });
}

/// Red when the end of a shard leaves its mailbox open, and when it forgets those who wait in line.
#[test]
fn a_shard_that_ends_early_gives_letters_back() {
    both("a_shard_that_ends_early_gives_letters_back", |kind| {
        let main = async |shard: Shard<Box<u32>>| {
            if shard.index() == 1 {
                // It keeps others waiting, and then goes without a word.
                sleep(Duration::from_millis(20)).await;
                return None;
            }
            let mut sent = 0;
            let back = loop {
                let sending = timeout(LONG, shard.send(1, Box::new(sent)));
                match sending.await.expect("the line was forgotten") {
                    Ok(()) => sent += 1,
                    Err(SendError(back)) => break back,
                }
            };
            assert_eq!(*back, sent);
            assert!(matches!(shard.try_send(1, back), Err(TrySendError::Closed(_))));
            Some(sent)
        };
        let results = shards(kind, 2).run(main).unwrap();
        assert_eq!(results[0].as_ref().unwrap(), &Some(16), "the bound, and nobody read");
    });
}

/// Red when a panic ends its own shard only.
#[test]
fn a_panic_is_told_and_the_others_end() {
    both("a_panic_is_told_and_the_others_end", |kind| {
        let main = async |shard: Shard| match shard.index() {
            1 => panic!("on purpose, on shard {}", shard.index()),
            _ => {
                shard.shutdown_requested().await;
                shard.index()
            }
        };
        let mut results = shards(kind, 3).run(main).unwrap();
        assert_eq!((results[0].as_ref().unwrap(), results[2].as_ref().unwrap()), (&0, &2));
        let error = results.remove(1).unwrap_err();
        assert!(error.is_panic() && error.shard() == 1, "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("shard 1") && text.ends_with(" panicked: on purpose, on shard 1"), "{text}");
        assert_eq!(error.cpu().map(|cpu| text.contains(&format!("(CPU {cpu})"))), error.cpu().map(|_| true));
        let payload = error.try_into_panic().unwrap();
        assert_eq!(*payload.downcast::<String>().unwrap(), "on purpose, on shard 1");
    });
}

/// Says where it was dropped.
struct Dropped(mpsc::Sender<Option<String>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().name().map(String::from));
    }
}

#[test]
fn after_the_deadline_what_is_left_is_dropped_on_its_thread() {
    both("after_the_deadline_what_is_left_is_dropped_on_its_thread", |kind| {
        let (tell, told) = mpsc::channel();
        let main = async move |shard: Shard| {
            if shard.index() == 0 {
                return shard.shutdown_requested().await;
            }
            let (in_task, in_main) = (Dropped(tell.clone()), Dropped(tell));
            drop(annulus::spawn(async move {
                let _in_task = in_task;
                pending::<()>().await;
            }));
            let _in_main = in_main;
            pending().await
        };
        let all = shards(kind, 2).name("late").start(main).unwrap();
        let asked = Instant::now();
        let results = all.shutdown(Duration::from_millis(50));
        assert!(asked.elapsed() >= Duration::from_millis(50));
        assert!(results[0].is_ok());
        let error = results[1].as_ref().unwrap_err();
        assert!(error.is_late() && !error.is_stuck() && !error.is_panic(), "{error}");
        assert!(error.to_string().starts_with("shard 1"), "{error}");
        let places: Vec<_> = told.into_iter().collect();
        assert_eq!(places, [Some("late-1".into()), Some("late-1".into())]);
    });
}

#[test]
fn a_thread_that_blocks_is_told_of_and_left_alone() {
    both("a_thread_that_blocks_is_told_of_and_left_alone", |kind| {
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let builder = Shards::builder().count(2).runtime(move |_| runtime(kind).shutdown_deadline(Duration::ZERO));
        let all = builder.start(async move |shard: Shard| {
            if shard.index() == 1 {
                let _ = gate.lock().unwrap().recv();
            }
            shard.shutdown_requested().await;
        });
        let results = all.unwrap().shutdown(Duration::from_millis(10));
        assert!(results[0].is_ok());
        assert!(results[1].as_ref().unwrap_err().is_stuck(), "{results:?}");
        // It goes on, and nobody minds.
        go.send(()).unwrap();
    });
}

#[test]
fn tasks_are_started_from_any_thread_and_stay_where_they_are() {
    both("tasks_are_started_from_any_thread_and_stay_where_they_are", |kind| {
        let all = shards(kind, 2).name("place");
        let all = all.start(async |shard: Shard| shard.shutdown_requested().await).unwrap();
        thread::scope(|scope| {
            for n in 0..4 {
                let peers = all.peers();
                scope.spawn(move || annulus::run(ask(peers, n % 2)));
            }
        });
        let lost = annulus::run(async { all.spawn_on(0, async || panic!("on purpose")).await }).unwrap_err();
        assert!(lost.is_panic(), "{lost}");
        assert!(annulus::run(all.spawn_on(2, async || ())).unwrap_err().is_cancelled(), "there is no such shard");
        let peers = all.peers().clone();
        let unfinished = all.spawn_on(1, async || pending::<()>().await);
        assert!(all.shutdown(LONG).iter().all(Result::is_ok));
        assert!(annulus::run(unfinished).unwrap_err().is_cancelled());
        assert!(annulus::run(peers.spawn_on(0, async || ())).unwrap_err().is_cancelled());
    });
}

/// A hundred tasks that are not `Send` once they run.
async fn ask(peers: &Peers<()>, shard: usize) {
    for n in 0..100 {
        let task = async move || {
            let local = Rc::new(Cell::new(n));
            annulus::yield_now().await;
            local.set(local.get() + 1);
            (local.get(), thread::current().name().map(String::from))
        };
        let answer = timeout(LONG, peers.spawn_on(shard, task)).await.expect("a wake was lost");
        assert_eq!(answer.unwrap(), (n + 1, Some(format!("place-{shard}"))));
    }
}

/// Red when the stream's registration stays with the poll driver it leaves.
#[test]
fn a_live_connection_goes_round_with_what_it_has() {
    let _alone = alone();
    for kinds in [[DriverKind::Uring, DriverKind::Poll], [DriverKind::Poll, DriverKind::Uring]] {
        if let Err(e) = runtime(DriverKind::Uring).build() {
            let _ = writeln!(io::stderr(), "SKIP a_live_connection_goes_round_with_what_it_has: {e}");
            return;
        }
        let builder = Shards::builder().count(4).runtime(move |index| runtime(kinds[index / 2]));
        let (tell, told) = mpsc::channel();
        // Between like and unlike drivers: 0 to 1, 1 to 2, 2 to 3, 3 to 0.
        let all = builder.start(async move |shard: Shard<(u32, Detached)>| {
            if shard.index() == 0 {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                hand_on(&shard, 0, stream).await;
            }
            go_round(shard).await
        });
        let all = all.unwrap();
        let mut client = std::net::TcpStream::connect(told.recv().unwrap()).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        for round in 0..100u32 {
            // Six bytes, of which each shard reads but four before it hands the rest on.
            client.write_all(&[round as u8; 6]).unwrap();
            let mut echo = [0; 6];
            client.read_exact(&mut echo).unwrap();
            assert_eq!(echo, [round as u8; 6]);
        }
        drop(client);
        let hops: u32 = all.join().into_iter().map(Result::unwrap).sum();
        assert!(hops >= 100, "{hops}");
    }
}

/// Takes connections, echoes four bytes of what there is, and hands them on. Ends when one is at its end.
async fn go_round(mut shard: Shard<(u32, Detached)>) -> u32 {
    let mut hops = 0;
    while let Some((hop, detached)) = shard.recv().await {
        hops += 1;
        let mut stream = detached.attach();
        // Something is there, or comes, for the half that was left by the shard before.
        let (n, buf) = stream.read(Vec::with_capacity(4)).await;
        if n.unwrap() == 0 {
            shard.token().request();
            break;
        }
        stream.write_all(buf).await.0.unwrap();
        hand_on(&shard, hop + 1, stream).await;
    }
    hops
}

async fn hand_on(shard: &Shard<(u32, Detached)>, hop: u32, stream: TcpStream) {
    let next = (shard.index() + 1) % shard.count();
    shard.send(next, (hop, stream.detach().expect("nothing is in flight"))).await.unwrap();
}

/// Red when somebody else's waker keeps others from being woken, or a shard from telling that it has ended.
#[test]
fn a_waker_that_panics_keeps_nobody_waiting() {
    struct Loud;
    impl std::task::Wake for Loud {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics, on purpose");
        }
    }
    both("a_waker_that_panics_keeps_nobody_waiting", |kind| {
        let all = shards(kind, 2).grace(LONG).start(async |shard: Shard| {
            // The first to end asks the other, by way of the waker.
            assert!(shard.index() == 1, "a shard that panics, on purpose");
            shard.shutdown_requested().await;
        });
        let all = all.unwrap();
        let token = all.token();
        let mut asked = std::pin::pin!(token.requested());
        let waker = std::task::Waker::from(Arc::new(Loud));
        // It may have come too late, and then there is nothing to see.
        let _ = asked.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        let ends: Vec<bool> = all.join().iter().map(Result::is_ok).collect();
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn a_stream_with_an_operation_in_flight_stays() {
    both("a_stream_with_an_operation_in_flight_stays", |kind| {
        runtime(kind).build().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut reading = annulus::op::recv(stream.fd(), Vec::with_capacity(8));
            assert!(timeout(Duration::from_millis(5), &mut reading).await.is_err());
            let stream = stream.detach().expect_err("a receive is in flight");
            reading.cancel();
            assert_eq!(reading.await.0.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            client.write_all("whole").await.0.unwrap();
            let mut stream = stream.detach().expect("nothing is in flight").attach();
            assert_eq!(stream.read_exact(vec![0; 5]).await.1, b"whole");
        });
    });
}

#[test]
fn shards_sit_where_they_are_told_to() {
    both("shards_sit_where_they_are_told_to", |kind| {
        let here = || thread::current().name().map(String::from);
        let all = shards(kind, 3).name("here").start(async move |shard: Shard| (shard.cpu(), here())).unwrap();
        let cpus = all.cpus().to_vec();
        for (index, result) in all.join().into_iter().enumerate() {
            assert_eq!(result.unwrap(), (cpus[index], Some(format!("here-{index}"))));
        }
        if cfg!(not(annulus_kqueue)) {
            let first = cpus[0].expect("pinned");
            assert_eq!(shards(kind, 2).cpus([first]).start(async |_: Shard| ()).unwrap().cpus(), [Some(first); 2]);
            pinned(kind, first);
        }
        let loose = shards(kind, 2).placement(Placement::Unpinned).start(async |shard: Shard| shard.cpu()).unwrap();
        assert_eq!(loose.cpus(), [None, None]);
    });
}

/// Red when the runtimes of shards are unnamed, and when a name of the user's is not kept.
#[test]
fn shards_are_listed_by_name() {
    both("shards_are_listed_by_name", |kind| {
        let named = move |index| if index == 1 { runtime(kind).name("mine") } else { runtime(kind) };
        let all = Shards::builder().count(3).name("listed").runtime(named);
        let all = all.start(async |shard: Shard| shard.shutdown_requested().await).unwrap();
        let listed = || {
            let names = annulus::rt::runtimes().into_iter().filter_map(|there| there.name().map(String::from));
            names.filter(|name| name.starts_with("listed") || name == "mine").collect::<BTreeSet<String>>()
        };
        assert_eq!(listed(), ["listed-0", "listed-2", "mine"].map(String::from).into());
        all.shutdown(LONG).into_iter().for_each(|end| end.unwrap());
        assert_eq!(listed(), BTreeSet::new());
    });
}

#[cfg(target_os = "linux")]
fn pinned(kind: DriverKind, cpu: usize) {
    let status = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let all = shards(kind, 1).cpus([cpu]).run(async move |_: Shard| status()).unwrap();
    let text = all[0].as_ref().unwrap();
    assert!(text.contains(&format!("Cpus_allowed_list:\t{cpu}\n")), "{text}");
}

#[cfg(not(target_os = "linux"))]
fn pinned(_kind: DriverKind, _cpu: usize) {}

#[test]
fn what_cannot_start_says_why_and_leaves_nothing_running() {
    let _alone = alone();
    let begun = Arc::new(AtomicUsize::new(0));
    let refused = |builder: ShardsBuilder| {
        let begun = begun.clone();
        let count = async move |_: Shard| begun.fetch_add(1, SeqCst);
        builder.start(count).expect_err("a refusal").to_string()
    };
    assert!(refused(Shards::builder().count(0)).contains("one shard at least"));
    assert!(refused(Shards::builder().count(usize::MAX)).contains("more than any machine"));
    assert!(refused(Shards::builder().name("a\0b")).contains("a NUL"));
    assert!(refused(Shards::builder().mailbox(0)).contains("a mailbox without room"));
    let entries = refused(Shards::builder().count(2).runtime(|_| Builder::new().entries(0)));
    assert!(entries.contains("ask for 1 to 32768"), "{entries}");
    let second = refused(Shards::builder().count(2).runtime(|index| Builder::new().entries(8 - 8 * index as u32)));
    assert!(second.contains("ask for 1 to 32768"), "{second}");
    if cfg!(not(annulus_kqueue)) {
        assert!(refused(Shards::builder().cpus([])).contains("one shard at least"));
        let cpu = refused(Shards::builder().cpus([9999]));
        assert!(cpu.contains("shard 0 cannot be pinned to CPU 9999"), "{cpu}");
    }
    assert_eq!(begun.load(SeqCst), 0);
}

#[test]
fn dropping_them_asks_them_to_end_and_waits() {
    both("dropping_them_asks_them_to_end_and_waits", |kind| {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = ended.clone();
        let all = shards(kind, 2).start(async move |shard: Shard| {
            shard.shutdown_requested().await;
            sleep(Duration::from_millis(5)).await;
            count.fetch_add(1, SeqCst);
        });
        drop(all.unwrap());
        assert_eq!(ended.load(SeqCst), 2);
    });
}

/// Threads of this process by the beginning of their names, and its descriptors.
#[cfg(target_os = "linux")]
fn census() -> (usize, usize) {
    let entries = |folder: &str| std::fs::read_dir(folder).unwrap();
    let is_ours = |task: io::Result<std::fs::DirEntry>| {
        let name = task.ok().and_then(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        name.is_some_and(|name| name.starts_with("leak-") || name.starts_with("annulus"))
    };
    (
        entries("/proc/self/task").filter_map(|task| is_ours(task).then_some(())).count(),
        entries("/proc/self/fd").count(),
    )
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_starts_and_ends_leave_nothing() {
    both("a_thousand_starts_and_ends_leave_nothing", |kind| {
        // What the first of all makes for the process is there before.
        shards(kind, 2).name("leak").start(async |_: Shard| ()).unwrap().join().into_iter().for_each(Result::unwrap);
        let before = census();
        for round in 0..1000 {
            let all = shards(kind, 2).name("leak").start(async |mut shard: Shard<u32>| {
                drop(annulus::spawn(sleep(LONG)));
                let _ = shard.try_send(1 - shard.index(), 1);
                shard.recv().await
            });
            let all = all.unwrap();
            match round % 3 {
                0 => drop(all.shutdown(LONG)),
                1 => drop(all),
                _ => drop(all.spawn_on(0, async || ())),
            }
        }
        // There may be less: what the first ones made lives until somebody sees that they are gone.
        let settled = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(2));
            let now = census();
            now.0 <= before.0 && now.1 <= before.1
        });
        assert!(settled, "{kind}: {:?} threads and descriptors, {before:?} before", census());
    });
}

/// Eight threads send to shards that end, and all of it comes back or is dropped once.
#[test]
fn senders_race_with_the_end() {
    both("senders_race_with_the_end", |kind| {
        for round in 0..50u64 {
            let alive = Arc::new(());
            let all = shards(kind, 2).start(async move |mut shard: Shard<Arc<()>>| {
                while shard.recv().await.is_some() {}
                if round % 2 == 0 {
                    sleep(Duration::from_micros(50 * round)).await;
                }
            });
            let all = all.unwrap();
            let start = Barrier::new(9);
            thread::scope(|scope| {
                for n in 0..8 {
                    let (peers, alive, start) = (all.peers().clone(), alive.clone(), &start);
                    scope.spawn(move || {
                        start.wait();
                        annulus::run(async { while peers.send(n % 2, alive.clone()).await.is_ok() {} });
                    });
                }
                start.wait();
                thread::sleep(Duration::from_micros(100 * round));
                assert!(all.shutdown(LONG).iter().all(Result::is_ok));
            });
            assert_eq!(Arc::strong_count(&alive), 1, "a letter was lost, and not dropped");
        }
    });
}
