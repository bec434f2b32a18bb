//! What is known of a task besides its future.
//!
//! Each task that waits has this and a hundred thousand of them may, so what few have is elsewhere: two words for all.

use super::{Class, Id};
use std::{
    fmt,
    panic::Location,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

/// What a task is called, where it came from, and when it has its turn.
#[derive(Clone)]
pub(in crate::rt) struct About {
    id: Id,
    origin: Origin,
}

static_assertions::const_assert!(size_of::<About>() <= 16);

impl About {
    #[inline]
    pub(in crate::rt) fn new(
        id: Id,
        class: Class,
        spawned: &'static Location<'static>,
        name: Option<Box<str>>,
    ) -> About {
        About { id, origin: Origin::new(spawned, class, name) }
    }

    #[inline]
    pub(in crate::rt) fn id(&self) -> Id {
        self.id
    }

    #[inline]
    pub(in crate::rt) fn class(&self) -> Class {
        self.origin.class()
    }

    #[inline]
    pub(in crate::rt) fn spawned(&self) -> &'static Location<'static> {
        match self.origin.find() {
            Ok(spawned) => spawned,
            Err(named) => named.spawned,
        }
    }

    #[inline]
    pub(in crate::rt) fn name(&self) -> Option<&str> {
        self.origin.find().err().map(|named| &*named.name)
    }
}

/// The place where a task was spawned; or a box of a [`Named`], which is its own. The lowest bits of either address are
/// free, and say which of them it is, and the class.
struct Origin(NonNull<()>);

/// Of a task that has a name.
struct Named {
    name: Box<str>,
    spawned: &'static Location<'static>,
}

/// It is a box.
const NAMED: usize = 1;
/// The class is the background.
const BACKGROUND: usize = 1 << 1;

const BITS: usize = NAMED | BACKGROUND;

static_assertions::const_assert!(align_of::<Named>() > BITS && align_of::<Location<'_>>() > BITS);

// SAFETY: Fresh: it is a reference to what nobody writes, or owns a box of what may be sent.
unsafe impl Send for Origin {}
// SAFETY: Fresh: a shared one gives shared references to what may be shared.
unsafe impl Sync for Origin {}

impl Origin {
    #[inline]
    fn new(spawned: &'static Location<'static>, class: Class, name: Option<Box<str>>) -> Origin {
        let class = match class {
            Class::Latency => 0,
            Class::Background => BACKGROUND,
        };
        let (place, named) = match name {
            None => (NonNull::from(spawned).cast(), 0),
            Some(name) => (NonNull::from(Box::leak(Box::new(Named { name, spawned }))).cast(), NAMED),
        };
        Origin(place.map_addr(|addr| addr | class | named))
    }

    #[inline]
    fn has(&self, bit: usize) -> bool {
        self.0.addr().get() & bit != 0
    }

    #[inline]
    fn class(&self) -> Class {
        if self.has(BACKGROUND) { Class::Background } else { Class::Latency }
    }

    /// What it points to, without the bits.
    #[inline]
    fn place<T>(&self) -> *mut T {
        self.0.as_ptr().map_addr(|addr| addr & !BITS).cast()
    }

    #[inline]
    fn find(&self) -> Result<&'static Location<'static>, &Named> {
        if self.has(NAMED) {
            // SAFETY: Fresh: with the bit it was made from a box, which is freed with `self`.
            Err(unsafe { &*self.place::<Named>() })
        } else {
            // SAFETY: Fresh: without the bit it was made from a reference that lives for ever.
            Ok(unsafe { &*self.place::<Location<'static>>() })
        }
    }
}

impl Drop for Origin {
    #[inline]
    fn drop(&mut self) {
        if self.has(NAMED) {
            // SAFETY: Fresh: it was made from a box, whose owner `self` is.
            drop(unsafe { Box::from_raw(self.place::<Named>()) });
        }
    }
}

impl Clone for Origin {
    fn clone(&self) -> Origin {
        match self.find() {
            Ok(spawned) => Origin::new(spawned, self.class(), None),
            Err(named) => Origin::new(named.spawned, self.class(), Some(named.name.clone())),
        }
    }
}

/// `task 7 "reader" (src/main.rs:10:5)`.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id())?;
        if let Some(name) = self.name() {
            write!(f, " {name:?}")?;
        }
        write!(f, " ({})", self.spawned())
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "About({self}, {:?})", self.class())
    }
}

/// A task's place in its runtime's list; used on the runtime's thread only. A task is shared with other threads, hence
/// the atomic.
#[derive(Debug)]
pub(super) struct Key(AtomicU32);

impl Key {
    /// In no list.
    pub(super) fn none() -> Key {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::task::Ids;

    /// Red when one is taken for another, or a name is lost on the way or freed twice.
    #[test]
    fn all_that_is_known_fits_into_two_words() {
        let (ids, here) = (Ids::new(), Location::caller());
        for class in [Class::Latency, Class::Background] {
            for name in [None, Some(""), Some("reader")] {
                let id = ids.next();
                let about = About::new(id, class, here, name.map(Box::from));
                let again = about.clone();
                for about in [&about, &again] {
                    assert_eq!((about.id(), about.class(), about.name()), (id, class, name));
                    assert!(std::ptr::eq(about.spawned(), here));
                }
                drop(about);
                let name = name.map(|name| format!("{name:?} ")).unwrap_or_default();
                assert_eq!(again.to_string(), format!("task {id} {name}({here})"));
            }
        }
    }
}
