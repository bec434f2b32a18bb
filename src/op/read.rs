//! `read(2)`: `IORING_OP_READ`, since Linux 5.6. On a file the twin takes what is in the page cache at once and runs on
//! the pool otherwise, elsewhere it waits for readiness.
//! Into a registered buffer: `IORING_OP_READ_FIXED`, where the ring knows it.

use crate::{
    buf::{BufResult, Fixed, IoBufMut},
    driver::Fd,
    entry::{BufIndex, Cqe, Interest, Sqe, Target, Twin},
    op::{HERE, Op, Submit, by_kind, clamp, place, submit},
    sys::{
        self,
        unix::{self, ret},
    },
};
use std::os::fd::AsRawFd;

impl Sqe {
    /// Reads up to `len` bytes at `offset` (`u64::MAX`: at the file's own position) into `buf`. How else it is to be
    /// done says [`rw_flags`](Sqe::rw_flags).
    ///
    /// *Result*: the number of bytes, 0 at the end. Of a file it is only short at the end; short of `len`, it breaks a
    /// chain. Takes a buffer from a [group](Sqe::buffer_select) since Linux 5.7; for many answers see
    /// `Sqe::read_multishot`. *Since* Linux 5.6. *Cancel*: while it waits; of a file, before a worker
    /// has it, and not once a device has it. *Twin*: `read(2)`, `pread(2)`.
    #[must_use]
    pub fn read(fd: impl Target, buf: *mut u8, len: u32, offset: u64) -> Sqe {
        fd.aim(Sqe { opcode: sys::IORING_OP_READ as u8, off: offset, addr: buf as u64, len, ..Sqe::default() })
    }

    /// The same into memory that the ring knows as its registered buffer `index`: all of `buf` has to lie in it.
    ///
    /// *Result*: as that of [`read`](Sqe::read), but no buffers of groups; `EFAULT` for what lies elsewhere, or an
    /// index of nothing. *Since* Linux 5.1. *Cancel*: as there. *Twin*: `read(2)`, `pread(2)`.
    #[must_use]
    pub fn read_fixed(fd: impl Target, buf: *mut u8, len: u32, offset: u64, index: BufIndex) -> Sqe {
        by_index(Sqe::read(fd, buf, len, offset), index)
    }
}

/// The same entry, with its memory named by where it is registered.
fn by_index(sqe: Sqe, index: BufIndex) -> Sqe {
    Sqe { opcode: sys::IORING_OP_READ_FIXED as u8, buf_index: index.0, ..sqe }
}

static ON_FILE: Twin = Twin::pool(call).after(&CACHED);
static CACHED: Twin = Twin::here(call_cached);
static ON_SOCKET: Twin = Twin::ready(Interest::Read, call_socket);
static ON_STREAM: Twin = Twin::ready(Interest::Read, call_stream).or(&ON_FILE);

unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (buf, len) = (sqe.addr as *mut libc::c_void, sqe.len as usize);
    // SAFETY: Lent: `addr..addr + len` is writable until completion.
    let here = || unsafe { libc::read(sqe.fd, buf, len) };
    match sqe.off {
        HERE => ret(here()),
        // SAFETY: Lent: the same bytes, read at a place of their own.
        offset => unix::or_here(unsafe { libc::pread(sqe.fd, buf, len, unix::offset(offset)) }, here),
    }
}

unsafe fn call_cached(sqe: &Sqe, _attempt: u32) -> i32 {
    let (iov_base, len) = (sqe.addr as *mut libc::c_void, sqe.len as usize);
    let iov = libc::iovec { iov_base, iov_len: len };
    // SAFETY: Lent: the buffer is writable until completion; the array of one lives until the call returns.
    unsafe { unix::preadv_cached(sqe.fd, &iov, 1, len, sqe.off) }
}

unsafe fn call_socket(sqe: &Sqe, _attempt: u32) -> i32 {
    let (buf, len) = (sqe.addr as *mut libc::c_void, sqe.len as usize);
    if len == 0 {
        // `read(2)` of nothing gives nothing; `recv(2)` of nothing waits for something.
        return 0;
    }
    // SAFETY: Lent: a socket writes to the buffer while the call lasts, and it is the operation's for longer.
    ret(unsafe { libc::recv(sqe.fd, buf, len, libc::MSG_DONTWAIT) })
}

unsafe fn call_stream(sqe: &Sqe, _attempt: u32) -> i32 {
    let iov = libc::iovec { iov_base: sqe.addr as *mut libc::c_void, iov_len: sqe.len as usize };
    // SAFETY: Lent: the one buffer is writable until completion; the array lives until the call returns.
    unsafe { unix::readv_nowait(sqe.fd, &iov, 1) }
}

/// A read, as an operation.
#[derive(Debug)]
pub struct Read<B> {
    fd: Fd,
    buf: B,
    len: u32,
    offset: u64,
}

// SAFETY: Lent: `B: IoBufMut` keeps its bytes in place while it is moved, and `len` of them are its own.
unsafe impl<B: IoBufMut> Op for Read<B> {
    type Output = BufResult<usize, B>;

    fn twin(&self) -> &'static Twin {
        by_kind(&self.fd, self.offset, [&ON_FILE, &ON_STREAM, &ON_SOCKET])
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn encode(&mut self) -> Sqe {
        self.len = clamp(self.buf.bytes_total());
        Sqe::read(self.fd.as_raw_fd(), self.buf.write_ptr(), self.len, self.offset)
    }

    fn fixed(&self) -> Option<Fixed> {
        self.buf.fixed()
    }

    fn fix(sqe: Sqe, index: BufIndex) -> Sqe {
        by_index(sqe, index)
    }

    fn finish(mut self, cqe: Cqe) -> Self::Output {
        let n = cqe.result().map(|n| n.min(self.len) as usize);
        if let Ok(n) = n {
            // SAFETY: Told: the kernel or the twin wrote `n` bytes, and `n` is no more than was offered.
            unsafe { self.buf.set_init(n) };
        }
        (n, self.buf)
    }
}

/// Reads into `buf`, from wherever the descriptor's position is. Gives the number of bytes, 0 at the end.
///
/// # Errors
/// Those of `read(2)`, with the buffer.
///
/// # Cancellation
/// **Lossy**: bytes that were read go down with the buffer.
pub fn read<B: IoBufMut>(fd: &Fd, buf: B) -> Submit<Read<B>> {
    submit(Read { fd: fd.clone(), buf, len: 0, offset: HERE })
}

/// Reads into `buf` what a file has at `offset`, in bytes; the file's own position stays. A write that was not awaited
/// may be overtaken.
///
/// # Errors
/// Those of `pread(2)`, with the buffer: `EINVAL` for an offset that no file has. What has no places (a pipe, a
/// terminal) is read where it is; a socket is at 0 alone, and answers `ESPIPE` elsewhere.
///
/// # Cancellation
/// **Clean**: the file keeps what was read.
pub fn read_at<B: IoBufMut>(fd: &Fd, buf: B, offset: u64) -> Submit<Read<B>> {
    submit(Read { fd: fd.clone(), buf, len: 0, offset: place(offset) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Driver;
    use std::{
        fs::File,
        io::{Write, pipe},
    };

    #[crate::test]
    async fn reads_files_where_told() {
        let file = Fd::new(File::open("Cargo.toml").unwrap().into());
        let text = std::fs::read("Cargo.toml").unwrap();
        let (n, buf) = read_at(&file, Vec::with_capacity(10), 3).await;
        assert_eq!((n.unwrap(), &buf[..]), (10, &text[3..13]));
        let (n, buf) = read(&file, Vec::with_capacity(5)).await;
        assert_eq!((n.unwrap(), &buf[..]), (5, &text[..5]), "the position was not moved by the read before");
        let (n, _) = read_at(&file, Vec::with_capacity(10), 1 << 40).await;
        assert_eq!(n.unwrap(), 0, "behind the end there is nothing");
    }

    /// Red when what is cached costs a thread, and when what is no file's is taken without asking.
    #[crate::test]
    async fn what_is_cached_needs_no_thread() {
        let file = Fd::new(File::open("Cargo.toml").unwrap().into());
        let text = std::fs::read("Cargo.toml").unwrap();
        let all = text.len();
        let (mut room, len) = (vec![0; 10], 10);
        let iov = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: len };
        // SAFETY: Lent: the room lives through the call.
        let knows = unsafe { unix::preadv_cached(file.as_raw_fd(), &iov, 1, len, 3) } == 10;
        let by_twin = u64::from(!Driver::current().unwrap().on_ring(sys::IORING_OP_READ as u8));
        let on_pool = || crate::metrics().driver.twins_pool;
        let unknown = if knows { 0 } else { by_twin };
        let (n, buf) = read_at(&file, Vec::with_capacity(10), 3).await;
        assert_eq!((n.unwrap(), &buf[..]), (10, &text[3..13]));
        assert_eq!(on_pool(), unknown);
        let before = on_pool();
        let (n, buf) = read_at(&file, Vec::with_capacity(all + 1), 0).await;
        assert_eq!((n.unwrap(), buf), (all, text), "as far as the file goes");
        assert_eq!(on_pool() - before, unknown);
        let (device, before) = (Fd::new(File::open("/dev/urandom").unwrap().into()), on_pool());
        assert_eq!(read_at(&device, Vec::with_capacity(10), 0).await.0.unwrap(), 10);
        assert_eq!(on_pool() - before, by_twin, "a device may give what it has only once");
    }

    #[crate::test]
    async fn waits_for_a_pipe_and_never_changes_it() {
        let (rx, mut tx) = pipe().unwrap();
        let rx = Fd::new(rx.into());
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            tx.write_all(b"late").unwrap();
        });
        let (n, buf) = read(&rx, Vec::with_capacity(10)).await;
        assert_eq!((n.unwrap(), &buf[..]), (4, &b"late"[..]));
        writer.join().unwrap();
        assert_eq!(read(&rx, Vec::with_capacity(10)).await.0.unwrap(), 0, "the other end is gone");
        // SAFETY: Plain call: no memory is named.
        let flags = unsafe { libc::fcntl(rx.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    }

    #[crate::test]
    async fn errors_bring_the_buffer_back() {
        let dir = Fd::new(File::open(".").unwrap().into());
        let (res, buf) = read(&dir, vec![7; 3]).await;
        assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::EISDIR), vec![7; 3]));
    }

    #[crate::test]
    async fn a_buffer_without_room_reads_nothing() {
        let file = Fd::new(File::open("Cargo.toml").unwrap().into());
        assert_eq!(read(&file, Vec::new()).await.0.unwrap(), 0);
    }

    #[crate::test]
    async fn a_buffer_without_room_does_not_wait_at_a_socket_either() {
        let (a, _b) = crate::testing::socket_pair();
        let reading = crate::time::timeout(std::time::Duration::from_secs(2), read(&a, Vec::new()));
        assert_eq!(reading.await.expect("it waits for what it has no room for").0.unwrap(), 0);
    }

    #[crate::test]
    async fn the_last_offset_is_no_secret_word() {
        let file = Fd::new(File::open("Cargo.toml").unwrap().into());
        for offset in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let (res, _) = read_at(&file, Vec::with_capacity(5), offset).await;
            assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::EINVAL), "{offset:#x}");
        }
    }
}
