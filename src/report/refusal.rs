//! Who stands between this process and a ring: sysctl, filter, security module, kernel or limit, told apart by what the
//! calls are answered.

use super::{Report, Seccomp};
use crate::driver::Call;
use std::fmt;

/// Who refuses a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The sysctl `kernel.io_uring_disabled`, since Linux 6.6 and in RHEL 9.
    Sysctl,
    /// A seccomp filter, as container runtimes and systemd install it.
    Seccomp,
    /// A security module: SELinux, AppArmor or another.
    Module,
    /// The kernel, which has no io_uring, or too old a one.
    Kernel,
    /// `RLIMIT_MEMLOCK`, or the memory that the control group leaves.
    Memory,
    /// `RLIMIT_NOFILE`, or the system's own limit.
    Descriptors,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Sysctl => "the sysctl kernel.io_uring_disabled",
            Refusal::Seccomp => "a seccomp filter",
            Refusal::Module => "a security module",
            Refusal::Kernel => "the kernel",
            Refusal::Memory => "the limit of locked memory",
            Refusal::Descriptors => "the limit of descriptors",
        })
    }
}

/// What refusals are told apart by.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// The number that the last setup was answered; 0 where it was taken, and the ring turned out to be unfit.
    setup: i32,
    /// One of the other two calls is refused as such.
    others_are_refused: bool,
    /// They are answered as by a kernel that has io_uring.
    others_are_answered: bool,
    /// A filter is there; unknown counts as none.
    is_filtered: bool,
    /// `kernel.io_uring_disabled`, which only a kernel with io_uring has.
    sysctl: Option<u32>,
}

/// Everybody who refuses, as far as can be told; more than one where each would do it alone, or where nobody but the
/// two of them can have. Empty where there is a ring, or where none was asked for.
pub(super) fn refusals(report: &Report) -> Vec<Refusal> {
    let Some(last) = report.attempts().last().filter(|_| report.ring().is_err()) else { return Vec::new() };
    let calls = &report.survey.calls;
    let others_are_refused = calls.iter().any(|call| call.is_refused());
    find(Facts {
        setup: Call::new("io_uring_setup", last.error.as_ref().map_or(Ok(()), Err)).errno,
        others_are_refused,
        others_are_answered: !calls.is_empty() && !others_are_refused,
        is_filtered: report.machine().seccomp == Some(Seccomp::Filter),
        sysctl: report.machine().io_uring_disabled,
    })
}

fn find(facts: Facts) -> Vec<Refusal> {
    match facts.setup {
        libc::EPERM => forbidden(facts),
        libc::ENOSYS => missing(facts),
        // The kernel's setup and its SELinux say EACCES; filters hardly do, and then to all three.
        libc::EACCES if facts.is_filtered && facts.others_are_refused => vec![Refusal::Seccomp],
        libc::EACCES => vec![Refusal::Module],
        libc::ENOMEM => vec![Refusal::Memory],
        libc::EMFILE | libc::ENFILE => vec![Refusal::Descriptors],
        // No setup that is known, or a ring that lacks what is needed.
        libc::EINVAL => vec![Refusal::Kernel],
        0 if facts.is_filtered && facts.others_are_refused => vec![Refusal::Seccomp],
        0 => vec![Refusal::Kernel],
        _ => Vec::new(),
    }
}

/// EPERM. The kernel says it at the setup alone, by its sysctl (Documentation/admin-guide/sysctl/kernel.rst) or for a
/// security module; Docker's profile says it of all three calls (moby/profiles, seccomp/default.json, and since Docker
/// Engine 25 without io_uring).
fn forbidden(facts: Facts) -> Vec<Refusal> {
    let mut all = Vec::new();
    if facts.sysctl.is_some_and(|value| value != 0) {
        all.push(Refusal::Sysctl);
    }
    if facts.is_filtered && (facts.others_are_refused || all.is_empty()) {
        all.push(Refusal::Seccomp);
    }
    if all.is_empty() {
        all.push(Refusal::Module);
    }
    all
}

/// ENOSYS. Kernels without io_uring say it of all three calls, and so do filters: Podman's profile does
/// (containers/common, pkg/seccomp/seccomp.json: 38 is the default).
fn missing(facts: Facts) -> Vec<Refusal> {
    let has_io_uring = facts.others_are_answered || facts.sysctl.is_some();
    let mut all = Vec::new();
    if facts.sysctl.is_some_and(|value| value != 0) {
        all.push(Refusal::Sysctl);
    }
    if facts.is_filtered {
        all.push(Refusal::Seccomp);
    }
    if !has_io_uring || !facts.is_filtered {
        all.push(Refusal::Kernel);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::Refusal::{Descriptors, Kernel, Memory, Module, Seccomp, Sysctl};
    use super::*;
    use libc::{EACCES, EBUSY, EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM};

    /// What the other two calls are answered.
    #[derive(Clone, Copy, PartialEq)]
    enum Others {
        Unknown,
        Answered,
        Refused,
    }
    use Others::{Answered, Refused, Unknown};

    /// The setup's answer, the others', a filter, the sysctl; and who refuses.
    type Case = (i32, Others, bool, Option<u32>, &'static [Refusal]);

    #[test]
    fn each_is_told_by_what_the_calls_are_answered() {
        let (filter, none) = (true, false);
        let (old, at) = (None, Some);
        #[rustfmt::skip]
        let cases: &[Case] = &[
            // The sysctl is asked by the setup alone.
            (EPERM, Answered, none, at(2), &[Sysctl]),
            (EPERM, Answered, none, at(1), &[Sysctl]),
            (EPERM, Answered, filter, at(2), &[Sysctl]),
            // A filter that knows all three calls, beside the sysctl or not: each of them alone would refuse.
            (EPERM, Refused, filter, at(0), &[Seccomp]),
            (EPERM, Refused, filter, old, &[Seccomp]),
            (EPERM, Refused, filter, at(2), &[Sysctl, Seccomp]),
            // One that knows the setup alone.
            (EPERM, Answered, filter, at(0), &[Seccomp]),
            (EPERM, Unknown, filter, old, &[Seccomp]),
            // Nobody else is left.
            (EPERM, Answered, none, at(0), &[Module]),
            (EPERM, Answered, none, old, &[Module]),
            (EACCES, Answered, none, at(0), &[Module]),
            (EACCES, Answered, filter, at(0), &[Module]),
            (EACCES, Refused, filter, at(0), &[Seccomp]),
            // A kernel that has the sysctl, or answers the other calls, has io_uring.
            (ENOSYS, Refused, filter, at(0), &[Seccomp]),
            (ENOSYS, Refused, filter, at(2), &[Sysctl, Seccomp]),
            (ENOSYS, Answered, filter, old, &[Seccomp]),
            (ENOSYS, Refused, filter, old, &[Seccomp, Kernel]),
            (ENOSYS, Refused, none, old, &[Kernel]),
            // Limits and age.
            (ENOMEM, Answered, filter, at(0), &[Memory]),
            (EMFILE, Answered, none, at(0), &[Descriptors]),
            (ENFILE, Answered, none, at(0), &[Descriptors]),
            (EINVAL, Answered, none, old, &[Kernel]),
            (0, Answered, filter, old, &[Kernel]),
            // A ring that cannot be entered is none.
            (0, Refused, filter, at(0), &[Seccomp]),
            (EBUSY, Answered, none, at(0), &[]),
        ];
        for &(setup, others, is_filtered, sysctl, expected) in cases {
            let (others_are_refused, others_are_answered) = (others == Refused, others == Answered);
            let facts = Facts { setup, others_are_refused, others_are_answered, is_filtered, sysctl };
            assert_eq!(find(facts), expected, "{facts:?}");
        }
    }
}
