//! Tags: how the kernel tells that nobody uses any more what was registered.

use crate::entry::Cqe;
use std::{io, num::NonZeroU64};

/// What the ring's completions will say when a registered file or piece of memory has lost its last user: it was
/// replaced, taken out or unregistered, and every request that had started with it is done. Since Linux 5.13.
///
/// This and nothing else is that signal. Taking something out of a table says nothing of requests in flight: before
/// Linux 6.13 it waits for them, since then it returns at once, and they go on with what they started with.
///
/// The completion comes once. Its [`user_data`](Cqe::user_data) is the tag, its result and its flags are 0: choose
/// numbers that no entry carries. The end of a ring may pass without it.
///
/// ```
/// use annulus::ring::{Cqe, Tag};
/// let tag = Tag::new(1 << 63).unwrap();
/// assert!(tag.is_told_by(&Cqe { user_data: 1 << 63, ..Cqe::default() }));
/// assert_eq!(Tag::new(0), None); // stands for none
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(NonZeroU64);

// The kernel reads a list of them, in which 0 is none.
static_assertions::assert_eq_size!(Option<Tag>, u64);

impl Tag {
    /// The tag whose completion carries this number, which is not 0.
    #[must_use]
    pub const fn new(user_data: u64) -> Option<Tag> {
        match NonZeroU64::new(user_data) {
            Some(number) => Some(Tag(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Whether this completion is the tag's.
    #[must_use]
    pub const fn is_told_by(self, cqe: &Cqe) -> bool {
        cqe.user_data == self.get()
    }
}

/// The address of the list of tags for `count` things: none, or one for each.
pub(super) fn address(tags: &[Option<Tag>], count: usize) -> io::Result<u64> {
    match tags.len() {
        0 => Ok(0),
        n if n == count => Ok(tags.as_ptr() as u64),
        n => {
            let why = format!("{n} tags for {count} places: give one for each (None where there is none), or none");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a list of tags is not what the kernel reads.
    #[test]
    fn a_list_of_tags_is_a_list_of_numbers() {
        let tags = [Tag::new(7), None, Tag::new(u64::MAX)];
        let at = address(&tags, 3).unwrap() as *const u64;
        // SAFETY: Kernel's word: three tags are three words, which are read while the list is there.
        let words: [u64; 3] = std::array::from_fn(|n| unsafe { at.wrapping_add(n).read() });
        assert_eq!(words, [7, 0, u64::MAX]);
        assert_eq!(address(&[], 3).unwrap(), 0);
        assert_eq!(address(&tags, 2).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
