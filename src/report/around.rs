//! What the process runs in: a container, a unit, a kernel that only looks like Linux. Found in files that say so, and
//! never guessed; each finding names its file.

use std::{env, fmt, fs, path::Path};

/// Something that stands around the process and may withhold a ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Around {
    /// gVisor: a kernel in user space.
    Gvisor,
    /// The first Windows Subsystem for Linux, which has no Linux inside.
    Wsl1,
    /// The second one, which has.
    Wsl2,
    /// A pod of Kubernetes, whatever runs its containers.
    Kubernetes,
    /// A container of Docker.
    Docker,
    /// A container of Podman.
    Podman,
    /// A container of containerd, perhaps on somebody's behalf.
    Containerd,
    /// A container of LXC, LXD or Incus.
    Lxc,
    /// A container of `systemd-nspawn`.
    Nspawn,
    /// A container whose manager has given itself another name.
    Container(String),
    /// A service of the system's systemd, by its name.
    Unit(String),
    /// A service of the user's systemd, by its name.
    UserUnit(String),
}

impl Around {
    /// Whether it is a container, of whatever kind.
    #[must_use]
    pub fn is_container(&self) -> bool {
        use Around::{Container, Containerd, Docker, Kubernetes, Lxc, Nspawn, Podman};
        matches!(self, Kubernetes | Docker | Podman | Containerd | Lxc | Nspawn | Container(_))
    }
}

impl fmt::Display for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Around::Gvisor => "gVisor",
            Around::Wsl1 => "WSL 1",
            Around::Wsl2 => "WSL 2",
            Around::Kubernetes => "Kubernetes",
            Around::Docker => "Docker",
            Around::Podman => "Podman",
            Around::Containerd => "containerd",
            Around::Lxc => "LXC",
            Around::Nspawn => "systemd-nspawn",
            Around::Container(name) => return write!(f, "a container of {name}"),
            Around::Unit(name) => return write!(f, "the unit {name}"),
            Around::UserUnit(name) => return write!(f, "the user's unit {name}"),
        })
    }
}

/// Something that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Finding {
    /// What stands around the process.
    pub what: Around,
    /// The file or the variable that says so.
    pub by: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, says {}", self.what, self.by)
    }
}

/// The texts to find it in. What cannot be read is empty, as everywhere but on Linux.
#[derive(Debug, Default)]
pub(super) struct Traces {
    dockerenv: bool,
    containerenv: bool,
    kubernetes: bool,
    version: String,
    cgroup: String,
    mountinfo: String,
    manager: String,
    init: String,
}

impl Traces {
    pub(super) fn read() -> Traces {
        let bytes = |path: &str| fs::read(path).unwrap_or_default();
        let file = |path: &str| String::from_utf8_lossy(&bytes(path)).into_owned();
        Traces {
            dockerenv: Path::new("/.dockerenv").exists(),
            containerenv: Path::new("/run/.containerenv").exists(),
            kubernetes: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            version: file("/proc/version"),
            cgroup: file("/proc/self/cgroup"),
            mountinfo: file("/proc/self/mountinfo"),
            manager: file("/run/systemd/container"),
            init: file("/proc/1/environ"),
        }
    }

    /// What they say, the outermost first. Each thing is named once, with the first file that tells of it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let by = |by: &'static str| move |what| Finding { what, by };
        let all = kernel(&self.version)
            .map(by("/proc/version"))
            .into_iter()
            // The kubelet puts the addresses of its services into every container that it starts.
            .chain(self.kubernetes.then_some(Around::Kubernetes).map(by("KUBERNETES_SERVICE_HOST")))
            // The file that Docker's daemon makes in the first layer of each container.
            .chain(self.dockerenv.then_some(Around::Docker).map(by("/.dockerenv")))
            // The file that Podman mounts into each.
            .chain(self.containerenv.then_some(Around::Podman).map(by("/run/.containerenv")))
            // systemd's container interface (systemd.io/CONTAINER_INTERFACE): whoever starts a container tells its
            // first process a name, which systemd, if it is that process, writes down for all.
            .chain(manager(&self.manager).map(by("/run/systemd/container")))
            .chain(init(&self.init).map(by("/proc/1/environ")))
            .chain(cgroups(&self.cgroup).map(by("/proc/self/cgroup")))
            .chain(mounts(&self.mountinfo).map(by("/proc/self/mountinfo")));
        let mut findings: Vec<Finding> = Vec::new();
        for finding in all {
            if findings.iter().all(|known| known.what != finding.what) {
                findings.push(finding);
            }
        }
        findings
    }
}

/// `/proc/version`. gVisor tells of the same build in all its releases, and of late its name
/// (pkg/sentry/kernel/version). Microsoft's first subsystem signs its releases `-Microsoft`, and the kernel of the
/// second one is `-microsoft-standard`.
fn kernel(version: &str) -> Option<Around> {
    let has = |mark| version.contains(mark);
    if has("-gvisor") || has("#1 SMP Sun Jan 10 15:06:54 PST 2016") {
        Some(Around::Gvisor)
    } else if has("-microsoft-standard") || has("WSL2") {
        Some(Around::Wsl2)
    } else {
        has("-Microsoft").then_some(Around::Wsl1)
    }
}

/// A name by systemd's container interface. `oci` is anybody's.
fn manager(name: &str) -> Option<Around> {
    match name.trim() {
        "" => None,
        "docker" => Some(Around::Docker),
        "podman" => Some(Around::Podman),
        "lxc" | "lxc-libvirt" => Some(Around::Lxc),
        "systemd-nspawn" => Some(Around::Nspawn),
        "wsl" => Some(Around::Wsl2),
        other => Some(Around::Container(clean(other))),
    }
}

/// The variable `container` of the first process.
fn init(environment: &str) -> Option<Around> {
    manager(environment.split('\0').find_map(|variable| variable.strip_prefix("container="))?)
}

/// `/proc/self/cgroup`: lines of `id:controllers:path`. In a namespace of its own a container sees `/` only.
fn cgroups(text: &str) -> impl Iterator<Item = Around> + '_ {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts = paths.flat_map(|path| path.split('/')).filter_map(cgroup);
    // Units live in systemd's own hierarchy: the one that has its name, or the second version's.
    let named = text.lines().find_map(|line| Some(line.split_once(":name=systemd:")?.1));
    let unified = text.lines().find_map(|line| line.strip_prefix("0::"));
    parts.chain(named.or(unified).and_then(unit))
}

/// One part of a path: the names that runtimes give to the groups of their containers.
fn cgroup(part: &str) -> Option<Around> {
    let begins = |marks: &[&str]| marks.iter().any(|mark| part.starts_with(mark));
    if begins(&["kubepods", "crio-"]) {
        Some(Around::Kubernetes)
    } else if part == "docker" || begins(&["docker-"]) && part.ends_with(".scope") {
        Some(Around::Docker)
    } else if begins(&["libpod-", "libpod_parent"]) {
        Some(Around::Podman)
    } else if begins(&["cri-containerd-"]) {
        Some(Around::Containerd)
    } else {
        (part == "lxc" || begins(&["lxc.payload"])).then_some(Around::Lxc)
    }
}

/// The service that a path leads to. (`INVOCATION_ID` would tell less: all that a service ever started inherits it, a
/// terminal's shell as well.)
fn unit(path: &str) -> Option<Around> {
    let name = path.split('/').rfind(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    let manager = path.split('/').find(|part| part.starts_with("user@"));
    match manager {
        _ if !name.ends_with(".service") || manager == Some(name) => None,
        Some(_) => Some(Around::UserUnit(clean(name))),
        None => Some(Around::Unit(clean(name))),
    }
}

/// `/proc/self/mountinfo` (proc_pid_mountinfo(5)): what was mounted is the fourth field, where to the fifth. Runtimes
/// mount names and addresses from their own folder over those in `/etc`.
fn mounts(text: &str) -> impl Iterator<Item = Around> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, to) = (fields.next()?, fields.next()?);
        let has = |mark| root.contains(mark) && to.starts_with("/etc/");
        if has("/kubelet/pods/") {
            Some(Around::Kubernetes)
        } else if has("/docker/containers/") {
            Some(Around::Docker)
        } else if has("/overlay-containers/") {
            Some(Around::Podman)
        } else {
            (to == "/" && line.contains("/io.containerd.snapshotter")).then_some(Around::Containerd)
        }
    })
}

/// A name from outside, fit to be printed.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(traces: Traces) -> Vec<String> {
        traces.findings().iter().map(Finding::to_string).collect()
    }

    fn in_cgroup(text: &str) -> Vec<String> {
        found(Traces { cgroup: text.into(), ..Traces::default() })
    }

    const SAYS: &str = ", says /proc/self/cgroup";

    #[test]
    fn nothing_is_found_where_nothing_says_so() {
        assert_eq!(found(Traces::default()), [""; 0]);
        let version =
            "Linux version 6.1.0-18-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC".into();
        let cgroup = "0::/user.slice/user-1000.slice/session-2.scope\n".into();
        let mountinfo = "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:1 / / rw - ext4 /dev/vda1 rw\n".into();
        let init = "PATH=/bin\0xcontainer=docker\0".into();
        assert_eq!(found(Traces { version, cgroup, mountinfo, init, ..Traces::default() }), [""; 0]);
    }

    #[test]
    fn files_and_variables_tell_of_containers() {
        let traces = Traces { dockerenv: true, containerenv: true, kubernetes: true, ..Traces::default() };
        let all =
            ["Kubernetes, says KUBERNETES_SERVICE_HOST", "Docker, says /.dockerenv", "Podman, says /run/.containerenv"];
        assert_eq!(found(traces), all);
        let named = |name: &str| found(Traces { manager: format!("{name}\n"), ..Traces::default() });
        for (name, says) in [
            ("docker", "Docker"),
            ("podman", "Podman"),
            ("lxc", "LXC"),
            ("systemd-nspawn", "systemd-nspawn"),
            ("oci", "a container of oci"),
            ("a\tb", "a container of ab"),
        ] {
            assert_eq!(named(name), [format!("{says}, says /run/systemd/container")]);
        }
        let init = "PATH=/bin\0container=podman\0".into();
        assert_eq!(found(Traces { init, ..Traces::default() }), ["Podman, says /proc/1/environ"]);
    }

    #[test]
    fn a_thing_is_named_once() {
        let cgroup = "12:pids:/docker/0123\n1:name=systemd:/docker/0123\n".into();
        let traces = Traces { dockerenv: true, cgroup, ..Traces::default() };
        assert_eq!(found(traces), ["Docker, says /.dockerenv"]);
    }

    #[test]
    fn kernels_that_only_look_like_linux_are_told_by_their_version() {
        let version =
            |text: &str| found(Traces { version: text.into(), ..Traces::default() }).pop().unwrap_or_default();
        assert_eq!(version("Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016"), "gVisor, says /proc/version");
        assert_eq!(version("Linux version 4.19.0-gvisor #1 SMP"), "gVisor, says /proc/version");
        assert_eq!(
            version("Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)"),
            "WSL 1, says /proc/version"
        );
        assert_eq!(
            version("Linux version 5.15.90.1-microsoft-standard-WSL2 (oe-user@oe-host)"),
            "WSL 2, says /proc/version"
        );
        assert_eq!(version("Linux version 6.5.0-1018-azure (buildd@lcy02)"), "");
    }

    #[test]
    fn control_groups_have_the_names_that_runtimes_give() {
        for (path, says) in [
            ("/system.slice/docker-0123abcd.scope", "Docker"),
            ("/docker/0123abcd", "Docker"),
            ("/machine.slice/libpod-0123abcd.scope/container", "Podman"),
            ("/lxc.payload.web/system.slice", "LXC"),
            ("/system.slice/cri-containerd-0123abcd.scope", "containerd"),
        ] {
            assert_eq!(in_cgroup(&format!("0::{path}\n")), [format!("{says}{SAYS}")], "{path}");
        }
        let pod =
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-0123abcd.scope";
        assert_eq!(in_cgroup(&format!("0::{pod}")), [format!("Kubernetes{SAYS}"), format!("containerd{SAYS}")]);
        assert_eq!(in_cgroup("0::/dockerfiles/x"), [""; 0]);
    }

    #[test]
    fn units_are_services_and_neither_sessions_nor_the_managers_of_users() {
        assert_eq!(in_cgroup("0::/system.slice/web.service"), [format!("the unit web.service{SAYS}")]);
        assert_eq!(in_cgroup("0::/system.slice/web.service/worker"), [format!("the unit web.service{SAYS}")]);
        assert_eq!(
            in_cgroup("4:memory:/\n1:name=systemd:/system.slice/a@b.service\n0::/\n"),
            [format!("the unit a@b.service{SAYS}")]
        );
        let user = "0::/user.slice/user-1000.slice/user@1000.service";
        assert_eq!(in_cgroup(&format!("{user}/app.slice/web.service")), [format!("the user's unit web.service{SAYS}")]);
        assert_eq!(in_cgroup(&format!("{user}/init.scope")), [""; 0]);
        assert_eq!(in_cgroup(user), [""; 0]);
        assert_eq!(in_cgroup("4:memory:/web.service\n"), [""; 0], "no hierarchy of systemd's");
    }

    #[test]
    fn mounts_over_the_files_of_etc_come_from_the_folder_of_the_runtime() {
        let mount = |root: &str, to: &str| {
            let mountinfo = format!("736 717 254:1 {root} {to} rw,relatime - ext4 /dev/vda1 rw\n");
            found(Traces { mountinfo, ..Traces::default() })
        };
        let says = |what: &str| vec![format!("{what}, says /proc/self/mountinfo")];
        assert_eq!(mount("/var/lib/docker/containers/0123/hostname", "/etc/hostname"), says("Docker"));
        assert_eq!(mount("/var/lib/kubelet/pods/0-1-2/etc-hosts", "/etc/hosts"), says("Kubernetes"));
        assert_eq!(mount("/x/overlay-containers/01/userdata/hosts", "/etc/hosts"), says("Podman"));
        assert_eq!(mount("/var/lib/docker/containers/0123/mounts/shm", "/dev/shm"), [""; 0]);
        let root =
            "/ / rw - overlay overlay rw,lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/1/fs";
        let mountinfo = format!("1 2 0:3 {root}\n");
        assert_eq!(found(Traces { mountinfo, ..Traces::default() }), says("containerd"));
    }

    /// Files of `/proc` are somebody's words: paths and names in them are chosen by others.
    #[test]
    fn no_text_is_too_strange() {
        let words = [
            "0::",
            "1:name=systemd:",
            "/",
            ".service",
            ".scope",
            "user@",
            "docker-",
            ":",
            " ",
            "\n",
            "\0",
            "ä",
            "container=",
        ];
        let mut seed = 1u32;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            seed as usize
        };
        for _ in 0..5000 {
            let mut text = || (0..random() % 12).map(|_| words[random() % words.len()]).collect::<String>();
            let (version, cgroup, mountinfo, manager, init) = (text(), text(), text(), text(), text());
            let traces = Traces { version, cgroup, mountinfo, manager, init, ..Traces::default() };
            let lines = found(traces);
            assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:?}");
        }
    }
}
