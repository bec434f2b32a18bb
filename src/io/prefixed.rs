//! A stream that something was put in front of.

use super::{
    AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent, Split, exclusive,
    memory::{fill, scatter},
};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, iovecs_mut, overclaim};
use std::{
    cell::{Cell, RefCell, UnsafeCell},
    future::Future,
    io::{self, Read},
};

/// The stream `I`, before which what `P` gives is read: what was read to find out who should have the stream, say.
///
/// ```
/// use annulus::io::{AsyncReadRentExt, PrefixedReadIo};
///
/// # annulus::run(async {
/// let mut stream = PrefixedReadIo::new(&b"and the rest"[..], &b"the beginning "[..]);
/// let (res, text) = stream.read_exact(vec![0; 26]).await;
/// assert_eq!((res?, &text[..]), (26, &b"the beginning and the rest"[..]));
/// assert!(stream.prefix_finished());
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct PrefixedReadIo<I, P> {
    io: I,
    prefix: Prefix<P>,
}

/// Halves of a split stream share it.
#[derive(Debug)]
struct Prefix<P> {
    source: RefCell<P>,
    finished: Cell<bool>,
}

/// How much of a prefix is taken at once, by way of the stack: a `Read` may look into the room that it is given, so it
/// cannot be a caller's, whose bytes nobody may have written yet.
const STEP: usize = 2048;

impl<I, P> PrefixedReadIo<I, P> {
    /// Puts `prefix` before `io`. It has to be always ready, as memory is.
    pub const fn new(io: I, prefix: P) -> PrefixedReadIo<I, P> {
        PrefixedReadIo { io, prefix: Prefix { source: RefCell::new(prefix), finished: Cell::new(false) } }
    }

    /// Whether the end of the prefix was met.
    pub fn prefix_finished(&self) -> bool {
        self.prefix.finished.get()
    }

    /// The stream; what is left of the prefix is lost.
    pub fn into_inner(self) -> I {
        self.io
    }

    fn behind(&mut self) -> Behind<'_, &mut I, P> {
        Behind { io: &mut self.io, prefix: &self.prefix }
    }

    /// As the halves see it.
    ///
    /// # Safety
    /// While this lives, nobody has an exclusive reference to all of the stream.
    unsafe fn parts(stream: &UnsafeCell<PrefixedReadIo<I, P>>) -> Behind<'_, &UnsafeCell<I>, P> {
        let stream = stream.get();
        // SAFETY: Marked: the stream is borrowed, and this makes no reference.
        let io = unsafe { &raw mut (*stream).io };
        // SAFETY: Marked: only shared references lead to the prefix.
        let prefix = unsafe { &(*stream).prefix };
        // SAFETY: Marked: an `UnsafeCell` is what it holds, and may have others that lead there.
        Behind { io: unsafe { &*io.cast::<UnsafeCell<I>>() }, prefix }
    }
}

impl<P: Read> Prefix<P> {
    /// Takes what the prefix has for so many bytes of room. Nothing, where there is room, is its end.
    fn take(&self, room: usize, scratch: &mut [u8; STEP]) -> io::Result<usize> {
        let room = room.min(STEP);
        if self.finished.get() || room == 0 {
            return Ok(0);
        }
        let n = self.source.borrow_mut().read(&mut scratch[..room])?;
        self.finished.set(n == 0);
        if n > room { Err(overclaim(n, room)) } else { Ok(n) }
    }

    /// A read of the prefix, or the buffer again, for the stream to be read. Without room nothing is read, for a stream
    /// might wait for what there is no room for.
    fn begin<T: IoBufMut>(&self, mut buf: T) -> Result<BufResult<usize, T>, T> {
        let (mut scratch, room) = ([0; STEP], buf.bytes_total());
        match self.take(room, &mut scratch) {
            Ok(0) if room > 0 => Err(buf),
            Ok(n) => Ok((Ok(fill(&scratch[..n], &mut buf)), buf)),
            Err(e) => Ok((Err(e), buf)),
        }
    }

    /// The same into parts.
    fn begin_vectored<T: IoVecBufMut>(&self, mut buf: T) -> Result<BufResult<usize, T>, T> {
        let room = iovecs_mut(&mut buf).iter().map(|part| part.iov_len).fold(0, usize::saturating_add);
        let mut scratch = [0; STEP];
        match self.take(room, &mut scratch) {
            Ok(0) if room > 0 => Err(buf),
            Ok(n) => Ok((Ok(scatter(&scratch[..n], &mut buf)), buf)),
            Err(e) => Ok((Err(e), buf)),
        }
    }
}

/// A stream, in whatever form it can be read, behind its prefix.
struct Behind<'a, R, P> {
    io: R,
    prefix: &'a Prefix<P>,
}

impl<R: AsyncReadRent, P: Read> AsyncReadRent for Behind<'_, R, P> {
    async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        match self.prefix.begin(buf) {
            Ok(read) => read,
            Err(buf) => self.io.read(buf).await,
        }
    }

    async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        match self.prefix.begin_vectored(buf) {
            Ok(read) => read,
            Err(buf) => self.io.readv(buf).await,
        }
    }
}

/// The prefix is always ready, so only the stream is cancelled, in its own way.
impl<R: CancelableAsyncReadRent, P: Read> CancelableAsyncReadRent for Behind<'_, R, P> {
    async fn cancelable_read<T: IoBufMut>(&mut self, buf: T, c: CancelHandle) -> BufResult<usize, T> {
        match self.prefix.begin(buf) {
            Ok(read) => read,
            Err(buf) => self.io.cancelable_read(buf, c).await,
        }
    }

    async fn cancelable_readv<T: IoVecBufMut>(&mut self, buf: T, c: CancelHandle) -> BufResult<usize, T> {
        match self.prefix.begin_vectored(buf) {
            Ok(read) => read,
            Err(buf) => self.io.cancelable_readv(buf, c).await,
        }
    }
}

impl<I: AsyncReadRent, P: Read> AsyncReadRent for PrefixedReadIo<I, P> {
    async fn read<T: IoBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        self.behind().read(buf).await
    }

    async fn readv<T: IoVecBufMut>(&mut self, buf: T) -> BufResult<usize, T> {
        self.behind().readv(buf).await
    }

    unsafe fn reader(stream: &UnsafeCell<PrefixedReadIo<I, P>>) -> impl AsyncReadRent {
        // SAFETY: Marked: the halves have no reference to the whole but by `parts`.
        let Behind { io, prefix } = unsafe { PrefixedReadIo::parts(stream) };
        // SAFETY: Marked: what holds for the whole, the reader's contract, holds for what is in it.
        Behind { io: unsafe { I::reader(io) }, prefix }
    }
}

impl<I: CancelableAsyncReadRent, P: Read> CancelableAsyncReadRent for PrefixedReadIo<I, P> {
    async fn cancelable_read<T: IoBufMut>(&mut self, buf: T, c: CancelHandle) -> BufResult<usize, T> {
        self.behind().cancelable_read(buf, c).await
    }

    async fn cancelable_readv<T: IoVecBufMut>(&mut self, buf: T, c: CancelHandle) -> BufResult<usize, T> {
        self.behind().cancelable_readv(buf, c).await
    }

    unsafe fn cancelable_reader(stream: &UnsafeCell<PrefixedReadIo<I, P>>) -> impl CancelableAsyncReadRent {
        // SAFETY: Marked: as in `reader`, the halves have no reference to the whole.
        let Behind { io, prefix } = unsafe { PrefixedReadIo::parts(stream) };
        // SAFETY: Marked: the same contract, of which the stream inside has a part.
        Behind { io: unsafe { I::cancelable_reader(io) }, prefix }
    }
}

impl<I: AsyncWriteRent, P> AsyncWriteRent for PrefixedReadIo<I, P> {
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.io.write(buf)
    }

    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.io.writev(buf_vec)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.io.flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.io.shutdown()
    }

    unsafe fn writer(stream: &UnsafeCell<PrefixedReadIo<I, P>>) -> impl AsyncWriteRent {
        // SAFETY: Marked: who writes has no reference to the whole either.
        let io = unsafe { PrefixedReadIo::parts(stream) }.io;
        // SAFETY: Marked: the writer's contract, of which the stream inside has a part.
        unsafe { I::writer(io) }
    }

    unsafe fn hang_up_at(stream: &UnsafeCell<PrefixedReadIo<I, P>>) {
        // SAFETY: Marked: as for a writer, whether there is one or not.
        let io = unsafe { PrefixedReadIo::parts(stream) }.io;
        // SAFETY: Marked: the same contract, and the stream inside makes a shared reference at most.
        unsafe { I::hang_up_at(io) };
    }
}

impl<I: CancelableAsyncWriteRent, P> CancelableAsyncWriteRent for PrefixedReadIo<I, P> {
    fn cancelable_write<T: IoBuf>(&mut self, buf: T, c: CancelHandle) -> impl Future<Output = BufResult<usize, T>> {
        self.io.cancelable_write(buf, c)
    }

    fn cancelable_writev<T: IoVecBuf>(
        &mut self,
        buf_vec: T,
        c: CancelHandle,
    ) -> impl Future<Output = BufResult<usize, T>> {
        self.io.cancelable_writev(buf_vec, c)
    }

    fn cancelable_flush(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<()>> {
        self.io.cancelable_flush(c)
    }

    fn cancelable_shutdown(&mut self, c: CancelHandle) -> impl Future<Output = io::Result<()>> {
        self.io.cancelable_shutdown(c)
    }

    unsafe fn cancelable_writer(stream: &UnsafeCell<PrefixedReadIo<I, P>>) -> impl CancelableAsyncWriteRent {
        // SAFETY: Marked: as in `writer`, who writes has no reference to the whole.
        let io = unsafe { PrefixedReadIo::parts(stream) }.io;
        // SAFETY: Marked: the contract of `writer` again, handed on.
        unsafe { I::cancelable_writer(io) }
    }
}

// SAFETY: Marked: the halves refer to the prefix, which only reads touch, and to a stream that can stand it.
unsafe impl<I: exclusive::Split, P> exclusive::Split for PrefixedReadIo<I, P> {}

impl<I: Split, P: Read> Split for PrefixedReadIo<I, P> {
    async fn shared_read<T: IoBufMut>(&self, buf: T) -> BufResult<usize, T> {
        match self.prefix.begin(buf) {
            Ok(read) => read,
            Err(buf) => self.io.shared_read(buf).await,
        }
    }

    async fn shared_readv<T: IoVecBufMut>(&self, buf: T) -> BufResult<usize, T> {
        match self.prefix.begin_vectored(buf) {
            Ok(read) => read,
            Err(buf) => self.io.shared_readv(buf).await,
        }
    }

    fn shared_write<T: IoBuf>(&self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.io.shared_write(buf)
    }

    fn shared_writev<T: IoVecBuf>(&self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.io.shared_writev(buf_vec)
    }

    fn shared_flush(&self) -> impl Future<Output = io::Result<()>> {
        self.io.shared_flush()
    }

    fn shared_shutdown(&self) -> impl Future<Output = io::Result<()>> {
        self.io.shared_shutdown()
    }

    fn hang_up(&self) {
        self.io.hang_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buf::VecBuf,
        io::{AsyncReadRentExt, AsyncWriteRentExt, Splitable, memory::tests::block_on},
        net::{TcpListener, TcpStream, UnixStream},
        time::timeout,
    };
    use std::{io::ErrorKind, time::Duration};

    #[test]
    fn the_prefix_comes_first_and_whole() {
        let prefix: Vec<u8> = (0..STEP * 2 + 3).map(|n| n as u8).collect();
        let mut stream = PrefixedReadIo::new(&b"rest"[..], &prefix[..]);
        assert_eq!(block_on(stream.read(Vec::new())).0.unwrap(), 0);
        assert!(!stream.prefix_finished(), "no room is no end");
        let (res, buf) = block_on(stream.read_exact(vec![0; prefix.len() + 2]));
        assert_eq!((res.unwrap(), &buf[..]), (prefix.len() + 2, &[&prefix[..], b"re"].concat()[..]));
        assert!(stream.prefix_finished());
        assert_eq!(stream.into_inner(), b"st");

        let mut stream = PrefixedReadIo::new(&b"rest"[..], &b"abc"[..]);
        let room = |lens: &[usize]| VecBuf::from(lens.iter().map(|&n| vec![0; n]).collect::<Vec<_>>());
        let (res, parts) = block_on(stream.readv(room(&[2, 0, 2])));
        assert_eq!((res.unwrap(), Vec::from(parts)), (3, vec![b"ab".to_vec(), vec![], b"c".to_vec()]));
        let (res, parts) = block_on(stream.readv(room(&[9])));
        assert_eq!((res.unwrap(), Vec::from(parts)), (4, vec![b"rest".to_vec()]));
    }

    /// Red when the stream is asked for nothing: it waits for something.
    #[crate::test]
    async fn without_room_nothing_is_waited_for() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut stream = PrefixedReadIo::new(a, &b"x"[..]);
        for finished in [false, true] {
            let soon = Duration::from_secs(1);
            let (res, _) = timeout(soon, stream.read(Vec::new())).await.expect("it waits");
            assert_eq!(res.unwrap(), 0);
            let (res, _) = timeout(soon, stream.readv(VecBuf::from(vec![Vec::new()]))).await.expect("it waits");
            assert_eq!((res.unwrap(), stream.prefix_finished()), (0, finished));
            assert!(timeout(soon / 50, stream.read_exact(vec![0; 2])).await.is_err(), "there is one byte");
        }
    }

    /// Looks at the room, and says more than it gave.
    struct Nosy(bool);

    impl Read for Nosy {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            assert!(buf.iter().all(|&b| b == 0), "it sees what others have left in a caller's buffer");
            if self.0 { Ok(buf.len() + 1) } else { Err(ErrorKind::Interrupted.into()) }
        }
    }

    /// Red when a caller's room goes to a `Read`, or its word is taken for true.
    #[test]
    fn a_prefix_sees_nothing_and_is_not_believed() {
        for (lies, kind) in [(true, ErrorKind::InvalidData), (false, ErrorKind::Interrupted)] {
            let mut stream = PrefixedReadIo::new(&b"rest"[..], Nosy(lies));
            let (res, buf) = block_on(stream.read(vec![7; 3]));
            assert_eq!((res.unwrap_err().kind(), buf), (kind, vec![7; 3]));
        }
    }

    #[crate::test]
    async fn its_halves_are_as_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write_all("there").await.0.unwrap();
        let (mut reader, mut writer) = PrefixedReadIo::new(server, &b"who is "[..]).into_split();
        assert_eq!(reader.read_exact(vec![0; 12]).await.1, b"who is there");
        writer.write_all("it is me").await.0.unwrap();
        drop(writer);
        assert_eq!(client.read_exact(vec![0; 8]).await.1, b"it is me");
        assert_eq!(client.read(Vec::with_capacity(8)).await.0.unwrap(), 0, "a dropped half hangs up");
    }
}
