//! What the included files of the drivers expect around them: the pool's own, over loom's locks, and as little of the
//! rest as it takes.

pub(crate) mod sync;

pub(crate) mod batch {
    //! As the product has it.
    use std::panic::{AssertUnwindSafe, catch_unwind};

    pub(crate) fn quietly(code: impl FnOnce()) {
        drop(catch_unwind(AssertUnwindSafe(code)));
    }
}

pub(crate) mod slots {
    //! A twin's call.
    use crate::entry::{Sqe, Twin};

    pub(crate) fn call(twin: &Twin, sqe: &Sqe, _: u32) -> i32 {
        (twin.0)(sqe)
    }
}

pub(crate) use batch::quietly;

#[allow(dead_code, unused_imports, reason = "the models use the parts that threads share")]
#[path = "../../../../src/driver/threads/mod.rs"]
pub(crate) mod threads;

pub(crate) mod models;
