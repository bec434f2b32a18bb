//! Why a shard has no output, and why a question has no answer.

use std::{
    any::Any,
    error, fmt, io,
    sync::{Mutex, PoisonError},
};

/// A shard ended without an output: it panicked, or it did not end in time.
pub struct ShardError {
    shard: usize,
    cpu: Option<usize>,
    reason: Reason,
}

pub(super) enum Reason {
    /// The payload, and its text. The lock makes the error `Sync`; it is never contended.
    Panicked(Mutex<Box<dyn Any + Send>>, Option<String>),
    /// Its future was dropped at the deadline.
    Late,
    /// Its thread does not answer, and was left alone.
    Stuck,
}

impl Reason {
    pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Reason {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Reason::Panicked(Mutex::new(payload), text)
    }
}

impl ShardError {
    pub(super) fn new(shard: usize, cpu: Option<usize>, reason: Reason) -> ShardError {
        ShardError { shard, cpu, reason }
    }

    /// Which shard.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// The CPU that it was pinned to.
    #[must_use]
    pub fn cpu(&self) -> Option<usize> {
        self.cpu
    }

    /// Whether its future panicked, or its driver failed for good.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.reason, Reason::Panicked(..))
    }

    /// Whether it had not ended by the deadline, and its future and its tasks were dropped.
    #[must_use]
    pub fn is_late(&self) -> bool {
        matches!(self.reason, Reason::Late)
    }

    /// Whether its thread did not even come to drop its tasks after the deadline, because something blocks it. The
    /// thread was left alone: it ends by itself when it can.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        matches!(self.reason, Reason::Stuck)
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// The error itself, if the shard did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, ShardError> {
        match self.reason {
            Reason::Panicked(payload, _) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            reason => Err(ShardError { reason, ..self }),
        }
    }
}

/// `shard 1 (CPU 3) panicked: index out of bounds`.
impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.shard)?;
        if let Some(cpu) = self.cpu {
            write!(f, " (CPU {cpu})")?;
        }
        match &self.reason {
            Reason::Panicked(_, Some(text)) => write!(f, " panicked: {text}"),
            Reason::Panicked(_, None) => f.write_str(" panicked"),
            Reason::Late => f.write_str(" did not end in time, and its tasks were dropped"),
            Reason::Stuck => f.write_str(" did not end in time, and its thread does not answer"),
        }
    }
}

impl fmt::Debug for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardError({self})")
    }
}

impl error::Error for ShardError {}

impl From<ShardError> for io::Error {
    fn from(error: ShardError) -> io::Error {
        let late = error.is_late() || error.is_stuck();
        io::Error::new(if late { io::ErrorKind::TimedOut } else { io::ErrorKind::Other }, error)
    }
}

/// Why a question to another shard has no answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CallError<M> {
    /// The shard has ended, or there never was one with this number; here is the message.
    Closed(M),
    /// The message arrived, and its [`Reply`](super::Reply) was dropped: by the one who read it, or with the mailbox.
    NoReply,
}

impl<M> fmt::Debug for CallError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CallError::Closed(_) => "Closed(..)",
            CallError::NoReply => "NoReply",
        })
    }
}

impl<M> fmt::Display for CallError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CallError::Closed(_) => "the shard has ended",
            CallError::NoReply => "the shard dropped the question without an answer",
        })
    }
}

impl<M> error::Error for CallError<M> {}
