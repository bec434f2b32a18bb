//! What `/proc` tells of the machine. Facts to show and to give advice by; nothing is decided by them.

use super::{
    around::{Finding, Traces, clean},
    line,
};
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
    /// What stands around the process, the outermost first: a container, a unit, a kernel that only looks like Linux.
    pub around: Vec<Finding>,
    /// What filters this process's system calls.
    pub seccomp: Option<Seccomp>,
    /// Whether programs that it runs gain no privileges (`NoNewPrivs`), as under most filters.
    pub no_new_privileges: Option<bool>,
    /// Whether it is in a user namespace of its own, where root is not the machine's root.
    pub user_namespace: Option<bool>,
    /// The name that a security module knows the process by.
    pub label: Option<Label>,
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

/// What a security module calls the process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// Whose name it is, as far as its form tells.
    pub module: Module,
    /// The name: a profile with its mode, or a context.
    pub text: String,
}

/// A security module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Module {
    /// AppArmor: a profile and its mode, or `unconfined`.
    AppArmor,
    /// SELinux: user, role, type and level, with colons between them.
    Selinux,
    /// Another one.
    Other,
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
        let file = |path: &str| Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned());
        let sysctl = |name: &str| file(&format!("/proc/sys/kernel/{name}"));
        let limits = file("/proc/self/limits").unwrap_or_default();
        let status = file("/proc/self/status").unwrap_or_default();
        let variable = |name| std::env::var_os(name).map(|value| (name, value.to_string_lossy().into_owned()));
        Machine {
            kernel: sysctl("osrelease").map(|text| clean(text.trim())),
            io_uring_disabled: sysctl("io_uring_disabled").and_then(|text| text.trim().parse().ok()),
            io_uring_group: sysctl("io_uring_group").and_then(|text| text.trim().parse().ok()),
            around: Traces::read().findings(),
            seccomp: seccomp(&status),
            no_new_privileges: field(&status, "NoNewPrivs:").map(|value| value != "0"),
            user_namespace: file("/proc/self/uid_map").and_then(|text| is_mapped(&text)),
            label: file("/proc/self/attr/current").and_then(|text| label(&text)),
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

/// A line of `/proc/self/status` (proc_pid_status(5)): a name and a value.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim())
}

fn seccomp(status: &str) -> Option<Seccomp> {
    match field(status, "Seccomp:")? {
        "0" => Some(Seccomp::Off),
        "1" => Some(Seccomp::Strict),
        "2" => Some(Seccomp::Filter),
        _ => None,
    }
}

/// `/proc/self/uid_map` (user_namespaces(7)): the machine's own namespace maps all numbers to themselves.
fn is_mapped(map: &str) -> Option<bool> {
    let numbers = map.split_whitespace().map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()?;
    (!numbers.is_empty()).then_some(numbers != [0, 0, u32::MAX])
}

/// `/proc/self/attr/current` (proc_pid_attr(5)). Without a module it cannot be read, or is empty.
fn label(text: &str) -> Option<Label> {
    let text = clean(text.trim_matches(['\0', '\n']));
    let module = if text == "unconfined" || text.ends_with(')') {
        Module::AppArmor
    } else if text.matches(':').count() >= 3 {
        Module::Selinux
    } else {
        Module::Other
    };
    (!text.is_empty()).then_some(Label { module, text })
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

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module {
            Module::AppArmor => write!(f, "{} of AppArmor", self.text),
            Module::Selinux => write!(f, "{} of SELinux", self.text),
            Module::Other => f.write_str(&self.text),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |limit: Option<u64>| limit.map_or("unlimited".into(), |n| n.to_string());
        write!(f, "{} (hard {})", text(self.soft), text(self.hard))
    }
}

/// A fact, or that it is not known.
fn known(f: &mut fmt::Formatter<'_>, name: &str, fact: Option<impl fmt::Display>) -> fmt::Result {
    match fact {
        Some(fact) => line(f, name, &fact),
        None => line(f, name, &"unknown"),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        known(f, "kernel", self.kernel.as_ref())?;
        self.around.iter().try_for_each(|finding| line(f, "inside", finding))?;
        let sysctl = |name: &str, value: Option<i64>| value.map(|n| format!("kernel.{name} = {n}"));
        known(f, "sysctl", sysctl("io_uring_disabled", self.io_uring_disabled.map(i64::from)))?;
        known(f, "sysctl", sysctl("io_uring_group", self.io_uring_group))?;
        let held = if self.no_new_privileges == Some(true) { ", and no new privileges" } else { "" };
        known(f, "seccomp", self.seccomp.map(|mode| format!("{mode}{held}")))?;
        known(f, "module", self.label.as_ref())?;
        let namespace = |own| if own { "its own: root here is not the machine's" } else { "the machine's" };
        known(f, "user ns", self.user_namespace.map(namespace))?;
        known(f, "memlock", self.memlock)?;
        known(f, "nofile", self.nofile)?;
        self.environment.iter().try_for_each(|(name, value)| line(f, "set", &format_args!("{name}={value}")))
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
    fn the_label_tells_whose_it_is_by_its_form() {
        let label = |text: &str| label(text).map(|label| label.to_string());
        assert_eq!(label("docker-default (enforce)\n").as_deref(), Some("docker-default (enforce) of AppArmor"));
        assert_eq!(label("unconfined\n").as_deref(), Some("unconfined of AppArmor"));
        let context = "system_u:system_r:container_t:s0:c1,c2";
        assert_eq!(label(&format!("{context}\0")), Some(format!("{context} of SELinux")));
        assert_eq!(label("_\n").as_deref(), Some("_"));
        assert_eq!((label(""), label("\n\0")), (None, None));
    }

    #[test]
    fn only_the_first_user_namespace_maps_everybody_to_himself() {
        assert_eq!(is_mapped("         0          0 4294967295\n"), Some(false));
        assert_eq!(is_mapped("         0     100000      65536\n"), Some(true));
        assert_eq!(is_mapped("0 1000 1\n1 100000 65536\n"), Some(true));
        assert_eq!((is_mapped(""), is_mapped("0 0 x")), (None, None));
    }

    #[test]
    fn the_machine_can_be_read() {
        if std::env::consts::OS != "linux" {
            return assert_eq!(Machine { environment: Vec::new(), ..Machine::read() }, Machine::default());
        }
        let machine = Machine::read();
        assert!(machine.no_new_privileges.is_some() && machine.user_namespace.is_some(), "{machine:?}");
        assert!(machine.kernel.is_some() && machine.seccomp.is_some(), "{machine:?}");
        assert!(machine.nofile.is_some_and(|limit| limit.soft.is_none_or(|n| n > 0)), "{machine:?}");
        assert!(machine.memlock.is_some(), "{machine:?}");
    }
}
