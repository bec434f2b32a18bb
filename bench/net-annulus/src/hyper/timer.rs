//! hyper's timers. hyper wants them to be `Send`, and they are not: they belong to their runtime's thread, and are
//! looked at nowhere else ([`SendWrapper`] panics if they are).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use annulus::time;
use send_wrapper::SendWrapper;

/// annulus's timer wheel, for hyper.
pub struct Timer;

struct Sleep(SendWrapper<time::Sleep>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut *self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for Sleep {}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(SendWrapper::new(time::sleep(time))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(SendWrapper::new(time::sleep_until(deadline.into()))))
    }

    /// The same place of the wheel, moved.
    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        if let Some(mut ours) = sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Pin::new(&mut *ours.0).reset(deadline.into());
        }
    }
}
