//! The file comparison on tokio-uring: as it comes, or with `--coop` the flag that its builder lets a user pass.

use std::io;
use std::path::Path;

use files::{BLOCK, Contender, How, Page, Seen};
use tokio_uring::buf::{IoBuf, IoBufMut};
use tokio_uring::fs::File;

/// A page; their traits know arrays that are borrowed for ever only to be written from.
struct Buf(Page);

// SAFETY: the page stays where it is, whole and initialised, and this is the only way to it.
unsafe impl IoBuf for Buf {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        BLOCK
    }

    fn bytes_total(&self) -> usize {
        BLOCK
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Buf {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    unsafe fn set_init(&mut self, _pos: usize) {}
}

struct TokioUring;

impl Contender for TokioUring {
    type File = File;
    type Buf = Buf;

    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        let mut ring = tokio_uring::uring_builder();
        if micro::option("--coop") {
            ring.setup_coop_taskrun();
        }
        tokio_uring::builder().uring_builder(&ring).start(main)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) -> impl Future + 'static {
        tokio_uring::spawn(task)
    }

    async fn open(path: &Path, how: How) -> io::Result<File> {
        Ok(File::from_std(how.open(path)?))
    }

    async fn buf(_file: &File) -> Buf {
        Buf(files::page())
    }

    async fn read(file: &File, buf: Buf, at: u64) -> io::Result<(Seen, Buf)> {
        let (len, buf) = file.read_at(buf, at).await;
        Ok((Seen::of(&buf.0[..], len?), buf))
    }

    async fn write(file: &File, bytes: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let (res, bytes) = file.write_all_at(bytes, at).await;
        res.map(|()| bytes)
    }

    async fn sync(file: &File) -> io::Result<()> {
        file.sync_data().await
    }
}

fn main() {
    files::main::<TokioUring>();
}
