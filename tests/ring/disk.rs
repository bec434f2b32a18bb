//! A disk that may be used: an NVMe one with the serial number `annulus`, which `.ci/kernels` makes.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

pub(crate) const BLOCK: usize = 4096;
/// How many blocks the disk has.
const BLOCKS: usize = 4096;

/// The disk, by the name of its namespace: `nvme0n1`.
pub(crate) struct Disk {
    name: String,
}

/// The disk of this machine, if it has one that may be used.
pub(crate) fn ours() -> Option<Disk> {
    let disks = fs::read_dir("/sys/block").ok()?.map(|entry| entry.unwrap());
    let is_ours = |path: PathBuf| fs::read_to_string(path).is_ok_and(|serial| serial.trim() == "annulus");
    let mut ours = disks.filter(|entry| is_ours(entry.path().join("device/serial")));
    ours.next().map(|entry| Disk { name: entry.file_name().into_string().unwrap() })
}

impl Disk {
    pub(crate) fn open_direct(&self) -> File {
        File::options().read(true).custom_flags(libc::O_DIRECT).open(format!("/dev/{}", self.name)).unwrap()
    }

    /// The device that takes commands for the namespace. Since Linux 5.13.
    pub(crate) fn open_commands(&self) -> io::Result<File> {
        File::options().read(true).write(true).open(format!("/dev/{}", self.name.replace("nvme", "ng")))
    }

    /// The device that takes commands for the controller: the disk's name without its namespace.
    pub(crate) fn open_controller(&self) -> io::Result<File> {
        let (controller, _) = self.name.rsplit_once('n').unwrap();
        File::options().read(true).write(true).open(format!("/dev/{controller}"))
    }
}

/// Where the `n`th block to be read stands: all over the disk, and none twice.
pub(crate) fn place(n: usize) -> u64 {
    (n * 1021 % BLOCKS * BLOCK) as u64
}

/// Memory for a block.
#[derive(Clone)]
#[repr(align(4096))]
pub(crate) struct Block(pub(crate) [u8; BLOCK]);

impl Block {
    pub(crate) fn new() -> Block {
        Block([0xee; BLOCK])
    }

    /// Whether this is what stands at `place`: each 8 bytes are the number of their place.
    pub(crate) fn is_of(&self, place: u64) -> bool {
        let mut words = (place..).step_by(8).zip(self.0.chunks_exact(8));
        words.all(|(number, word)| word == number.to_le_bytes())
    }
}
