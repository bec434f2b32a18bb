//! Tells what annulus finds on this machine, and what would give more.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    write!(io::stdout(), "{}", annulus::probe())
}
