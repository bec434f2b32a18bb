//! A buffer group in its user's hands.

use crate::{
    buf::{Group, IoBuf},
    driver::{Driver, NO_LIMIT},
    entry::{Cqe, Sqe, SqeFlags},
};
use std::{cell::Cell, fmt, io, ops, rc::Rc, slice};

/// Buffers to receive into that are chosen when there is something to put into them, so that a connection that waits
/// holds none. What was received is a [`PoolBuf`], and its buffer is on offer again when that is dropped.
///
/// A runtime can have many pools (65,536), of any size. A pool belongs to the runtime that it was made in; a clone is
/// the same pool. Its memory stays as long as any handle, any operation that uses it and any [`PoolBuf`] of it.
///
/// On the ring it is registered with the kernel (`IORING_REGISTER_PBUF_RING`, since Linux 5.19); before that, and on
/// the poll driver, the driver chooses, and nothing else is different.
///
/// ```
/// use annulus::{Fd, op, pool::RecvPool};
/// use std::io::Write;
///
/// # annulus::run(async {
/// let pool = RecvPool::new(8, 4096)?;
/// let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
/// here.write_all(b"hello world")?;
///
/// let mut greeting = op::recv_provided(&Fd::new(there.into()), &pool).await?.expect("some bytes");
/// let first = greeting.split_to(5);
/// assert_eq!((&first[..], &greeting[..]), (&b"hello"[..], &b" world"[..]));
/// assert_eq!(pool.offered(), 7);
///
/// drop((first, greeting));
/// assert_eq!(pool.offered(), pool.count());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct RecvPool(Rc<Shared>);

struct Shared {
    group: Rc<Group>,
    driver: Rc<Driver>,
    id: u16,
    stream_limit: Cell<u32>,
}

impl RecvPool {
    /// `count` buffers, a power of two up to 32,768, of `size` bytes each. The pages are the kernel's to give when they
    /// are first written.
    ///
    /// # Errors
    /// `InvalidInput` for numbers that no pool can have, `ENOMEM` when there is no memory (or, on the ring, none that
    /// may be locked), `Other` for the 65,537th pool of a runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(count: u32, size: u32) -> io::Result<RecvPool> {
        let driver = Driver::current().expect("an annulus::pool::RecvPool was made outside of an annulus runtime");
        let group = Rc::new(Group::new(count, size)?);
        let id = driver.provide(&group)?;
        let stream_limit = Cell::new((count / 4).clamp(1, 32));
        Ok(RecvPool(Rc::new(Shared { group, driver, id, stream_limit })))
    }

    /// How many buffers there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.group.count()
    }

    /// How many of them are on offer; the others are [`PoolBuf`]s, or on the way to become ones.
    #[must_use]
    pub fn offered(&self) -> u32 {
        self.0.group.offered()
    }

    /// The size of a buffer, in bytes.
    #[must_use]
    pub fn buf_size(&self) -> u32 {
        self.0.group.size()
    }

    /// How many buffers a stream may have.
    #[must_use]
    pub fn stream_limit(&self) -> u32 {
        self.0.stream_limit.get()
    }

    /// Lets streams that begin from now on have this many buffers at a time, in the hands of their users or waiting to
    /// be fetched: a quarter of the pool by default, 32 at most. A stream that has them all pauses until one comes
    /// back, so that a peer who sends a lot to somebody slow leaves buffers for the others. When buffers are of many
    /// small messages, the kernel may use a few more before it is stopped. With 0 it is one all the same, and there is
    /// no limit with as many as the pool has.
    pub fn set_stream_limit(&self, buffers: u32) {
        self.0.stream_limit.set(buffers.max(1));
    }

    /// The limit as a stream keeps it.
    pub(crate) fn limit(&self) -> u32 {
        let limit = self.stream_limit();
        if limit < self.count() { limit } else { NO_LIMIT }
    }

    /// The driver that knows the group.
    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.0.driver
    }

    /// An entry that takes its buffer from this pool.
    pub(crate) fn select(&self, sqe: Sqe) -> Sqe {
        Sqe { buf_index: self.0.id, ..sqe.flags(SqeFlags::BUFFER_SELECT) }
    }

    /// The buffer that a completion brought, with as many bytes as it says. `None` if it brought none.
    ///
    /// The completion is of an entry that [`select`](RecvPool::select)s from this pool, and is asked once.
    pub(crate) fn filled(&self, cqe: Cqe) -> Option<PoolBuf> {
        let bid = cqe.buffer()?;
        let len = u32::try_from(cqe.res).unwrap_or(0).min(self.buf_size());
        Some(PoolBuf { pool: self.clone(), bid, start: 0, len })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.driver.withdraw(self.id);
    }
}

/// What was received into a buffer of a [`RecvPool`], or a part of it. When the last part of a buffer is dropped, it is
/// on offer again.
///
/// It is a buffer for writing ([`IoBuf`]), so it can be sent or written on without a copy; for several at once, an
/// `Rc<PoolBuf>` is one as well. Its bytes stay where they are when its runtime has ended.
pub struct PoolBuf {
    pool: RecvPool,
    bid: u16,
    /// Where in the buffer this part begins, and how long it is.
    start: u32,
    len: u32,
}

impl PoolBuf {
    /// Leaves out the first `n` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "cannot advance by {n} in {} bytes", self.len());
        self.start += n as u32;
        self.len -= n as u32;
    }

    /// Leaves out what is behind the first `len` bytes; does nothing if there is no more than that.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len().min(len) as u32;
    }

    /// Takes the first `at` bytes out, without a copy; `self` keeps the rest.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use = "use `advance` to leave bytes out"]
    pub fn split_to(&mut self, at: usize) -> PoolBuf {
        let rest = self.split_off(at);
        std::mem::replace(self, rest)
    }

    /// Takes out what is behind the first `at` bytes, without a copy; `self` keeps those.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use = "use `truncate` to leave bytes out"]
    pub fn split_off(&mut self, at: usize) -> PoolBuf {
        assert!(at <= self.len(), "cannot split {} bytes at {at}", self.len());
        self.pool.0.group.share(self.bid);
        let (start, len) = (self.start + at as u32, self.len - at as u32);
        self.len = at as u32;
        PoolBuf { pool: self.pool.clone(), bid: self.bid, start, len }
    }

    fn place(&self) -> *mut u8 {
        self.pool.0.group.buffer(self.bid).as_ptr().wrapping_add(self.start as usize)
    }
}

impl ops::Deref for PoolBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: Lent: a completion gave this buffer back and it was not offered since; an anonymous map has no byte
        // that is not initialised, and the group keeps it mapped.
        unsafe { slice::from_raw_parts(self.place(), self.len as usize) }
    }
}

impl ops::DerefMut for PoolBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: Lent: as for reading; the buffer is out only once, and its parts do not overlap.
        unsafe { slice::from_raw_parts_mut(self.place(), self.len as usize) }
    }
}

impl AsRef<[u8]> for PoolBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

// SAFETY: Steady: the bytes lie in a map that the value keeps, and only `&mut` methods change which of them are meant.
// Filled: they are initialised, and this part's alone until it is dropped.
unsafe impl IoBuf for PoolBuf {
    fn read_ptr(&self) -> *const u8 {
        self.place()
    }

    fn bytes_init(&self) -> usize {
        self.len as usize
    }
}

impl Drop for PoolBuf {
    fn drop(&mut self) {
        let shared = &self.pool.0;
        shared.driver.returned(shared.id, shared.group.give(self.bid));
    }
}

impl fmt::Debug for RecvPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecvPool").field(&self.0.group).finish()
    }
}

impl fmt::Debug for PoolBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolBuf").field(&&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op,
        testing::{poll_once, settle, socket_pair},
    };
    use std::io::{Read, Write};

    #[crate::test]
    async fn an_id_is_given_again_when_its_pool_has_gone() {
        let (one, two) = (RecvPool::new(1, 8).unwrap(), RecvPool::new(1, 8).unwrap());
        let (first, second) = (one.0.id, two.0.id);
        assert_ne!(first, second);
        let clone = one.clone();
        drop(one);
        assert_ne!(RecvPool::new(1, 8).unwrap().0.id, first, "a clone is the same pool");
        drop(clone);
        assert_eq!(RecvPool::new(1, 8).unwrap().0.id, first);
    }

    #[crate::test]
    async fn absurd_pools_are_refused() {
        for (count, size) in [(3, 8), (0, 8), (1, 0)] {
            assert_eq!(RecvPool::new(count, size).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    /// A buffer of `pool` with `text` in it.
    async fn received(pool: &RecvPool, text: &str) -> PoolBuf {
        let (a, mut b) = socket_pair();
        b.write_all(text.as_bytes()).unwrap();
        op::recv_provided(&a, pool).await.unwrap().unwrap()
    }

    /// Red when a part forgets that there are others, or where it begins.
    #[crate::test]
    async fn a_buffer_goes_back_with_its_last_part() {
        let pool = RecvPool::new(2, 16).unwrap();
        let mut all = received(&pool, "0123456789").await;
        let mut head = all.split_to(3);
        let tail = all.split_off(5);
        assert_eq!((&head[..], &all[..], &tail[..]), (&b"012"[..], &b"34567"[..], &b"89"[..]));
        head[2] = b'x';
        all.advance(1);
        all.truncate(3);
        all.truncate(9);
        assert_eq!((&head[..], &all[..]), (&b"01x"[..], &b"456"[..]));
        let (nothing, rest) = (all.split_to(0), all.split_off(3));
        assert!(nothing.is_empty() && rest.is_empty());
        drop((all, tail, nothing, rest));
        assert_eq!((pool.offered(), &head[..]), (1, &b"01x"[..]));
        drop(head);
        assert_eq!(pool.offered(), 2);
    }

    #[crate::test]
    async fn a_part_that_is_not_there_is_refused() {
        let pool = RecvPool::new(1, 16).unwrap();
        let mut buf = received(&pool, "four").await;
        let mut cut = |cut: &dyn Fn(&mut PoolBuf)| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cut(&mut buf))).unwrap_err();
        };
        cut(&|buf| buf.advance(5));
        cut(&|buf| drop(buf.split_to(5)));
        cut(&|buf| drop(buf.split_off(5)));
        assert_eq!(&buf[..], b"four");
        drop(buf);
        assert_eq!(pool.offered(), 1);
    }

    /// Red when a buffer is on offer again while it is being sent.
    #[crate::test]
    async fn what_was_received_is_sent_on_as_it_is() {
        let pool = RecvPool::new(1, 16).unwrap();
        let (a, mut b) = socket_pair();
        let mut buf = received(&pool, "ping pong").await;
        let at = buf.read_ptr();
        buf.advance(5);
        let (n, buf) = op::send(&a, buf).await;
        assert_eq!((n.unwrap(), buf.read_ptr()), (4, at.wrapping_add(5)));
        let buf = Rc::new(buf);
        let (one, two) = (op::send(&a, buf.clone().slice(..2)), op::send(&a, buf.slice(2..)));
        assert_eq!((one.await.0.unwrap(), pool.offered(), two.await.0.unwrap()), (2, 0, 2));
        let mut got = [0; 8];
        b.read_exact(&mut got).unwrap();
        assert_eq!((&got, pool.offered()), (b"pongpong", 1));
    }

    /// Red when an abandoned send gives its buffer back before the socket has let go of it.
    #[crate::test]
    async fn an_abandoned_send_keeps_its_buffer_until_it_has_ended() {
        let pool = RecvPool::new(1, 16).unwrap();
        let (a, b) = socket_pair();
        let full = vec![0; 1 << 22];
        let mut filling = op::send(&a, full);
        poll_once(&mut filling).await;
        drop(filling);
        settle().await;
        let mut sending = op::send(&a, received(&pool, "late").await);
        poll_once(&mut sending).await;
        drop(sending);
        assert_eq!(pool.offered(), 0, "it is lent");
        drop(b);
        settle().await;
        assert_eq!(pool.offered(), 1);
    }

    /// Red when the end of a runtime takes the memory away, or a buffer that comes home late finds it gone.
    #[test]
    fn a_buffer_outlives_its_runtime() {
        for kind in [crate::DriverKind::Uring, crate::DriverKind::Poll] {
            let Ok(runtime) = crate::Builder::new().driver(kind).build() else { continue };
            let (mut buf, pool) = runtime.block_on(async {
                let pool = RecvPool::new(1, 16).unwrap();
                (received(&pool, "testament").await, pool)
            });
            drop(runtime);
            buf[0] = b'T';
            assert_eq!((&buf[..], pool.offered()), (&b"Testament"[..], 0));
            drop(buf);
            assert_eq!(pool.offered(), 1);
        }
    }
}
