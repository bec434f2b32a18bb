//! One step: as an entry and as a call.

use super::world::World;
use annulus::{
    ring::{Sqe, SqeFlags},
    sys,
};
use std::{ffi::CStr, fmt, io, mem, os::fd::RawFd};

/// Names that a program can speak of.
const NAMES: [&CStr; 12] = [c"a", c"b", c"d", c"d/x", c"d/y", c"e", c"e/z", c"l", c"l/x", c"a/b", c".", c"d/../a"];

const OPEN: [i32; 8] = [
    libc::O_RDONLY,
    libc::O_RDWR | libc::O_CREAT,
    libc::O_WRONLY | libc::O_TRUNC,
    libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
    libc::O_RDWR | libc::O_APPEND,
    libc::O_RDONLY | libc::O_DIRECTORY,
    libc::O_RDWR | libc::O_NOFOLLOW,
    libc::O_PATH,
];

const ROOM: [i32; 4] = [
    0,
    libc::FALLOC_FL_KEEP_SIZE,
    libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE,
    libc::FALLOC_FL_PUNCH_HOLE, // refused
];

const RENAME: [u32; 3] = [0, libc::RENAME_NOREPLACE, libc::RENAME_EXCHANGE];

macro_rules! kinds {
    ($($kind:ident = $opcode:ident),* $(,)?) => {
        /// What a step does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind),* }

        const KINDS: &[Kind] = &[$(Kind::$kind),*];

        impl Kind {
            pub(crate) fn opcode(self) -> u8 {
                match self { $(Kind::$kind => sys::$opcode as u8),* }
            }
        }
    };
}

kinds! {
    Nop = IORING_OP_NOP,
    Open = IORING_OP_OPENAT,
    Close = IORING_OP_CLOSE,
    Read = IORING_OP_READ,
    Write = IORING_OP_WRITE,
    ReadAt = IORING_OP_READ,
    WriteAt = IORING_OP_WRITE,
    Fsync = IORING_OP_FSYNC,
    Stat = IORING_OP_STATX,
    StatFd = IORING_OP_STATX,
    Truncate = IORING_OP_FTRUNCATE,
    Allocate = IORING_OP_FALLOCATE,
    Rename = IORING_OP_RENAMEAT,
    Unlink = IORING_OP_UNLINKAT,
    Mkdir = IORING_OP_MKDIRAT,
    Link = IORING_OP_LINKAT,
    Symlink = IORING_OP_SYMLINKAT,
    Send = IORING_OP_SEND,
    Recv = IORING_OP_RECV,
    Timeout = IORING_OP_TIMEOUT,
    Shutdown = IORING_OP_SHUTDOWN,
}

/// A step in one of the worlds. What it lends lies behind pointers of its own.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) slot: Option<usize>,
    pub(crate) flags: SqeFlags,
    pub(crate) result: i32,
    /// Three bytes that mean something to each kind.
    args: [u8; 3],
    fd: RawFd,
    dir: RawFd,
    is_stream: bool,
    buf: Vec<u8>,
    lent: Box<Lent>,
}

/// What the kernel writes and reads beside the buffer.
struct Lent {
    stat: libc::statx,
    time: sys::__kernel_timespec,
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

impl Job {
    pub(crate) fn nop() -> Job {
        // SAFETY: Plain bytes: structures of integers.
        let lent = Box::new(unsafe { mem::zeroed() });
        let (kind, slot, flags, buf) = (Kind::Nop, None, SqeFlags::empty(), Vec::new());
        Job { kind, slot, flags, result: 0, args: [0; 3], fd: -1, dir: -1, is_stream: false, buf, lent }
    }

    /// A step that is about an empty slot does nothing.
    pub(crate) fn new(step: &[u8; 5], world: &World) -> Job {
        let kind = KINDS[usize::from(step[0]) % KINDS.len()];
        let mut job = Job { kind, args: [step[1], step[2], step[3]], dir: world.root(), ..Job::nop() };
        use Kind::*;
        if matches!(
            kind,
            Close | Read | Write | ReadAt | WriteAt | Fsync | StatFd | Truncate | Allocate | Send | Recv | Shutdown
        ) {
            let slot = usize::from(step[1]) % super::world::SLOTS;
            let Some(fd) = world.fd(slot) else { return Job::nop() };
            (job.fd, job.slot, job.is_stream) = (fd, Some(slot), world.is_stream(slot));
        }
        if matches!(kind, Read | Write | ReadAt | WriteAt | Send | Recv) {
            let len = 1 + usize::from(step[2]) * if step[3] & 1 == 0 { 1 } else { 33 };
            job.buf = (0..len).map(|i| step[3].wrapping_add(i as u8)).collect();
        }
        job
    }

    /// Where an opened file goes.
    pub(crate) fn place(&self) -> Option<usize> {
        (self.kind == Kind::Open && self.result >= 0).then_some(usize::from(self.args[2]) % super::world::SLOTS)
    }

    pub(crate) fn makes_descriptor(&self) -> bool {
        self.kind == Kind::Open
    }

    /// Whether a soft link ends here. `None`: kernels differ in whether such an error ends it.
    pub(crate) fn ends_chain(&self, res: i32) -> Option<bool> {
        match self.kind {
            Kind::Read | Kind::Write | Kind::ReadAt | Kind::WriteAt => Some(res != self.buf.len() as i32),
            Kind::Open | Kind::Close | Kind::Send | Kind::Recv | Kind::Nop | Kind::Timeout => Some(res < 0),
            _ => (res >= 0).then_some(false),
        }
    }

    /// Whether both jobs' memory is the same, the part beyond the result included.
    pub(crate) fn same_memory(&self, other: &Job) -> bool {
        let [a, b] = [&self.lent.stat, &other.lent.stat];
        let is_dir = u32::from(a.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        let sizes = is_dir || a.stx_size == b.stx_size;
        let numbers = |s: &libc::statx| (s.stx_mask, s.stx_mode, s.stx_nlink, s.stx_uid, s.stx_attributes_mask);
        self.buf == other.buf && numbers(a) == numbers(b) && sizes
    }

    fn name(&self, arg: usize) -> &'static CStr {
        NAMES[usize::from(self.args[arg]) % NAMES.len()]
    }

    fn offset(&self) -> u64 {
        // Pipes and sockets have no positions.
        if self.is_stream { u64::MAX } else { u64::from(self.args[1] ^ self.args[2]) * 7 }
    }

    fn open_flags(&self) -> i32 {
        OPEN[usize::from(self.args[1]) % OPEN.len()] | libc::O_CLOEXEC | libc::O_NONBLOCK
    }

    fn size(&self) -> u64 {
        u64::from(self.args[1]) * 17
    }

    fn mode(&self) -> u32 {
        0o600 | u32::from(self.args[1]) & 0o77
    }

    fn at_flags(&self) -> i32 {
        if self.args[1] & 1 == 0 { 0 } else { libc::AT_REMOVEDIR }
    }

    fn how(&self) -> i32 {
        i32::from(self.args[1] % 4)
    }

    fn rename_flags(&self) -> u32 {
        RENAME[usize::from(self.args[2]) % RENAME.len()]
    }

    fn room_mode(&self) -> i32 {
        ROOM[usize::from(self.args[2]) % ROOM.len()]
    }

    /// A ring waits for a pipe or a socket although its descriptor says not to; so the entry says it, too.
    fn at_once(&self, sqe: Sqe) -> Sqe {
        Sqe { op_flags: if self.is_stream { libc::RWF_NOWAIT as u32 } else { 0 }, ..sqe }
    }

    /// Whether the step moves bytes of a pipe or a socket by what can wait.
    pub(crate) fn may_wait(&self) -> bool {
        self.is_stream && matches!(self.kind, Kind::Read | Kind::Write | Kind::ReadAt | Kind::WriteAt)
    }

    /// The step as an entry.
    pub(crate) fn sqe(&mut self) -> Sqe {
        let (fd, dir, len) = (self.fd, self.dir, self.buf.len() as u32);
        let (a, b) = (self.name(0).as_ptr(), self.name(1).as_ptr());
        let (out, stat) = (self.buf.as_mut_ptr(), &raw mut self.lent.stat);
        let message = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        match self.kind {
            Kind::Nop => Sqe::nop(),
            Kind::Open => Sqe::openat(dir, a, self.open_flags(), 0o640),
            Kind::Close => Sqe::close(fd),
            Kind::Read => self.at_once(Sqe::read(fd, out, len, u64::MAX)),
            Kind::Write => self.at_once(Sqe::write(fd, out, len, u64::MAX)),
            Kind::ReadAt => self.at_once(Sqe::read(fd, out, len, self.offset())),
            Kind::WriteAt => self.at_once(Sqe::write(fd, out, len, self.offset())),
            Kind::Fsync => Sqe::fsync(fd, self.args[1] & 1 != 0),
            Kind::Stat => Sqe::statx(dir, a, libc::AT_SYMLINK_NOFOLLOW, libc::STATX_BASIC_STATS, stat.cast()),
            Kind::StatFd => Sqe::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_BASIC_STATS, stat.cast()),
            Kind::Truncate => Sqe::ftruncate(fd, self.size()),
            Kind::Allocate => Sqe::fallocate(fd, self.room_mode(), self.offset(), self.size()),
            Kind::Rename => Sqe::renameat((dir, a), (dir, b), self.rename_flags()),
            Kind::Unlink => Sqe::unlinkat(dir, a, self.at_flags()),
            Kind::Mkdir => Sqe::mkdirat(dir, a, self.mode()),
            Kind::Link => Sqe::linkat((dir, a), (dir, b), 0),
            Kind::Symlink => Sqe::symlinkat(a, dir, b),
            Kind::Send => Sqe::send(fd, out, len, message),
            Kind::Recv => Sqe::recv(fd, out, len, message),
            Kind::Timeout => Sqe::timeout(&raw const self.lent.time),
            Kind::Shutdown => Sqe::shutdown(fd, self.how()),
        }
    }

    /// The step as a call: what it gives, or minus its error.
    pub(crate) fn call(&mut self) -> i32 {
        let (fd, dir, len) = (self.fd, self.dir, self.buf.len());
        let (a, b) = (self.name(0).as_ptr(), self.name(1).as_ptr());
        let (out, stat) = (self.buf.as_mut_ptr().cast(), &raw mut self.lent.stat);
        let message = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let (at, basic) = (self.offset() as i64, libc::STATX_BASIC_STATS);
        // SAFETY: Plain call, each of them: names are constants, and the rest is this job's own.
        #[allow(clippy::multiple_unsafe_ops_per_block, reason = "one call of many, all for the same reason")]
        let n = unsafe {
            match self.kind {
                Kind::Nop => 0,
                Kind::Open => i64::from(libc::openat(dir, a, self.open_flags(), 0o640)),
                Kind::Close => libc::close(fd).into(),
                Kind::Read => libc::read(fd, out, len) as i64,
                Kind::Write => libc::write(fd, out, len) as i64,
                Kind::ReadAt if self.is_stream => libc::read(fd, out, len) as i64,
                Kind::WriteAt if self.is_stream => libc::write(fd, out, len) as i64,
                Kind::ReadAt => libc::pread(fd, out, len, at as libc::off_t) as i64,
                Kind::WriteAt => libc::pwrite(fd, out, len, at as libc::off_t) as i64,
                Kind::Fsync if self.args[1] & 1 != 0 => libc::fdatasync(fd).into(),
                Kind::Fsync => libc::fsync(fd).into(),
                Kind::Stat => libc::statx(dir, a, libc::AT_SYMLINK_NOFOLLOW, basic, stat).into(),
                Kind::StatFd => libc::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, basic, stat).into(),
                Kind::Truncate => libc::ftruncate(fd, self.size() as libc::off_t).into(),
                Kind::Allocate => {
                    libc::fallocate(fd, self.room_mode(), at as libc::off_t, self.size() as libc::off_t).into()
                }
                Kind::Rename => libc::syscall(libc::SYS_renameat2, dir, a, dir, b, self.rename_flags()) as i64,
                Kind::Unlink => libc::unlinkat(dir, a, self.at_flags()).into(),
                Kind::Mkdir => libc::mkdirat(dir, a, self.mode()).into(),
                Kind::Link => libc::linkat(dir, a, dir, b, 0).into(),
                Kind::Symlink => libc::symlinkat(a, dir, b).into(),
                Kind::Send => libc::send(fd, out, len, message) as i64,
                Kind::Recv => libc::recv(fd, out, len, message) as i64,
                Kind::Timeout => return -libc::ETIME,
                Kind::Shutdown => libc::shutdown(fd, self.how()).into(),
            }
        };
        if n < 0 { -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { n as i32 }
    }
}
