//! What is known of a task besides its future.

use super::{Class, Id};
use std::{fmt, panic::Location};

/// What a task is called, where it came from, and when it has its turn.
#[derive(Clone, Debug)]
pub(in crate::rt) struct About {
    pub(in crate::rt) id: Id,
    pub(in crate::rt) class: Class,
    pub(in crate::rt) spawned: &'static Location<'static>,
    /// Boxed twice, because most tasks have none.
    pub(in crate::rt) name: Option<Box<Box<str>>>,
}

/// `task 7 "reader" (src/main.rs:10:5)`.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " ({})", self.spawned)
    }
}
