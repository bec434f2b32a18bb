//! Any bytes as a script of what the kernel does to a ring.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::ring::fake::cq_walk(bytes));
