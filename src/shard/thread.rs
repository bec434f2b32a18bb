//! What a shard's thread does, from its start to its end.

use super::{
    dispatch::{Office, Orders},
    error::Reason,
    peers::{Peers, Shard},
};
use crate::{
    driver::quietly,
    rt::{self, Builder, JoinError, JoinHandle, Runtime},
    sys::unix,
};
use std::{
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    task::Poll,
    time::Instant,
};

/// What is known of a shard before it begins.
pub(super) struct Plan {
    pub(super) index: usize,
    pub(super) cpu: Option<usize>,
    /// Its thread's name.
    pub(super) name: String,
    pub(super) builder: Builder,
}

impl Plan {
    /// Makes the thread and its runtime ready.
    fn prepare(&self) -> io::Result<Runtime> {
        if let Some(cpu) = self.cpu {
            unix::pin(&[cpu]).map_err(|error| {
                let why = format!("shard {} cannot be pinned to CPU {cpu}: {error}", self.index);
                io::Error::new(error.kind(), why)
            })?;
        }
        self.builder.clone().build()
    }
}

/// The body of a thread: says whether it is ready, waits for the others, lives, and tells how it ended.
pub(super) fn run<M, T, F>(
    plan: &Plan,
    peers: Peers<M>,
    main: F,
    ready: &mpsc::Sender<io::Result<()>>,
    begin: &mpsc::Receiver<()>,
    ends: &Ends<T>,
) where
    M: Send + 'static,
    T: 'static,
    F: AsyncFnOnce(Shard<M>) -> T + 'static,
{
    let runtime = match plan.prepare() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    // If one of them cannot begin, none does.
    if ready.send(Ok(())).is_err() || begin.recv().is_err() {
        return;
    }
    let Plan { index, cpu, .. } = *plan;
    let (office, mailbox) = (&peers.shared.offices[index], &peers.shared.boxes[index]);
    let shard = Shard::new(index, cpu, peers.clone());
    let outcome = live(&runtime, office, async move { main(shard).await });
    if matches!(outcome, Err(Reason::Panicked(..))) {
        peers.token.request();
    }
    // A task of the shard may have kept the mailbox open.
    quietly(|| mailbox.close());
    quietly(|| drop(office.close()));
    quietly(|| drop(runtime));
    ends.tell(index, outcome);
}

fn live<T: 'static>(runtime: &Runtime, office: &Office, main: impl Future<Output = T> + 'static) -> Result<T, Reason> {
    let life = || runtime.block_on(async { serve(office, rt::spawn(main)).await });
    match catch_unwind(AssertUnwindSafe(life)) {
        Ok(Some(Ok(output))) => Ok(output),
        Ok(Some(Err(error))) => Err(error.try_into_panic().map_or(Reason::Late, Reason::panicked)),
        Ok(None) => Err(Reason::Late),
        Err(failure) => Err(Reason::panicked(failure)),
    }
}

/// Does what comes from outside until `main` has ended (its outcome) or was given up (`None`).
async fn serve<T>(office: &Office, mut main: JoinHandle<T>) -> Option<Result<T, JoinError>> {
    poll_fn(|cx| {
        let Orders { jobs, given_up } = office.read(cx);
        jobs.into_iter().for_each(|job| job());
        if given_up { Poll::Ready(None) } else { Pin::new(&mut main).poll(cx).map(Some) }
    })
    .await
}

/// How the shards ended, as far as they have.
pub(super) struct Ends<T> {
    outcomes: Mutex<Vec<Option<Result<T, Reason>>>>,
    news: Condvar,
}

pub(super) type Outcomes<T> = Vec<Option<Result<T, Reason>>>;

impl<T> Ends<T> {
    pub(super) fn new(count: usize) -> Ends<T> {
        Ends { outcomes: Mutex::new((0..count).map(|_| None).collect()), news: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Outcomes<T>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, index: usize, outcome: Result<T, Reason>) {
        // Whoever was left alone comes too late.
        if let Some(end) = self.lock().get_mut(index) {
            *end = Some(outcome);
        }
        self.news.notify_all();
    }

    pub(super) fn take(&self) -> Outcomes<T> {
        std::mem::take(&mut *self.lock())
    }

    /// Those that have not ended.
    pub(super) fn missing(&self) -> Vec<usize> {
        let outcomes = self.lock();
        (0..outcomes.len()).filter(|&index| outcomes[index].is_none()).collect()
    }

    /// Waits until all have ended, or one has panicked, or the time is up.
    pub(super) fn wait_for_panic(&self, deadline: Option<Instant>) {
        self.wait(deadline, |outcomes| outcomes.iter().any(|end| matches!(end, Some(Err(Reason::Panicked(..))))));
    }

    /// Waits until all have ended, or the time is up.
    pub(super) fn wait_for_all(&self, deadline: Option<Instant>) {
        self.wait(deadline, |_| false);
    }

    fn wait(&self, deadline: Option<Instant>, enough: impl Fn(&Outcomes<T>) -> bool) {
        let mut outcomes = self.lock();
        while outcomes.iter().any(Option::is_none) && !enough(&outcomes) {
            outcomes = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.news.wait(outcomes).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return,
                Some(left) => self.news.wait_timeout(outcomes, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}
