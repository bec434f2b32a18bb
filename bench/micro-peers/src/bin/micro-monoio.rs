//! The micro comparison on monoio: its io_uring driver with the default ring, or with `--defer` the flags that its
//! builder lets a user pass; or with `--legacy` its other driver, which is epoll by way of mio.

use std::time::Duration;

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

struct Ring;
struct Legacy;

fn ring() -> io_uring::Builder {
    let mut ring = io_uring::IoUring::builder();
    if micro::option("--defer") {
        ring.setup_single_issuer().setup_defer_taskrun();
    }
    ring
}

impl micro::Contender for Ring {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        let builder = RuntimeBuilder::<IoUringDriver>::new().uring_builder(ring());
        builder.enable_timer().build().expect("a runtime").block_on(main)
    }

    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static {
        monoio::spawn(task)
    }

    fn spawn_sleep(time: Duration) -> impl Future + 'static {
        monoio::spawn(monoio::time::sleep(time))
    }
}

impl micro::Contender for Legacy {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().expect("a runtime").block_on(main)
    }

    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static {
        monoio::spawn(task)
    }

    fn spawn_sleep(time: Duration) -> impl Future + 'static {
        monoio::spawn(monoio::time::sleep(time))
    }
}

fn main() {
    if micro::option("--legacy") { micro::main::<Legacy>() } else { micro::main::<Ring>() }
}
