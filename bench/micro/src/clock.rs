//! CPU time, and the slices in which it is taken.
//!
//! The CPU clock of the process counts all its threads, in user space and in the kernel. It does not run while the
//! process waits for a CPU, but what others leave in the caches still shows. So a workload is cut into slices of some
//! milliseconds: on a busy machine most are disturbed, and the best of many is close to what the code costs.

use std::fmt;
use std::time::{Duration, Instant};

/// How long a sample may take. A slice that has begun is finished.
const BUDGET: Duration = Duration::from_millis(120);

/// CPU nanoseconds of this process.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call, which cannot fail: every process has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds that this thread waited for a CPU while it could have run.
fn waited_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// What was found: CPU and wall nanoseconds per operation, slice by slice.
#[derive(Debug)]
pub struct Slices {
    cpu: Vec<f64>,
    wall: Vec<f64>,
    began: Instant,
    budget: Duration,
    waited: u64,
    /// When the slice began that is going on, by both clocks.
    slice: (Instant, u64),
    /// Exactly so many slices, whatever the time: for whoever counts instructions.
    wanted: Option<usize>,
    ops: u32,
}

impl Slices {
    /// Begins a sample.
    #[must_use]
    pub fn begin() -> Self {
        Self::within(BUDGET)
    }

    /// Begins a sample that may take so long, where operations are long themselves.
    #[must_use]
    pub fn within(budget: Duration) -> Self {
        let wanted = std::env::args().skip_while(|arg| arg != "--slices").nth(1).and_then(|text| text.parse().ok());
        let began = Instant::now();
        Self {
            cpu: Vec::new(),
            wall: Vec::new(),
            began,
            budget,
            waited: waited_ns(),
            slice: (began, 0),
            wanted,
            ops: 0,
        }
    }

    /// Whether there is time for another slice. The first slice is a warm-up and is not kept.
    #[must_use]
    pub fn go_on(&self) -> bool {
        match self.wanted {
            Some(wanted) => self.cpu.len() < wanted,
            None => self.cpu.len() < 2 || self.began.elapsed() < self.budget,
        }
    }

    /// Begins a slice.
    pub fn start(&mut self) {
        self.slice = (Instant::now(), cpu_ns());
    }

    /// Ends the slice, which held so many operations.
    pub fn stop(&mut self, ops: u32) {
        let (cpu, wall) = (cpu_ns() - self.slice.1, self.slice.0.elapsed());
        self.ops = ops;
        self.cpu.push(cpu as f64 / f64::from(ops));
        self.wall.push(wall.as_nanos() as f64 / f64::from(ops));
    }
}

/// The value below which this share of the kept slices lies.
fn rank(values: &[f64], share: f64) -> f64 {
    let mut kept = values.get(1..).unwrap_or_default().to_vec();
    kept.sort_by(f64::total_cmp);
    let place = share * kept.len().saturating_sub(1) as f64;
    kept.get(place.round() as usize).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Slices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, low, median] = [0.0, 0.25, 0.5].map(|share| rank(&self.cpu, share));
        let wait = (waited_ns() - self.waited) as f64 / self.began.elapsed().as_nanos() as f64;
        let (wall, rate) = (rank(&self.wall, 0.0), 1e9 / rank(&self.wall, 0.5));
        let slices = self.cpu.len().saturating_sub(1);
        write!(
            f,
            "min={min:.2} low={low:.2} median={median:.2} wall={wall:.2} rate={rate:.0} slices={slices} ops={} wait={wait:.4}",
            self.ops
        )
    }
}
