//! The file comparison on glommio: its buffered files, and for direct reads its DMA files. Both bring their own memory.

use std::io;
use std::path::Path;

use files::{BLOCK, Contender, How, Seen};
use glommio::io::{BufferedFile, DmaFile, OpenOptions};

enum File {
    Buffered(BufferedFile),
    Dma(DmaFile),
}

struct Glommio;

impl Contender for Glommio {
    type File = File;
    type Buf = ();

    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        glommio::LocalExecutorBuilder::default().make().expect("an executor").run(main)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) -> impl Future + 'static {
        glommio::spawn_local(task)
    }

    async fn open(path: &Path, how: How) -> io::Result<File> {
        Ok(match how {
            How::Direct => File::Dma(DmaFile::open(path).await?),
            How::Cached => File::Buffered(BufferedFile::open(path).await?),
            How::Log => File::Buffered(OpenOptions::new().write(true).buffered_open(path).await?),
        })
    }

    async fn buf(_file: &File) {}

    async fn read(file: &File, (): (), at: u64) -> io::Result<(Seen, ())> {
        let read = match file {
            File::Buffered(file) => file.read_at(at, BLOCK).await?,
            File::Dma(file) => file.read_at_aligned(at, BLOCK).await?,
        };
        Ok((Seen::of(&read, read.len()), ()))
    }

    async fn write(file: &File, bytes: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let (File::Buffered(file), len) = (file, bytes.len()) else { unreachable!("a log is buffered") };
        // The buffer does not come back.
        let again = bytes.clone();
        assert_eq!(file.write_at(bytes, at).await?, len, "a short write");
        Ok(again)
    }

    async fn sync(file: &File) -> io::Result<()> {
        let File::Buffered(file) = file else { unreachable!("a log is buffered") };
        Ok(file.fdatasync().await?)
    }
}

fn main() {
    files::main::<Glommio>();
}
