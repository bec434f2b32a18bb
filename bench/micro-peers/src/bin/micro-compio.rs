//! The micro comparison on compio: as it comes, or with `--tuned` the ring's flags that its builder offers.

use std::time::Duration;

use compio::driver::ProactorBuilder;
use compio::runtime::RuntimeBuilder;

struct Compio;

impl micro::Contender for Compio {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        let mut proactor = ProactorBuilder::new();
        if micro::option("--tuned") {
            proactor.single_issuer(true).defer_taskrun(true);
        }
        RuntimeBuilder::new().with_proactor(proactor).build().expect("a runtime").block_on(main)
    }

    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static {
        compio::runtime::spawn(task)
    }

    fn spawn_sleep(time: Duration) -> impl Future + 'static {
        compio::runtime::spawn(compio::runtime::time::sleep(time))
    }
}

fn main() {
    micro::main::<Compio>();
}
