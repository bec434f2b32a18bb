//! Any bytes as a program of system calls: on a ring it comes to the same as call by call.
//!
//! The first byte says what ring; each five that follow are a step. Steps that are linked make a chain. Each chain
//! runs on the ring in one directory, and then as plain calls in that directory's twin; results, what was read, and in
//! the end all files, positions and what waits in pipes and sockets have to be the same. Every completion is waited for
//! before memory goes.

#[path = "programs/steps.rs"]
mod steps;
#[path = "programs/world.rs"]
mod world;

use annulus::ring::{CqeFlags, Features, Probe, Ring, SetupFlags, Sqe, SqeFlags};
use std::{cell::RefCell, io, process, time::Duration};
use steps::{Job, Kind};
use world::World;

/// The most steps of a program, and entries of a ring.
const MOST: usize = 24;

/// A ring of each kind is made once for a thread.
struct Rings {
    rings: [Option<Ring>; 4],
    probe: Probe,
    /// Whether pipes can be told not to wait, since Linux 5.18 or so.
    nowait: bool,
}

const KINDS: [SetupFlags; 4] = [
    SetupFlags::empty(),
    SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN),
    SetupFlags::COOP_TASKRUN.union(SetupFlags::TASKRUN_FLAG).union(SetupFlags::NO_SQARRAY),
    SetupFlags::SQPOLL,
];
const SQPOLL: usize = 3;

impl Rings {
    fn new() -> io::Result<Rings> {
        let mut ring = Ring::new(4)?;
        let (probe, nowait) = (ring.probe()?, pipes_need_not_wait(&mut ring));
        // What a kernel lacks, a plain ring stands in for.
        Ok(Rings {
            rings: KINDS.map(|flags| Ring::builder().flags(flags).sq_thread_idle(1).build(32).ok()),
            probe,
            nowait,
        })
    }

    /// The ring of a kind, and whether the kernel can do a job.
    fn get(&mut self, kind: usize) -> (&mut Ring, impl Fn(&Job) -> bool) {
        let kind = if self.rings[kind].is_some() { kind } else { 0 };
        let can = |job: &Job| self.probe.supports(job.kind.opcode()) && (self.nowait || !job.may_wait());
        (self.rings[kind].as_mut().expect("a plain ring can be made"), can)
    }
}

/// Asks a pipe without a byte in it.
fn pipes_need_not_wait(ring: &mut Ring) -> bool {
    let world = World::new("pipe");
    let mut read = [Job::new(&[Kind::Read as u8, 2, 0, 0, 0], &world)];
    // Where the answer is another, it comes at once as well.
    on_ring(ring, &mut read) == [-libc::EAGAIN]
}

thread_local! {
    static RINGS: RefCell<Option<Rings>> = const { RefCell::new(None) };
}

/// Runs one program.
///
/// # Errors
/// Those of making a ring: then there is nothing to compare.
pub(crate) fn run(bytes: &[u8]) -> io::Result<()> {
    let Some((&setup, bytes)) = bytes.split_first() else { return Ok(()) };
    RINGS.with_borrow_mut(|rings| {
        let rings = match rings {
            Some(rings) => rings,
            None => rings.insert(Rings::new()?),
        };
        // Each turn of the kernel's thread costs more than a whole program: short ones are enough of them.
        let kind = if setup == 255 && bytes.len() <= 20 { SQPOLL } else { usize::from(setup) % SQPOLL };
        let steps: Vec<[u8; 5]> = bytes.chunks_exact(5).take(MOST).map(|s| s.try_into().expect("five")).collect();
        // Whoever looks at the descriptors of a process holds its files for a moment, so that an end of a pipe may
        // outlive its close. That does not happen three times.
        for attempt in 1.. {
            match play(rings, kind, &steps) {
                Ok(()) => break,
                Err(difference) if !difference.after_close || attempt == 3 => panic!("{}", difference.what),
                Err(_) => {}
            }
        }
        Ok(())
    })
}

/// What was not the same.
struct Difference {
    what: String,
    /// An end of a pipe or a socket had been closed.
    after_close: bool,
}

fn play(rings: &mut Rings, kind: usize, steps: &[[u8; 5]]) -> Result<(), Difference> {
    let (ring, can) = rings.get(kind);
    let [mut there, mut here] = [World::new("ring"), World::new("calls")];
    for chain in steps.split_inclusive(|step| !is_linked(step)) {
        let result = run_chain(ring, &can, chain, [&mut there, &mut here], kind == SQPOLL);
        result.map_err(|what| Difference { what, after_close: there.has_lost_an_end() })?;
    }
    let (theirs, ours) = (there.state(), here.state());
    if theirs == ours {
        return Ok(());
    }
    Err(Difference {
        what: format!("{theirs:?} is left by the ring, {ours:?} by calls"),
        after_close: here.has_lost_an_end(),
    })
}

/// For a fuzzer: without a ring there is nothing to find.
#[allow(dead_code, reason = "the fuzz target's")]
pub(crate) fn check(bytes: &[u8]) {
    run(bytes).expect("a ring can be made");
}

fn is_linked(step: &[u8; 5]) -> bool {
    how(step).intersects(SqeFlags::IO_LINK | SqeFlags::IO_HARDLINK)
}

/// How a step is to be carried out: the low bits of its last byte.
fn how(step: &[u8; 5]) -> SqeFlags {
    let link = match step[4] & 3 {
        1 => SqeFlags::IO_LINK,
        2 => SqeFlags::IO_HARDLINK,
        _ => SqeFlags::empty(),
    };
    let rest = [(4, SqeFlags::ASYNC), (8, SqeFlags::IO_DRAIN)].into_iter().filter(|(bit, _)| step[4] & bit != 0);
    rest.fold(link, |flags, (_, flag)| flags | flag)
}

fn run_chain(
    ring: &mut Ring,
    can: &impl Fn(&Job) -> bool,
    chain: &[[u8; 5]],
    worlds: [&mut World; 2],
    sqpoll: bool,
) -> Result<(), String> {
    let jobs = worlds.each_ref().map(|world| jobs(chain, world, can, sqpoll));
    let [mut theirs, mut ours] = jobs;
    let results = on_ring(ring, &mut theirs);
    let mut canceled = false;
    for (i, job) in ours.iter_mut().enumerate() {
        let res = if canceled { -libc::ECANCELED } else { job.call() };
        let told = results[i];
        let same = if job.makes_descriptor() { res.min(0) == told.min(0) } else { res == told };
        if !same || !job.same_memory(&theirs[i]) {
            return Err(format!("{:?}: {told} on the ring, {res} by the call; step {i} of {chain:?}", job.kind));
        }
        let breaks = job.flags.contains(SqeFlags::IO_LINK) && !canceled && i + 1 < results.len();
        let next = results.get(i + 1).copied();
        canceled |= breaks && job.ends_chain(res).unwrap_or(next == Some(-libc::ECANCELED));
        job.result = res;
    }
    let [there, here] = worlds;
    theirs.iter_mut().zip(&results).for_each(|(job, &res)| job.result = res);
    theirs.iter().for_each(|job| there.settle(job));
    ours.iter().for_each(|job| here.settle(job));
    Ok(())
}

/// The steps of a chain, with the descriptors that their slots have now.
fn jobs(chain: &[[u8; 5]], world: &World, can: &impl Fn(&Job) -> bool, sqpoll: bool) -> Vec<Job> {
    let mut gone = [false; world::SLOTS];
    let mut jobs = Vec::with_capacity(chain.len());
    for (i, step) in chain.iter().enumerate() {
        let mut job = Job::new(step, world);
        let streams_gone = (0..world::SLOTS).any(|slot| gone[slot] && world.is_stream(slot));
        let slot = job.slot.filter(|&slot| gone[slot] || (streams_gone && world.is_stream(slot)));
        // The last of a pipe or a socket goes some time after its close completed.
        let lingers = job.kind == Kind::Close && sqpoll && job.slot.is_some_and(|slot| world.is_stream(slot));
        if slot.is_some() || lingers || !can(&job) {
            job = Job::nop();
        }
        if let (Kind::Close, Some(slot)) = (job.kind, job.slot) {
            gone[slot] = true;
        }
        job.flags = how(step);
        if job.slot.is_some_and(|slot| world.is_stream(slot)) || job.kind == Kind::Close {
            job.flags.remove(SqeFlags::ASYNC); // a worker may wait although the descriptor says not to
        }
        if i + 1 == chain.len() {
            job.flags.remove(SqeFlags::IO_LINK | SqeFlags::IO_HARDLINK);
        }
        jobs.push(job);
    }
    jobs
}

/// Carries a chain out and waits for all of it.
fn on_ring(ring: &mut Ring, jobs: &mut [Job]) -> Vec<i32> {
    let sqes = jobs.iter_mut().enumerate().map(|(i, job)| job.sqe().flags(job.flags).user_data(i as u64));
    // All at once: the thread of a ring must not see half a chain.
    let sqes: Vec<Sqe> = sqes.collect();
    // SAFETY: Lent: what a job names is its own or the world's, and this function waits for every completion.
    unsafe { ring.push_all(&sqes) }.expect("the ring is larger than a program");
    let (mut results, mut left) = (vec![None; jobs.len()], jobs.len());
    for _ in 0..1000 {
        let waited = match ring.features().contains(Features::EXT_ARG) {
            true => ring.wait_timeout(1, Duration::from_millis(20)).map(drop),
            false => ring.submit_and_wait(1).map(drop),
        };
        if waited.is_err_and(|e| e.kind() != io::ErrorKind::Interrupted) {
            break;
        }
        for cqe in ring.completions() {
            let result = &mut results[cqe.user_data as usize];
            assert!(result.is_none() && !cqe.flags.contains(CqeFlags::MORE), "{cqe:?} is one too many");
            *result = Some(cqe.res);
            left -= 1;
        }
        if left == 0 {
            return results.into_iter().flatten().collect();
        }
    }
    // The kernel may still write: nothing may be freed, so there is no panic.
    eprintln!("{left} completions of {jobs:?} did not come");
    process::abort()
}
