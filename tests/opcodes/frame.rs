//! What the rows share: a ring with a table of files, a folder of their own, and the system's answers.

use annulus::{
    entry::OPCODES,
    ring::{Cancel, Cqe, Features, FixedFile, Probe, Ring, Sqe},
    sys,
};
use std::{
    ffi::CString,
    fmt, fs, io,
    io::Write,
    os::{fd::RawFd, unix::ffi::OsStrExt},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// One opcode.
pub(crate) struct Row {
    /// Its name, without `IORING_OP_`.
    pub(crate) op: &'static str,
    /// Whether it has a twin in the library.
    pub(crate) twin: bool,
    /// Carries it out, at least once with success and once with an error, and panics where the ring and the system call
    /// disagree. `Err`: the kernel has the opcode and refuses it here, with this errno; the row has made sure that
    /// nothing else was to be expected.
    pub(crate) run: fn(&mut Rig) -> Result<(), i32>,
}

/// What came of a row.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It did what its twin does.
    Agreed,
    /// It did what it should; there is no twin.
    NoTwin,
    /// The kernel does not carry it out.
    Refused(i32),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Agreed => f.write_str("ran here and agreed with its twin"),
            Outcome::NoTwin => f.write_str("ran here, no twin"),
            Outcome::Refused(errno) => {
                write!(f, "refused by this kernel with {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

/// A ring, and what rows need beside it.
pub(crate) struct Rig {
    pub(crate) ring: Ring,
    probe: Probe,
    folder: PathBuf,
    /// The first byte of [`Rig::memory`].
    pub(crate) at: *mut u8,
}

/// The places in the ring's table of files. All are empty when a row begins, and when it ends.
pub(crate) const PLACES: u32 = 16;

/// The bytes of a rig's memory.
pub(crate) const MEMORY: usize = 4096;

/// What comes of what is cancelled while it waits.
pub(crate) const GIVEN_UP: (i32, i32) = (0, -libc::ECANCELED);

/// The longest that anything may take.
pub(crate) const LONG: Duration = Duration::from_secs(20);

impl Rig {
    /// A rig, or a line that says why there is none: only for want of io_uring.
    pub(crate) fn or_skip(name: &str) -> Option<Rig> {
        let ring = match Ring::new(64) {
            Ok(ring) => ring,
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                let _ = writeln!(io::stderr(), "SKIP {name}: {e}");
                return None;
            }
            Err(e) => panic!("{name}: {e}"),
        };
        let mut none = [-1i32; PLACES as usize];
        // SAFETY: Kernel's word: as many numbers as are said, which the kernel reads before the call returns.
        unsafe { ring.register(sys::IORING_REGISTER_FILES, none.as_mut_ptr().cast(), PLACES) }.unwrap();
        let at = Box::leak(Box::new([0u8; MEMORY])).as_mut_ptr();
        let mut vec = libc::iovec { iov_base: at.cast(), iov_len: MEMORY };
        // SAFETY: Kernel's word: one buffer, of memory that is never freed.
        unsafe { ring.register(sys::IORING_REGISTER_BUFFERS, (&raw mut vec).cast(), 1) }.unwrap();
        static RIGS: AtomicU32 = AtomicU32::new(0);
        let number = RIGS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("annulus-opcodes-{}-{number}", std::process::id()));
        Some(Rig { probe: ring.probe().unwrap(), ring, folder, at })
    }

    /// Memory that is never freed, and registered as buffer 0. What a row reads into lies here, or is leaked.
    pub(crate) fn memory(&mut self) -> &mut [u8; MEMORY] {
        // SAFETY: the rig has leaked it, and no request is in flight while a row looks at it.
        unsafe { &mut *self.at.cast() }
    }

    /// Whether this kernel has another opcode: one that came with something that is no opcode.
    pub(crate) fn has(&self, op: &str) -> bool {
        self.probe.supports(number(op))
    }

    pub(crate) fn outcome(&mut self, row: &Row) -> Outcome {
        assert_eq!(row.twin, OPCODES[usize::from(number(row.op))].twin.is_some(), "what the library says");
        if !self.has(row.op) {
            assert_eq!(self.run(Sqe { opcode: number(row.op), ..Sqe::default() }), -libc::EINVAL, "{}", row.op);
            return Outcome::Refused(libc::EINVAL);
        }
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir(&self.folder).unwrap();
        match (row.run)(self) {
            Err(errno) => Outcome::Refused(errno),
            Ok(()) if row.twin => Outcome::Agreed,
            Ok(()) => Outcome::NoTwin,
        }
    }

    /// Queues an entry. Whatever it names has to outlive its completion, which the row waits for.
    pub(crate) fn push(&mut self, sqe: Sqe) {
        // SAFETY: Lent: by this function's contract; a row that panics before ends the test, and its memory is leaked
        // or its request was one that had ended.
        unsafe { self.ring.push(&sqe) }.unwrap();
    }

    /// Submits, and waits for `n` completions, in the order of their coming.
    pub(crate) fn answers(&mut self, n: usize) -> Vec<Cqe> {
        let (begun, mut all) = (Instant::now(), Vec::new());
        while all.len() < n {
            if self.ring.features().contains(Features::EXT_ARG) {
                self.ring.wait_timeout(1, Duration::from_millis(100)).unwrap();
            } else {
                self.ring.submit_and_wait(1).unwrap();
            }
            all.extend(self.ring.completions().take(n - all.len()));
            assert!(begun.elapsed() < LONG, "{n} are due, and these came: {all:?}");
        }
        all
    }

    /// Carries out one entry that is answered once.
    pub(crate) fn cqe(&mut self, sqe: Sqe) -> Cqe {
        self.push(sqe.user_data(0xfeed));
        let cqe = self.answers(1)[0];
        assert_eq!((cqe.user_data, cqe.is_final()), (0xfeed, true), "{sqe:?}");
        cqe
    }

    /// Its result: what the system call would give, or `-errno`.
    pub(crate) fn run(&mut self, sqe: Sqe) -> i32 {
        self.cqe(sqe).res
    }

    /// Starts an entry that has to wait, and cancels it: what comes of the cancellation, and of the entry.
    pub(crate) fn given_up(&mut self, sqe: Sqe) -> (i32, i32) {
        self.push(sqe.user_data(1));
        assert_eq!(self.ring.submit().unwrap(), 1);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(self.ring.ready(), 0, "it waits: {sqe:?}");
        self.push(Sqe::cancel(Cancel::user_data(1)).user_data(2));
        let mut both = self.answers(2);
        both.sort_by_key(|cqe| cqe.user_data);
        assert!(both[0].is_final(), "{both:?}");
        (both[1].res, both[0].res)
    }

    /// Puts a file into the table, or with -1 none.
    pub(crate) fn put(&mut self, place: FixedFile, fd: RawFd) {
        let data = (&raw const fd) as u64;
        let mut update = sys::io_uring_rsrc_update { offset: place.0, resv: 0, data };
        let arg = (&raw mut update).cast();
        // SAFETY: Kernel's word: one number, which the kernel reads before the call returns.
        let done = unsafe { self.ring.register(sys::IORING_REGISTER_FILES_UPDATE, arg, 1) };
        assert_eq!(done.unwrap(), 1);
    }

    /// A path in the folder of this test.
    pub(crate) fn path(&self, name: &str) -> CString {
        CString::new(self.folder.join(name).as_os_str().as_bytes()).unwrap()
    }

    /// A file in that folder, open for reading and writing, with `text` in it.
    pub(crate) fn file(&self, name: &str, text: &[u8]) -> fs::File {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::File::options().read(true).write(true).open(path).unwrap()
    }
}

/// The number of an opcode.
fn number(op: &str) -> u8 {
    annulus::sys::names::OPCODES.iter().position(|&name| name == op).expect("an opcode") as u8
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a system call has answered, as a completion has it: its result or `-errno`.
pub(crate) fn answer(result: impl TryInto<i64>) -> i32 {
    match result.try_into() {
        Ok(result @ 0..) => result as i32,
        _ => -io::Error::last_os_error().raw_os_error().unwrap(),
    }
}
