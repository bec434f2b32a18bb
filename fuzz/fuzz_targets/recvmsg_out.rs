//! Any bytes as a message that the kernel put into a chosen buffer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annulus::sys::fake::recvmsg_out(bytes));
