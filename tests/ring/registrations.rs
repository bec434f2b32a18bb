//! What a ring can be told once, each kind in a room of its own.

#[path = "limits.rs"]
mod limits;
#[path = "messages.rs"]
mod messages;
#[path = "napi.rs"]
mod napi;
#[path = "query.rs"]
mod query;
#[path = "sync_cancel.rs"]
mod sync_cancel;
#[path = "workers.rs"]
mod workers;
#[path = "zcrx.rs"]
mod zcrx;
