//! Any bytes as what the kernel says of a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::sys::fake::statx(bytes));
