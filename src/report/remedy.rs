//! What to paste where, for each thing that can be changed. `README.md` tells the same in short; a test compares them.

use super::{
    around::{Around, Finding},
    machine::{Label, Module},
};
use std::fmt;

/// Commands and snippets that change one thing. Prints as its title and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remedy {
    /// What is changed, and where.
    pub title: String,
    /// Lines to paste, with comments for whoever does; names in capitals are to be filled in.
    pub text: String,
}

impl Remedy {
    fn new(title: impl Into<String>, text: impl Into<String>) -> Remedy {
        Remedy { title: title.into(), text: text.into() }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.text.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// The container around the process, as far as remedies differ; or else the unit.
pub(super) fn place(around: &[Finding]) -> Option<&Around> {
    let find = |is: fn(&Around) -> bool| around.iter().map(|finding| &finding.what).find(|what| is(what));
    find(|what| *what == Around::Kubernetes)
        .or_else(|| find(Around::is_container))
        .or_else(|| find(|what| matches!(what, Around::Unit(_) | Around::UserUnit(_))))
}

/// What the snippets have in common, by the mark that stands for it.
const PARTS: [(&str, &str); 3] = [
    // containerd reads profiles as the OCI's runtime specification has them (containerd, contrib/seccomp), which knows
    // no conditions: it would take those rules of Docker's that ask for a capability as given to everybody.
    (
        "<flat>",
        r#"curl -fsSL https://raw.githubusercontent.com/moby/profiles/main/seccomp/default.json |
  jq --arg arch amd64 '{defaultAction, defaultErrnoRet, syscalls: ([.syscalls[]
    | select((.includes.caps | not) and ((.includes.arches | not) or (.includes.arches | index($arch))))
    | del(.includes, .excludes, .comment)] + [<rule>])}'"#,
    ),
    (
        "<rule>",
        r#"
    {"names": ["io_uring_setup", "io_uring_enter", "io_uring_register"], "action": "SCMP_ACT_ALLOW"}
  "#,
    ),
    (
        "<caution>",
        "# This opens three calls; what a ring does by them, to files and sockets, no filter sees.\n\
         # `seccomp=unconfined` would do as well, and open every other call, too.\n",
    ),
];

/// Docker Engine 25 and newer forbid the three calls (change 46762 of moby/moby). The profile lives in moby/profiles.
const DOCKER: &str = r#"curl -fsSL https://raw.githubusercontent.com/moby/profiles/main/seccomp/default.json |
  jq '.syscalls += [<rule>]' >uring.json
docker run --security-opt seccomp=uring.json IMAGE
# or in compose.yaml, in the service:  security_opt: ["seccomp=uring.json"]
<caution>"#;

/// Podman's profile is a file that it names, in Docker's format.
const PODMAN: &str = r#"jq '.syscalls += [<rule>]' \
  "$(podman info --format json | jq -r .host.security.seccompProfilePath)" >uring.json
podman run --security-opt seccomp=uring.json IMAGE
<caution>"#;

/// Kubernetes takes profiles from a folder of the node (kubernetes.io/docs/reference/node/seccomp). containerd 2 and
/// newer forbid the three calls by default (change 9320 of containerd).
const KUBERNETES: &str = r#"# on each node, for its own architecture (amd64, arm64):
<flat> >/var/lib/kubelet/seccomp/uring.json
# in the pod:
spec:
  securityContext:
    seccompProfile:
      type: Localhost
      localhostProfile: uring.json
<caution>"#;

const CONTAINERD: &str = r#"# for the architecture of the machine (amd64, arm64):
<flat> >uring.json
nerdctl run --security-opt seccomp=uring.json IMAGE
<caution>"#;

fn container(title: &str, text: &str) -> Remedy {
    let fill = |text: String, (mark, part): (&str, &str)| text.replace(mark, part);
    Remedy::new(format!("{title}: a profile that allows io_uring"), PARTS.into_iter().fold(text.into(), fill))
}

/// The set `@aio` has the three calls (systemd, src/shared/seccomp-util.c); they are named because older versions of it
/// may not have them all.
fn systemd(systemctl: &str, unit: &str) -> String {
    format!(
        "{systemctl} edit {unit}    # and there:\n[Service]\n\
         SystemCallFilter=io_uring_setup io_uring_enter io_uring_register\n\
         # (the set @aio has all three, and @system-service has @aio), and then:\n{systemctl} restart {unit}\n"
    )
}

/// What allows the three calls where the process runs.
pub(super) fn seccomp(around: &[Finding]) -> Remedy {
    match place(around) {
        Some(Around::Kubernetes) => container("Kubernetes", KUBERNETES),
        Some(Around::Docker) => container("Docker", DOCKER),
        Some(Around::Podman) => container("Podman", PODMAN),
        Some(Around::Containerd) => container("containerd", CONTAINERD),
        Some(Around::Unit(_) | Around::UserUnit(_)) => {
            let (systemctl, unit) = unit(around);
            Remedy::new("systemd: a filter that allows io_uring", systemd(systemctl, unit))
        }
        _ => Remedy::new(
            "The filter comes from whatever starts this program; there, allow",
            "io_uring_setup io_uring_enter io_uring_register\n",
        ),
    }
}

/// The commands for the unit around the process. A name that a shell would take apart is left to be filled in.
fn unit(around: &[Finding]) -> (&'static str, &str) {
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:@".contains(c));
    let (systemctl, name) = match place(around) {
        Some(Around::Unit(name)) => ("systemctl", name.as_str()),
        Some(Around::UserUnit(name)) => ("systemctl --user", name.as_str()),
        _ => ("systemctl", ""),
    };
    (systemctl, if name.is_empty() || !is_plain(name) { "UNIT" } else { name })
}

/// The sysctls of Linux 6.6 (Documentation/admin-guide/sysctl/kernel.rst). They are the machine's: no namespace has its
/// own.
pub(super) fn sysctl() -> Remedy {
    let text = "# as root, on the machine itself and not in a container of it\n\
                sysctl -w kernel.io_uring_disabled=0\n\
                echo 'kernel.io_uring_disabled=0' >/etc/sysctl.d/90-io_uring.conf\n";
    Remedy::new("sysctl: io_uring for everybody", text)
}

/// At 1, a group may make rings. `of` is the one that there is.
pub(super) fn group(of: Option<i64>) -> Remedy {
    let (make, id) = match of {
        Some(id) => (String::new(), id.to_string()),
        None => {
            let make = "groupadd --system io_uring\ngetent group io_uring    # its number is GID below\n\
                        sysctl -w kernel.io_uring_disabled=1 kernel.io_uring_group=GID\n\
                        printf 'kernel.io_uring_disabled=1\\nkernel.io_uring_group=GID\\n' \
                        >/etc/sysctl.d/90-io_uring.conf\n";
            (make.to_owned(), "GID".to_owned())
        }
    };
    let text = format!(
        "# as root, on the machine itself and not in a container of it\n{make}\
         usermod -aG \"$(getent group {id} | cut -d: -f1)\" USER\n\
         # in a unit: SupplementaryGroups={id}    Docker, Podman: --group-add {id}\n\
         # in a pod: securityContext: {{supplementalGroups: [{id}]}}\n"
    );
    Remedy::new("sysctl: io_uring for the members of kernel.io_uring_group", text)
}

/// A limit: what shells, units and containers call it.
struct Limit {
    title: &'static str,
    /// Of `ulimit`, which any process may raise to the hard limit, and of limits.conf(5).
    option: &'static str,
    name: &'static str,
    value: &'static str,
    /// Of systemd.exec(5).
    unit: &'static str,
    unit_value: &'static str,
    /// Of `--ulimit`.
    container_value: &'static str,
    /// Kubernetes has no limits of its own.
    pod: &'static str,
}

const MEMLOCK: Limit = Limit {
    title: "more memory that may be locked",
    option: "-l",
    name: "memlock",
    unit: "LimitMEMLOCK",
    value: "unlimited",
    unit_value: "infinity",
    container_value: "-1",
    pod: "# in the container, which then has no such limit if it runs as root:\n\
          securityContext:\n  capabilities:\n    add: [IPC_LOCK]\n",
};

const NOFILE: Limit = Limit {
    title: "more descriptors",
    option: "-n",
    name: "nofile",
    unit: "LimitNOFILE",
    value: "65536",
    unit_value: "65536",
    container_value: "65536:65536",
    pod: "# a pod has the limits of the container runtime; on each node:\n\
          systemctl edit containerd.service    # and there:\n[Service]\nLimitNOFILE=65536\n",
};

pub(super) fn memlock(around: &[Finding]) -> Remedy {
    MEMLOCK.remedy(around)
}

pub(super) fn nofile(around: &[Finding]) -> Remedy {
    NOFILE.remedy(around)
}

impl Limit {
    fn remedy(&self, around: &[Finding]) -> Remedy {
        let Limit { option, name, value, container_value, .. } = self;
        let lasting = format!("echo 'USER - {name} {value}' >/etc/security/limits.d/90-{name}.conf # as root");
        let (whose, text) = match place(around) {
            Some(Around::Kubernetes) => ("Kubernetes", self.pod.to_owned()),
            Some(Around::Docker) => ("Docker", format!("docker run --ulimit {name}={container_value} IMAGE\n")),
            Some(Around::Podman) => ("Podman", format!("podman run --ulimit {name}={container_value} IMAGE\n")),
            Some(Around::Containerd) => {
                ("containerd", format!("nerdctl run --ulimit {name}={container_value} IMAGE\n"))
            }
            Some(Around::Unit(_) | Around::UserUnit(_)) => {
                let ((systemctl, unit), limit, value) = (unit(around), self.unit, self.unit_value);
                let edit = format!("{systemctl} edit {unit}    # and there:\n[Service]\n{limit}={value}\n");
                ("systemd", format!("{edit}# and then:\n{systemctl} restart {unit}\n"))
            }
            _ => (
                "limits",
                format!("ulimit {option} \"$(ulimit -H {option})\"    # in its shell, or for good:\n{lasting}\n"),
            ),
        };
        Remedy::new(format!("{whose}: {}", self.title), text)
    }
}

/// What a security module has refused is in the logs. (SELinux is asked for a ring's inode since Linux 5.12 and for the
/// setup since 6.15; AppArmor can forbid io_uring to whom no profile confines.)
pub(super) fn module(label: Option<&Label>) -> Remedy {
    match label.map(|label| label.module) {
        Some(Module::Selinux) => Remedy::new(
            "SELinux: allow what was refused a moment ago, once you have read it",
            "ausearch -m avc -ts recent | audit2allow -M local_uring\ncat local_uring.te\n\
             semodule -i local_uring.pp\n",
        ),
        Some(Module::AppArmor) => Remedy::new(
            "AppArmor: find the profile that refuses, and allow io_uring in it",
            "journalctl -k | grep 'apparmor=\"DENIED\"'\nsysctl kernel.apparmor_restrict_unprivileged_io_uring\n",
        ),
        _ => Remedy::new(
            "Security modules: which are there, and what they refused",
            "cat /sys/kernel/security/lsm\ndmesg\n",
        ),
    }
}

/// Another kernel, where that is the program's choice.
pub(super) fn kernel(around: &[Finding]) -> Option<Remedy> {
    let inside = |what: Around| around.iter().any(|finding| finding.what == what);
    if inside(Around::Gvisor) {
        let text = "docker run --runtime=runc IMAGE\n# in a pod: leave out  runtimeClassName: gvisor\n";
        return Some(Remedy::new("gVisor: run on the machine's own kernel, which gVisor keeps the program from", text));
    }
    inside(Around::Wsl1)
        .then(|| Remedy::new("WSL: the second version has a kernel", "wsl --set-version DISTRIBUTION 2\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Remedy> {
        let inside = |what| vec![Finding { what, by: "x" }];
        let places =
            [Around::Kubernetes, Around::Docker, Around::Podman, Around::Containerd, Around::Unit("UNIT".into())];
        let places: Vec<_> = places.into_iter().map(inside).chain([Vec::new()]).collect();
        let label = |module| Label { module, text: "x".into() };
        let (selinux, apparmor) = (label(Module::Selinux), label(Module::AppArmor));
        let mut all =
            vec![sysctl(), group(None), group(Some(7)), module(None), module(Some(&selinux)), module(Some(&apparmor))];
        all.extend(places.iter().flat_map(|place| [seccomp(place), memlock(place), nofile(place)]));
        all.extend([Around::Gvisor, Around::Wsl1].map(inside).iter().filter_map(|around| kernel(around)));
        all
    }

    #[test]
    fn the_readme_says_the_same() {
        let readme = include_str!("../../README.md");
        let remedies: String = all().iter().map(Remedy::to_string).collect();
        for key in [
            "moby/profiles/main/seccomp/default.json",
            r#"{"names": ["io_uring_setup", "io_uring_enter", "io_uring_register"], "action": "SCMP_ACT_ALLOW"}"#,
            "--security-opt seccomp=uring.json",
            ".host.security.seccompProfilePath",
            "/var/lib/kubelet/seccomp/uring.json",
            "localhostProfile: uring.json",
            "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register",
            "kernel.io_uring_disabled=0",
            "kernel.io_uring_group",
            "/etc/sysctl.d/90-io_uring.conf",
            "LimitMEMLOCK=infinity",
            "LimitNOFILE=65536",
            "--ulimit memlock=-1",
            "IPC_LOCK",
            "audit2allow",
            "runtimeClassName: gvisor",
            "wsl --set-version",
        ] {
            assert!(remedies.contains(key), "no remedy has {key}");
            assert!(readme.contains(key), "the README lacks {key}");
        }
    }

    #[test]
    fn remedies_are_whole_and_fit_a_page() {
        for remedy in all() {
            assert!(!remedy.text.contains(['<', '\t']) && remedy.text.ends_with('\n'), "{remedy}");
            assert!(remedy.text.lines().all(|line| line.len() < 116) && remedy.text.lines().count() < 20, "{remedy}");
            assert_eq!(remedy.text.matches('\'').count() % 2, 0, "{remedy}");
            let depth =
                |open: &str, close: &str| remedy.text.matches(open).count() == remedy.text.matches(close).count();
            assert!(depth("(", ")") && depth("[", "]") && depth("{", "}"), "{remedy}");
            // What opens more than it has to is named as that, if at all.
            let unconfined =
                remedy.text.lines().filter(|line| line.contains("unconfined=") || line.contains("=unconfined"));
            assert!(unconfined.into_iter().all(|line| line.contains("open every other call")), "{remedy}");
        }
    }
}
