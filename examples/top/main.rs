//! Shows what the shards of a program do, once a second: `top demo [--once] [--socket PATH]` shows a load of its own,
//! and serves it at PATH; `top attach [--once] PATH` shows that of another program, which serves it by `exporter.rs`.
//! `--once` shows one second, and ends.
//!
//! p50 and p99 say below what half of the polls stayed, and 99 of 100; batch is the median of completions in a turn.

mod demo;
mod exporter;
mod frame;
mod sample;

use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

const USAGE: &str = "usage: top demo [--once] [--socket PATH] | top attach [--once] PATH";

/// An exporter says no more than that, and not more slowly.
const MOST: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// What the command line asks for.
struct Asked {
    attach: bool,
    once: bool,
    path: Option<PathBuf>,
}

fn asked(mut words: impl Iterator<Item = OsString>) -> Option<Asked> {
    let attach = match words.next()?.to_str()? {
        "demo" => false,
        "attach" => true,
        _ => return None,
    };
    let mut asked = Asked { attach, once: false, path: None };
    while let Some(word) = words.next() {
        let path = match word.to_str() {
            Some("--once") => {
                asked.once = true;
                continue;
            }
            Some("--socket") if !attach => words.next()?,
            _ if attach => word,
            _ => return None,
        };
        if asked.path.replace(path.into()).is_some() {
            return None;
        }
    }
    (asked.path.is_some() || !attach).then_some(asked)
}

fn main() -> ExitCode {
    let Some(asked) = asked(env::args_os().skip(1)) else {
        // Not eprintln: it panics when the other end is closed.
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    match run(&asked) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "top: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if let (true, Some(path)) = (asked.attach, &asked.path) {
        return watch(asked.once, || fetch(path).and_then(read).map_err(|error| named(path, error)));
    }
    let shards = demo::start()?;
    if let Some(path) = &asked.path {
        exporter::serve(path).map_err(|error| named(path, error))?;
    }
    let watched = watch(asked.once, || read(exporter::lines()));
    for end in shards.shutdown(PATIENCE) {
        end.map_err(io::Error::from)??;
    }
    watched
}

fn fetch(path: &Path) -> io::Result<String> {
    let (stream, mut text) = (UnixStream::connect(path)?, String::new());
    stream.set_read_timeout(Some(PATIENCE))?;
    if stream.take(MOST).read_to_string(&mut text)? as u64 == MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not stop talking"));
    }
    Ok(text)
}

fn read(text: String) -> io::Result<Vec<sample::Sample>> {
    sample::parse(&text).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
}

/// Shows what `look` sees, until somebody ends it: there is nothing to restore then. Or for one second.
fn watch(once: bool, look: impl Fn() -> io::Result<Vec<sample::Sample>>) -> io::Result<()> {
    let mut earlier = look()?;
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = look()?;
        let frame = frame::frame(&now, earlier);
        let mut out = io::stdout().lock();
        if once {
            return out.write_all(frame.as_bytes());
        }
        // Home, the frame, and nothing below it; at the end of each line, nothing of what stood there.
        write!(out, "\x1b[H{}\x1b[J", frame.replace('\n', "\x1b[K\n"))?;
        out.flush()?;
        earlier = now;
    }
}
