//! Copies files to the standard output: `cat FILE...`, and the standard input, which is also called `-`.

use annulus::{
    fs::File,
    io::{AsyncReadRent, AsyncWriteRentExt, Stdout, stdin, stdout},
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Bytes for each read.
const CHUNK: usize = 128 * 1024;

#[annulus::main]
async fn main() -> io::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        paths.push("-".into());
    }
    for path in paths {
        match cat(&path).await {
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

async fn cat(path: &Path) -> io::Result<()> {
    if path == Path::new("-") {
        return copy(&mut stdin(), &mut stdout()).await;
    }
    let mut file = File::open(path).await?;
    copy(&mut file, &mut stdout()).await?;
    file.close().await
}

async fn copy(from: &mut impl AsyncReadRent, to: &mut Stdout) -> io::Result<()> {
    let mut buf = Vec::with_capacity(CHUNK);
    loop {
        let res;
        (res, buf) = from.read(buf).await;
        if res? == 0 {
            return Ok(());
        }
        let res;
        (res, buf) = to.write_all(buf).await;
        res?;
        buf.clear();
    }
}
