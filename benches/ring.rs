//! Reads of 4 KiB from the page cache by a ring: one at a time and many, with memory and file by address and number or
//! by index. CPU time of a read; `cargo bench --bench ring`. `bench/ring` has the `io-uring` crate beside it.

#[cfg(not(annulus_kqueue))]
#[path = "rig/reads.rs"]
mod reads;

#[cfg(not(annulus_kqueue))]
fn main() {
    reads::main();
}

#[cfg(annulus_kqueue)]
fn main() {
    eprintln!("io_uring is Linux's own");
}
