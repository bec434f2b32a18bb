//! The workloads.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::log::Log;
use crate::meter::Meter;
use crate::{BLOCK, Contender, How, Seen, store, unavailable};

/// Who appends at the same time, where they share their syncs.
pub const APPENDERS: usize = 32;
/// Bytes of a record where many are written at once.
pub const SMALL: usize = 256;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub enum Workload {
    /// Reads of random blocks, so many at a time.
    Read { how: How, depth: usize },
    /// Reads of nothing: `/dev/null`, one at a time.
    Null,
    /// Records of so many bytes, each written and synced before the next.
    Wal { record: usize },
    /// Small records from many tasks: what has come together meanwhile is written and synced at once.
    Group,
    /// One NOP at a time, for loops by hand; the runtimes' are in `micro`.
    Nop,
}

impl Workload {
    /// That of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Workload> {
        let read = |how, depth| Workload::Read { how, depth };
        Some(match name {
            "hot-1" => read(How::Cached, 1),
            "hot-32" => read(How::Cached, 32),
            "hot-128" => read(How::Cached, 128),
            "direct-1" => read(How::Direct, 1),
            "direct-32" => read(How::Direct, 32),
            "direct-128" => read(How::Direct, 128),
            "null" => Workload::Null,
            "nop" => Workload::Nop,
            "wal-4k" => Workload::Wal { record: BLOCK },
            "wal-256" => Workload::Wal { record: SMALL },
            "wal-group" => Workload::Group,
            _ => return None,
        })
    }

    /// A sample of it: slices of some milliseconds, or of some operations where one takes so long.
    #[must_use]
    pub fn meter(self) -> Meter {
        let (ops, ms) = match self {
            Workload::Read { how: How::Direct, depth: 1 } => (64, 300),
            Workload::Read { how: How::Direct, .. } => (1024, 300),
            Workload::Read { .. } => (2048, 120),
            Workload::Null | Workload::Nop => (4096, 120),
            Workload::Wal { .. } => (16, 500),
            Workload::Group => (16 * APPENDERS as u32, 500),
        };
        Meter::begin(ops, Duration::from_millis(ms))
    }
}

/// The blocks to be read, in random order, the same in each run.
#[derive(Debug)]
pub struct Blocks {
    state: u64,
    /// `None`: there are none, nothing is read.
    count: Option<u64>,
}

impl Blocks {
    /// Readies the file of the workload for reads; gives it and, for each of the readers, the blocks.
    ///
    /// # Errors
    /// Those of making and reading the file.
    pub fn of(workload: Workload) -> io::Result<(PathBuf, impl Fn(usize) -> Blocks)> {
        let (path, count) = match workload {
            Workload::Read { how, .. } => {
                let (path, count) = store::store()?;
                if how == How::Direct {
                    store::cool(&path)?
                } else {
                    store::warm(&path)?
                }
                (path, Some(count))
            }
            _ => (PathBuf::from("/dev/null"), None),
        };
        Ok((path, move |reader| Blocks { state: 0x2545_f491_4f6c_dd1d ^ (reader as u64 + 1) << 20, count }))
    }

    /// The next one: its number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.count.map_or(0, |count| self.state & (count - 1))
    }

    /// Looks whether a read gave what the block has.
    ///
    /// # Panics
    /// If it did not.
    pub fn check(&self, block: u64, seen: Seen) {
        let wanted = match self.count {
            Some(_) => Seen { len: BLOCK, head: store::head(block) },
            None => Seen { len: 0, head: 0 },
        };
        assert_eq!(seen, wanted, "what was read is not block {block}");
    }
}

/// Measures it on this runtime.
pub fn measure<C: Contender>(workload: Workload) -> Meter {
    match workload {
        Workload::Read { how, depth } => reads::<C>(workload, how, depth),
        Workload::Null => reads::<C>(workload, How::Cached, 1),
        Workload::Wal { record } => wal::<C>(workload, record),
        Workload::Group => group::<C>(workload),
        Workload::Nop => unavailable("the NOPs of runtimes are in micro"),
    }
}

/// Opens the file, or ends the process if there are no such files here: not everywhere are there direct reads.
async fn open<C: Contender>(path: &Path, how: How) -> Rc<C::File> {
    match C::open(path, how).await {
        Ok(file) => Rc::new(file),
        Err(e) if how == How::Direct => unavailable(&format!("{}: {e}", path.display())),
        Err(e) => panic!("{}: {e}", path.display()),
    }
}

fn reads<C: Contender>(workload: Workload, how: How, depth: usize) -> Meter {
    let (path, blocks) = Blocks::of(workload).expect("a file to read");
    C::block_on(async move {
        let file = open::<C>(&path, how).await;
        let meter = Rc::new(workload.meter());
        let readers = (0..depth).map(|n| C::spawn(reader::<C>(file.clone(), blocks(n), meter.clone())));
        for reader in readers.collect::<Vec<_>>() {
            reader.await;
        }
        Rc::into_inner(meter).expect("the readers have ended")
    })
}

async fn reader<C: Contender>(file: Rc<C::File>, mut blocks: Blocks, meter: Rc<Meter>) {
    let mut buf = C::buf(&file).await;
    while !meter.is_over() {
        let block = blocks.next();
        let (seen, back) = C::read(&file, buf, block * BLOCK as u64).await.expect("a block");
        blocks.check(block, seen);
        buf = back;
        meter.count(1);
    }
}

fn wal<C: Contender>(workload: Workload, record: usize) -> Meter {
    let log = Log::new(record).expect("a log");
    C::block_on(async move {
        let file = open::<C>(log.path(), How::Log).await;
        let (mut bytes, mut number) = (vec![7; record], 0);
        let meter = workload.meter();
        while !meter.is_over() {
            Log::stamp(&mut bytes, number);
            bytes = C::write(&file, bytes, log.place(number)).await.expect("a write");
            C::sync(&file).await.expect("a sync");
            number += 1;
            meter.count(1);
        }
        log.verify(number).expect("the log has every record");
        meter
    })
}

/// What the appenders and the writer share.
#[derive(Default)]
struct Shared {
    /// Records that wait to be written, and how many.
    pending: RefCell<Vec<u8>>,
    /// The number of the next record, and the first one that is not on the device.
    next: Cell<u64>,
    durable: Cell<u64>,
    appenders: RefCell<Vec<Waker>>,
    writer: RefCell<Option<Waker>>,
    over: Cell<bool>,
}

impl Shared {
    /// Appends a record, and is ready when it is on the device.
    async fn append(&self, record: &mut [u8]) {
        let number = self.next.replace(self.next.get() + 1);
        Log::stamp(record, number);
        self.pending.borrow_mut().extend_from_slice(record);
        self.writer.take().into_iter().for_each(Waker::wake);
        poll_fn(|cx| {
            if number < self.durable.get() {
                return Poll::Ready(());
            }
            self.appenders.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits for records; takes those that fit, for `spare`. Empty: there will be none.
    async fn take(&self, mut spare: Vec<u8>, room: usize) -> Vec<u8> {
        spare.clear();
        poll_fn(|cx| {
            if self.pending.borrow().is_empty() && !self.over.get() {
                *self.writer.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        let mut pending = self.pending.borrow_mut();
        if pending.len() <= room {
            return std::mem::replace(&mut pending, spare);
        }
        spare.extend(pending.drain(..room));
        spare
    }
}

fn group<C: Contender>(workload: Workload) -> Meter {
    let log = Log::new(SMALL).expect("a log");
    C::block_on(async move {
        let file = open::<C>(log.path(), How::Log).await;
        let shared = Rc::new(Shared::default());
        let tasks: Vec<_> = (0..APPENDERS)
            .map(|_| {
                let shared = shared.clone();
                C::spawn(async move {
                    let mut record = vec![7; SMALL];
                    while !shared.over.get() {
                        shared.append(&mut record).await;
                    }
                })
            })
            .collect();
        let (mut spare, mut number) = (Vec::new(), 0);
        let meter = workload.meter();
        loop {
            let bytes = shared.take(spare, log.room(number) * SMALL).await;
            let count = bytes.len() / SMALL;
            if count == 0 {
                break;
            }
            spare = C::write(&file, bytes, log.place(number)).await.expect("a write");
            C::sync(&file).await.expect("a sync");
            number += count as u64;
            meter.count(count as u32);
            shared.over.set(meter.is_over());
            shared.durable.set(number);
            shared.appenders.take().into_iter().for_each(Waker::wake);
        }
        for task in tasks {
            task.await;
        }
        assert_eq!(number, shared.next.get(), "every record was written");
        log.verify(number).expect("the log has every record");
        meter
    })
}
