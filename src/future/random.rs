//! Numbers for fairness: quick, and good for nothing else.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

thread_local! {
    /// The state of a xorshift, which is never 0. Each thread has a seed of its own.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8) | 1);
}

/// A number below `end`; 0 if that is 0.
pub fn below(end: usize) -> usize {
    let mut x = STATE.get();
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    STATE.set(x);
    // The upper half times `end`, cut to its upper half: no division, and fair as far as `end` is small.
    (((x >> 32) * end as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when the state does not move, and when a shift leaves the range.
    #[test]
    fn every_number_comes_about_as_often() {
        for end in [1, 2, 3, 64] {
            let mut seen = vec![0; end];
            (0..1000 * end).for_each(|_| seen[below(end)] += 1);
            assert!(seen.iter().all(|n| (700..1300).contains(n)), "{seen:?}");
        }
        assert_eq!(below(0), 0);
    }
}
