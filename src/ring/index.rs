//! A position in a ring: a counter that runs freely over all of `u32` and wraps.

/// A free-running position. Two of them meet only in [`Index::since`], so there is no `<` to get wrong at the wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index(pub(crate) u32);

impl Index {
    /// How many steps lead from `earlier` to here.
    pub(crate) fn since(self, earlier: Index) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// `n` steps further.
    pub(crate) fn plus(self, n: u32) -> Index {
        Index(self.0.wrapping_add(n))
    }

    /// `n` steps back.
    pub(crate) fn minus(self, n: u32) -> Index {
        Index(self.0.wrapping_sub(n))
    }

    /// The slot that this position names in a ring of `mask + 1` slots.
    pub(crate) fn slot(self, mask: u32) -> usize {
        (self.0 & mask) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_meet_across_the_wrap() {
        let before = Index(u32::MAX - 1);
        let after = before.plus(5);
        assert_eq!(after, Index(3));
        assert_eq!((after.since(before), after.minus(5)), (5, before));
        assert_eq!((before.slot(7), after.slot(7)), (6, 3));
    }
}
