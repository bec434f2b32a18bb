//! The file comparison on tokio's current_thread runtime: calls on its threads for what blocks, a call each.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use files::{Contender, How, Page, Seen};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

struct Tokio;

impl Contender for Tokio {
    type File = Arc<File>;
    type Buf = Page;

    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, main)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) -> impl Future + 'static {
        spawn_local(task)
    }

    async fn open(path: &Path, how: How) -> io::Result<Arc<File>> {
        how.open(path).map(Arc::new)
    }

    async fn buf(_file: &Arc<File>) -> Page {
        files::page()
    }

    async fn read(file: &Arc<File>, buf: Page, at: u64) -> io::Result<(Seen, Page)> {
        let file = file.clone();
        let read = move || file.read_at(buf, at).map(|len| (Seen::of(&buf[..], len), buf));
        spawn_blocking(read).await?
    }

    async fn write(file: &Arc<File>, bytes: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let file = file.clone();
        spawn_blocking(move || file.write_all_at(&bytes, at).map(|()| bytes)).await?
    }

    async fn sync(file: &Arc<File>) -> io::Result<()> {
        let file = file.clone();
        spawn_blocking(move || file.sync_data()).await?
    }
}

fn main() {
    files::main::<Tokio>();
}
