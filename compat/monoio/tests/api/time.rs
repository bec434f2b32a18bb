//! Time.

use crate::call;
use monoio::time::{Duration, Instant, MissedTickBehavior};
use std::{
    future::{pending, poll_fn, ready},
    pin::pin,
};

const MS: Duration = Duration::from_millis(1);

pub(crate) async fn all() {
    let start = call!(time::Instant::now)();
    call!(time::sleep)(2 * MS).await;
    assert!(call!(time::Instant::elapsed)(&start) >= 2 * MS);
    let later = call!(time::Instant::checked_add)(&start, 2 * MS).unwrap();
    assert_eq!(call!(time::Instant::checked_sub)(&later, 2 * MS), Some(start));
    assert_eq!(call!(time::Instant::duration_since)(&later, start), 2 * MS);
    assert_eq!(call!(time::Instant::checked_duration_since)(&start, later), None);
    assert_eq!(call!(time::Instant::saturating_duration_since)(&start, later), Duration::ZERO);
    let std = call!(time::Instant::into_std)(start);
    assert_eq!(call!(time::Instant::from_std)(std), start);
    assert_eq!(call!(time::Instant::from => Instant::from)(std) + MS - MS, start);

    let mut sleep = pin!(call!(time::sleep_until)(Instant::now() + Duration::from_secs(600)));
    assert!(!call!(time::Sleep::is_elapsed)(&sleep));
    let soon = Instant::now() + MS;
    call!(time::Sleep::reset)(sleep.as_mut(), soon);
    assert_eq!(call!(time::Sleep::deadline)(&sleep), soon);
    sleep.await;

    let mut ticks = call!(time::interval)(MS);
    call!(time::Interval::tick)(&mut ticks).await;
    assert_eq!(call!(time::Interval::missed_tick_behavior)(&ticks), MissedTickBehavior::Burst);
    call!(time::Interval::set_missed_tick_behavior)(&mut ticks, MissedTickBehavior::Skip);
    assert_eq!(call!(time::Interval::period)(&ticks), MS);
    let mut ticks = call!(time::interval_at)(Instant::now(), MS);
    poll_fn(|cx| call!(time::Interval::poll_tick)(&mut ticks, cx)).await;

    let elapsed = call!(time::timeout)(MS, pending::<()>()).await.unwrap_err();
    assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
    let mut ready = call!(time::timeout_at)(Instant::now() + MS, ready(3));
    let _ = call!(time::Timeout::get_ref)(&ready);
    *call!(time::Timeout::get_mut)(&mut ready) = std::future::ready(4);
    assert_eq!(call!(time::Timeout::into_inner)(ready).await, 4);

    let errors = [
        call!(time::error::Error::shutdown)(),
        call!(time::error::Error::at_capacity)(),
        call!(time::error::Error::invalid)(),
    ];
    assert_eq!(errors.map(|error| call!(time::error::Error::is_shutdown)(&error)), [true, false, false]);
    assert_eq!(errors.map(|error| call!(time::error::Error::is_at_capacity)(&error)), [false, true, false]);
    assert_eq!(errors.map(|error| call!(time::error::Error::is_invalid)(&error)), [false, false, true]);
    assert_eq!(errors.map(|error| error.to_string().is_empty()), [false; 3]);
}
