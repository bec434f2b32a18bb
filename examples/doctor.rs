//! Tells what annulus finds on this machine, and what would give more. With `--opcodes`, what io_uring can do here.

use std::{
    env,
    io::{self, Write},
};

fn main() -> io::Result<()> {
    let (report, mut out) = (annulus::probe(), io::stdout());
    match env::args().nth(1).as_deref() {
        None => write!(out, "{report}"),
        Some("--opcodes") => write!(out, "{}", report.opcode_table()),
        Some(other) => {
            let what = format!("{other} is not known: there is --opcodes, or nothing");
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}
