//! The file comparison on annulus. `ANNULUS_DRIVER=uring|poll` picks the driver. `--how` picks how memory and file are
//! named: `plain` is a file and memory like any other, `fixed` buffers of a `FixedPool`, `direct` a direct descriptor,
//! and `both` both.

use annulus::fs::File;
use annulus::op::{self, OpenHow};
use annulus::pool::{FixedBuf, FixedPool};
use annulus::{Fd, buf::IoBufMut};
use files::{BLOCK, Contender, How, Page, Seen};
use std::{io, path::Path};

/// The most readers at a time.
const DEEPEST: usize = 128;

/// What differs between plain memory and that of a pool.
trait Memory: 'static {
    type Buf: IoBufMut;
    fn new() -> io::Result<Self>
    where
        Self: Sized;
    fn take(&self) -> impl Future<Output = io::Result<Self::Buf>>;
    fn seen(buf: &Self::Buf, len: usize) -> Seen;
}

struct Plain;

impl Memory for Plain {
    type Buf = Page;

    fn new() -> io::Result<Plain> {
        Ok(Plain)
    }

    async fn take(&self) -> io::Result<Page> {
        Ok(files::page())
    }

    fn seen(buf: &Page, len: usize) -> Seen {
        Seen::of(&buf[..], len)
    }
}

struct Fixed(FixedPool);

impl Memory for Fixed {
    type Buf = FixedBuf;

    fn new() -> io::Result<Fixed> {
        let pool = FixedPool::builder().class(BLOCK, DEEPEST).build()?;
        match pool.refusal() {
            // The poll driver has nothing to register with, and says so; the pool is plain memory there.
            Some(e) if annulus::driver().kind() == annulus::DriverKind::Uring => Err(e),
            _ => Ok(Fixed(pool)),
        }
    }

    async fn take(&self) -> io::Result<FixedBuf> {
        self.0.take(BLOCK).await
    }

    fn seen(buf: &FixedBuf, len: usize) -> Seen {
        Seen::of(buf, len)
    }
}

/// Annulus with this memory, on direct descriptors or on others.
struct Annulus<M, const DIRECT: bool>(M);

impl<M: Memory, const DIRECT: bool> Contender for Annulus<M, DIRECT> {
    type File = (Fd, M);
    type Buf = M::Buf;

    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        annulus::run(main)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) -> impl Future + 'static {
        annulus::spawn(task)
    }

    async fn open(path: &Path, how: How) -> io::Result<(Fd, M)> {
        if !DIRECT {
            return Ok((File::from_std(how.open(path)?)?.fd().clone(), M::new()?));
        }
        let mode = if how == How::Log { libc::O_WRONLY } else { libc::O_RDONLY };
        let fd = op::openat_direct(path, OpenHow { flags: mode | how.flags(), ..OpenHow::default() })?.await?;
        if !fd.is_direct() {
            files::unavailable("there are no direct descriptors here");
        }
        Ok((fd, M::new()?))
    }

    async fn buf((_, memory): &(Fd, M)) -> M::Buf {
        memory.take().await.expect("memory")
    }

    async fn read((fd, _): &(Fd, M), buf: M::Buf, at: u64) -> io::Result<(Seen, M::Buf)> {
        let (len, buf) = op::read_at(fd, buf, at).await;
        Ok((M::seen(&buf, len?), buf))
    }

    async fn write((fd, _): &(Fd, M), bytes: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let (len, bytes) = op::write_at(fd, bytes, at).await;
        assert_eq!(len?, bytes.len(), "a short write");
        Ok(bytes)
    }

    async fn sync((fd, _): &(Fd, M)) -> io::Result<()> {
        op::fdatasync(fd).await
    }
}

fn main() {
    match files::value("--how").as_deref() {
        None | Some("plain") => files::main::<Annulus<Plain, false>>(),
        Some("fixed") => files::main::<Annulus<Fixed, false>>(),
        Some("direct") => files::main::<Annulus<Plain, true>>(),
        Some("both") => files::main::<Annulus<Fixed, true>>(),
        Some(other) => files::unavailable(&format!("--how {other}: plain, fixed, direct or both")),
    }
}
