//! A ring and the children of its process.

use crate::child::in_child;
use crate::common::*;
use annulus::ring::{Full, Ring, Sqe};
use std::fs;

fn ring_maps() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().matches("io_uring").count()
}

#[test]
fn a_forked_child_is_refused_and_makes_its_own() {
    let Some(mut ring) = indexed_or_skip("a_forked_child_is_refused_and_makes_its_own", 4) else { return };
    nops(&mut ring, 0..2);
    ring.submit_and_wait(2).unwrap();
    nops(&mut ring, 2..3);
    let child = |ring: &mut Ring| {
        push(ring, Sqe::nop()) == Err(Full)
            && ring.submit().is_err()
            && ring.submit_and_wait(1).is_err()
            && ring.wait_timeout(1, NOBODY).is_err()
            && ring.probe().is_err()
            && ring.unregister_ring_fd().is_err()
            && read(ring).is_empty()
            && (ring.ready(), ring.queued(), ring.space_left(), ring.lost(), ring.dropped()) == (0, 0, 0, 0, 0)
            && !(ring.needs_enter() || ring.cq_overflow() || ring.taskrun() || ring.needs_wakeup())
    };
    assert!(in_child(|| child(&mut ring)));
    // A ring that another test's thread is just mapping may be seen in a child: it is not kept from children yet.
    assert!((0..20).any(|_| in_child(|| ring_maps() == 0)));
    assert!(in_child(|| {
        let mut own = Ring::new(4).unwrap();
        nops(&mut own, 7..9);
        own.submit_and_wait(2).unwrap();
        // And its own child is refused in turn, while the inherited ring stays refused.
        read(&mut own) == [7, 8] && in_child(|| child(&mut own)) && child(&mut ring)
    }));
    assert_eq!(ring.submit_and_wait(3).unwrap(), 1);
    assert_eq!(read(&mut ring), [0, 1, 2]);
}

#[test]
fn a_fork_within_a_loop_over_completions_ends_the_childs() {
    let mut ring = ring!("a_fork_within_a_loop_over_completions", 4);
    nops(&mut ring, 0..4);
    ring.submit_and_wait(4).unwrap();
    let mut completions = ring.completions();
    assert!(completions.next().is_some());
    assert!(in_child(|| completions.next().is_none()));
    assert_eq!(completions.count(), 3);
}
