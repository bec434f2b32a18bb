//! The micro comparison on tokio-uring: as it comes, or with `--coop` the flag that its builder lets a user pass.

use std::time::Duration;

struct TokioUring;

impl micro::Contender for TokioUring {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        let mut ring = tokio_uring::uring_builder();
        if micro::option("--coop") {
            ring.setup_coop_taskrun();
        }
        tokio_uring::builder().uring_builder(&ring).start(main)
    }

    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static {
        tokio_uring::spawn(task)
    }

    fn spawn_sleep(time: Duration) -> impl Future + 'static {
        tokio_uring::spawn(tokio::time::sleep(time))
    }

    fn nop() -> Option<impl Future> {
        Some(tokio_uring::no_op())
    }
}

fn main() {
    micro::main::<TokioUring>();
}
