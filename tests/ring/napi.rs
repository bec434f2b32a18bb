//! Polling of network devices.

use crate::common::*;
use annulus::ring::{Napi, SetupFlags, Tracking};
use std::time::Duration;

/// Red when what was set is not what is told when it is changed, or a command is another.
#[test]
fn the_polling_of_devices_is_set_and_told() {
    let mut ring = ring!("the_polling_of_devices", 4);
    let napi = |us, prefer| Napi { busy_poll: Duration::from_micros(us), prefer, ..Napi::default() };
    match ring.register_napi(napi(50, true)) {
        Err(e) => return assert_eq!(e.raw_os_error(), Some(libc::EINVAL), "before Linux 6.9, or built without"),
        Ok(before) => assert_eq!((before.busy_poll, before.prefer), (Duration::ZERO, false)),
    }
    let before = ring.register_napi(napi(70, false)).unwrap();
    assert_eq!((before.busy_poll, before.prefer), (Duration::from_micros(50), true));
    // Somebody who waits is not disturbed by it.
    nops(&mut ring, 0..1);
    ring.submit_and_wait(1).unwrap();
    // More than 10 ms is as good as that.
    ring.register_napi(napi(1_000_000, false)).unwrap();
    let before = ring.unregister_napi().unwrap();
    assert_eq!((before.busy_poll, before.prefer), (Duration::from_millis(10), false));
    assert_eq!(ring.unregister_napi().unwrap().busy_poll, Duration::ZERO);

    let named = Napi { tracking: Tracking::Static, ..napi(50, false) };
    if ring.register_napi(named).is_ok() {
        ring.add_napi(70_000).unwrap();
        assert_eq!(os_error(ring.add_napi(70_000)), Some(libc::EEXIST));
        ring.remove_napi(70_000).unwrap();
        assert_eq!(os_error(ring.remove_napi(70_000)), Some(libc::ENOENT));
        assert_eq!(ring.register_napi(napi(50, false)).unwrap(), named);
    }
    assert_eq!(os_error(ring.add_napi(70_000)), Some(libc::EINVAL));
    let polled = ring!("the_polling_of_devices", 4, SetupFlags::IOPOLL);
    assert_eq!(os_error(polled.register_napi(napi(50, false))), Some(libc::EINVAL));
}
