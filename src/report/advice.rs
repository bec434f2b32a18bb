//! What to change to get more, from what was found.

use super::{Refusal, Remedy, Report, Support, around::Around, machine::Module, remedy};
use crate::{driver::DriverKind, ring::SetupFlags};
use std::io;

/// A sentence for one thing that can be changed, and how it is done where that takes more than the sentence.
#[derive(Debug)]
pub(super) struct Advice {
    pub(super) line: String,
    pub(super) remedy: Option<Remedy>,
}

impl From<String> for Advice {
    fn from(line: String) -> Advice {
        Advice { line, remedy: None }
    }
}

impl From<&str> for Advice {
    fn from(line: &str) -> Advice {
        line.to_owned().into()
    }
}

fn with(line: impl Into<String>, remedy: Remedy) -> Advice {
    Advice { line: line.into(), remedy: Some(remedy) }
}

/// One sentence for each thing that can be changed.
pub(super) fn advice(report: &Report) -> Vec<Advice> {
    let mut all = variables(report);
    match report.ring() {
        Ok(_) => all.extend(better_ring(report)),
        Err(_) => all.extend(report.refusals().into_iter().flat_map(|refusal| against(refusal, report))),
    }
    let machine = report.machine();
    let nofile = machine.nofile.and_then(|limit| Some((limit.soft?, limit.hard)));
    match nofile {
        Some((soft, hard)) if soft <= 1024 && hard != Some(soft) => {
            let line = format!("raise RLIMIT_NOFILE (ulimit -n): {soft} descriptors are few connections");
            all.push(with(line, remedy::nofile(&machine.around)));
        }
        _ => {}
    }
    all
}

/// What the environment withholds, or gets wrong.
fn variables(report: &Report) -> Vec<Advice> {
    let machine = report.machine();
    let poll = report.driver().is_ok_and(|info| info.kind() == DriverKind::Poll);
    let mut all = Vec::new();
    match report.driver() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return vec![error.to_string().into()],
        Err(_) => all.push("unset ANNULUS_DRIVER: the poll driver runs everywhere".into()),
        Ok(_) if poll && report.ring().is_ok() => all.push("unset ANNULUS_DRIVER: there is a ring to be had".into()),
        Ok(_) => {}
    }
    if let Some(rung) = machine.variable("ANNULUS_SETUP").filter(|rung| *rung != "defer") {
        all.push(format!("unset ANNULUS_SETUP: with `{rung}` nothing better is tried").into());
    }
    if machine.variable("ANNULUS_HIDE_OPS").is_some() {
        all.push("unset ANNULUS_HIDE_OPS: it hides opcodes that the kernel may have".into());
    }
    all
}

/// What makes the ring that there is a better one.
fn better_ring(report: &Report) -> Vec<Advice> {
    let Ok(ring) = report.ring() else { return Vec::new() };
    let machine = report.machine();
    let mut all = Vec::new();
    if !ring.flags.contains(SetupFlags::DEFER_TASKRUN) && machine.variable("ANNULUS_SETUP").is_none() {
        all.push("run Linux 6.1 or newer: its DEFER_TASKRUN completes without interrupting the program".into());
    }
    if report.attempts().iter().any(|attempt| attempt.entries > ring.entries) {
        let entries = ring.entries;
        let line = format!("raise RLIMIT_MEMLOCK (ulimit -l): it allows no more than {entries} entries for now");
        all.push(with(line, remedy::memlock(&machine.around)));
    }
    let by_twin: Vec<&str> = report.opcodes().filter(|(_, how)| *how == Support::Twin).map(|(name, _)| name).collect();
    let uring = report.driver().is_ok_and(|info| info.kind() == DriverKind::Uring);
    if uring && !by_twin.is_empty() && machine.variable("ANNULUS_HIDE_OPS").is_none() {
        all.push(format!("run a newer kernel: {} work by ordinary system calls here", by_twin.join(", ")).into());
    }
    all
}

/// What removes `refusal`.
fn against(refusal: Refusal, report: &Report) -> Vec<Advice> {
    let around = &report.machine().around;
    vec![match refusal {
        Refusal::Sysctl => return sysctl(report),
        Refusal::Seccomp => with(filter(report), remedy::seccomp(around)),
        Refusal::Module => {
            let label = report.machine().label.as_ref();
            let whom = match label.map(|label| label.module) {
                Some(Module::AppArmor) => "AppArmor",
                Some(Module::Selinux) => "SELinux",
                _ => "the security module that refuses it",
            };
            let what = label.map_or_else(String::new, |label| format!(" to {}", label.text));
            with(format!("let {whom} allow io_uring{what}"), remedy::module(label))
        }
        Refusal::Kernel => kernel(report),
        Refusal::Memory => {
            let line = "raise RLIMIT_MEMLOCK (ulimit -l), or the memory limit of the control group: there is no memory \
                        for the smallest ring";
            with(line, remedy::memlock(around))
        }
        Refusal::Descriptors => {
            with("raise RLIMIT_NOFILE (ulimit -n): no descriptor is left for a ring", remedy::nofile(around))
        }
    }]
}

/// At 1 a group may make rings, and so may root; but not the root of a container.
fn sysctl(report: &Report) -> Vec<Advice> {
    let machine = report.machine();
    match (machine.io_uring_disabled, machine.io_uring_group.filter(|group| *group >= 0)) {
        (Some(1), Some(group)) => {
            let join = format!("join group {group} (kernel.io_uring_group), or set sysctl kernel.io_uring_disabled=0");
            vec![with(join, remedy::group(Some(group)))]
        }
        _ => vec![
            with("set sysctl kernel.io_uring_disabled=0", remedy::sysctl()),
            with("or set it to 1, and kernel.io_uring_group to a group of those who may", remedy::group(None)),
        ],
    }
}

fn filter(report: &Report) -> String {
    let calls = "io_uring_setup, io_uring_enter and io_uring_register";
    match remedy::place(&report.machine().around) {
        Some(Around::Unit(name) | Around::UserUnit(name)) => {
            format!("let the SystemCallFilter= of {name} allow {calls}")
        }
        Some(_) => format!("let the seccomp profile of the container allow {calls}"),
        None => format!("let the seccomp filter that this program was started under allow {calls}"),
    }
}

fn kernel(report: &Report) -> Advice {
    let around = &report.machine().around;
    match remedy::kernel(around) {
        Some(remedy) => with("run on Linux itself: what is here has no io_uring that would do", remedy),
        None if report.refusals().contains(&Refusal::Seccomp) => {
            "or it is no filter: run Linux 5.11 or newer, with CONFIG_IO_URING".into()
        }
        None => "run Linux 5.11 or newer, with CONFIG_IO_URING, to have a ring at all".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::{Attempt, Call, Known, RingInfo, Survey},
        report::{Finding, Label, Limit, Machine, Seccomp},
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
            assert!(text.contains(&format!("advice     {line}")), "{text}");
        }
    }

    /// Each of `parts` is in one remedy, in this order, there are no others, and the page has them by number.
    #[track_caller]
    fn remedies(report: &Report, parts: &[&str]) {
        let (remedies, text) = (report.remedies(), report.to_string());
        assert_eq!(remedies.len(), parts.len(), "{remedies:#?}");
        for ((number, remedy), part) in (1..).zip(&remedies).zip(parts) {
            assert!(remedy.to_string().contains(part), "{remedy}");
            assert!(text.contains(&format!(" [{number}]\n")), "{text}");
            assert!(text.contains(&format!("\n\n[{number}] {remedy}")), "{text}");
        }
    }

    /// No ring, and the other two calls answered `others`.
    fn refused(setup: i32, others: i32, machine: Machine) -> Report {
        let mut report = without_ring(setup, None, machine);
        let call = |name| Call::new::<()>(name, Err(&io::Error::from_raw_os_error(others)));
        report.survey.calls = vec![call("io_uring_enter"), call("io_uring_register")];
        report
    }

    fn inside(all: &[Around]) -> Machine {
        let around = all.iter().map(|what| Finding { what: what.clone(), by: "x" }).collect();
        Machine { around, seccomp: Some(Seccomp::Filter), io_uring_disabled: Some(0), ..Machine::default() }
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
            with_ring(SetupFlags::CLAMP, None, &[sys::IORING_OP_BIND, sys::IORING_OP_URING_CMD], Machine::default());
        says(&report, &["Linux 6.1", "newer kernel: BIND work"]);
        assert_eq!(report.support(sys::IORING_OP_BIND as u8), Support::Twin);
        assert_eq!(report.support(sys::IORING_OP_URING_CMD as u8), Support::Missing);
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
        let sysctl = ["set sysctl kernel.io_uring_disabled=0", "or set it to 1"];
        let report = without_ring(libc::EPERM, None, off(2, -1, Seccomp::Off));
        says(&report, &sysctl);
        remedies(&report, &["sysctl -w kernel.io_uring_disabled=0\n", "groupadd --system io_uring\n"]);
        says(&without_ring(libc::EPERM, None, off(1, -1, Seccomp::Off)), &sysctl);
        let report = without_ring(libc::EPERM, None, off(1, 7, Seccomp::Off));
        says(&report, &["join group 7"]);
        remedies(&report, &["usermod -aG \"$(getent group 7 | cut -d: -f1)\" USER\n"]);
        let report = without_ring(libc::EPERM, None, off(0, -1, Seccomp::Filter));
        says(&report, &["seccomp filter that this program was started under"]);
        remedies(&report, &["io_uring_setup io_uring_enter io_uring_register"]);
        let report = refused(libc::EPERM, libc::EPERM, off(2, -1, Seccomp::Filter));
        says(&report, &[sysctl[0], sysctl[1], "seccomp filter"]);
        let text = report.to_string();
        assert!(text.contains("\nanswer     io_uring_enter: Operation not permitted"), "{text}");
        assert!(
            text.contains("\nrefused by the sysctl kernel.io_uring_disabled\nrefused by a seccomp filter\n"),
            "{text}"
        );
        says(&without_ring(libc::ENOMEM, None, off(0, -1, Seccomp::Filter)), &["RLIMIT_MEMLOCK"]);
        says(&without_ring(libc::EMFILE, None, off(0, -1, Seccomp::Off)), &["RLIMIT_NOFILE"]);
        let report = without_ring(libc::EPERM, URING, off(2, -1, Seccomp::Off));
        says(&report, &["unset ANNULUS_DRIVER", sysctl[0], sysctl[1]]);
        assert!(report.opcodes().all(|(_, how)| how == Support::Missing));
    }

    #[test]
    fn a_filter_is_opened_where_it_comes_from() {
        let unit = || Around::Unit("web.service".into());
        for (around, line, remedy) in [
            (vec![Around::Docker], "profile of the container", "docker run --security-opt seccomp=uring.json IMAGE\n"),
            (vec![Around::Podman, unit()], "profile of the container", "podman run --security-opt seccomp=uring.json"),
            (vec![Around::Docker, Around::Kubernetes], "profile of the container", "localhostProfile: uring.json\n"),
            (vec![Around::Wsl2, Around::Containerd], "profile of the container", "nerdctl run --security-opt seccomp="),
            (vec![unit()], "SystemCallFilter= of web.service", "systemctl edit web.service "),
            (vec![Around::UserUnit("a.service".into())], "of a.service", "systemctl --user edit a.service "),
            (vec![Around::Unit("a'b.service".into())], "of a'b.service", "systemctl edit UNIT "),
            (vec![Around::Lxc], "profile of the container", "io_uring_setup io_uring_enter io_uring_register"),
            (vec![], "this program was started under", "io_uring_setup io_uring_enter io_uring_register"),
        ] {
            for errno in [libc::EPERM, libc::ENOSYS] {
                let report = refused(errno, errno, inside(&around));
                says(&report, &[line]);
                remedies(&report, &[remedy]);
            }
        }
    }

    #[test]
    fn limits_are_raised_where_they_come_from() {
        for (around, memlock, nofile) in [
            (Some(Around::Docker), "docker run --ulimit memlock=-1 ", "docker run --ulimit nofile=65536:65536 "),
            (Some(Around::Podman), "podman run --ulimit memlock=-1 ", "podman run --ulimit nofile=65536:65536 "),
            (Some(Around::Containerd), "nerdctl run --ulimit memlock=-1 ", "nerdctl run --ulimit nofile=65536:65536 "),
            (Some(Around::Kubernetes), "add: [IPC_LOCK]", "LimitNOFILE=65536"),
            (Some(Around::Unit("web.service".into())), "[Service]\n    LimitMEMLOCK=infinity\n", "LimitNOFILE=65536\n"),
            (Some(Around::Nspawn), "USER - memlock unlimited", "USER - nofile 65536"),
            (None, "ulimit -l \"$(ulimit -H -l)\" ", "ulimit -n \"$(ulimit -H -n)\" "),
        ] {
            let around: Vec<Around> = around.into_iter().collect();
            remedies(&refused(libc::ENOMEM, libc::EOPNOTSUPP, inside(&around)), &[memlock]);
            remedies(&refused(libc::EMFILE, libc::EOPNOTSUPP, inside(&around)), &[nofile]);
        }
    }

    #[test]
    fn security_modules_are_named_as_far_as_they_name_themselves() {
        let label = |module, text: &str| Machine {
            label: Some(Label { module, text: text.into() }),
            io_uring_disabled: Some(0),
            ..Machine::default()
        };
        let report = refused(libc::EACCES, libc::EOPNOTSUPP, label(Module::Selinux, "u:r:web_t:s0"));
        says(&report, &["let SELinux allow io_uring to u:r:web_t:s0"]);
        remedies(&report, &["audit2allow"]);
        let report = refused(libc::EACCES, libc::EOPNOTSUPP, label(Module::AppArmor, "web (enforce)"));
        says(&report, &["let AppArmor allow io_uring to web (enforce)"]);
        remedies(&report, &["apparmor=\"DENIED\""]);
        let report = refused(libc::EPERM, libc::EOPNOTSUPP, Machine::default());
        says(&report, &["the security module that refuses it"]);
        remedies(&report, &["/sys/kernel/security/lsm"]);
    }

    #[test]
    fn kernels_without_io_uring_are_to_be_left() {
        let with =
            |around: &[Around]| Machine { seccomp: Some(Seccomp::Off), io_uring_disabled: None, ..inside(around) };
        let report = refused(libc::ENOSYS, libc::ENOSYS, with(&[Around::Gvisor, Around::Kubernetes]));
        says(&report, &["run on Linux itself"]);
        remedies(&report, &["runtimeClassName: gvisor"]);
        let report = refused(libc::ENOSYS, libc::ENOSYS, with(&[Around::Wsl1]));
        remedies(&report, &["wsl --set-version"]);
        says(&refused(libc::ENOSYS, libc::ENOSYS, with(&[])), &["run Linux 5.11 or newer, with CONFIG_IO_URING"]);
        // Where the kernel cannot be told from the filter, both are.
        let either = Machine { io_uring_disabled: None, ..inside(&[Around::Podman]) };
        says(
            &refused(libc::ENOSYS, libc::ENOSYS, either),
            &["let the seccomp profile", "or it is no filter: run Linux 5.11"],
        );
    }

    #[test]
    fn what_the_environment_withholds_is_said() {
        let set = |name, value: &str| Machine { environment: vec![(name, value.into())], ..Machine::default() };
        let report = with_ring(BEST, POLL, &[], set("ANNULUS_DRIVER", "poll"));
        says(&report, &["unset ANNULUS_DRIVER"]);
        assert!(report.to_string().starts_with("driver     poll (ANNULUS_DRIVER asks for it)\n"), "{report}");
        assert!(report.to_string().contains("\nset        ANNULUS_DRIVER=poll\n"), "{report}");
        assert_eq!(report.support(sys::IORING_OP_READ as u8), Support::Twin);
        assert_eq!(report.support(sys::IORING_OP_ASYNC_CANCEL as u8), Support::Driver);
        assert_eq!(report.support(sys::IORING_OP_TIMEOUT as u8), Support::Driver);
        assert_eq!(report.support(sys::IORING_OP_URING_CMD as u8), Support::Missing);
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
