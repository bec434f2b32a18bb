//! The state word, and the models.

#[allow(dead_code, reason = "the models use the parts that threads share")]
#[path = "../../../../../src/rt/task/state.rs"]
mod state;

#[allow(dead_code, reason = "the models ask whether it is a panic")]
#[path = "../../../../../src/rt/task/error.rs"]
mod error;

pub(crate) mod models;

pub(crate) use crate::driver::quietly;
pub(crate) use error::JoinError;

pub(crate) type Outcome<T> = Result<T, JoinError>;
pub(crate) struct About;
pub(crate) struct JoinHandle<T>(std::marker::PhantomData<T>);

pub(crate) fn drop_quietly<T>(value: T) {
    quietly(|| drop(value));
}
