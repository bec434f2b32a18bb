//! What to change to get more, from what was found.

use super::{Report, Seccomp, Support};
use crate::{driver::DriverKind, ring::SetupFlags};
use std::io;

/// One sentence for each thing that can be changed.
pub(super) fn advice(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(variables(report));
    match report.ring() {
        Ok(_) => lines.extend(better_ring(report)),
        Err(_) => lines.extend(any_ring(report)),
    }
    let nofile = report.machine().nofile.and_then(|limit| Some((limit.soft?, limit.hard)));
    match nofile {
        Some((soft, hard)) if soft <= 1024 && hard != Some(soft) => {
            lines.push(format!("raise RLIMIT_NOFILE (ulimit -n): {soft} descriptors are few connections"));
        }
        _ => {}
    }
    lines
}

/// What the environment withholds, or gets wrong.
fn variables(report: &Report) -> Vec<String> {
    let machine = report.machine();
    let poll = report.driver().is_ok_and(|info| info.kind() == DriverKind::Poll);
    let mut lines = Vec::new();
    match report.driver() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return vec![error.to_string()],
        Err(_) => lines.push("unset ANNULUS_DRIVER: the poll driver runs everywhere".into()),
        Ok(_) if poll && report.ring().is_ok() => lines.push("unset ANNULUS_DRIVER: there is a ring to be had".into()),
        Ok(_) => {}
    }
    if let Some(rung) = machine.variable("ANNULUS_SETUP").filter(|rung| *rung != "defer") {
        lines.push(format!("unset ANNULUS_SETUP: with `{rung}` nothing better is tried"));
    }
    if machine.variable("ANNULUS_HIDE_OPS").is_some() {
        lines.push("unset ANNULUS_HIDE_OPS: it hides opcodes that the kernel may have".into());
    }
    lines
}

/// What makes the ring that there is a better one.
fn better_ring(report: &Report) -> Vec<String> {
    let Ok(ring) = report.ring() else { return Vec::new() };
    let machine = report.machine();
    let mut lines = Vec::new();
    if !ring.flags.contains(SetupFlags::DEFER_TASKRUN) && machine.variable("ANNULUS_SETUP").is_none() {
        lines.push("run Linux 6.1 or newer: its DEFER_TASKRUN completes without interrupting the program".into());
    }
    if report.attempts().iter().any(|attempt| attempt.entries > ring.entries) {
        let entries = ring.entries;
        lines.push(format!("raise RLIMIT_MEMLOCK (ulimit -l): it allows no more than {entries} entries for now"));
    }
    let by_twin: Vec<&str> = report.opcodes().filter(|(_, how)| *how == Support::Twin).map(|(name, _)| name).collect();
    let uring = report.driver().is_ok_and(|info| info.kind() == DriverKind::Uring);
    if uring && !by_twin.is_empty() && machine.variable("ANNULUS_HIDE_OPS").is_none() {
        lines.push(format!("run a newer kernel: {} work by ordinary system calls here", by_twin.join(", ")));
    }
    lines
}

/// What stands between this process and a ring.
fn any_ring(report: &Report) -> Vec<String> {
    let refused = |errno| {
        let last = report.attempts().last().and_then(|attempt| attempt.error.as_ref());
        last.is_some_and(|error| error.raw_os_error() == Some(errno))
    };
    let forbidden = refused(libc::EPERM) || refused(libc::ENOSYS) || refused(libc::EACCES);
    let machine = report.machine();
    let mut lines = Vec::new();
    match (machine.io_uring_disabled, machine.io_uring_group) {
        (Some(1), Some(group)) if group >= 0 => {
            lines.push(format!("join group {group} (kernel.io_uring_group), or set sysctl kernel.io_uring_disabled=0"));
        }
        (Some(1 | 2), _) => lines.push("set sysctl kernel.io_uring_disabled=0".into()),
        _ => {}
    }
    if forbidden && machine.seccomp == Some(Seccomp::Filter) {
        let calls = "io_uring_setup, io_uring_enter and io_uring_register";
        lines.push(format!("let the seccomp profile of the container allow {calls}"));
    }
    if refused(libc::ENOMEM) {
        lines.push("raise RLIMIT_MEMLOCK (ulimit -l): there is no memory to lock for the smallest ring".into());
    }
    if refused(libc::EMFILE) {
        lines.push("raise RLIMIT_NOFILE (ulimit -n): no descriptor is left for a ring".into());
    }
    if lines.is_empty() && !report.attempts().is_empty() {
        lines.push("run Linux 5.11 or newer, with CONFIG_IO_URING, to have a ring at all".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::{Attempt, Known, RingInfo, Survey},
        report::{Limit, Machine},
        ring::Features,
        sys::{self, names::OPCODES},
    };

    const BEST: SetupFlags = SetupFlags::DEFER_TASKRUN.union(SetupFlags::SINGLE_ISSUER);
    type Asked = Option<(DriverKind, &'static str)>;
    const POLL: Asked = Some((DriverKind::Poll, "ANNULUS_DRIVER"));
    const URING: Asked = Some((DriverKind::Uring, "ANNULUS_DRIVER"));

    fn attempt(flags: SetupFlags, entries: u32, errno: i32) -> Attempt {
        let error = (errno != 0).then(|| io::Error::from_raw_os_error(errno));
        Attempt { rung: "defer", flags, entries, error }
    }

    fn with_ring(flags: SetupFlags, asked: Asked, lacks: &[u32], machine: Machine) -> Report {
        let mut opcodes = [true; OPCODES.len()];
        lacks.iter().for_each(|&op| opcodes[op as usize] = false);
        let known = Known { opcodes, lacking: Vec::new() };
        let ring = RingInfo { flags, features: Features::NODROP, entries: 256, completions: 1024, known };
        Report { survey: Survey::new(vec![attempt(flags, 256, 0)], Ok(ring), Ok(asked)), machine }
    }

    fn without_ring(errno: i32, asked: Asked, machine: Machine) -> Report {
        let ring = Err(io::Error::other("there is no ring"));
        Report { survey: Survey::new(vec![attempt(BEST, 64, errno)], ring, Ok(asked)), machine }
    }

    /// Each of `parts` is in one line of advice, in this order, and there are no other lines.
    #[track_caller]
    fn says(report: &Report, parts: &[&str]) {
        let (lines, text) = (report.advice(), report.to_string());
        assert_eq!(lines.len(), parts.len(), "{lines:#?}");
        for (line, part) in lines.iter().zip(parts) {
            assert!(line.contains(part), "{line}");
            assert!(text.contains(&format!("advice     {line}\n")), "{text}");
        }
    }

    #[test]
    fn the_best_ring_needs_nothing() {
        let report = with_ring(BEST, None, &[], Machine::default());
        says(&report, &[]);
        let text = report.to_string();
        assert!(text.starts_with("driver     uring\n") && text.ends_with("advice     nothing to change\n"), "{text}");
        assert!(report.opcodes().all(|(_, how)| how == Support::Ring));
    }

    #[test]
    fn an_old_kernel_is_to_be_replaced() {
        let report =
            with_ring(SetupFlags::CLAMP, None, &[sys::IORING_OP_BIND, sys::IORING_OP_SPLICE], Machine::default());
        says(&report, &["Linux 6.1", "newer kernel: BIND work"]);
        assert_eq!(report.support(sys::IORING_OP_BIND as u8), Support::Twin);
        assert_eq!(report.support(sys::IORING_OP_SPLICE as u8), Support::Missing);
        assert_eq!(report.support(u8::MAX), Support::Missing);
        says(&without_ring(libc::EINVAL, None, Machine::default()), &["Linux 5.11"]);
    }

    #[test]
    fn whoever_forbids_the_ring_is_named() {
        let off = |disabled, group, seccomp| Machine {
            io_uring_disabled: Some(disabled),
            io_uring_group: Some(group),
            seccomp: Some(seccomp),
            ..Machine::default()
        };
        says(&without_ring(libc::EPERM, None, off(2, -1, Seccomp::Off)), &["io_uring_disabled=0"]);
        says(&without_ring(libc::EPERM, None, off(1, 7, Seccomp::Off)), &["join group 7"]);
        says(&without_ring(libc::EPERM, None, off(0, -1, Seccomp::Filter)), &["seccomp profile"]);
        says(
            &without_ring(libc::ENOSYS, None, off(2, -1, Seccomp::Filter)),
            &["io_uring_disabled=0", "seccomp profile"],
        );
        says(&without_ring(libc::ENOMEM, None, off(0, -1, Seccomp::Filter)), &["RLIMIT_MEMLOCK"]);
        says(&without_ring(libc::EMFILE, None, off(0, -1, Seccomp::Off)), &["RLIMIT_NOFILE"]);
        let report = without_ring(libc::EPERM, URING, off(2, -1, Seccomp::Off));
        says(&report, &["unset ANNULUS_DRIVER", "io_uring_disabled=0"]);
        assert!(report.opcodes().all(|(_, how)| how == Support::Missing));
    }

    #[test]
    fn what_the_environment_withholds_is_said() {
        let set = |name, value: &str| Machine { environment: vec![(name, value.into())], ..Machine::default() };
        let report = with_ring(BEST, POLL, &[], set("ANNULUS_DRIVER", "poll"));
        says(&report, &["unset ANNULUS_DRIVER"]);
        assert!(report.to_string().starts_with("driver     poll (ANNULUS_DRIVER asks for it)\n"), "{report}");
        assert!(report.to_string().contains("\nset        ANNULUS_DRIVER=poll\n"), "{report}");
        assert_eq!(report.support(sys::IORING_OP_READ as u8), Support::Twin);
        says(&with_ring(SetupFlags::CLAMP, None, &[], set("ANNULUS_SETUP", "plain")), &["`plain`"]);
        says(&with_ring(BEST, None, &[], set("ANNULUS_SETUP", "")), &[]);
        let hidden = with_ring(BEST, None, &[sys::IORING_OP_READ], set("ANNULUS_HIDE_OPS", "READ"));
        says(&hidden, &["unset ANNULUS_HIDE_OPS"]);
    }

    #[test]
    fn a_mistake_is_told_once() {
        let mistake = || io::Error::new(io::ErrorKind::InvalidInput, "ANNULUS_SETUP is \"x\"");
        let machine = Machine { environment: vec![("ANNULUS_SETUP", "x".into())], ..Machine::default() };
        let report = Report { survey: Survey::new(Vec::new(), Err(mistake()), Ok(None)), machine };
        says(&report, &["ANNULUS_SETUP is \"x\""]);
        assert!(report.to_string().starts_with("driver     none: ANNULUS_SETUP is"), "{report}");
    }

    #[test]
    fn small_limits_are_to_be_raised() {
        let nofile = |soft, hard| Machine { nofile: Some(Limit { soft, hard }), ..Machine::default() };
        says(&with_ring(BEST, None, &[], nofile(Some(1024), Some(4096))), &["1024 descriptors"]);
        says(&with_ring(BEST, None, &[], nofile(Some(1024), Some(1024))), &[]);
        says(&with_ring(BEST, None, &[], nofile(Some(20_000), None)), &[]);
        let mut report = with_ring(BEST, None, &[], Machine::default());
        report.survey.attempts.insert(0, attempt(BEST, 1024, libc::ENOMEM));
        says(&report, &["no more than 256 entries"]);
    }
}
