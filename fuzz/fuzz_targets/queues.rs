//! Any bytes as what both sides do to a ring's queues, against a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::ring::fake::queues(bytes));
