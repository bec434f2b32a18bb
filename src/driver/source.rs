//! How a driver names what it watches.

use std::num::NonZeroU32;

/// The name of a watched descriptor; stale ones find nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceId {
    pub(super) index: u32,
    /// Never 0, so that none takes no room beside some.
    pub(super) generation: NonZeroU32,
}

impl SourceId {
    /// A name for the place `index` of a table where each has one owner at a time.
    pub(super) const fn at(index: u32) -> SourceId {
        SourceId { index, generation: NonZeroU32::MIN }
    }

    /// The place.
    pub(super) fn index(self) -> u32 {
        self.index
    }

    /// As one number.
    pub(super) fn token(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }
}
