//! Why a task has no output.

use std::{
    any::Any,
    error, fmt, io,
    sync::{Mutex, PoisonError},
};

/// A task ended without an output: it panicked, or it was cancelled.
pub struct JoinError(Option<Box<Reason>>);

/// Why, if it was not just cancelled.
enum Reason {
    Refused(io::Error),
    /// The lock makes the error `Sync`; it is never contended.
    Panicked(Mutex<Box<dyn Any + Send>>),
}

impl JoinError {
    pub(crate) fn cancelled() -> JoinError {
        JoinError(None)
    }

    #[cold]
    pub(in crate::rt) fn refused(error: io::Error) -> JoinError {
        JoinError(Some(Box::new(Reason::Refused(error))))
    }

    #[cold]
    pub(in crate::rt) fn panicked(payload: Box<dyn Any + Send>) -> JoinError {
        JoinError(Some(Box::new(Reason::Panicked(Mutex::new(payload)))))
    }

    /// Whether the task panicked, while it was polled or while its future was dropped.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.as_deref(), Some(Reason::Panicked(_)))
    }

    /// Whether the task never came to its end: it was aborted, its runtime ended before it, or (for
    /// [`spawn_blocking`](crate::rt::spawn_blocking)) no thread could be had to run it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    /// If the task did not panic; [`try_into_panic`](JoinError::try_into_panic) asks first.
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic().expect("into_panic on the JoinError of a task that did not panic")
    }

    /// The panic's payload.
    ///
    /// # Errors
    /// The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        match self.0.map(|reason| *reason) {
            Some(Reason::Panicked(payload)) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            Some(Reason::Refused(error)) => Err(JoinError::refused(error)),
            None => Err(JoinError::cancelled()),
        }
    }

    /// The panic's text, if it is one.
    pub(in crate::rt) fn text(&self) -> Option<String> {
        let Some(Reason::Panicked(payload)) = self.0.as_deref() else { return None };
        let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
        let text = payload.downcast_ref::<&str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).map(str::to_owned)
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref() {
            None => f.write_str("the task was cancelled"),
            Some(Reason::Refused(error)) => write!(f, "the task was cancelled: no thread to run it: {error}"),
            Some(Reason::Panicked(_)) => match self.text() {
                Some(text) => write!(f, "the task panicked: {text}"),
                None => f.write_str("the task panicked"),
            },
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref() {
            None => f.write_str("JoinError::Cancelled"),
            Some(Reason::Refused(error)) => f.debug_tuple("JoinError::Refused").field(error).finish(),
            Some(Reason::Panicked(_)) => f.debug_tuple("JoinError::Panicked").field(&self.text()).finish(),
        }
    }
}

impl error::Error for JoinError {}

/// The error of the refused thread, or [`io::ErrorKind::Other`] with the `JoinError` inside.
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        match error.0.map(|reason| *reason) {
            Some(Reason::Refused(error)) => error,
            Some(reason) => io::Error::other(JoinError(Some(Box::new(reason)))),
            None => io::Error::other(JoinError::cancelled()),
        }
    }
}
