//! CPU time as criterion's measure: it does not run while others have the CPU, so a busy machine disturbs it less than
//! the clock on the wall.

use criterion::{
    Criterion,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use std::time::Duration;

/// User and system time of all threads of this process.
pub(crate) struct CpuTime;

static SAME_UNITS: WallTime = WallTime;

/// The CPU time used until now.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call, which cannot fail: every process has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What `future` uses until it is ready.
#[allow(dead_code, reason = "not every bench has a future")]
pub(crate) async fn time(future: impl Future<Output = ()>) -> Duration {
    let before = used();
    future.await;
    used() - before
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        used()
    }

    fn end(&self, before: Duration) -> Duration {
        used() - before
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        SAME_UNITS.formatter()
    }
}

/// What measures so, for about a second and a half.
pub(crate) fn brief() -> Criterion<CpuTime> {
    let (warm_up, measure) = (Duration::from_millis(300), Duration::from_secs(1));
    let criterion = Criterion::default().without_plots().with_measurement(CpuTime);
    criterion.warm_up_time(warm_up).measurement_time(measure).sample_size(20)
}
