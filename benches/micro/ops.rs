//! Operations that do nothing: the way to the driver and back.

use crate::Bench;
use annulus::{op, spawn};

pub(crate) fn all(bench: &mut Bench<'_>) {
    bench.each("nop/one", async || op::nop().await.unwrap());
    bench.each("nop/100 tasks", nop_100);
}

/// A hundred tasks with an operation each: they share their turn.
async fn nop_100() {
    let tasks: [_; 100] = std::array::from_fn(|_| spawn(op::nop()));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}
