//! What a process has used so far, read from outside: its CPU clock (exact, all threads), the scheduler's account of
//! how long its threads waited for a CPU, its voluntary switches (how often it went to sleep) and its memory.

use std::fs;
use std::io;

/// Totals since the process began, or the difference of two such totals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_us: f64,
    pub wait_us: f64,
    pub switches: u64,
    /// User and system time in ticks of 10 ms: only good for telling roughly how `cpu_us` splits.
    pub user_ticks: u64,
    pub sys_ticks: u64,
    /// Memory in use now; not a difference.
    pub rss_kib: u64,
}

/// The number after `name` in a `/proc/PID/status`.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The CPU clock of a process.
pub fn cpu_us(pid: libc::pid_t) -> io::Result<f64> {
    let mut clock = 0;
    // SAFETY: `clock` outlives the call.
    let res = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if res != 0 {
        return Err(io::Error::from_raw_os_error(res));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3)
}

/// What all processes together have used so far, by `/proc/stat`: user, nice, system, then interrupts after two kinds
/// of idleness. In ticks of 10 ms, so good to some percent of a window of half a second.
pub fn machine_us() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().unwrap_or("").split_whitespace().skip(1).map(|t| t.parse().unwrap_or(0.0));
    [0, 1, 2, 5, 6].into_iter().filter_map(|kind| ticks.clone().nth(kind)).sum::<f64>() * 1e4
}

impl Usage {
    pub fn of(pid: libc::pid_t) -> io::Result<Self> {
        let mut usage = Self { cpu_us: cpu_us(pid)?, ..Self::default() };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            usage.wait_us += schedstat.split(' ').nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0.0) / 1e3;
            usage.switches += field(&fs::read_to_string(task.join("status"))?, "voluntary_ctxt_switches:");
        }
        usage.rss_kib = field(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:");
        // The name in parentheses may hold spaces; counted after it, user and system time are numbers 11 and 12.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let mut ticks =
            stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(11).map(|t| t.parse().unwrap_or(0));
        (usage.user_ticks, usage.sys_ticks) = (ticks.next().unwrap_or(0), ticks.next().unwrap_or(0));
        Ok(usage)
    }

    /// What was used between `before` and now.
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu_us: self.cpu_us - before.cpu_us,
            wait_us: self.wait_us - before.wait_us,
            switches: self.switches.saturating_sub(before.switches),
            user_ticks: self.user_ticks - before.user_ticks,
            sys_ticks: self.sys_ticks - before.sys_ticks,
            rss_kib: self.rss_kib,
        }
    }
}
