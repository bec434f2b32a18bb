//! More completions than the queue holds.

use crate::common::*;

#[test]
fn an_overflow_keeps_order_and_loses_nothing() {
    let mut ring = ring!("an_overflow_keeps_order_and_loses_nothing", 4);
    for batch in 0..4 {
        nops(&mut ring, batch * 4..batch * 4 + 4);
        assert_eq!(ring.submit().unwrap(), 4);
    }
    assert_eq!((ring.ready(), ring.cq_overflow(), ring.lost()), (8, true, 0));
    let mut all = read(&mut ring);
    assert!(ring.needs_enter() && ring.queued() == 0);
    for _ in 0..4 {
        ring.submit().unwrap();
        all.extend(read(&mut ring));
    }
    assert_eq!(all, (0..16).collect::<Vec<_>>());
    assert_eq!((ring.cq_overflow(), ring.lost(), ring.needs_enter()), (false, 0, false));
}
