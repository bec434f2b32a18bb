//! What a process has used so far, read from outside: its CPU clock (exact, all threads), the scheduler's account of
//! how long its threads waited for a CPU, its voluntary switches (how often it went to sleep) and its memory.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::FromRawFd;

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

/// Counts the system calls of a process's threads. It slows each call a little, so nothing else is measured meanwhile.
pub struct Calls(Vec<File>);

impl Calls {
    /// Begins to count; fails without the privilege that this takes, or without the kernel's tracepoint.
    pub fn of(pid: libc::pid_t) -> io::Result<Self> {
        const TRACEPOINT: u64 = 2;
        let id = fs::read_to_string("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id")?;
        let id: u64 = id.trim().parse().map_err(io::Error::other)?;
        // struct perf_event_attr, its first version: type and size, which event, and no sampling, options or limits.
        let attr: [u64; 8] = [TRACEPOINT | 64 << 32, id, 0, 0, 0, 0, 0, 0];
        let open = |task: io::Result<fs::DirEntry>| {
            let task: libc::pid_t = task?.file_name().to_string_lossy().parse().map_err(io::Error::other)?;
            let (any_cpu, no_group, flags) = (-1, -1, 0);
            // SAFETY: `attr` has the layout and the size that it names, and outlives the call.
            let fd =
                unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, task, any_cpu, no_group, flags) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new and nobody else's.
            Ok(unsafe { File::from_raw_fd(fd as i32) })
        };
        fs::read_dir(format!("/proc/{pid}/task"))?.map(open).collect::<io::Result<_>>().map(Self)
    }

    /// How many there were.
    pub fn count(&mut self) -> io::Result<u64> {
        let mut sum = 0;
        for counter in &mut self.0 {
            let mut count = [0; 8];
            counter.read_exact(&mut count)?;
            sum += u64::from_ne_bytes(count);
        }
        Ok(sum)
    }
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

#[cfg(test)]
mod tests {
    use super::Calls;

    /// Red when another event is counted, or another process.
    #[test]
    fn calls_are_counted() {
        // SAFETY: takes no pointers.
        let me = unsafe { libc::getpid() };
        let Ok(mut calls) = Calls::of(me) else { return eprintln!("SKIP calls_are_counted: it takes privilege") };
        let before = calls.count().unwrap();
        for _ in 0..1000 {
            // SAFETY: takes no pointers.
            unsafe { libc::syscall(libc::SYS_getppid) };
        }
        // The threads of other tests make some, too.
        let counted = calls.count().unwrap() - before;
        assert!(counted >= 1000, "{counted}");
    }
}
