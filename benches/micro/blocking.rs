//! A closure on the pool: there and back.

use crate::Bench;
use annulus::spawn_blocking;
use std::hint::black_box;

pub(crate) fn all(bench: &mut Bench<'_>) {
    bench.each("spawn_blocking", async || spawn_blocking(|| _ = black_box(1)).await.unwrap());
}
