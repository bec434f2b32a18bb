//! The package without the feature `iouring`.
#![cfg(all(feature = "legacy", not(feature = "iouring")))]

use monoio::{FusionDriver, RuntimeBuilder, utils};

/// Red when annulus chooses by itself, and takes a ring.
#[test]
fn there_is_no_ring() {
    let mut runtime = RuntimeBuilder::<FusionDriver>::new().enable_timer().build().unwrap();
    assert!(runtime.block_on(async { utils::is_legacy() }));
    assert!(!utils::detect_uring());
}
