//! A directory of one's own with some files, and some descriptors: twice the same.

use super::steps::Job;
use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek},
    mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{
            fs::{MetadataExt, OpenOptionsExt, symlink},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
    process,
    sync::Once,
    sync::atomic::{AtomicU64, Ordering},
};

/// How many descriptors a program can speak of.
pub(crate) const SLOTS: usize = 8;

/// A descriptor, and whether it is a pipe's or a socket's, whose numbers are 2 to 5 at first.
#[derive(Debug)]
struct Slot {
    file: File,
    is_stream: bool,
}

pub(crate) struct World {
    path: PathBuf,
    root: File,
    slots: [Option<Slot>; SLOTS],
}

impl World {
    pub(crate) fn new(name: &str) -> World {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        static QUIET: Once = Once::new();
        QUIET.call_once(|| {
            // A fuzzer's `main` is not Rust's, which does this.
            // SAFETY: Plain call: a signal that is ignored has no handler.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("annulus-programs-{}-{number}-{name}", process::id()));
        fs::create_dir(&path).expect("a directory of one's own");
        let [a, b] = ["a", "b"].map(|name| path.join(name));
        fs::write(&a, b"some bytes to begin with").expect("a file");
        fs::create_dir(path.join("d")).expect("a directory");
        symlink("d", path.join("l")).expect("a symbolic link");
        let open = |options: &mut OpenOptions, path: &Path| {
            options.custom_flags(libc::O_NONBLOCK).open(path).expect("a file that opens")
        };
        let file = open(OpenOptions::new().read(true).write(true), &a);
        let log = open(OpenOptions::new().read(true).append(true).create(true), &b);
        let folder = open(OpenOptions::new().read(true), &path.join("d"));
        let ([reader, writer], (left, right)) = (pipe(), UnixStream::pair().expect("a pair"));
        [&left, &right].into_iter().for_each(|end| end.set_nonblocking(true).expect("a socket"));
        let plain = |file| Some(Slot { file, is_stream: false });
        let stream = |fd: OwnedFd| Some(Slot { file: fd.into(), is_stream: true });
        let slots = [
            plain(file),
            plain(log),
            stream(reader),
            stream(writer),
            stream(left.into()),
            stream(right.into()),
            plain(folder),
            None,
        ];
        World { root: File::open(&path).expect("the directory"), path, slots }
    }

    pub(crate) fn root(&self) -> RawFd {
        self.root.as_raw_fd()
    }

    pub(crate) fn fd(&self, slot: usize) -> Option<RawFd> {
        self.slots[slot].as_ref().map(|slot| slot.file.as_raw_fd())
    }

    pub(crate) fn is_stream(&self, slot: usize) -> bool {
        self.slots[slot].as_ref().is_some_and(|slot| slot.is_stream)
    }

    /// Whether one of the ends that there were at first is gone.
    pub(crate) fn has_lost_an_end(&self) -> bool {
        (2..6).any(|slot| !self.is_stream(slot))
    }

    /// Takes over what a step made, and lets go of what it closed.
    pub(crate) fn settle(&mut self, job: &Job) {
        if job.kind == super::Kind::Close && job.result == 0 {
            // Closed already: the number is not ours any more.
            mem::forget(job.slot.and_then(|slot| self.slots[slot].take()));
        }
        if let Some(place) = job.place() {
            // SAFETY: Fresh descriptor: the step has just opened it.
            let file = unsafe { File::from_raw_fd(job.result) };
            let slot = &mut self.slots[place];
            if slot.is_none() {
                *slot = Some(Slot { file, is_stream: false });
            }
        }
    }

    /// All that can be seen: files, positions, and what waits to be read.
    pub(crate) fn state(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        look(&self.path, Path::new(""), &mut lines);
        for (i, slot) in self.slots.iter_mut().enumerate() {
            lines.push(match slot {
                None => format!("{i}: none"),
                Some(Slot { file, is_stream: true }) => format!("{i}: {:?}", rest(file)),
                Some(Slot { file, .. }) => format!("{i}: {:?}", file.stream_position().map_err(|e| e.kind())),
            });
        }
        lines
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.path) {
            eprintln!("{}: {e}", self.path.display());
        }
    }
}

fn pipe() -> [OwnedFd; 2] {
    let mut fds = [0; 2];
    // SAFETY: Plain call: there is room for two numbers.
    let failed = unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
    assert_eq!(failed, 0, "{}", io::Error::last_os_error());
    // SAFETY: Fresh descriptor, both of them: `pipe2` succeeded.
    fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What is there to read without waiting.
fn rest(file: &mut File) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = Read::by_ref(file).take(1 << 20).read_to_end(&mut bytes);
    (bytes, end.err().map(|e| e.kind()))
}

/// Lists everything below `root`, without what times and devices make different.
fn look(root: &Path, below: &Path, lines: &mut Vec<String>) {
    let entries = fs::read_dir(root.join(below)).expect("a directory that can be read");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    for name in names {
        let name = below.join(name);
        let path = root.join(&name);
        let about = fs::symlink_metadata(&path).expect("what was just listed");
        let content = match about.file_type() {
            kind if kind.is_dir() => "a directory".into(),
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path)),
            _ => format!("{} links, {:?}", about.nlink(), fs::read(&path).map_err(|e| e.kind())),
        };
        lines.push(format!("{name:?} {:o} {content}", about.mode()));
        if about.is_dir() {
            look(root, &name, lines);
        }
    }
}
