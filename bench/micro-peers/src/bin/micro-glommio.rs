//! The micro comparison on glommio. It wants some locked memory for its rings.

use std::time::Duration;

struct Glommio;

impl micro::Contender for Glommio {
    fn block_on<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
        glommio::LocalExecutorBuilder::default().make().expect("an executor").run(main)
    }

    fn spawn(task: impl Future<Output = u64> + Send + 'static) -> impl Future + 'static {
        glommio::spawn_local(task)
    }

    fn spawn_sleep(time: Duration) -> impl Future + 'static {
        glommio::spawn_local(glommio::timer::sleep(time))
    }
}

fn main() {
    micro::main::<Glommio>();
}
