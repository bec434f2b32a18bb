//! What the pool does.

use super::Replies;
use crate::{
    driver::{batch::quietly, slots::call},
    entry::{Cqe, Sqe, Twin},
};
use std::{panic::catch_unwind, sync::Arc};

/// What the pool does.
pub(crate) enum Job {
    /// Performs an entry, and answers it.
    Twin {
        /// The entry; its `user_data` is the answer's.
        sqe: Sqe,
        /// How to perform it.
        twin: &'static Twin,
        /// Where the answer goes.
        reply: Arc<Replies>,
    },
    /// Calls a closure. Who wants its result, or wants to know that it was dropped, puts that into the closure.
    Closure(Box<dyn FnOnce() + Send>),
}

impl Job {
    pub(super) fn run(self) {
        match self {
            Job::Twin { sqe, twin, reply } => reply.push(Cqe::new(sqe.user_data, perform(&sqe, twin))),
            Job::Closure(closure) => quietly(closure),
        }
    }

    /// Ends a job that will not be run.
    pub(super) fn refuse(self) {
        match self {
            Job::Twin { sqe, reply, .. } => reply.push(Cqe::new(sqe.user_data, -libc::ECANCELED)),
            Job::Closure(closure) => quietly(|| drop(closure)),
        }
    }
}

/// Makes a twin's call, until it is not interrupted. One that panics is broken, but answered.
///
/// The operation stays in its slot until the reply is drained, which is after this call; at teardown it stays there, or
/// is leaked, for as long as the reply is owed (Lent).
fn perform(sqe: &Sqe, twin: &Twin) -> i32 {
    catch_unwind(|| call(twin, sqe, 0)).unwrap_or(-libc::EIO)
}
