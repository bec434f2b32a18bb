//! The micro comparison on tokio's current_thread runtime.

use std::time::Duration;

struct Tokio;

impl micro::Contender for Tokio {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(main)
    }

    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static {
        tokio::spawn(task)
    }

    fn spawn_sleep(time: Duration) -> impl Future + 'static {
        tokio::spawn(tokio::time::sleep(time))
    }
}

fn main() {
    micro::main::<Tokio>();
}
