//! `doctor` and `cat` where somebody forbids the ring.

use super::{Temp, example, output};
use std::{
    io::{Write, stderr},
    os::unix::process::CommandExt,
    process::Command,
};

/// The system calls of io_uring, which have one number on all architectures but alpha.
const SETUP: u32 = libc::SYS_io_uring_setup as u32;
const ENTER: u32 = libc::SYS_io_uring_enter as u32;
const REGISTER: u32 = libc::SYS_io_uring_register as u32;
const ALL: &[u32] = &[SETUP, ENTER, REGISTER];

/// Lets `calls` fail with `errno`, in the child alone.
fn forbid(command: &mut Command, calls: &[u32], errno: i32) {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for &call in calls {
        filter.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call));
        filter.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: Plain call: numbers alone.
        let fixed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: Kernel's word: the program and its steps are there until the call returns.
        let filtered = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if fixed + filtered == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: two system calls, which allocate nothing and take no lock.
    unsafe { command.pre_exec(install) };
}

#[test]
fn where_rings_are_forbidden_doctor_says_so_and_cat_works() {
    for (errno, name) in [(libc::EPERM, "EPERM"), (libc::ENOSYS, "ENOSYS")] {
        let mut doctor = example("doctor");
        forbid(&mut doctor, ALL, errno);
        let (text, _, code) = output(&mut doctor);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.starts_with("driver     poll (io_uring is") && text.contains(name), "{text}");
        assert!(text.contains("\nmeans      the program does the same by readiness"), "{text}");
        assert!(text.contains("\nseccomp    a filter, and no new privileges\n"), "{text}");
        assert!(text.contains("\nrefused by a seccomp filter\n"), "{text}");
        assert!(text.contains("\nadvice     let the ") && text.contains("\n[1] "), "{text}");
        assert!(text.contains("ASYNC_CANCEL       driver"), "{text}");
        let (file, bytes) = Temp::new(name, 300_000);
        let mut cat = example("cat");
        forbid(&mut cat, &[SETUP], errno);
        assert!(cat.arg(&file.0).output().expect("a child").stdout == bytes, "{name}");
        let (_, errors, code) = output(cat.env("ANNULUS_DRIVER", "uring"));
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("ANNULUS_DRIVER asks for the uring driver, but io_uring is"), "{errors}");
    }
}

/// A filter may know one of the three calls and not the others. It is told from a sysctl all the same, and from a
/// kernel without io_uring.
#[test]
fn doctor_tells_who_refuses_by_what_the_other_calls_are_answered() {
    if let Err(error) = annulus::probe().ring() {
        let test = "doctor_tells_who_refuses_by_what_the_other_calls_are_answered";
        return writeln!(stderr(), "SKIP {test}: {error}").expect("a standard error");
    }
    for errno in [libc::EPERM, libc::ENOSYS] {
        for call in ALL {
            let mut doctor = example("doctor");
            forbid(&mut doctor, &[*call], errno);
            let (text, _, _) = output(&mut doctor);
            let refused: Vec<&str> = text.lines().filter(|line| line.starts_with("refused by")).collect();
            assert_eq!(refused, ["refused by a seccomp filter"], "{text}");
            let reach = text.lines().filter(|line| line.ends_with(": reaches the kernel")).count();
            assert_eq!(reach, if *call == SETUP { 2 } else { 1 }, "{text}");
        }
    }
}

#[test]
fn doctor_tells_a_pod_how_to_get_its_ring() {
    let mut doctor = example("doctor");
    forbid(doctor.env("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ALL, libc::EPERM);
    let (text, errors, code) = output(&mut doctor);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.contains("\ninside     Kubernetes, says KUBERNETES_SERVICE_HOST\n"), "{text}");
    assert!(text.contains("\nadvice     let the seccomp profile of the container allow io_uring_setup,"), "{text}");
    let snippet = "\n        seccompProfile:\n          type: Localhost\n          localhostProfile: uring.json\n";
    assert!(text.contains("\n[1] Kubernetes: ") && text.contains(snippet), "{text}");
    assert!(text.lines().count() < 80, "{text}");
}
