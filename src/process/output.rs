//! All that a child writes, up to a limit.

use super::Child;
use crate::{buf::IoBuf, io::AsyncReadRent, try_join};
use std::{error::Error, fmt, io, process::Output};

/// Bytes for each read: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// How many bytes a child may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// To its standard output.
    pub stdout: usize,
    /// To its standard error.
    pub stderr: usize,
}

impl OutputLimits {
    /// So many bytes to each stream.
    #[must_use]
    pub const fn each(bytes: usize) -> OutputLimits {
        OutputLimits { stdout: bytes, stderr: bytes }
    }

    /// As many as there is memory for.
    #[must_use]
    pub const fn none() -> OutputLimits {
        OutputLimits::each(usize::MAX)
    }
}

/// A child wrote more than it was allowed to, and was killed. It comes inside of an [`io::Error`] of the kind
/// `FileTooLarge`, which gives it by [`downcast`](io::Error::downcast).
#[derive(Debug)]
pub struct LimitExceeded {
    /// How the child has ended, and what it wrote until then, as far as it was read and allowed.
    pub output: Output,
    stream: &'static str,
    limit: usize,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the child wrote more than {} bytes to its {}, and was killed", self.limit, self.stream)
    }
}

impl Error for LimitExceeded {}

/// Why not everything was read.
enum Stop {
    Full(&'static str, usize),
    Error(io::Error),
}

/// Reads what `child` writes, and waits for its end.
pub(super) async fn collect(mut child: Child, limits: OutputLimits) -> io::Result<Output> {
    drop(child.stdin.take());
    // They stay open until the child is killed: writing to a closed one would end it with another signal.
    let (mut from_stdout, mut from_stderr) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let read = try_join!(
        drain(from_stdout.as_mut(), &mut stdout, limits.stdout, "standard output"),
        drain(from_stderr.as_mut(), &mut stderr, limits.stderr, "standard error"),
    );
    match read {
        Ok(_) => Ok(Output { status: child.wait().await?, stdout, stderr }),
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::Full(stream, limit)) => {
            child.start_kill()?;
            let output = Output { status: child.wait().await?, stdout, stderr };
            Err(io::Error::new(io::ErrorKind::FileTooLarge, LimitExceeded { output, stream, limit }))
        }
    }
}

/// Reads a pipe to its end. What was read stays in `into` when this is dropped, because the other pipe was stopped.
async fn drain(
    pipe: Option<impl AsyncReadRent>,
    into: &mut Vec<u8>,
    limit: usize,
    stream: &'static str,
) -> Result<(), Stop> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        let res;
        (res, chunk) = pipe.read(chunk).await;
        match res {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::Error(error)),
        }
        let room = limit - into.len();
        into.extend_from_slice(&chunk[..chunk.bytes_init().min(room)]);
        if chunk.len() > room {
            return Err(Stop::Full(stream, limit));
        }
        chunk.clear();
    }
}
