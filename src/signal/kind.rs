//! Which signal.

use crate::sys::unix;
use std::{ffi::c_int, io};

/// A signal, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(c_int);

/// The constructors of the signals that have a name everywhere.
macro_rules! named {
    ($($(#[$doc:meta])* $name:ident = $signal:ident;)*) => {
        impl SignalKind {$(
            $(#[$doc])*
            #[must_use]
            pub const fn $name() -> SignalKind {
                SignalKind(libc::$signal)
            }
        )*}
    };
}

named! {
    /// `SIGALRM`: a timer of `alarm(2)` or `setitimer(2)` is up. Unheard, it ends the process.
    alarm = SIGALRM;
    /// `SIGCHLD`: a child has ended, stopped or gone on.
    child = SIGCHLD;
    /// `SIGHUP`: the terminal is gone; by custom also: read the configuration again. Unheard, it ends the process.
    hangup = SIGHUP;
    /// `SIGINT`: Ctrl-C. Unheard, it ends the process.
    interrupt = SIGINT;
    /// `SIGIO`: a descriptor with `O_ASYNC` is ready.
    io = SIGIO;
    /// `SIGPIPE`: somebody wrote where nobody reads. Rust's programs ignore it and get an error instead, until
    /// somebody listens for it.
    pipe = SIGPIPE;
    /// `SIGQUIT`: Ctrl-\. Unheard, it ends the process and writes a core.
    quit = SIGQUIT;
    /// `SIGTERM`: the polite way to end a process.
    terminate = SIGTERM;
    /// `SIGUSR1`. Unheard, it ends the process.
    user_defined1 = SIGUSR1;
    /// `SIGUSR2`. Unheard, it ends the process.
    user_defined2 = SIGUSR2;
    /// `SIGWINCH`: the terminal has another size.
    window_change = SIGWINCH;
}

impl SignalKind {
    /// The signal with this number: `libc::SIGURG`, or `libc::SIGRTMIN() + 1`.
    #[must_use]
    pub const fn from_raw(signal: c_int) -> SignalKind {
        SignalKind(signal)
    }

    /// The signal's number.
    #[must_use]
    pub const fn as_raw_value(self) -> c_int {
        self.0
    }

    /// Sends the signal to this process, as `kill(2)` does: one thread that does not block it has it, and without a
    /// listener or a handler it does what it does by default.
    ///
    /// # Errors
    /// `EINVAL` for what is no signal.
    pub fn raise(self) -> io::Result<()> {
        unix::raise(self.0)
    }

    /// Refuses what no program may listen for.
    pub(super) fn check(self) -> io::Result<()> {
        let why = match self.0 {
            libc::SIGKILL | libc::SIGSTOP => {
                "SIGKILL and SIGSTOP are the kernel's own: no process hears of them; listen for SIGTERM or SIGTSTP"
            }
            libc::SIGILL | libc::SIGFPE | libc::SIGSEGV | libc::SIGBUS => {
                "SIGILL, SIGFPE, SIGSEGV and SIGBUS tell a thread that its instruction failed, and to go on would \
                 only repeat it: they cannot be listened for"
            }
            _ => return Ok(()),
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, why))
    }
}

impl From<c_int> for SignalKind {
    fn from(signal: c_int) -> SignalKind {
        SignalKind::from_raw(signal)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> c_int {
        kind.as_raw_value()
    }
}
