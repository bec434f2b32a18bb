//! The file comparison on compio: as it comes, or with `--tuned` the ring's flags that its builder offers.

use std::io;
use std::path::Path;

use compio::BufResult;
use compio::driver::ProactorBuilder;
use compio::fs::{File, OpenOptions};
use compio::io::{AsyncReadAt, AsyncWriteAtExt};
use compio::runtime::RuntimeBuilder;
use files::{Contender, How, Page, Seen};

struct Compio;

impl Contender for Compio {
    type File = File;
    type Buf = Page;

    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        let mut proactor = ProactorBuilder::new();
        if micro::option("--tuned") {
            proactor.single_issuer(true).defer_taskrun(true);
        }
        RuntimeBuilder::new().with_proactor(proactor).build().expect("a runtime").block_on(main)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) -> impl Future + 'static {
        compio::runtime::spawn(task)
    }

    async fn open(path: &Path, how: How) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(how != How::Log).write(how == How::Log).custom_flags(how.flags());
        options.open(path).await
    }

    async fn buf(_file: &File) -> Page {
        files::page()
    }

    async fn read(file: &File, buf: Page, at: u64) -> io::Result<(Seen, Page)> {
        let BufResult(len, buf) = file.read_at(buf, at).await;
        Ok((Seen::of(&buf[..], len?), buf))
    }

    async fn write(file: &File, bytes: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let BufResult(res, bytes) = (&mut &*file).write_all_at(bytes, at).await;
        res.map(|()| bytes)
    }

    async fn sync(file: &File) -> io::Result<()> {
        file.sync_data().await
    }
}

fn main() {
    files::main::<Compio>();
}
