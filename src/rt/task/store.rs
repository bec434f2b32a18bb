//! Where the memory of tasks comes from: what finished tasks left, or the allocator.
//!
//! A batch of short tasks is allocated and freed in one go, which is what general allocators are slowest at. So a
//! runtime keeps some of the memory of its finished tasks, by size, for the next ones. Memory is kept by the runtime
//! that runs on the thread where a task is freed, whose ever it was; where none runs, or there is enough, it goes back.

use std::{
    alloc::{self, Layout},
    cell::Cell,
    ptr::{self, NonNull},
};

/// Blocks are of a multiple of so many bytes, and [`MORE`]: what glibc's allocator has room for anyway, behind its own
/// word, so that nothing is wasted.
const STEP: usize = 16;
const MORE: usize = 8;
/// How many sizes are kept: tasks of up to 520 bytes. Of larger ones, the allocator is not what costs.
const SIZES: usize = 33;
const ALIGN: usize = 16;

/// How many blocks of each size a runtime keeps. Nothing in debug builds, where sanitizers are to see that a task was
/// freed.
pub(in crate::rt) const KEPT: usize = if cfg!(debug_assertions) { 0 } else { 1024 };
/// How many bytes it keeps in all.
const KEPT_BYTES: usize = 1 << 20;

/// The memory that a runtime keeps.
#[derive(Debug)]
pub(in crate::rt) struct Store {
    shelves: [Shelf; SIZES],
    most: usize,
    /// The bytes of all blocks that are kept.
    bytes: Cell<usize>,
}

/// Blocks of one size. *Shelved*: each block of the list has the shelf's layout and is nobody else's, and its first
/// word is the next one.
#[derive(Debug)]
struct Shelf {
    first: Cell<*mut Block>,
    len: Cell<usize>,
}

struct Block {
    next: *mut Block,
}

/// The shelf for memory of this layout, and the layout that its blocks have.
fn shelf_of(layout: Layout) -> Option<(usize, Layout)> {
    let number = layout.size().saturating_sub(MORE).div_ceil(STEP);
    if number >= SIZES || layout.align() > ALIGN {
        return None;
    }
    Some((number, Layout::from_size_align(size_of_blocks(number), ALIGN).ok()?))
}

fn size_of_blocks(number: usize) -> usize {
    number * STEP + MORE
}

impl Store {
    /// A store that keeps up to `most` blocks of each size.
    pub(in crate::rt) fn new(most: usize) -> Store {
        let shelves = [const { Shelf { first: Cell::new(ptr::null_mut()), len: Cell::new(0) } }; SIZES];
        Store { shelves, most, bytes: Cell::new(0) }
    }

    /// Memory of this layout, which is not that of a type without size.
    pub(super) fn take(&self, layout: Layout) -> NonNull<u8> {
        let Some((number, whole)) = shelf_of(layout) else { return allocate(layout) };
        let shelf = &self.shelves[number];
        let Some(block) = NonNull::new(shelf.first.get()) else { return allocate(whole) };
        // SAFETY: Shelved: the block is there, and its first word is the next one.
        shelf.first.set(unsafe { block.as_ref() }.next);
        shelf.len.set(shelf.len.get() - 1);
        self.bytes.set(self.bytes.get() - whole.size());
        block.cast()
    }

    /// Keeps a block for the next task; false if there are enough of its size, or of all.
    fn keep(&self, number: usize, block: NonNull<Block>) -> bool {
        let shelf = &self.shelves[number];
        let bytes = self.bytes.get() + size_of_blocks(number);
        let room = shelf.len.get() < self.most && bytes <= KEPT_BYTES;
        if room {
            // SAFETY: Shelved: the caller gives the block away, which has room for a word and is aligned for it.
            unsafe { block.write(Block { next: shelf.first.get() }) };
            shelf.first.set(block.as_ptr());
            shelf.len.set(shelf.len.get() + 1);
            self.bytes.set(bytes);
        }
        room
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.bytes.get() == 0 {
            return;
        }
        for number in 0..SIZES {
            let layout = Layout::from_size_align(size_of_blocks(number), ALIGN).expect("a small layout");
            while self.shelves[number].len.get() > 0 {
                let block = self.take(layout);
                // SAFETY: Shelved: the block has the shelf's layout, and was just taken off it.
                unsafe { alloc::dealloc(block.as_ptr(), layout) };
            }
        }
    }
}

/// Gives memory back that a store gave out for this layout: to `store`, which is the one of whoever runs here.
///
/// # Safety
/// It was taken from a store, for this layout, and nobody uses it any more.
pub(super) unsafe fn give_back(memory: NonNull<u8>, layout: Layout, store: Option<&Store>) {
    let shelf = shelf_of(layout);
    let kept = shelf.is_some_and(|(number, _)| store.is_some_and(|store| store.keep(number, memory.cast())));
    if !kept {
        let whole = shelf.map_or(layout, |(_, whole)| whole);
        // SAFETY: Shelved: `take` allocated it with the layout that follows from this one in the same way.
        unsafe { alloc::dealloc(memory.as_ptr(), whole) };
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: Fresh: a cell has a header, so the layout has a size.
    let memory = unsafe { alloc::alloc(layout) };
    NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    /// Puts it on its shelf, as far as there is room.
    fn keep(store: &Store, memory: NonNull<u8>, layout: Layout) -> bool {
        let (number, whole) = shelf_of(layout).unwrap();
        let kept = store.keep(number, memory.cast());
        if !kept {
            // SAFETY: it came from this layout's shelf, and is used no more.
            unsafe { alloc::dealloc(memory.as_ptr(), whole) };
        }
        kept
    }

    /// Red when a block is given out twice, or with another size than it has.
    #[test]
    fn what_was_left_is_given_out_again() {
        let store = Store::new(2);
        let [a, b, c] = [(); 3].map(|()| store.take(of(100)));
        assert_eq!([keep(&store, a, of(100)), keep(&store, b, of(100)), keep(&store, c, of(100))], [true, true, false]);
        // The same shelf, from the last to the first; then the allocator has to help.
        let again = [store.take(of(104)), store.take(of(89))];
        assert_eq!(again, [b, a]);
        let fresh = store.take(of(100));
        assert!(!again.contains(&fresh));
        let smaller = store.take(of(88));
        for (memory, layout) in [(b, of(104)), (a, of(104)), (fresh, of(100)), (smaller, of(73))] {
            // SAFETY: it is a live block with room for a word.
            unsafe { memory.write_bytes(0xa5, layout.size()) };
            keep(&store, memory, layout);
        }
        let kept: Vec<_> =
            store.shelves.iter().map(|shelf| shelf.len.get()).enumerate().filter(|kept| kept.1 > 0).collect();
        assert_eq!((kept, store.bytes.get()), (vec![(5, 1), (6, 2)], 88 + 2 * 104));
    }

    /// Red when what is kept is bounded for each size alone.
    #[test]
    fn all_sizes_together_are_bounded() {
        let store = Store::new(usize::MAX);
        let blocks: Vec<_> = (0..=KEPT_BYTES / 520).map(|_| store.take(of(520))).collect();
        let kept: Vec<_> = blocks.into_iter().map(|block| keep(&store, block, of(520))).collect();
        assert_eq!(kept.iter().filter(|&&kept| !kept).count(), 1);
        let smaller = store.take(of(504));
        assert!(!keep(&store, smaller, of(504)), "there are enough of all");
    }

    #[test]
    fn what_is_large_or_aligned_for_more_is_not_kept() {
        assert!(shelf_of(of(520)).is_some_and(|(number, whole)| (number, whole.size()) == (32, 520)));
        assert!(shelf_of(of(521)).is_none());
        assert!(shelf_of(Layout::from_size_align(64, 32).unwrap()).is_none());
        let store = Store::new(4);
        for layout in [of(521), Layout::from_size_align(64, 64).unwrap()] {
            let memory = store.take(layout);
            assert!(memory.addr().get() % layout.align() == 0);
            // SAFETY: it was just taken for this layout, and nobody uses it.
            unsafe { give_back(memory, layout, None) };
        }
    }
}
