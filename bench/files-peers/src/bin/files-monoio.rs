//! The file comparison on monoio: its io_uring driver with the default ring, or with `--defer` the flags that its builder
//! lets a user pass; or with `--legacy` its other driver, which reads at once, on the loop.

use std::io;
use std::path::Path;

use files::{Contender, How, Page, Seen};
use monoio::fs::File;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

/// A runtime of monoio.
trait Driver: 'static {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T;
}

impl Driver for IoUringDriver {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        let mut ring = io_uring::IoUring::builder();
        if micro::option("--defer") {
            ring.setup_single_issuer().setup_defer_taskrun();
        }
        RuntimeBuilder::<IoUringDriver>::new().uring_builder(ring).build().expect("a runtime").block_on(main)
    }
}

impl Driver for LegacyDriver {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        RuntimeBuilder::<LegacyDriver>::new().build().expect("a runtime").block_on(main)
    }
}

struct Monoio<D>(D);

impl<D: Driver> Contender for Monoio<D> {
    type File = File;
    type Buf = Page;

    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        D::block_on(main)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) -> impl Future + 'static {
        monoio::spawn(task)
    }

    async fn open(path: &Path, how: How) -> io::Result<File> {
        File::from_std(how.open(path)?)
    }

    async fn buf(_file: &File) -> Page {
        files::page()
    }

    async fn read(file: &File, buf: Page, at: u64) -> io::Result<(Seen, Page)> {
        let (len, buf) = file.read_at(buf, at).await;
        Ok((Seen::of(&buf[..], len?), buf))
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
    if micro::option("--legacy") {
        files::main::<Monoio<LegacyDriver>>()
    } else {
        files::main::<Monoio<IoUringDriver>>()
    }
}
