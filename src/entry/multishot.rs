//! The multishot: what a request that is answered many times adds to one that is answered once.

use crate::entry::Sqe;
use std::fmt;

/// How a request is answered many times: by one entry where the kernel can, by an entry or a call of the twin for each
/// answer where it cannot.
///
/// The entry itself is that of a single answer.
pub struct Multishot {
    /// How the kernel is asked for all answers at once. `None`: it is asked for each by itself.
    pub flag: Option<Flag>,
    /// What an answer, a result or `-errno`, means for the next one.
    pub after: fn(res: i32) -> After,
}

/// What makes of an entry that is answered once one that the kernel answers until it ends.
#[derive(Debug)]
pub struct Flag {
    /// The kernel's name for it, without its `IORING_`: `ACCEPT_MULTISHOT`. `ANNULUS_HIDE_OPS` knows it by this name.
    pub name: &'static str,
    /// Sets it.
    pub set: fn(Sqe) -> Sqe,
}

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum After {
    /// Another one, as soon as there is something to answer.
    More,
    /// Another one, but only when something has changed: asking again would only repeat the answer.
    Change,
    /// Nothing.
    End,
}

impl fmt::Debug for Multishot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Multishot({})", self.flag.as_ref().map_or("one by one", |flag| flag.name))
    }
}
