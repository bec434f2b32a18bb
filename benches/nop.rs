//! What a ring costs that does nothing: round trips of NOPs in batches, a push, a reap. CPU time; `cargo bench --bench
//! nop`. `bench/ring` has the `io-uring` crate beside it.

#[cfg(not(annulus_kqueue))]
#[path = "rig/nops.rs"]
mod nops;

#[cfg(not(annulus_kqueue))]
fn main() {
    nops::main();
}

#[cfg(annulus_kqueue)]
fn main() {
    eprintln!("io_uring is Linux's own");
}
