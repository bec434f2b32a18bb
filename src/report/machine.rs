//! What `/proc` tells of the machine. Facts to show and to give advice by; nothing is decided by them.

use std::{fmt, fs};

/// The facts about the machine and the process. What cannot be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// The kernel's release, to be shown: what a kernel can do is asked, and never inferred from its release.
    pub kernel: Option<String>,
    /// `kernel.io_uring_disabled`, since Linux 6.6: at 0 everybody makes rings, at 1 the privileged and a group,
    /// at 2 nobody.
    pub io_uring_disabled: Option<u32>,
    /// `kernel.io_uring_group`, since Linux 6.6: who may make rings at 1; -1 is no group.
    pub io_uring_group: Option<i64>,
    /// What filters this process's system calls.
    pub seccomp: Option<Seccomp>,
    /// `RLIMIT_MEMLOCK`, in bytes.
    pub memlock: Option<Limit>,
    /// `RLIMIT_NOFILE`, in descriptors.
    pub nofile: Option<Limit>,
    /// The variables that annulus goes by, as far as they are set.
    pub environment: Vec<(&'static str, String)>,
}

/// The mode of seccomp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// Nothing is filtered.
    Off,
    /// Only `read`, `write`, `exit` and `sigreturn`.
    Strict,
    /// A program decides, as in most containers.
    Filter,
}

/// A resource limit. `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What counts.
    pub soft: Option<u64>,
    /// How far the process itself may raise it.
    pub hard: Option<u64>,
}

/// The variables that change what is found.
const VARIABLES: [&str; 3] = ["ANNULUS_DRIVER", "ANNULUS_SETUP", "ANNULUS_HIDE_OPS"];

impl Machine {
    /// Reads everything anew.
    pub(super) fn read() -> Machine {
        let file = |path: &str| fs::read_to_string(path).ok();
        let limits = file("/proc/self/limits").unwrap_or_default();
        let variable = |name| std::env::var_os(name).map(|value| (name, value.to_string_lossy().into_owned()));
        Machine {
            kernel: file("/proc/sys/kernel/osrelease").map(|text| text.trim().into()),
            io_uring_disabled: file("/proc/sys/kernel/io_uring_disabled").and_then(|text| text.trim().parse().ok()),
            io_uring_group: file("/proc/sys/kernel/io_uring_group").and_then(|text| text.trim().parse().ok()),
            seccomp: file("/proc/self/status").and_then(|text| seccomp(&text)),
            memlock: limit(&limits, "Max locked memory"),
            nofile: limit(&limits, "Max open files"),
            environment: VARIABLES.into_iter().filter_map(variable).collect(),
        }
    }

    /// A variable's value; an empty one counts as not set.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let set = self.environment.iter().find(|(set, value)| *set == name && !value.is_empty());
        set.map(|(_, value)| value.as_str())
    }
}

/// The line `Seccomp:` of `/proc/self/status`.
fn seccomp(status: &str) -> Option<Seccomp> {
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
    match mode.trim() {
        "0" => Some(Seccomp::Off),
        "1" => Some(Seccomp::Strict),
        "2" => Some(Seccomp::Filter),
        _ => None,
    }
}

/// A line of `/proc/self/limits`: the name, the soft and the hard limit, and perhaps a unit.
fn limit(limits: &str, name: &str) -> Option<Limit> {
    let mut fields = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace();
    let mut next = || match fields.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Limit { soft: next()?, hard: next()? })
}

impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Seccomp::Off => "off",
            Seccomp::Strict => "strict",
            Seccomp::Filter => "a filter",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |limit: Option<u64>| limit.map_or("unlimited".into(), |n| n.to_string());
        write!(f, "{} (hard {})", text(self.soft), text(self.hard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_seccomp_is_one_line() {
        let status = |mode: &str| format!("Name:\tx\nNoNewPrivs:\t0\nSeccomp:\t{mode}\nSeccomp_filters:\t1\n");
        assert_eq!(seccomp(&status("0")), Some(Seccomp::Off));
        assert_eq!(seccomp(&status("1")), Some(Seccomp::Strict));
        assert_eq!(seccomp(&status("2")), Some(Seccomp::Filter));
        assert_eq!(seccomp(&status("x")), None);
        assert_eq!(seccomp("Name:\tx\nSeccomp_filters:\t2\n"), None);
    }

    #[test]
    fn limits_are_numbers_or_unlimited() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n\
                      Max locked memory         8388608              unlimited            bytes     \n\
                      Max nice priority         x                    0                    \n";
        assert_eq!(limit(limits, "Max open files"), Some(Limit { soft: Some(1024), hard: Some(524_288) }));
        let memlock = limit(limits, "Max locked memory").unwrap();
        assert_eq!(memlock.to_string(), "8388608 (hard unlimited)");
        assert_eq!(limit(limits, "Max nice priority"), None);
        assert_eq!(limit(limits, "Max pending signals"), None);
    }

    #[test]
    fn the_machine_can_be_read() {
        let machine = Machine::read();
        assert!(machine.kernel.is_some() && machine.seccomp.is_some(), "{machine:?}");
        assert!(machine.nofile.is_some_and(|limit| limit.soft.is_none_or(|n| n > 0)), "{machine:?}");
        assert!(machine.memlock.is_some(), "{machine:?}");
    }
}
