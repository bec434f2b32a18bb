//! The least of io_uring that an echo loop needs: one mapping, three syscalls, no checks beyond what setup promises.
//! It is a floor to compare with, not a library: the ring lives until the process is killed.

use std::io;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use crate::check;

pub const OP_POLL_ADD: u8 = 6;
pub const OP_POLL_REMOVE: u8 = 7;
pub const OP_ACCEPT: u8 = 13;
pub const OP_CLOSE: u8 = 19;
pub const OP_SEND: u8 = 26;
pub const OP_RECV: u8 = 27;

pub const ACCEPT_MULTISHOT: u16 = 1 << 0;
pub const RECV_POLL_FIRST: u16 = 1 << 0;
pub const RECV_MULTISHOT: u16 = 1 << 1;
/// The length of a POLL_ADD that goes on.
pub const POLL_MULTISHOT: u32 = 1 << 0;
pub const FIXED_FILE: u8 = 1 << 0;
pub const BUFFER_SELECT: u8 = 1 << 5;
/// The file index of an accept that lets the kernel choose one.
pub const ANY_FILE: u32 = u32::MAX;

pub const F_BUFFER: u32 = 1 << 0;
pub const F_MORE: u32 = 1 << 1;

pub const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
pub const SETUP_DEFER_TASKRUN: u32 = 1 << 13;

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_FILES: u32 = 2;
const REGISTER_RING_FDS: u32 = 20;
const REGISTER_PBUF_RING: u32 = 22;
const OFF_SQ_RING: i64 = 0;
const OFF_SQES: i64 = 0x1000_0000;

/// The kernel's 64-byte request.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Sqe {
    pub opcode: u8,
    pub flags: u8,
    pub ioprio: u16,
    pub fd: RawFd,
    pub off: u64,
    pub addr: u64,
    pub len: u32,
    pub op_flags: u32,
    pub user_data: u64,
    pub buf_group: u16,
    pub personality: u16,
    pub file_index: u32,
    pub pad: [u64; 2],
}

/// The kernel's 16-byte answer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Cqe {
    pub user_data: u64,
    pub res: i32,
    pub flags: u32,
}

/// `io_uring_params`; the offsets are ten words each (the last two of them one unused address).
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    unused: [u32; 7],
    sq_off: [u32; 10],
    cq_off: [u32; 10],
}

/// One ring. The memory is never unmapped, hence the `'static` words.
pub struct Ring {
    fd: RawFd,
    enter_flags: u32,
    sqes: NonNull<Sqe>,
    sq_head: &'static AtomicU32,
    sq_tail: &'static AtomicU32,
    sq_entries: u32,
    /// Entries written so far, and entries the kernel has taken so far.
    written: u32,
    taken: u32,
    cqes: NonNull<Cqe>,
    cq_head: &'static AtomicU32,
    cq_tail: &'static AtomicU32,
    cq_entries: u32,
    reaped: u32,
}

/// Maps `len` bytes of the ring `fd`, or fresh zeroed memory without one.
pub fn map(len: usize, ring: Option<(RawFd, i64)>) -> io::Result<NonNull<u8>> {
    let (fd, off) = ring.unwrap_or((-1, 0));
    let kind =
        if ring.is_some() { libc::MAP_SHARED | libc::MAP_POPULATE } else { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS };
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
    let at = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, kind, fd, off) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(at.cast()).ok_or_else(|| io::Error::other("the kernel mapped address zero"))
}

/// The shared word `off` bytes into a ring's mapping.
fn word(base: NonNull<u8>, off: u32) -> &'static AtomicU32 {
    // SAFETY: the kernel gave `off` as an offset into this mapping.
    let at = unsafe { base.add(off as usize) };
    // SAFETY: an aligned word of a mapping that stays until exit, and both sides use it atomically.
    unsafe { at.cast().as_ref() }
}

impl Ring {
    /// Creates and maps a ring (Linux 5.4: one mapping for both queues).
    pub fn new(entries: u32, flags: u32) -> io::Result<Self> {
        let mut params = Params { flags, ..Params::default() };
        // SAFETY: `params` has the kernel's layout and outlives the call.
        let fd = check(unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, &raw mut params) })? as RawFd;
        let [sq_head, sq_tail, .., sq_array, _, _, _] = params.sq_off;
        let [cq_head, cq_tail, _, _, _, cqes, ..] = params.cq_off;
        let sq_len = sq_array as usize + params.sq_entries as usize * size_of::<u32>();
        let cq_len = cqes as usize + params.cq_entries as usize * size_of::<Cqe>();
        let base = map(sq_len.max(cq_len), Some((fd, OFF_SQ_RING)))?;
        let sqes = map(params.sq_entries as usize * size_of::<Sqe>(), Some((fd, OFF_SQES)))?;
        for slot in 0..params.sq_entries {
            word(base, sq_array + 4 * slot).store(slot, Ordering::Relaxed);
        }
        Ok(Self {
            fd,
            enter_flags: ENTER_GETEVENTS,
            sqes: sqes.cast(),
            sq_head: word(base, sq_head),
            sq_tail: word(base, sq_tail),
            sq_entries: params.sq_entries,
            written: 0,
            taken: 0,
            // SAFETY: the kernel gave `cqes` as an offset into this mapping.
            cqes: unsafe { base.add(cqes as usize) }.cast(),
            cq_head: word(base, cq_head),
            cq_tail: word(base, cq_tail),
            cq_entries: params.cq_entries,
            reaped: 0,
        })
    }

    /// Registers structures of the layout that `what` asks for.
    fn register<T>(&self, what: u32, args: &mut [T], count: u32) -> io::Result<usize> {
        // SAFETY: the callers pass `count` such structures, and `args` outlives the call.
        check(unsafe { libc::syscall(libc::SYS_io_uring_register, self.fd, what, args.as_mut_ptr(), count) })
    }

    /// Registers the ring's own descriptor, so that an enter need not look it up (Linux 5.18).
    pub fn register_self(&mut self) -> io::Result<()> {
        // struct io_uring_rsrc_update: offset u32 (any), reserved u32, data u64; the kernel writes the index it chose.
        let mut update = [u32::MAX, 0, self.fd as u32, 0];
        self.register(REGISTER_RING_FDS, &mut update, 1)?;
        // SAFETY: reads a live local; volatile because the kernel wrote it behind the compiler's back.
        self.fd = unsafe { (&raw const update[0]).read_volatile() } as RawFd;
        self.enter_flags |= ENTER_REGISTERED_RING;
        Ok(())
    }

    /// Registers a table of `count` files, all of them free (Linux 5.5). To be called before `register_self`.
    pub fn files(&self, count: u32) -> io::Result<()> {
        self.register(REGISTER_FILES, &mut vec![-1 as RawFd; count as usize], count).map(drop)
    }

    /// Registers `count` buffers of `BUF` bytes as buffer group 0 (Linux 5.19). To be called before `register_self`.
    pub fn buffers(&self, count: u16) -> io::Result<Pool> {
        let ring = map(usize::from(count) * 16, None)?;
        // struct io_uring_buf_reg: address u64, entries u32, group u16 and flags u16, three reserved u64.
        let mut reg = [ring.as_ptr() as u64, u64::from(count), 0, 0, 0];
        self.register(REGISTER_PBUF_RING, &mut reg, 1)?;
        let mut pool = Pool { ring, memory: map(usize::from(count) * Pool::STRIDE, None)?, count, tail: 0 };
        (0..count).for_each(|id| pool.give_back(id));
        Ok(pool)
    }

    /// Queues an entry; nothing is told to the kernel before `enter`, unless the queue is full.
    pub fn push(&mut self, sqe: Sqe) -> io::Result<()> {
        while self.written.wrapping_sub(self.sq_head.load(Ordering::Acquire)) == self.sq_entries {
            self.enter(0)?;
        }
        // SAFETY: the masked index is inside the mapped array.
        let slot = unsafe { self.sqes.add((self.written & (self.sq_entries - 1)) as usize) };
        // SAFETY: the kernel has consumed this slot (the head passed it) and sees it again only after the tail moves.
        unsafe { slot.write(sqe) };
        self.written = self.written.wrapping_add(1);
        Ok(())
    }

    /// Submits everything queued and waits for `want` completions.
    pub fn enter(&mut self, want: u32) -> io::Result<()> {
        self.sq_tail.store(self.written, Ordering::Release); // pairs with the kernel's acquire of the tail
        let (new, flags) = (self.written.wrapping_sub(self.taken), self.enter_flags);
        // SAFETY: no pointers are passed; what the entries name, their owners keep until the answer.
        let res = unsafe { libc::syscall(libc::SYS_io_uring_enter, self.fd, new, want, flags, 0usize, 0usize) };
        match check(res) {
            Ok(count) => self.taken = self.taken.wrapping_add(count as u32),
            // The completions that are due make room; the loop comes back.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// The next completion, if there is one.
    pub fn pop(&mut self) -> Option<Cqe> {
        if self.reaped == self.cq_tail.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the masked index is inside the mapped array.
        let slot = unsafe { self.cqes.add((self.reaped & (self.cq_entries - 1)) as usize) };
        // SAFETY: the kernel published this entry before the tail read above, and waits for the head before reuse.
        let cqe = unsafe { slot.read_volatile() };
        self.reaped = self.reaped.wrapping_add(1);
        self.cq_head.store(self.reaped, Ordering::Release); // pairs with the kernel's acquire of the head
        Some(cqe)
    }
}

/// A registered ring of equal buffers from which the kernel picks one per receive.
pub struct Pool {
    ring: NonNull<u8>,
    memory: NonNull<u8>,
    count: u16,
    tail: u16,
}

impl Pool {
    /// A little more than a buffer, so that the first lines of all buffers do not fall into one set of the cache.
    const STRIDE: usize = crate::BUF + 192;

    /// The address of buffer `id`.
    pub fn address(&self, id: u16) -> u64 {
        self.memory.as_ptr() as u64 + u64::from(id) * Self::STRIDE as u64
    }

    /// Hands buffer `id` to the kernel again.
    pub fn give_back(&mut self, id: u16) {
        let slot = usize::from(self.tail & (self.count - 1)) * 16;
        // SAFETY: `slot` is inside the mapping of `count` 16-byte entries.
        let entry = unsafe { self.ring.add(slot) };
        // SAFETY: address, length and id are the entry's first 14 bytes; the kernel reads them after the tail moves.
        unsafe { entry.cast::<[u32; 3]>().write(self.words(id)) };
        // SAFETY: byte 12 of the entry is inside it.
        let name = unsafe { entry.add(12) };
        // SAFETY: as above; the last two bytes are left alone, because those of entry 0 are the shared tail.
        unsafe { name.cast::<u16>().write(id) };
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: byte 14 is inside entry 0.
        let tail = unsafe { self.ring.add(14) };
        // SAFETY: an aligned word of a mapping that stays until exit, used atomically by both sides.
        let tail: &AtomicU16 = unsafe { tail.cast().as_ref() };
        tail.store(self.tail, Ordering::Release); // pairs with the kernel's acquire of the tail
    }

    fn words(&self, id: u16) -> [u32; 3] {
        let address = self.address(id);
        [address as u32, (address >> 32) as u32, crate::BUF as u32]
    }
}
