//! Any bytes as what a client of the example `resp` sends.
#![no_main]

#[path = "../checks/resp.rs"]
mod resp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| resp::check(bytes));
