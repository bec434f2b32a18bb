//! What every contender of the file comparison shares: the file, the log, the workloads, and how they are counted.
//!
//! A contender is a program with an implementation of [`Contender`], written as its users would write it. Called as
//! `PROGRAM WORKLOAD [OPTION..]`, it measures one workload and prints what the programs of `micro` print. Options of all:
//! `--dir D` (where the files are; else beside the program) and `--mib N` (the size of the file that is read, 1024).

pub mod log;
pub mod meter;
pub mod store;
mod workloads;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::exit;

pub use workloads::{APPENDERS, Blocks, SMALL, Workload};

/// Bytes of a block, and of every buffer.
pub const BLOCK: usize = 4096;

/// A block of memory where direct reads want it.
#[repr(align(4096))]
struct Aligned([u8; BLOCK]);

/// A page to read into. It is never freed: the process is short.
pub type Page = &'static mut [u8; BLOCK];

/// A new page.
#[must_use]
pub fn page() -> Page {
    &mut Box::leak(Box::new(Aligned([0; BLOCK]))).0
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// Reads through the page cache.
    Cached,
    /// Reads past it.
    Direct,
    /// Writes through the page cache.
    Log,
}

impl How {
    /// The flags of `open(2)` beside the mode.
    #[must_use]
    pub fn flags(self) -> i32 {
        if self == How::Direct { libc::O_DIRECT } else { 0 }
    }

    /// Opens it with `std`.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn open(self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(self != How::Log).write(self == How::Log).custom_flags(self.flags()).open(path)
    }
}

/// What a read gave: how many bytes, and the first eight of them as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    pub len: usize,
    pub head: u64,
}

impl Seen {
    /// The first `len` of these bytes were read.
    #[must_use]
    pub fn of(bytes: &[u8], len: usize) -> Seen {
        let head = bytes.get(..len.min(8)).and_then(|head| head.try_into().ok()).map_or(0, u64::from_le_bytes);
        Seen { len, head }
    }
}

/// A runtime under measurement.
pub trait Contender: 'static {
    type File: 'static;
    /// What a task reads into, again and again.
    type Buf: 'static;

    /// Makes a runtime, runs `main` in it, and ends it.
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T;

    /// A task, and what awaits its end.
    fn spawn(task: impl Future<Output = ()> + 'static) -> impl Future + 'static;

    fn open(path: &Path, how: How) -> impl Future<Output = io::Result<Self::File>>;

    fn buf(file: &Self::File) -> impl Future<Output = Self::Buf>;

    /// Reads a block at this place, or what there is.
    fn read(file: &Self::File, buf: Self::Buf, at: u64) -> impl Future<Output = io::Result<(Seen, Self::Buf)>>;

    /// Writes all bytes at this place.
    fn write(file: &Self::File, bytes: Vec<u8>, at: u64) -> impl Future<Output = io::Result<Vec<u8>>>;

    /// Waits until what was written will outlive the machine's power.
    fn sync(file: &Self::File) -> impl Future<Output = io::Result<()>>;
}

/// The value behind this option, if it is there.
#[must_use]
pub fn value(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

/// The workload that the first argument names; without one of this name, the process ends as a program does that has no
/// such workload.
#[must_use]
pub fn workload() -> Workload {
    let name = std::env::args().nth(1).unwrap_or_default();
    Workload::of(&name).unwrap_or_else(|| unavailable(&format!("{name}: not a workload")))
}

/// Ends the process as one that has no such workload.
pub fn unavailable(why: &str) -> ! {
    eprintln!("{why}");
    exit(2)
}

/// The program's `main`: measures what the first argument names.
pub fn main<C: Contender>() {
    println!("{}", workloads::measure::<C>(workload()));
}
