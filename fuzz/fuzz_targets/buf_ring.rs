//! Any bytes as what happens to a group of buffers: offers, completions, and a kernel that lies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::ring::fake::buf_ring(bytes));
