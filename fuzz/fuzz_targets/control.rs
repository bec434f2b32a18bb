//! Any bytes as control data of a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::sys::fake::control(bytes));
