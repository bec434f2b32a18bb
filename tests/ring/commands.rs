//! Commands for a device (`URING_CMD`), past everything that files have: an NVMe disk reads blocks and says who it is.
//!
//! The disk is that of `disk`. Elsewhere what is seen is that files without commands refuse them.

use crate::{
    common::{LONG, NOBODY},
    disk::{self, BLOCK, Block, Disk},
};
use annulus::{
    entry::{BigCqe, Sqe128},
    ring::{Ring, SetupFlags, Sqe},
    sys,
};
use std::{fs::File, io, os::fd::AsRawFd, time::Instant};

/// `NVME_URING_CMD_IO`, for a namespace, and `NVME_URING_CMD_ADMIN`, for a controller: `_IOWR('N', …)` of 72 bytes.
const IO: u32 = 3 << 30 | 72 << 16 | (b'N' as u32) << 8 | 0x80;
const ADMIN: u32 = IO + 2;
/// The disk's own opcodes.
const READ: u8 = 2;
const IDENTIFY: u8 = 6;
/// How large the disk's blocks are.
const SECTOR: u64 = 512;

/// `struct nvme_uring_cmd`, in its place in an entry: reads into `block`.
fn command(op: u32, opcode: u8, block: &mut Block, cdw: [u32; 3]) -> Sqe128 {
    let mut bytes = [0; Sqe128::COMMAND];
    bytes[0] = opcode;
    bytes[4] = u8::from(opcode == READ); // the namespace
    bytes[24..32].copy_from_slice(&(block.0.as_mut_ptr() as u64).to_ne_bytes());
    bytes[36..40].copy_from_slice(&(BLOCK as u32).to_ne_bytes());
    for (word, place) in cdw.into_iter().zip([40, 44, 48]) {
        bytes[place..place + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let sqe = Sqe { opcode: sys::IORING_OP_URING_CMD as u8, off: op.into(), ..Sqe::default() };
    Sqe128::from(sqe).command(&bytes)
}

fn read(block: &mut Block, place: u64) -> Sqe128 {
    let first = place / SECTOR;
    command(IO, READ, block, [first as u32, (first >> 32) as u32, (BLOCK as u64 / SECTOR - 1) as u32])
}

/// The rings that have room for commands, and the opcode that means one on each.
fn rings() -> Vec<(SetupFlags, Ring, u32)> {
    let wide = SetupFlags::SQE128 | SetupFlags::CQE32;
    let mixed = SetupFlags::SQE_MIXED | SetupFlags::CQE_MIXED;
    let (single, deferred) = (sys::IORING_OP_URING_CMD, SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    let all = [
        (wide, single),
        (wide | SetupFlags::IOPOLL, single),
        (wide | deferred, single),
        (mixed, sys::IORING_OP_URING_CMD128),
    ];
    let make = |(flags, opcode)| Some((flags, Ring::builder().flags(flags).build(64).ok()?, opcode));
    all.into_iter().filter_map(make).collect()
}

/// Has `file` carry out one command.
fn carry_out(ring: &mut Ring, opcode: u32, file: &File, entry: Sqe128) -> BigCqe {
    let sqe = Sqe { opcode: opcode as u8, fd: file.as_raw_fd(), ..entry.sqe };
    // SAFETY: Lent: who calls this holds the memory until the answer, which is waited for.
    unsafe { ring.push128(&Sqe128 { sqe, ..entry }) }.unwrap();
    let begun = Instant::now();
    loop {
        ring.wait_timeout(1, NOBODY).unwrap();
        if let Some(answer) = ring.completions().next_big() {
            return answer;
        }
        assert!(begun.elapsed() < LONG);
    }
}

/// What the disk reads and says on this ring.
fn ask(ring: &mut Ring, opcode: u32, disk: &Disk) -> io::Result<String> {
    let namespace = disk.open_commands()?;
    let mut block = Block::new();
    for n in 0..64 {
        let place = disk::place(n);
        let answer = carry_out(ring, opcode, &namespace, read(&mut block, place));
        assert_eq!((answer.cqe.result()?, answer.extra[0]), (0, 0));
        assert!(block.is_of(place), "another block than that at {place}");
        block.0.fill(0xee);
    }
    // A place that it does not have: the disk's own status.
    let answer = carry_out(ring, opcode, &namespace, read(&mut block, 1 << 40));
    assert!(answer.cqe.res > 0, "{answer:?}");
    let answer = carry_out(ring, opcode, &disk.open_controller()?, command(ADMIN, IDENTIFY, &mut block, [1, 0, 0]));
    if ring.setup_flags().contains(SetupFlags::IOPOLL) && answer.cqe.res == -libc::EOPNOTSUPP {
        return Ok("annulus".into()); // a controller that is not polled
    }
    assert_eq!(answer.cqe.result()?, 0);
    Ok(String::from_utf8_lossy(&block.0[4..24]).trim().to_owned())
}

/// Red when the second half of an entry is lost or is another's; and when a file without commands takes one. Since
/// Linux 5.19.
#[test]
fn a_disk_takes_commands_and_a_file_does_not() {
    let disk = disk::ours();
    for (flags, mut ring, opcode) in rings() {
        let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        let mut block = Block::new();
        let answer = carry_out(&mut ring, opcode, &file, read(&mut block, 0));
        assert!([-libc::EOPNOTSUPP, -libc::EINVAL].contains(&answer.cqe.res), "{flags:?}: {answer:?}");
        if let Some(disk) = &disk {
            let said = ask(&mut ring, opcode, disk);
            println!("{flags:?}: 64 blocks read by commands, and it says that it is {said:?}");
            assert_eq!(said.unwrap(), "annulus", "{flags:?}");
        }
    }
}
