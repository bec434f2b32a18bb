//! Synchronisation between the tasks of one shard, with tokio's names.
//!
//! Everything here is local: it costs neither atomics nor locks, and what is shared cannot leave its thread. It needs
//! no runtime to work; in one, whatever is ready again and again counts against the task's cooperative budget
//! ([`task`](crate::task)), so that two tasks that feed each other let the others run.
//!
//! Lines are fair: who came first is served first. A future that is dropped leaves its line, and what it had been
//! given goes to the next. A future that is forgotten keeps what it has for good, as any leak does.
//!
//! | to | use |
//! |---|---|
//! | send one value | [`oneshot`] |
//! | send many values to one task | [`mpsc`] |
//! | send every value to every task | [`broadcast`] |
//! | show the latest value to every task | [`watch`] |
//! | limit how many do something | [`Semaphore`] |
//! | let one at a time use a value | [`Mutex`] |
//! | let many read a value or one write it | [`RwLock`] |
//! | make a value once | [`OnceCell`] |
//! | wait for each other | [`Barrier`] |
//! | tell tasks to stop | [`CancellationToken`] |
//! | wake without a value | [`Notify`] |
//!
//! Of what tokio has, the `blocking_` methods are missing on purpose: whoever blocked the thread would wait for a task
//! of the same thread. Guards cannot be mapped.
//!
//! # Between threads
//! There is nothing here for that, because others have it: a waker of annulus may be woken from any thread, and wakes a
//! shard that sleeps, so the channels of any crate work that needs no runtime of its own. `tests/foreign_channels.rs`
//! shows it on both drivers, from threads and between shards, for these:
//!
//! | crate | take it |
//! |---|---|
//! | `tokio`, feature `sync` alone | by default: most names are the same; threads use its `blocking_` methods |
//! | `flume` | if several receive from one channel, or if threads and tasks are to share one type |
//! | `futures-channel` | if it is a dependency already, or for its `Sink` and `Stream` |

mod barrier;
pub mod broadcast;
mod cancel;
pub mod mpsc;
mod mutex;
mod notify;
mod once_cell;
pub mod oneshot;
mod rwlock;
mod semaphore;
#[cfg(test)]
mod tests;
mod wait;
pub mod watch;

pub use barrier::{Barrier, BarrierWaitResult};
pub use cancel::{CancellationToken, DropGuard, WaitForCancellationFuture, WaitForCancellationFutureOwned};
pub use mutex::{Mutex, MutexGuard, OwnedMutexGuard, TryLockError};
pub use notify::{Notified, Notify};
pub use once_cell::{OnceCell, SetError};
pub use rwlock::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};
