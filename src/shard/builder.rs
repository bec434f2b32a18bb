//! How shards are to be, and their start.

use super::{
    Placement, Shard, Shards, cpus,
    dispatch::Office,
    error::ShardError,
    mailbox::Mailbox,
    peers::{Peers, Shared},
    stop::ShutdownToken,
    thread::{self, Ends, Plan},
};
use crate::rt;
use std::{
    fmt, io,
    num::NonZero,
    sync::{Arc, mpsc},
    thread::available_parallelism,
    time::Duration,
};

/// Makes [`Shards`].
///
/// ```
/// use annulus::shard::{Shard, Shards};
///
/// let results = Shards::builder().count(2).run(async |shard: Shard| shard.index() * 10)?;
/// let results: Vec<usize> = results.into_iter().map(Result::unwrap).collect();
/// assert_eq!(results, [0, 10]);
/// # std::io::Result::Ok(())
/// ```
#[must_use = "a builder does nothing until `start` or `run`"]
pub struct ShardsBuilder {
    count: Option<usize>,
    cpus: Option<Vec<usize>>,
    placement: Placement,
    name: String,
    mailbox: usize,
    grace: Duration,
    runtime: Box<dyn Fn(usize) -> rt::Builder>,
}

impl Default for ShardsBuilder {
    fn default() -> ShardsBuilder {
        ShardsBuilder::new()
    }
}

impl ShardsBuilder {
    /// The defaults: a shard for each CPU that the process may use, [spread](Placement::Spread) and pinned; 1024
    /// messages in each mailbox; runtimes with the defaults of [`rt::Builder`].
    pub fn new() -> ShardsBuilder {
        ShardsBuilder {
            count: None,
            cpus: None,
            placement: Placement::default(),
            name: "shard".into(),
            mailbox: 1024,
            grace: Duration::from_secs(10),
            runtime: Box::new(|_| rt::Builder::new()),
        }
    }

    /// How many shards there are. More than there are CPUs share them, in turn.
    pub fn count(mut self, count: usize) -> ShardsBuilder {
        self.count = Some(count);
        self
    }

    /// The CPUs to use, instead of all that the process may use. Without [`count`](ShardsBuilder::count), a shard each.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> ShardsBuilder {
        self.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// Which shard gets which CPU. The threads of its pool share it. Where a system has no such thing (macOS, the
    /// BSDs), none is pinned.
    pub fn placement(mut self, placement: Placement) -> ShardsBuilder {
        self.placement = placement;
        self
    }

    /// What the threads are called, and the runtimes that have no [name](rt::Builder::name) from elsewhere: `shard-0`,
    /// `shard-1` and so on, unless it is said here. [`rt::runtimes`] lists them by it.
    pub fn name(mut self, name: impl Into<String>) -> ShardsBuilder {
        self.name = name.into();
        self
    }

    /// How many messages a mailbox holds before its senders wait; 1 or more.
    pub fn mailbox(mut self, messages: usize) -> ShardsBuilder {
        self.mailbox = messages;
        self
    }

    /// How long the others have to end when a shard has panicked, or when [`Shards`] is dropped: ten seconds, unless it
    /// is said here.
    pub fn grace(mut self, grace: Duration) -> ShardsBuilder {
        self.grace = grace;
        self
    }

    /// How each shard's runtime is to be made, by the shard's number.
    pub fn runtime(mut self, builder: impl Fn(usize) -> rt::Builder + 'static) -> ShardsBuilder {
        self.runtime = Box::new(builder);
        self
    }

    /// Starts the shards, each with a copy of `main` and on a thread of its own. Returns when all runtimes are there;
    /// if one of them cannot be made, none begins.
    ///
    /// # Errors
    /// `InvalidInput` for a number of shards or messages that makes no sense and for a CPU that may not be used, what
    /// [`rt::Builder::build`] says, and what the system says when it has no more threads.
    pub fn start<M, T, F>(self, main: F) -> io::Result<Shards<M, T>>
    where
        M: Send + 'static,
        T: Send + 'static,
        F: AsyncFnOnce(Shard<M>) -> T + Clone + Send + 'static,
    {
        let plans = self.plan()?;
        let boxes = plans.iter().map(|_| Mailbox::new(self.mailbox)).collect();
        let offices = plans.iter().map(|_| Office::default()).collect();
        let peers = Peers { shared: Arc::new(Shared { boxes, offices }), token: ShutdownToken::default() };
        let cpus = plans.iter().map(|plan| plan.cpu).collect();
        let patience = plans.iter().map(|plan| plan.builder.deadline()).max().unwrap_or_default();
        let ends = Arc::new(Ends::new(plans.len()));
        let (tell, ready) = mpsc::channel();
        let (mut threads, mut begins, mut made) = (Vec::new(), Vec::new(), Ok(()));
        for plan in plans {
            let (begin, begun) = mpsc::channel();
            let (peers, main, tell, ends) = (peers.clone(), main.clone(), tell.clone(), ends.clone());
            let thread = std::thread::Builder::new().name(plan.name.clone());
            match thread.spawn(move || thread::run(&plan, peers, main, &tell, &begun, &ends)) {
                Ok(thread) => threads.push(thread),
                Err(error) => made = Err(error),
            }
            begins.push(begin);
        }
        drop(tell);
        made = ready.into_iter().take(threads.len()).fold(made, Result::and);
        if let Err(error) = made {
            drop(begins);
            threads.into_iter().for_each(|thread| drop(thread.join()));
            return Err(error);
        }
        for begin in begins {
            let _ = begin.send(());
        }
        Ok(Shards { peers, ends, threads, cpus, patience, grace: self.grace })
    }

    /// Starts the shards, and waits for all of them: [`start`](ShardsBuilder::start) and [`Shards::join`].
    ///
    /// # Errors
    /// Those of [`start`](ShardsBuilder::start).
    pub fn run<M, T, F>(self, main: F) -> io::Result<Vec<Result<T, ShardError>>>
    where
        M: Send + 'static,
        T: Send + 'static,
        F: AsyncFnOnce(Shard<M>) -> T + Clone + Send + 'static,
    {
        self.start(main).map(Shards::join)
    }

    fn plan(&self) -> io::Result<Vec<Plan>> {
        let complain = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let allowed = cpus::allowed()?;
        let known = allowed.is_some();
        let parallelism = available_parallelism().map_or(1, NonZero::get);
        let cpus = self.cpus.clone().or(allowed).unwrap_or_default();
        let default = if self.cpus.is_some() { cpus.len() } else { parallelism };
        let count = self.count.unwrap_or(default);
        if count == 0 {
            return complain("there must be one shard at least, and a CPU for it");
        }
        if count > cpus::MOST {
            return complain("so many shards are more than any machine has CPUs");
        }
        if self.name.contains('\0') {
            return complain("a thread's name cannot have a NUL in it");
        }
        if self.mailbox == 0 {
            return complain("a mailbox without room takes no message; give it room for one at least");
        }
        let pinned = known && self.placement != Placement::Unpinned;
        let order = if pinned { cpus::in_order(&cpus, self.placement) } else { Vec::new() };
        if pinned && order.is_empty() {
            return complain("there is no CPU to pin shards to; name some, or leave them unpinned");
        }
        let plan = |index: usize| {
            let cpu = order.get(index % order.len().max(1)).copied();
            let name = format!("{}-{index}", self.name);
            Plan { index, cpu, builder: (self.runtime)(index).or_name(name.clone()), name }
        };
        Ok((0..count).map(plan).collect())
    }
}

impl fmt::Debug for ShardsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardsBuilder")
            .field("count", &self.count)
            .field("cpus", &self.cpus)
            .field("placement", &self.placement)
            .field("name", &self.name)
            .field("mailbox", &self.mailbox)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
