//! Copies files to the standard output: `cat FILE...`.

use annulus::{
    fs::File,
    io::{AsyncReadRent, AsyncWriteRentExt},
};
use std::{
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Bytes for each read.
const CHUNK: usize = 128 * 1024;

#[annulus::main]
async fn main() -> io::Result<ExitCode> {
    // A descriptor of our own, since annulus closes what it takes. The open file is shared and stays as it is.
    let mut stdout = File::from_std(io::stdout().as_fd().try_clone_to_owned()?.into())?;
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        match copy(&path, &mut stdout).await {
            // Nobody reads any more, and that is no error of ours.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => {
                let _ = writeln!(io::stderr(), "cat: {}: {error}", path.display());
                code = ExitCode::FAILURE;
            }
            Ok(()) => {}
        }
    }
    Ok(code)
}

async fn copy(path: &Path, to: &mut File) -> io::Result<()> {
    let mut file = File::open(path).await?;
    let mut buf = Vec::with_capacity(CHUNK);
    loop {
        let res;
        (res, buf) = file.read(buf).await;
        if res? == 0 {
            return file.close().await;
        }
        let res;
        (res, buf) = to.write_all(buf).await;
        res?;
        buf.clear();
    }
}
