//! `annulus::ring`.

use crate::Contender;
use crate::rig::{By, Ours, Place, Setup};

impl Contender for Ours {
    fn new(setup: Setup) -> Self {
        Ours::new(setup).expect("a ring")
    }

    fn push_nops(&mut self, count: u32) {
        self.push_nops(count);
    }

    fn enter(&mut self, count: u32) {
        self.enter(count);
    }

    fn reap(&mut self) -> u64 {
        self.reap()
    }

    unsafe fn register(&mut self, place: &mut Place) {
        // SAFETY: by this function's contract.
        unsafe { self.register(place) }.expect("tables of one");
    }

    unsafe fn push_reads(&mut self, count: u32, by: By) {
        // SAFETY: by this function's contract.
        unsafe { self.push_reads(count, by) };
    }
}
