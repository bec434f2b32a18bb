//! A runtime's beginning and end.

use crate::Bench;
use annulus::Builder;

pub(crate) fn all(bench: &mut Bench<'_>) {
    bench.outside("start/block_on", |runtime| runtime.block_on(async {}));
    let kind = bench.kind;
    bench.outside("start/build, block_on and drop", |_| {
        Builder::new().driver(kind).build().unwrap().block_on(async {});
    });
}
