//! Echo on compio, built with both of its drivers, of which `--poll` picks the other one.

#[path = "echo-compio.rs"]
mod echo;

fn main() -> std::io::Result<()> {
    echo::main()
}
