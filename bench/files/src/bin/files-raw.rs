//! By hand, without a runtime: the floors. `--how calls` is a loop of system calls; `plain` is a ring as the kernel makes
//! it; `best` is one with `DEFER_TASKRUN`, no array of indices, and file, buffers and the ring itself registered. On a
//! ring a write and its sync are one submission, linked.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;

use files::log::Log;
use files::meter::Meter;
use files::{BLOCK, Blocks, How, Seen, Workload, unavailable, value, workload};
use io_uring::{IoUring, cqueue, opcode, squeue, types};

const ENTRIES: u32 = 256;

/// A ring, the file that it knows, and its memory: a block for each reader.
struct Floor {
    ring: IoUring,
    best: bool,
    file: RawFd,
    memory: Vec<files::Page>,
}

impl Floor {
    fn new(best: bool, file: &File, depth: usize) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        if best {
            builder.setup_single_issuer().setup_defer_taskrun().setup_no_sqarray();
        }
        let ring: IoUring = builder.build(ENTRIES)?;
        let mut memory: Vec<_> = (0..depth).map(|_| files::page()).collect();
        if best {
            let parts: Vec<_> = memory
                .iter_mut()
                .map(|page| libc::iovec { iov_base: page.as_mut_ptr().cast(), iov_len: BLOCK })
                .collect();
            // SAFETY: the pages are never freed.
            unsafe { ring.submitter().register_buffers(&parts) }?;
            ring.submitter().register_files(&[file.as_raw_fd()])?;
            ring.submitter().register_ring_fd()?;
        }
        Ok(Self { ring, best, file: file.as_raw_fd(), memory })
    }

    /// A read of a block into the page of this reader.
    fn read(&mut self, reader: usize, block: u64) -> squeue::Entry {
        let (at, len, offset) = (self.memory[reader].as_mut_ptr(), BLOCK as u32, block * BLOCK as u64);
        let entry = match self.best {
            true => opcode::ReadFixed::new(types::Fixed(0), at, len, reader as u16).offset(offset).build(),
            false => opcode::Read::new(types::Fd(self.file), at, len).offset(offset).build(),
        };
        entry.user_data(reader as u64)
    }

    /// A write of these bytes, and what syncs it.
    fn append(&self, bytes: &[u8], offset: u64) -> [squeue::Entry; 2] {
        let (at, len, sync) = (bytes.as_ptr(), bytes.len() as u32, types::FsyncFlags::DATASYNC);
        let (write, fsync) = if self.best {
            let file = types::Fixed(0);
            (opcode::Write::new(file, at, len).offset(offset).build(), opcode::Fsync::new(file).flags(sync).build())
        } else {
            let file = types::Fd(self.file);
            (opcode::Write::new(file, at, len).offset(offset).build(), opcode::Fsync::new(file).flags(sync).build())
        };
        [write.flags(squeue::Flags::IO_LINK).user_data(u64::from(len)), fsync.user_data(0)]
    }

    /// # Safety
    /// What the entry names lives until its completion.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: by this function's contract.
        unsafe { self.ring.submission().push(entry) }.expect("room");
    }

    fn reap(&mut self) -> Option<cqueue::Entry> {
        self.ring.completion().next()
    }
}

fn result(cqe: &cqueue::Entry) -> usize {
    usize::try_from(cqe.result()).unwrap_or_else(|_| panic!("{}", io::Error::from_raw_os_error(-cqe.result())))
}

/// Reads on a ring: what has come is looked at and asked for again, and then the kernel is entered once.
fn reads(workload: Workload, best: bool, how: How, depth: usize) -> io::Result<Meter> {
    let (path, blocks) = Blocks::of(workload)?;
    let file = open(how, &path);
    let mut floor = Floor::new(best, &file, depth)?;
    let mut readers: Vec<_> = (0..depth).map(|reader| (blocks(reader), 0)).collect();
    let meter = workload.meter();
    let ask = |floor: &mut Floor, readers: &mut [(Blocks, u64)], reader: usize| {
        let (blocks, block) = &mut readers[reader];
        *block = blocks.next();
        let entry = floor.read(reader, *block);
        // SAFETY: the pages are never freed, and the file outlives the loop, which awaits every read.
        unsafe { floor.push(&entry) };
    };
    (0..depth).for_each(|reader| ask(&mut floor, &mut readers, reader));
    let mut flying = depth;
    while flying > 0 {
        floor.ring.submit_and_wait(1)?;
        while let Some(cqe) = floor.reap() {
            let (reader, len) = (cqe.user_data() as usize, result(&cqe));
            let (blocks, block) = &readers[reader];
            blocks.check(*block, Seen::of(&floor.memory[reader][..], len));
            meter.count(1);
            if meter.is_over() {
                flying -= 1;
            } else {
                ask(&mut floor, &mut readers, reader);
            }
        }
    }
    Ok(meter)
}

fn pread(workload: Workload, how: How) -> io::Result<Meter> {
    let (path, blocks) = Blocks::of(workload)?;
    let (file, page, mut blocks) = (open(how, &path), files::page(), blocks(0));
    let meter = workload.meter();
    while !meter.is_over() {
        let block = blocks.next();
        let len = file.read_at(page, block * BLOCK as u64)?;
        blocks.check(block, Seen::of(page, len));
        meter.count(1);
    }
    Ok(meter)
}

fn open(how: How, path: &std::path::Path) -> File {
    how.open(path).unwrap_or_else(|e| unavailable(&format!("{}: {e}", path.display())))
}

/// Records behind each other, `at_once` of them in each write.
fn wal(workload: Workload, how: &str, record: usize, at_once: usize) -> io::Result<Meter> {
    let log = Log::new(record)?;
    let file = How::Log.open(log.path())?;
    let mut floor = if how == "calls" { None } else { Some(Floor::new(how == "best", &file, 1)?) };
    let (mut bytes, mut number) = (vec![7; record * at_once], 0);
    let meter = workload.meter();
    while !meter.is_over() {
        for (record, number) in bytes.chunks_exact_mut(record).zip(number..) {
            Log::stamp(record, number);
        }
        match &mut floor {
            None => {
                file.write_all_at(&bytes, log.place(number))?;
                file.sync_data()?;
            }
            Some(floor) => {
                for entry in floor.append(&bytes, log.place(number)) {
                    // SAFETY: both completions are awaited below, and bytes and file live longer.
                    unsafe { floor.push(&entry) };
                }
                floor.ring.submit_and_wait(2)?;
                for _ in 0..2 {
                    let cqe = floor.reap().expect("both have ended");
                    assert_eq!(result(&cqe) as u64, cqe.user_data(), "all was written");
                }
            }
        }
        number += at_once as u64;
        meter.count(at_once as u32);
    }
    log.verify(number)?;
    Ok(meter)
}

fn nops(workload: Workload, best: bool) -> io::Result<Meter> {
    let file = File::open("/dev/null")?;
    let mut floor = Floor::new(best, &file, 1)?;
    let meter = workload.meter();
    while !meter.is_over() {
        // SAFETY: a NOP names nothing.
        unsafe { floor.push(&opcode::Nop::new().build()) };
        floor.ring.submit_and_wait(1)?;
        assert_eq!(result(&floor.reap().expect("it has ended")), 0);
        meter.count(1);
    }
    Ok(meter)
}

fn main() -> io::Result<()> {
    let (how, workload) = (value("--how").unwrap_or_else(|| "best".into()), workload());
    let best = match how.as_str() {
        "calls" | "plain" => false,
        "best" => true,
        other => return Err(io::Error::other(format!("--how {other}: calls, plain or best"))),
    };
    let calls = how == "calls";
    let meter = match workload {
        Workload::Read { how, depth: 1 } if calls => pread(workload, how)?,
        Workload::Null if calls => pread(workload, How::Cached)?,
        Workload::Read { .. } | Workload::Nop if calls => unavailable("calls come one after the other"),
        Workload::Read { how, depth } => reads(workload, best, how, depth)?,
        Workload::Null => reads(workload, best, How::Cached, 1)?,
        Workload::Wal { record } => wal(workload, &how, record, 1)?,
        Workload::Group => wal(workload, &how, files::SMALL, files::APPENDERS)?,
        Workload::Nop => nops(workload, best)?,
    };
    println!("{meter}");
    Ok(())
}
