//! Any bytes as a socket's address, and as its length.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::sys::fake::sockaddr(bytes));
