//! The micro comparison on annulus. `ANNULUS_DRIVER=uring|poll` picks the driver.

use std::time::Duration;

struct Annulus;

impl micro::Contender for Annulus {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        annulus::run(main)
    }

    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static {
        annulus::spawn(task)
    }

    fn spawn_sleep(time: Duration) -> impl Future + 'static {
        annulus::spawn(annulus::time::sleep(time))
    }

    fn nop() -> Option<impl Future> {
        Some(annulus::op::nop())
    }
}

fn main() {
    micro::main::<Annulus>();
}
