//! Whether a read may have its answer at once, as far as that is known of its descriptor.

use crate::sys::unix::{self, Kept};
use std::os::fd::RawFd;

/// After so many tries the descriptor is asked again: somebody may have set `O_DIRECT` meanwhile.
const BELIEVED: u8 = 255;
/// The most reads that are not tried after one was in vain.
const LONGEST: u8 = 63;

/// What is known of a descriptor, and how its last reads went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cached {
    /// What it is, which does not change; asked once, as a file of another machine may have to be asked about there.
    kept: Option<Kept>,
    /// It goes past the page cache. For so many tries that is believed.
    is_direct: bool,
    believed: u8,
    /// So many reads are not tried.
    resting: u8,
    /// How many it were after the last try in vain.
    rest: u8,
}

impl Cached {
    /// Whether to try a read of `fd` at `place`, or at its own position.
    pub(super) fn allows(&mut self, fd: RawFd, place: bool) -> bool {
        if self.resting > 0 {
            self.resting -= 1;
            return false;
        }
        if self.believed == 0 {
            self.is_direct = unix::goes_past_the_cache(fd);
            self.believed = BELIEVED;
        }
        self.believed -= 1;
        let kept = *self.kept.get_or_insert_with(|| unix::kept(fd));
        !self.is_direct && (kept == Kept::Anywhere || (kept == Kept::Places && place))
    }

    /// Learns from a try. What was not in memory may not be for a while: then a try would only cost.
    pub(super) fn tried(&mut self, found: bool) {
        self.rest = if found { 0 } else { (self.rest * 2 + 1).min(LONGEST) };
        self.resting = self.rest;
        if !found {
            self.believed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::fd::AsRawFd};

    /// Red when a try in vain is made each time, and when there is never one again.
    #[test]
    fn what_is_not_in_memory_is_tried_ever_more_rarely() {
        let file = File::open("/dev/zero").unwrap();
        let mut cached = Cached::default();
        if !cached.allows(file.as_raw_fd(), true) {
            return assert_eq!(unix::kept(file.as_raw_fd()), Kept::Nowhere);
        }
        for rest in [1, 3, 7, 15, 31, 63, 63] {
            cached.tried(false);
            let until = (0..).position(|_| cached.allows(file.as_raw_fd(), true));
            assert_eq!(until, Some(rest));
        }
        cached.tried(true);
        assert!(cached.allows(file.as_raw_fd(), true), "it is in memory again");
        cached.tried(false);
        assert_eq!((0..).position(|_| cached.allows(file.as_raw_fd(), true)), Some(1), "from the start");
    }
}
