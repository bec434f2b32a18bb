//! Any bytes as the kernel's `io_uring_params`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::ring::fake::layout(bytes));
