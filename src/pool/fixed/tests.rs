//! What a pool owes to those who take from it, and what it tells the ring.

use super::{ClassStats, FixedBuf, FixedPool, Pages};
use crate::{
    Builder, Counters, DriverKind, Fd, Runtime,
    buf::{IoBuf, IoBufMut},
    driver::Driver,
    op,
    testing::{poll_once, settle, temp_file},
};
use std::{
    cell::RefCell,
    fs::File,
    io::{self, Write, pipe},
    rc::Rc,
    time::Duration,
};

fn small() -> FixedPool {
    FixedPool::builder().class(4096, 4).build().unwrap()
}

/// What is done within ten seconds.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    crate::time::timeout(Duration::from_secs(10), future).await.expect("a buffer was lost")
}

fn counters() -> Counters {
    Driver::current().unwrap().counters()
}

/// The index of the pool's first part in the ring's table.
fn place(pool: &FixedPool) -> Option<u16> {
    IoBuf::fixed(&pool.try_take(1).unwrap()).map(|fixed| fixed.index)
}

/// Entries of the four kinds: `READ`, `READ_FIXED`, `WRITE`, `WRITE_FIXED`.
fn sqes() -> [u64; 4] {
    ["READ", "READ_FIXED", "WRITE", "WRITE_FIXED"].map(|name| counters().sqes_of(name))
}

/// Whether this driver has the pool in its ring's table. That it has not, is no fault of a kernel that is old or keeps
/// its memory.
fn is_in_ring(pool: &FixedPool, test: &str) -> bool {
    let uring = crate::driver().kind() == DriverKind::Uring;
    if let Some(refusal) = pool.refusal().filter(|_| uring) {
        assert!(matches!(refusal.kind(), io::ErrorKind::Unsupported | io::ErrorKind::OutOfMemory), "{refusal}");
        let _ = writeln!(io::stderr(), "SKIP {test}: {refusal}");
    }
    assert_eq!(pool.is_registered(), pool.refusal().is_none());
    assert!(uring || !pool.is_registered());
    pool.is_registered()
}

/// Reads by an entry: what is in memory would be a call, were it the only thing to do.
async fn by_entry<T>(reading: impl Future<Output = T>) -> T {
    crate::join!(op::nop(), reading).1
}

/// Red when `fix` changes nothing, when `Slice`, `Rc` or `Rest` do not pass the question on, and when a plain buffer is
/// taken for a fixed one.
#[crate::test]
async fn reads_and_writes_go_the_fixed_way() {
    let (pool, file) = (small(), crate::fs::File::from_std(temp_file()).unwrap());
    let mut buf = pool.try_take(11).unwrap();
    buf.extend_from_slice(b"hello world");
    let (res, buf) = file.write_all_at(buf, 0).await;
    res.unwrap();
    let shared = Rc::new(buf);
    assert_eq!(file.write_at(shared.clone(), 11).await.0.unwrap(), 11);
    let (n, part) = file.write_at(Rc::try_unwrap(shared).unwrap().slice(5..), 22).await;
    assert_eq!(n.unwrap(), 6);
    let (n, buf) = by_entry(file.read_at(part.into_inner(), 6)).await;
    assert_eq!((n.unwrap(), &buf[..]), (22, &b"worldhello world world"[..]));
    let (res, part) = by_entry(file.read_exact_at(buf.slice_mut(5..7), 0)).await;
    res.unwrap();
    assert_eq!(&part.into_inner()[..], b"worldhe", "a slice keeps what stood before it, as that of a Vec");
    let fixed = if is_in_ring(&pool, "reads_and_writes_go_the_fixed_way") { [0, 2, 0, 3] } else { sqes() };
    assert_eq!(sqes(), fixed);
    assert!(pool.is_registered() || sqes()[1] + sqes()[3] == 0);
    let (n, plain) = file.read_at(Vec::with_capacity(5), 0).await;
    assert_eq!((n.unwrap(), &plain[..]), (5, &b"hello"[..]));
    assert_eq!(sqes()[1..], fixed[1..]);
}

/// Red when what is no file is not read the fixed way, or waits otherwise.
#[crate::test]
async fn pipes_and_sockets_take_fixed_buffers_too() {
    let pool = small();
    let (rx, tx) = pipe().unwrap();
    let (rx, tx) = (Fd::new(rx.into()), Fd::new(tx.into()));
    let mut reading = op::read(&rx, pool.try_take(1).unwrap());
    poll_once(&mut reading).await;
    let mut buf = pool.try_take(1).unwrap();
    buf.extend_from_slice(b"late");
    let (n, mut buf) = op::write(&tx, buf).await;
    assert_eq!(n.unwrap(), 4);
    let (n, got) = reading.await;
    assert_eq!((n.unwrap(), &got[..]), (4, &b"late"[..]));
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    let (a, b) = (Fd::new(a.into()), Fd::new(b.into()));
    let mut receiving = op::recv(&b, got);
    poll_once(&mut receiving).await;
    buf.resize(6, b'!');
    let (n, buf) = op::send(&a, buf).await;
    assert_eq!(n.unwrap(), 6);
    let (n, got) = receiving.await;
    assert_eq!((n.unwrap(), &got[..]), (6, &b"late!!"[..]));
    drop(a);
    settle().await;
    assert_eq!(op::read(&b, buf).await.0.unwrap(), 0);
}

/// Red when a new user's length is not 0, or `set_init` does not set it.
#[crate::test]
async fn nobody_sees_what_another_left() {
    let pool = FixedPool::builder().class(64, 1).build().unwrap();
    let mut secret = pool.try_take(64).unwrap();
    secret.resize(64, b's');
    drop(secret);
    let mut buf = pool.try_take(64).unwrap();
    assert_eq!((buf.len(), buf.bytes_init(), buf.bytes_total()), (0, 0, 64));
    buf.resize(3, b'x');
    assert_eq!(&buf[..], b"xxx");
    buf.truncate(1);
    buf.resize(4, b'y');
    assert_eq!(&buf[..], b"xyyy", "what was cut off is written over");
    let file = Fd::new(File::open("Cargo.toml").unwrap().into());
    let (n, buf) = op::read_at(&file, buf.slice_mut(1..3), 0).await;
    assert_eq!((n.unwrap(), &buf.into_inner()[..]), (2, &b"x[w"[..]));
}

#[crate::test]
async fn a_buffer_is_a_vec_that_cannot_grow() {
    let pool = FixedPool::builder().class(8, 1).build().unwrap();
    let mut buf = pool.try_take(5).unwrap();
    assert_eq!(buf.capacity(), 8);
    buf.extend_from_slice(b"abc");
    buf[0] = b'A';
    buf.truncate(9);
    assert_eq!(&buf[..], b"Abc");
    buf.clear();
    buf.extend_from_slice(b"12345678");
    let panics = |act: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).is_err();
    assert!(panics(&mut || buf.extend_from_slice(b"9")));
    assert!(panics(&mut || buf.resize(9, 0)));
    assert!(panics(&mut || buf.resize(usize::MAX, 0)));
    assert_eq!(&buf[..], b"12345678");
}

/// Red when classes are laid out in another order, or sizes are not rounded.
#[crate::test]
async fn buffers_are_aligned_and_apart() {
    let pool = FixedPool::builder().class(100, 3).class(5000, 2).class(1, 5).class(4096, 2).class(128, 1);
    let pool = pool.build().unwrap();
    let sizes: Vec<_> = pool.stats().iter().map(|class| (class.size, class.count)).collect();
    assert_eq!(sizes, [(1, 5), (128, 4), (4096, 2), (8192, 2)]);
    let mut all: Vec<FixedBuf> = Vec::new();
    for ClassStats { size, count, .. } in pool.stats() {
        for _ in 0..count {
            let buf = pool.try_take(size).unwrap();
            assert_eq!(buf.capacity(), size);
            assert_eq!(buf.read_ptr() as usize % size.min(4096), 0);
            all.push(buf);
        }
        assert!(pool.try_take(size).is_none());
    }
    for (n, buf) in all.iter_mut().enumerate() {
        buf.resize(buf.capacity(), n as u8);
    }
    for (n, buf) in all.iter().enumerate() {
        assert!(buf.iter().all(|&byte| byte == n as u8), "buffer {n} was written over");
    }
}

#[crate::test]
async fn absurd_pools_are_refused() {
    let refused = |builder: super::FixedPoolBuilder| builder.build().unwrap_err().kind();
    let of = |size, count| FixedPool::builder().class(size, count);
    let absurd = [of(0, 1), of(1, 0), of(1 << 30, 2), of(usize::MAX, 1), of(1, usize::MAX), FixedPool::builder()];
    for builder in absurd {
        assert_eq!(refused(builder.clone()), io::ErrorKind::InvalidInput, "{builder:?}");
    }
    assert_eq!(refused(of(1, 1).class(1, usize::MAX)), io::ErrorKind::InvalidInput);
    let pool = small();
    for (size, count) in [(512, 1), (4096, 0), (0, 1), (4096, usize::MAX)] {
        assert_eq!(pool.grow(size, count).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(pool.take(4097).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(pool.try_take(4097).is_none());
    assert_eq!(pool.stats(), [ClassStats { size: 4096, count: 4, free: 4, taken: 0, waiting: 0 }]);
}

/// Red when a place is given to two, or is lost: a hundred tasks write their number into each buffer they get.
#[crate::test]
async fn no_buffer_is_in_two_hands() {
    let pool = FixedPool::builder().class(64, 3).class(512, 2).build().unwrap();
    let tasks: Vec<_> = (0..100_u8)
        .map(|n| {
            let pool = pool.clone();
            crate::spawn(async move {
                for round in 0..20 {
                    let mut buf = pool.take(if (n ^ round) % 2 == 0 { 64 } else { 512 }).await.unwrap();
                    assert!(buf.is_empty());
                    buf.resize(buf.capacity(), n);
                    crate::yield_now().await;
                    assert!(buf.iter().all(|&byte| byte == n), "somebody else has this buffer");
                }
            })
        })
        .collect();
    for task in tasks {
        soon(task).await.unwrap();
    }
    let all_free = |class: &ClassStats| class.free == class.count && (class.taken, class.waiting) == (0, 0);
    assert!(pool.stats().iter().all(all_free), "{:?}", pool.stats());
}

/// Red when `try_take` overtakes, and when a promise dies with its future.
#[crate::test]
async fn who_waits_is_served_in_order_and_may_leave() {
    let pool = FixedPool::builder().class(64, 1).build().unwrap();
    let (first, order) = (pool.take(64).await.unwrap(), Rc::new(RefCell::new(Vec::new())));
    let mut tasks = Vec::new();
    for n in 0..6 {
        let (pool, order) = (pool.clone(), order.clone());
        tasks.push(crate::spawn(async move {
            let _buf = pool.take(64).await.unwrap();
            order.borrow_mut().push(n);
            crate::yield_now().await;
        }));
        crate::yield_now().await;
    }
    assert_eq!(pool.stats()[0], ClassStats { size: 64, count: 1, free: 0, taken: 1, waiting: 6 });
    tasks.remove(4).abort();
    tasks.remove(0).abort();
    crate::yield_now().await;
    assert_eq!(pool.stats()[0].waiting, 4);
    {
        let mut leaves = std::pin::pin!(pool.take(64));
        poll_once(&mut leaves).await;
    }
    drop(first);
    assert!(pool.try_take(64).is_none(), "it is promised");
    for task in tasks {
        soon(task).await.unwrap();
    }
    assert_eq!(order.borrow()[..], [1, 2, 3, 5]);
    // One is promised, and leaves without having looked.
    let only = pool.try_take(64).unwrap();
    let mut promised = Box::pin(pool.take(64));
    poll_once(&mut promised).await;
    drop(only);
    assert!(pool.try_take(64).is_none());
    drop(promised);
    assert!(pool.try_take(64).is_some());
}

/// Red when a grown part's buffers have the first one's place, or nobody is served by it.
#[crate::test]
async fn a_pool_grows_past_its_first_registration() {
    let pool = FixedPool::builder().class(4096, 1).class(64, 1).build().unwrap();
    let first = soon(pool.take(4096)).await.unwrap();
    let waits = {
        crate::spawn({
            let pool = pool.clone();
            async move { pool.take(4096).await.unwrap() }
        })
    };
    crate::yield_now().await;
    pool.grow(4000, 2).unwrap();
    let mut second = soon(waits).await.unwrap();
    let third = pool.try_take(4096).unwrap();
    assert!(pool.try_take(4096).is_none());
    let file = Fd::new(temp_file().into());
    second.resize(4096, b'2');
    assert_eq!(op::write_at(&file, second, 0).await.0.unwrap(), 4096);
    for buf in [first, third] {
        let (n, buf) = by_entry(op::read_at(&file, buf, 0)).await;
        assert_eq!((n.unwrap(), buf[4095]), (4096, b'2'));
    }
    if is_in_ring(&pool, "a_pool_grows_past_its_first_registration") {
        assert_eq!(sqes(), [0, 2, 0, 1]);
    }
    let sizes: Vec<_> = pool.stats().iter().map(|class| (class.size, class.count, class.free)).collect();
    assert_eq!(sizes, [(64, 1, 1), (4096, 3, 3)]);
}

/// Red when a place is not given back, or is used past the end of the table.
#[crate::test]
async fn a_table_that_is_full_leaves_plain_memory() {
    let tiny = || FixedPool::builder().class(1, 1).build().unwrap();
    let mut pools: Vec<FixedPool> = (0..1024).map(|_| tiny()).collect();
    let refused = pools.iter().find(|pool| !pool.is_registered()).unwrap_or(&pools[0]);
    if !is_in_ring(refused, "a_table_that_is_full_leaves_plain_memory") {
        return;
    }
    let one_more = tiny();
    assert!(one_more.refusal().unwrap().to_string().contains("1024"), "{:?}", one_more.refusal());
    let mut buf = one_more.try_take(1).unwrap();
    buf.extend_from_slice(b"x");
    assert_eq!(op::write_at(&Fd::new(temp_file().into()), buf, 0).await.0.unwrap(), 1);
    assert_eq!(sqes(), [0, 0, 1, 0]);
    let freed = [pools.remove(7), pools.remove(500)].map(|pool| place(&pool));
    let (one, two) = (tiny(), tiny());
    let (one, two) = (place(&one), place(&two));
    assert!(one.is_some() && one != two && freed.contains(&one) && freed.contains(&two), "{freed:?} {one:?} {two:?}");
}

fn runtime(kind: DriverKind) -> Option<Runtime> {
    Builder::new().driver(kind).build().ok()
}

/// Red when the ring is not asked for: the number names other memory there, or none.
#[test]
fn in_another_runtime_it_is_plain_memory() {
    for (home, away) in [(DriverKind::Uring, DriverKind::Uring), (DriverKind::Uring, DriverKind::Poll)] {
        let (Some(home), Some(away)) = (runtime(home), runtime(away)) else { return };
        let pool = home.block_on(async { small() });
        let decoy = away.block_on(async { FixedPool::builder().class(64, 1).build().unwrap() });
        let file = Fd::new(temp_file().into());
        let buf = away.block_on(async {
            let mut buf = pool.try_take(4).unwrap();
            buf.extend_from_slice(b"away");
            let (n, buf) = op::write_at(&file, buf, 0).await;
            assert_eq!(n.unwrap(), 4);
            assert_eq!(sqes()[3], 0, "another runtime's memory");
            let (n, buf) = op::read_at(&file, buf, 0).await;
            assert_eq!((n.unwrap(), &buf[..]), (4, &b"away"[..]));
            drop(pool.try_take(1).unwrap());
            buf
        });
        home.block_on(async {
            let (n, buf) = by_entry(op::read_at(&file, buf, 1)).await;
            assert_eq!((n.unwrap(), &buf[..]), (3, &b"way"[..]));
            assert_eq!(sqes()[1], u64::from(pool.is_registered()));
        });
        // The last of the pool goes in the other's context.
        away.block_on(async { drop(pool) });
        drop((decoy, home));
    }
}

/// Red when a buffer does not hold its pool: its memory would be unmapped.
#[crate::test]
async fn a_pool_may_go_before_its_buffers_and_their_operations() {
    let (rx, mut tx) = pipe().unwrap();
    let rx = Fd::new(rx.into());
    let pool = small();
    let ours = place(&pool);
    let mut kept = pool.try_take(1).unwrap();
    let mut reading = op::read(&rx, pool.try_take(1).unwrap());
    let mut abandoned = op::read(&rx, pool.try_take(1).unwrap());
    poll_once(&mut reading).await;
    poll_once(&mut abandoned).await;
    drop(pool);
    drop(abandoned);
    tx.write_all(b"still there").unwrap();
    let (n, buf) = reading.await;
    assert_eq!((n.unwrap(), &buf[..]), (11, &b"still there"[..]));
    kept.extend_from_slice(&buf);
    drop(buf);
    settle().await;
    assert!(ours.is_none() || place(&small()) != ours, "it is still there");
    drop(kept);
    assert_eq!(place(&small()), ours, "the place is free again");
}

/// Red when the drop of a buffer asks the thread's runtime, or a driver that has gone.
#[test]
fn a_buffer_outlives_its_runtime() {
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        let Some(home) = runtime(kind) else { continue };
        let (rx, _tx) = pipe().unwrap();
        let (mut buf, pool, forgotten) = home.block_on(async {
            let pool = small();
            let mut reading = op::read(&Fd::new(rx.into()), pool.try_take(1).unwrap());
            poll_once(&mut reading).await;
            let pending = crate::spawn(reading);
            crate::yield_now().await;
            drop(pending);
            std::mem::forget(pool.try_take(1).unwrap());
            (pool.try_take(1).unwrap(), pool.clone(), pool.stats()[0].taken)
        });
        assert_eq!(forgotten, 3);
        drop(home);
        buf.extend_from_slice(b"after");
        assert_eq!(&buf[..], b"after");
        assert_eq!(pool.stats()[0].free, 2, "the task's has come back, and the forgotten one has not");
        drop(pool);
        drop(buf);
    }
}

/// What the kernel says of the map that has this address, in two letters each. `None` where it does not say.
fn flags_of(at: usize) -> Option<Vec<String>> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let (mut inside, mut lines) = (false, smaps.lines());
    let range = |line: &str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    };
    lines.find_map(|line| {
        inside = range(line).map_or(inside, |range| range.contains(&at));
        let flags = line.strip_prefix("VmFlags:").filter(|_| inside)?;
        Some(flags.split_whitespace().map(String::from).collect())
    })
}

/// Red when the pages are not those that it tells of, or a child would get copies.
#[crate::test]
async fn huge_pages_are_had_or_not_and_it_says_so() {
    let some = memmap2::MmapOptions::new().len(4096).map_anon().unwrap().into();
    let can_wipe = crate::sys::unix::wipe_on_fork(&some).is_ok();
    let usual = small();
    let huge = FixedPool::builder().class(4096, 4).huge_pages(true).build().unwrap();
    assert_eq!(usual.pages(), Pages::Usual);
    for pool in [&usual, &huge] {
        let mut buf = pool.try_take(4096).unwrap();
        buf.resize(4096, 1);
        assert!(buf.iter().all(|&byte| byte == 1));
        let Some(flags) = flags_of(buf.read_ptr().addr()) else { continue };
        let has = |flag: &str| flags.iter().any(|has| has == flag);
        let told = (pool.pages() == Pages::Preferred, pool.pages() == Pages::Huge);
        assert_eq!((has("hg"), has("ht")), told, "{flags:?}");
        assert!(has("wf") || has("ht") || !can_wipe, "a child would get copies: {flags:?}");
    }
    huge.grow(4096, 1).unwrap();
    assert!(Pages::Usual < Pages::Preferred && Pages::Preferred < Pages::Huge);
}
