//! Any bytes as a program of system calls, on a ring and call by call.
#![no_main]

#[path = "../checks/programs.rs"]
mod programs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| programs::check(bytes));
