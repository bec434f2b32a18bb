//! What is known of a task besides its future.

use super::{Class, Id};
use std::{
    fmt,
    panic::Location,
    sync::atomic::{AtomicU32, Ordering},
};

/// What a task is called, where it came from, and when it has its turn.
#[derive(Clone, Debug)]
pub(in crate::rt) struct About {
    pub(in crate::rt) id: Id,
    pub(in crate::rt) class: Class,
    pub(in crate::rt) key: Key,
    pub(in crate::rt) spawned: &'static Location<'static>,
    /// Boxed twice, because most tasks have none.
    pub(in crate::rt) name: Option<Box<Box<str>>>,
}

/// A task's place in its runtime's list; used on the runtime's thread only. What is known of a task is shared with
/// other threads, hence the atomic; it stands here because there is room beside the class.
#[derive(Debug)]
pub(in crate::rt) struct Key(AtomicU32);

impl Key {
    /// In no list.
    pub(in crate::rt) fn none() -> Key {
        Key(AtomicU32::new(u32::MAX))
    }

    pub(super) fn get(&self) -> usize {
        // Relaxed: one thread's number.
        self.0.load(Ordering::Relaxed) as usize
    }

    pub(super) fn set(&self, key: usize) {
        let key = u32::try_from(key).expect("annulus: 2^32 tasks are alive");
        self.0.store(key, Ordering::Relaxed);
    }
}

impl Clone for Key {
    /// What is no task is in no list.
    fn clone(&self) -> Key {
        Key::none()
    }
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
