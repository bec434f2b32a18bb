//! The state word, and the models.

#[allow(dead_code, reason = "the models use the parts that threads share")]
#[path = "../../../../../src/rt/task/state.rs"]
mod state;

pub(crate) mod models;
