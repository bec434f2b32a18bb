//! Tasks: starting them, naming them, and letting others through.
//!
//! What is most often wanted stands at the crate's root as well: [`spawn`], [`spawn_blocking`], [`yield_now`],
//! [`JoinHandle`], [`JoinError`].

pub use crate::rt::{
    AbortHandle, AccessError, Class, Id, JoinError, JoinHandle, JoinSet, LocalKey, Scope, ScopedJoinHandle,
    TaskBuilder as Builder, TaskLocalFuture, Unconstrained, consume_budget, has_budget_remaining, id, name, scope,
    spawn, spawn_blocking, try_id, unconstrained, yield_now,
};
