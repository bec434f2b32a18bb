//! How often values of each size came: what a counter cannot tell.

use std::{fmt, ops::RangeInclusive};

/// How often values of each size came, by powers of two.
///
/// The bucket 0 counts zeros; the bucket `n` counts values with `n` bits, from 2^(n-1) on and below 2^n. The last one
/// counts everything above, too. Like every counter here, the buckets wrap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; Histogram::BUCKETS],
}

impl Histogram {
    /// How many buckets there are.
    pub const BUCKETS: usize = 32;

    pub(crate) const fn new() -> Histogram {
        Histogram { buckets: [0; Histogram::BUCKETS] }
    }

    /// Counts a value.
    pub(crate) fn add(&mut self, value: u64) {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        let bucket = &mut self.buckets[bits.min(Histogram::BUCKETS - 1)];
        *bucket = bucket.wrapping_add(1);
    }

    /// How many values came of each size.
    #[must_use]
    pub fn buckets(&self) -> &[u64; Histogram::BUCKETS] {
        &self.buckets
    }

    /// How many values came.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, &n| sum.wrapping_add(n))
    }

    /// Between which numbers the value lies that `part` of all values do not exceed: 0.5 is the median. `None` where
    /// there is no value.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<RangeInclusive<u64>> {
        let rank = ((self.count() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0u64;
        let bucket = self.buckets.iter().position(|&n| {
            seen = seen.wrapping_add(n);
            seen >= rank
        })?;
        Some(match bucket {
            0 => 0..=0,
            n if n == Histogram::BUCKETS - 1 => 1 << (n - 1)..=u64::MAX,
            n => 1 << (n - 1)..=(1 << n) - 1,
        })
    }

    /// What came after `earlier`, which is an older copy of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut buckets = self.buckets;
        buckets.iter_mut().zip(earlier.buckets).for_each(|(n, earlier)| *n = n.wrapping_sub(earlier));
        Histogram { buckets }
    }
}

/// From [`buckets`](Histogram::buckets), as they were carried from elsewhere.
impl From<[u64; Histogram::BUCKETS]> for Histogram {
    fn from(buckets: [u64; Histogram::BUCKETS]) -> Histogram {
        Histogram { buckets }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.buckets.iter().enumerate().filter(|&(_, &n)| n > 0);
        f.debug_map().entries(used.map(|(bits, &n)| (1u64 << bits, n))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.add(value));
        histogram
    }

    #[test]
    fn a_bucket_has_the_values_of_one_length() {
        let histogram = of(&[0, 1, 2, 3, 4, 7, 8, (1 << 30) - 1, 1 << 30, 1 << 31, u64::MAX]);
        let used: Vec<_> = histogram.buckets().iter().copied().enumerate().filter(|&(_, n)| n > 0).collect();
        assert_eq!(used, [(0, 1), (1, 1), (2, 2), (3, 2), (4, 1), (30, 1), (31, 3)]);
        assert_eq!(histogram.count(), 11);
        assert_eq!(Histogram::from(*histogram.buckets()), histogram);
    }

    #[test]
    fn a_quantile_is_a_value_that_came() {
        assert_eq!(Histogram::new().quantile(0.5), None);
        let histogram = of(&[1, 1, 1, 5, 6, 100, 100, 100, 100, u64::MAX]);
        let at = |part| histogram.quantile(part).unwrap();
        assert_eq!((at(0.0), at(0.3), at(0.31), at(0.5)), (1..=1, 1..=1, 4..=7, 4..=7));
        assert_eq!((at(0.9), at(0.91), at(1.0)), (64..=127, 1 << 30..=u64::MAX, 1 << 30..=u64::MAX));
        assert_eq!(of(&[0]).quantile(0.99), Some(0..=0));
    }

    #[test]
    fn what_came_since_is_a_difference_that_wraps() {
        let (earlier, later) = (of(&[1, 2]), of(&[1, 2, 2, 9]));
        assert_eq!(later.since(&earlier), of(&[2, 9]));
        assert_eq!(of(&[]).since(&of(&[1])).buckets()[1], u64::MAX);
        assert_eq!(format!("{:?}", of(&[0, 5, 6])), "{1: 1, 8: 2}");
    }
}
