//! What the soundness tests have in common: memory that notices a late write, and counted descriptors.
//!
//! A write by the kernel is invisible to a sanitizer, so [`Guarded`] memory looks after itself. It has pages of its own
//! between two that nobody may touch. When it is dropped it is not given back: it is filled with a canary and kept, and
//! whoever still writes there changes the canary.

#![allow(dead_code, reason = "each test file uses a part of this")]

use annulus::{
    Builder, DriverKind, Fd, Runtime,
    buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::CStr,
    fs::File,
    future::{Future, poll_fn},
    io::{self, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::PathBuf,
    pin::Pin,
    ptr,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

const PAGE: usize = 4096;

/// What lent memory is filled with before an operation writes to it.
pub(crate) const FRESH: u8 = 0xA5;
/// What memory is filled with after its drop.
pub(crate) const CANARY: u8 = 0xC7;
/// What the tests send.
pub(crate) const DATA: u8 = b'd';

/// Where dropped buffers lie, and how many there have been.
#[derive(Debug, Default)]
pub(crate) struct Yard {
    graves: RefCell<Vec<Pages>>,
    made: Cell<usize>,
    freed: Cell<usize>,
}

impl Yard {
    pub(crate) fn new() -> Rc<Yard> {
        Rc::default()
    }

    /// A buffer of `len` bytes, none of them initialised as far as a reader goes.
    pub(crate) fn buffer(self: &Rc<Yard>, len: usize) -> Guarded {
        self.made.set(self.made.get() + 1);
        Guarded { pages: Some(Pages::new(len)), init: 0, yard: self.clone() }
    }

    /// A buffer of `len` bytes of [`DATA`], to be sent.
    pub(crate) fn message(self: &Rc<Yard>, len: usize) -> Guarded {
        let mut buf = self.buffer(len);
        buf.pages.as_ref().unwrap().fill(DATA);
        buf.init = len;
        buf
    }

    /// Buffers that were dropped.
    pub(crate) fn freed(&self) -> usize {
        self.freed.get()
    }

    /// Buffers that were not.
    pub(crate) fn alive(&self) -> usize {
        self.made.get() - self.freed.get()
    }

    /// Dropped buffers that somebody has written to.
    pub(crate) fn changed(&self) -> usize {
        self.graves.borrow().iter().filter(|pages| pages.is_other_than(CANARY)).count()
    }

    /// Gives the dropped buffers' memory back.
    pub(crate) fn sweep(&self) {
        self.graves.borrow_mut().clear();
    }
}

/// Pages between two guards.
#[derive(Debug)]
struct Pages {
    map: *mut u8,
    len: usize,
}

impl Pages {
    fn mapped(&self) -> usize {
        self.len.next_multiple_of(PAGE) + 2 * PAGE
    }

    fn new(len: usize) -> Pages {
        let mut pages = Pages { map: ptr::null_mut(), len };
        let (flags, room) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, pages.mapped());
        // SAFETY: a new mapping replaces nothing.
        let map = unsafe { libc::mmap(ptr::null_mut(), room, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED);
        pages.map = map.cast();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the pages between the guards are in the mapping just made.
        let opened = unsafe { libc::mprotect(pages.start().cast(), room - 2 * PAGE, access) };
        assert_eq!(opened, 0);
        pages.fill(FRESH);
        pages
    }

    /// The bytes end where the second guard begins when `len` is a multiple of a page, and begin at a page always.
    fn start(&self) -> *mut u8 {
        self.map.wrapping_add(PAGE)
    }

    fn fill(&self, byte: u8) {
        // SAFETY: the pages are mapped for as long as `self` lives, and the tests hold no reference to them.
        unsafe { ptr::write_bytes(self.start(), byte, self.len) };
    }

    /// Whether some byte is no longer `byte`. Of large memory, one byte of each sector is looked at.
    fn is_other_than(&self, byte: u8) -> bool {
        let step = if self.len > 1 << 16 { 512 } else { 1 };
        (0..self.len).step_by(step).any(|i| peek(self.start(), i) != byte)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: nobody has a pointer into the mapping any more that would be used.
        unsafe { libc::munmap(self.map.cast(), self.mapped()) };
    }
}

/// Byte `i` of memory that a kernel or another thread may be writing to.
pub(crate) fn peek(start: *const u8, i: usize) -> u8 {
    // SAFETY: the tests look at memory that they have mapped; volatile, because others write there.
    unsafe { start.wrapping_add(i).read_volatile() }
}

/// A buffer that becomes a canary when it is dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    pages: Option<Pages>,
    init: usize,
    yard: Rc<Yard>,
}

impl Guarded {
    pub(crate) fn start(&self) -> *mut u8 {
        self.pages.as_ref().unwrap().start()
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.as_ref().unwrap().len
    }

    /// Whether the first `n` bytes are [`DATA`] and the buffer has been told of so many.
    pub(crate) fn has(&self, n: usize) -> bool {
        n <= self.init && (0..n).all(|i| peek(self.start(), i) == DATA)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let pages = self.pages.take().unwrap();
        pages.fill(CANARY);
        self.yard.freed.set(self.yard.freed.get() + 1);
        self.yard.graves.borrow_mut().push(pages);
    }
}

// SAFETY: Steady: the pages do not move. Filled: they are all initialised, and this buffer's alone.
unsafe impl IoBuf for Guarded {
    fn read_ptr(&self) -> *const u8 {
        self.start()
    }

    fn bytes_init(&self) -> usize {
        self.init
    }
}

// SAFETY: as above, and they may be written to.
unsafe impl IoBufMut for Guarded {
    fn write_ptr(&mut self) -> *mut u8 {
        self.start()
    }

    fn bytes_total(&mut self) -> usize {
        self.len()
    }

    unsafe fn set_init(&mut self, pos: usize) {
        self.init = pos;
    }
}

/// Two guarded buffers in one operation.
#[derive(Debug)]
pub(crate) struct Parts {
    iovecs: Vec<libc::iovec>,
    pub(crate) bufs: [Guarded; 2],
}

impl From<[Guarded; 2]> for Parts {
    fn from(bufs: [Guarded; 2]) -> Parts {
        let iovec = |buf: &Guarded| libc::iovec { iov_base: buf.start().cast(), iov_len: buf.len() };
        Parts { iovecs: bufs.iter().map(iovec).collect(), bufs }
    }
}

// SAFETY: Steady and Filled: the entries lie on the heap, and each part is a guarded buffer.
unsafe impl IoVecBuf for Parts {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.iovecs.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.iovecs.len()
    }
}

// SAFETY: as above, and no part overlaps the other.
unsafe impl IoVecBufMut for Parts {
    fn write_iovec_ptr(&mut self) -> *mut libc::iovec {
        self.iovecs.as_mut_ptr()
    }

    fn write_iovec_len(&mut self) -> usize {
        self.iovecs.len()
    }

    unsafe fn set_init(&mut self, pos: usize) {
        let first = pos.min(self.bufs[0].len());
        self.bufs[0].init = first;
        self.bufs[1].init = pos - first;
    }
}

/// Keeps the other tests of this file away: descriptors are counted for the whole process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test on each driver; without io_uring, one of them is skipped.
pub(crate) fn on_both(name: &str, test: impl Fn(DriverKind)) {
    let _alone = alone();
    for kind in [DriverKind::Uring, DriverKind::Poll] {
        if try_runtime(name, Builder::new().driver(kind).entries(8)).is_some() {
            test(kind);
        }
    }
}

/// A runtime, or a line that says why the test is skipped.
pub(crate) fn try_runtime(name: &str, builder: Builder) -> Option<Runtime> {
    for _ in 0..200 {
        match builder.clone().build() {
            Ok(runtime) => return Some(runtime),
            // The memory of closed rings is credited late.
            Err(e) if e.kind() == std::io::ErrorKind::OutOfMemory => thread::sleep(Duration::from_millis(10)),
            Err(e) => {
                let _ = writeln!(std::io::stderr(), "SKIP {name}: {e}");
                return None;
            }
        }
    }
    panic!("no memory for a ring");
}

/// A runtime with a ring of `entries`.
pub(crate) fn runtime(kind: DriverKind, entries: u32) -> Runtime {
    let runtime = try_runtime("runtime", Builder::new().driver(kind).entries(entries)).expect("there was one before");
    assert_eq!(runtime.driver().kind(), kind);
    runtime
}

/// Every open descriptor of the process, and what it is.
#[cfg(target_os = "linux")]
pub(crate) fn descriptors() -> BTreeMap<i32, String> {
    use std::fs;
    let name = |entry: fs::DirEntry| {
        let fd = entry.file_name().to_str()?.parse().ok()?;
        Some((fd, fs::read_link(entry.path()).ok()?.display().to_string()))
    };
    let all = fs::read_dir("/proc/self/fd").unwrap();
    let mut all: BTreeMap<i32, String> = all.filter_map(|entry| name(entry.unwrap())).collect();
    // The folder itself is open while it is read.
    all.retain(|_, what| !what.starts_with("/proc/"));
    if cfg!(annulus_kqueue = "emulated") {
        // What a closed queue was made of closes when the next one is made: nobody tells the emulation sooner.
        all.retain(|_, what| !what.starts_with("anon_inode:[event"));
    }
    all
}

/// Every open descriptor of the process. Nothing lists them on all systems, and tests have few.
#[cfg(not(target_os = "linux"))]
pub(crate) fn descriptors() -> BTreeMap<i32, String> {
    // SAFETY: a plain call, which any number may be given to.
    let is_open = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
    (0..4096).filter(is_open).map(|fd| (fd, "open".into())).collect()
}

/// Fails when there are more descriptors than there were. The kernel closes some a moment after their last holder went.
#[track_caller]
pub(crate) fn no_more_than(before: &BTreeMap<i32, String>, what: &str) {
    let start = Instant::now();
    while descriptors().len() > before.len() {
        if start.elapsed() > Duration::from_secs(2) {
            let mut now = descriptors();
            now.retain(|fd, name| before.get(fd) != Some(name));
            panic!("{what}: descriptors leaked: {now:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Drops a runtime, which must not take long.
#[track_caller]
pub(crate) fn end(runtime: Runtime, what: &str) {
    let start = Instant::now();
    drop(runtime);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{what}: the runtime's end took {took:?}");
}

/// Polls once, and says whether that gave the output.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits until the driver has no operation; `false` if that does not come.
pub(crate) async fn settle() -> bool {
    for _ in 0..2000 {
        if annulus::metrics().driver.slots == 0 {
            return true;
        }
        annulus::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

/// Lets the driver work for a moment. One sleep may be over before it begins, where this thread does not get its time.
pub(crate) async fn a_moment() {
    for _ in 0..3 {
        annulus::yield_now().await;
    }
    let before = annulus::metrics().driver.turns;
    for _ in 0..1000 {
        annulus::time::sleep(Duration::from_millis(1)).await;
        if annulus::metrics().driver.turns > before {
            return;
        }
    }
    panic!("the driver has no turn");
}

/// Two connected sockets: ours, and one of std.
pub(crate) fn socket_pair() -> (Fd, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    (Fd::new(a.into()), b)
}

/// A terminal: its keyboard, and where that is read. A read has no readiness that the poll driver could use, and keeps
/// a thread.
pub(crate) fn terminal() -> (File, Fd) {
    // SAFETY: a plain call.
    let master = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(master >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel just made it.
    let master = unsafe { OwnedFd::from_raw_fd(master) };
    // SAFETY: a plain call on an open descriptor.
    assert_eq!(unsafe { libc::grantpt(master.as_raw_fd()) }, 0);
    // SAFETY: likewise.
    assert_eq!(unsafe { libc::unlockpt(master.as_raw_fd()) }, 0);
    // SAFETY: a plain call; the answer is the process's, and tests that ask are alone.
    let name = unsafe { libc::ptsname(master.as_raw_fd()) };
    assert!(!name.is_null(), "{}", io::Error::last_os_error());
    // SAFETY: it is not null, so it ends with a NUL.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
    let slave = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name).unwrap();
    (File::from(master), Fd::new(slave.into()))
}

/// A path that nobody else uses, on a file system with blocks.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}
