//! The locks and threads of the pool, in one place so that a model checker can put its own there.

pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
