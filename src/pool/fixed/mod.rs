//! Fixed buffers: memory that the kernel has looked up and pinned once, and not for every request.

mod arena;
mod buf;
#[cfg(test)]
mod tests;

use crate::{driver::Driver, sync::Semaphore};
use arena::{Arena, MOST};
use std::{
    cell::{Cell, RefCell},
    fmt, io,
    ptr::NonNull,
    rc::Rc,
};

pub use arena::Pages;
pub use buf::FixedBuf;

/// The most that a buffer's start is a multiple of.
const ALIGN: usize = 4096;

/// Buffers in memory that is registered with the runtime's ring, so that a read into one or a write from one does not
/// make the kernel look up and pin its pages each time: `READ_FIXED` and `WRITE_FIXED`, which
/// [`op::read`](crate::op::read()), [`op::write`](crate::op::write()) and what is built on them choose by themselves.
///
/// It pays most where requests bypass the page cache (`O_DIRECT`). Sockets receive into such buffers and send from them
/// as into and from any others, but for zero-copy sends ([`op::send_zc`](crate::op::send_zc())): they pin nothing then.
///
/// The buffers are of a few sizes, its *classes*. A runtime may have several pools, and each shard makes its own. A
/// clone is the same pool.
///
/// ```
/// # annulus::run(async {
/// use annulus::{fs::File, pool::FixedPool};
///
/// let pool = FixedPool::builder().class(4096, 64).class(65536, 16).build()?;
/// let file = File::open("Cargo.toml").await?;
/// let (n, buf) = file.read_at(pool.take(4096).await?, 0).await;
/// assert_eq!(buf.len(), n?);
/// assert!(buf.starts_with(b"[workspace]"));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Where it is not registered
/// Then it is ordinary memory, and nothing else is different: on the poll driver, before Linux 5.19, in another runtime
/// than its own, and where the kernel may not lock so much memory (`RLIMIT_MEMLOCK`). The pool tells by
/// [`is_registered`](FixedPool::is_registered), and [`refusal`](FixedPool::refusal) tells why.
///
/// # Memory
/// Registered memory is there as a whole from the start and cannot be swapped; otherwise a page is there when it is
/// first written. It stays until the pool's handles, its buffers and the operations that have one are gone. A buffer
/// that is forgotten is leaked, and so is then the pool's memory. A forked child does not share it, and finds copies or
/// zeros there.
#[derive(Clone)]
pub struct FixedPool(Rc<Shared>);

static_assertions::assert_not_impl_any!(FixedPool: Send, Sync);

struct Shared {
    driver: Rc<Driver>,
    /// By size.
    classes: Box<[Class]>,
    arenas: RefCell<Vec<Arena>>,
    huge: bool,
}

/// Memory for one buffer.
#[derive(Clone, Copy)]
struct Place {
    at: NonNull<u8>,
    /// Where it is registered, in the driver's ring.
    index: Option<u16>,
}

/// The buffers of one size.
struct Class {
    size: usize,
    count: Cell<usize>,
    /// The places that no buffer has. What was used last is used first: it may still be in a cache.
    free: RefCell<Vec<Place>>,
    /// One permit for each free place that nobody has been promised.
    permits: Semaphore,
    waiting: Cell<usize>,
}

/// How the buffers of one class are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// The size of a buffer, in bytes.
    pub size: usize,
    /// How many there are.
    pub count: usize,
    /// How many are to be had.
    pub free: usize,
    /// How many are in somebody's hands, or forgotten.
    pub taken: usize,
    /// How many tasks wait for one.
    pub waiting: usize,
}

impl FixedPool {
    /// A pool that is to be described first.
    pub fn builder() -> FixedPoolBuilder {
        FixedPoolBuilder { classes: Vec::new(), huge: false }
    }

    /// Takes a buffer of the smallest class whose buffers hold `len` bytes, and waits for one if none is free. Who asks
    /// first is served first. It does not turn to a larger class.
    ///
    /// # Errors
    /// `InvalidInput` if no class has so large ones.
    ///
    /// # Cancellation
    /// **Clean**: it leaves the line; a buffer that it was promised goes to the next.
    pub async fn take(&self, len: usize) -> io::Result<FixedBuf> {
        let Some(class) = self.class_for(len) else { return Err(self.too_large(len)) };
        self.0.classes[class].promise().await;
        Ok(self.promised(class))
    }

    /// Takes a buffer of the smallest class whose buffers hold `len` bytes, if one is free and nobody waits for it.
    #[must_use]
    pub fn try_take(&self, len: usize) -> Option<FixedBuf> {
        let class = self.class_for(len)?;
        self.0.classes[class].permits.try_acquire().ok()?.forget();
        Some(self.promised(class))
    }

    /// Adds `count` buffers of `size` bytes, a size that the pool has, in memory of their own. Who waits is served.
    ///
    /// # Errors
    /// `InvalidInput` for a size that no class has, and for numbers that cannot be; `ENOMEM` when there is no memory.
    pub fn grow(&self, size: usize, count: usize) -> io::Result<()> {
        let (size, bytes) = measure(&[(size, count)])?;
        let Some(class) = self.0.classes.iter().position(|class| class.size == size[0].0) else {
            let sizes: Vec<_> = self.0.classes.iter().map(|class| class.size).collect();
            return Err(invalid(format!("this pool has no class of {} bytes; its classes are {sizes:?}", size[0].0)));
        };
        self.0.add(bytes, &[(class, count)])
    }

    /// Whether all of its memory is registered with the ring.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.0.arenas.borrow().iter().all(|arena| arena.place().is_ok())
    }

    /// Why not all of its memory is registered. `None` if it is.
    #[must_use]
    pub fn refusal(&self) -> Option<io::Error> {
        let arenas = self.0.arenas.borrow();
        let refused = arenas.iter().find_map(|arena| arena.place().err())?;
        Some(match refused.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(refused.kind(), refused.to_string()),
        })
    }

    /// The pages that it is made of; of different ones, the smallest.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.0.arenas.borrow().iter().map(Arena::pages).min().unwrap_or(Pages::Usual)
    }

    /// How the buffers are used, the smallest class first.
    #[must_use]
    pub fn stats(&self) -> Vec<ClassStats> {
        self.0.classes.iter().map(Class::stats).collect()
    }

    fn class_for(&self, len: usize) -> Option<usize> {
        self.0.classes.iter().position(|class| len <= class.size)
    }

    fn too_large(&self, len: usize) -> io::Error {
        let most = self.0.classes.last().map_or(0, |class| class.size);
        invalid(format!("this pool has no buffer of {len} bytes; its largest have {most}"))
    }

    /// The buffer for a permit that was taken.
    fn promised(&self, class: usize) -> FixedBuf {
        let place = self.0.classes[class].free.borrow_mut().pop().expect("there is a free place for each permit");
        FixedBuf::new(self.0.clone(), class, place)
    }
}

impl Shared {
    /// Adds memory of so many `bytes`, and so many buffers in it for each class: the largest first, so that each
    /// starts at a multiple of its alignment.
    fn add(&self, bytes: usize, classes: &[(usize, usize)]) -> io::Result<()> {
        let arena = Arena::new(bytes, self.huge, &self.driver)?;
        let (index, mut offset) = (arena.place().ok(), 0);
        for &(class, count) in classes.iter().rev() {
            let class = &self.classes[class];
            let places = (0..count).map(|n| Place { at: arena.at(offset + n * class.size), index });
            class.count.set(class.count.get() + count);
            let mut free = class.free.borrow_mut();
            // There is room for all of them, so that none allocates when it comes back.
            let back = class.count.get() - free.len();
            free.reserve_exact(back);
            free.extend(places);
            offset += count * class.size;
        }
        self.arenas.borrow_mut().push(arena);
        // Last, because it wakes: that is code of others.
        classes.iter().for_each(|&(class, count)| self.classes[class].permits.add_permits(count));
        Ok(())
    }
}

impl Class {
    fn new(size: usize) -> Class {
        let (free, permits) = (RefCell::default(), Semaphore::new(0));
        Class { size, count: Cell::new(0), free, permits, waiting: Cell::new(0) }
    }

    /// Waits for a free place, and promises it to the caller.
    async fn promise(&self) {
        struct Waiting<'a>(&'a Cell<usize>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        self.permits.acquire().await.expect("nobody closes it").forget();
    }

    /// Takes a place back.
    fn give(&self, place: Place) {
        self.free.borrow_mut().push(place);
        // Last, because it wakes: that is code of others.
        self.permits.add_permits(1);
    }

    fn stats(&self) -> ClassStats {
        let (count, free) = (self.count.get(), self.free.borrow().len());
        ClassStats { size: self.size, count, free, taken: count - free, waiting: self.waiting.get() }
    }
}

impl fmt::Debug for FixedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registered = self.is_registered();
        f.debug_struct("FixedPool").field("registered", &registered).field("classes", &self.stats()).finish()
    }
}

/// What a [`FixedPool`] is to be; made by [`FixedPool::builder`].
#[derive(Clone, Debug)]
#[must_use = "it is no pool before `build`"]
pub struct FixedPoolBuilder {
    classes: Vec<(usize, usize)>,
    huge: bool,
}

impl FixedPoolBuilder {
    /// Adds `count` buffers that hold `size` bytes. The size is rounded up: to a power of two, above 4096 to a multiple
    /// of that.
    pub fn class(mut self, size: usize, count: usize) -> FixedPoolBuilder {
        self.classes.push((size, count));
        self
    }

    /// Asks for huge pages: those that the system has set aside, or else those that the kernel can put together. What
    /// came of it, [`FixedPool::pages`] tells. The memory is then a multiple of 2 MiB. A fork copies registered
    /// pages that were set aside, and fails where there are not as many more.
    pub fn huge_pages(mut self, yes: bool) -> FixedPoolBuilder {
        self.huge = yes;
        self
    }

    /// Makes the pool, and registers it with the runtime's ring if that is to be had.
    ///
    /// # Errors
    /// `InvalidInput` without a class, for one without bytes or buffers, and for more than 1 GiB in all: that is the
    /// most at once, and a pool can [grow](FixedPool::grow). `ENOMEM` when there is no memory.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn build(self) -> io::Result<FixedPool> {
        let driver = Driver::current().expect("an annulus::pool::FixedPool was made outside of an annulus runtime");
        let (classes, bytes) = measure(&self.classes)?;
        let arenas = RefCell::default();
        let made = classes.iter().map(|&(size, _)| Class::new(size)).collect();
        let shared = Shared { driver, classes: made, arenas, huge: self.huge };
        let counts: Vec<_> = classes.iter().map(|&(_, count)| count).enumerate().collect();
        shared.add(bytes, &counts)?;
        Ok(FixedPool(Rc::new(shared)))
    }
}

/// The classes as they will be: sizes rounded up, each once, the smallest first. And how many bytes that makes.
fn measure(classes: &[(usize, usize)]) -> io::Result<(Vec<(usize, usize)>, usize)> {
    if classes.is_empty() {
        return Err(invalid("a pool needs buffers: FixedPool::builder().class(4096, 64)".into()));
    }
    let (mut all, mut bytes) = (Vec::<(usize, usize)>::new(), 0_usize);
    for &(size, count) in classes {
        if size == 0 || size > MOST || count == 0 {
            let why = format!("{count} buffers of {size} bytes are no class; ask for at least one, of 1 byte to 1 GiB");
            return Err(invalid(why));
        }
        let size = if size <= ALIGN { size.next_power_of_two() } else { size.next_multiple_of(ALIGN) };
        bytes = bytes.saturating_add(size.saturating_mul(count));
        if bytes > MOST {
            let why = "these buffers are more than 1 GiB, which is the most at once; build with fewer and `grow`";
            return Err(invalid(why.into()));
        }
        match all.iter_mut().find(|class| class.0 == size) {
            Some(class) => class.1 += count,
            None => all.push((size, count)),
        }
    }
    all.sort_unstable();
    Ok((all, bytes))
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
