//! How another thread hands a task to a shard: a stack without locks, and the handshake that lets it sleep.
//!
//! The stack links the nodes themselves, so a push allocates nothing. Its owner takes everything at once and
//! turns it around, so the tasks run in the order of their pushes, and no node is ever popped while another
//! thread looks at it (the ABA problem needs a pop).
//!
//! The handshake is Dekker's: the sleeper announces itself and then looks at the stack; the pusher pushes and then
//! looks for the announcement. A sequentially consistent fence between the two steps on either side means that at
//! least one of them sees the other, so no wake is lost; a shard that is awake is left alone, so no wake is wasted.

use super::sync::{AtomicBool, AtomicPtr, Ordering, fence};
use std::ptr::{self, NonNull};

/// A node that can lie in a [`Stack`].
///
/// # Safety
/// `link` is always the same field of the node, and nobody but the stack uses it.
pub(crate) unsafe trait Linked: Sized {
    fn link(&self) -> &AtomicPtr<Self>;
}

/// Pushed to by everybody, emptied by its owner.
#[derive(Debug)]
pub(crate) struct Stack<N>(AtomicPtr<N>);

/// The head of a closed stack: no node lies at this address.
fn closed<N>() -> *mut N {
    ptr::without_provenance_mut(1)
}

impl<N: Linked> Stack<N> {
    pub(crate) fn new() -> Stack<N> {
        Stack(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts `node` on the stack; false if the stack is closed, and the node is still the caller's.
    ///
    /// # Safety
    /// The node stays valid until it was taken, and it is in no stack now.
    pub(crate) unsafe fn push(&self, node: NonNull<N>) -> bool {
        // SAFETY: Linked: the caller keeps the node valid until the owner took it.
        let link = unsafe { node.as_ref() }.link();
        // Relaxed: only compared, and asked for again if it is the end.
        let mut head = self.0.load(Ordering::Relaxed);
        while head != closed() {
            // Relaxed: published by the exchange below.
            link.store(head, Ordering::Relaxed);
            // Release: pairs with `take` and `close`, which hand over every node pushed so far.
            match self.0.compare_exchange_weak(head, node.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => head = seen,
            }
        }
        // Acquire: pairs with `close`: what the owner did with the node before is over. The caller may be who frees it.
        self.0.load(Ordering::Acquire);
        false
    }

    /// Whether there is nothing to take. After [`Sleep::announce`] this is the sleeper's second step.
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: a hint while awake; before sleep the fence of `announce` orders it.
        self.0.load(Ordering::Relaxed).is_null()
    }

    /// Takes all nodes, oldest first: none, once the stack is closed.
    pub(crate) fn take(&self) -> Chain<N> {
        // Relaxed: a hint; the swap is what takes. Whoever takes is also who closes, so this cannot miss that.
        let head = self.0.load(Ordering::Relaxed);
        if head.is_null() || head == closed() {
            return Chain(ptr::null_mut());
        }
        // Acquire: pairs with every `push` since the last one.
        Chain(reverse(self.0.swap(ptr::null_mut(), Ordering::Acquire)))
    }

    /// Takes all nodes and refuses later ones.
    pub(crate) fn close(&self) -> Chain<N> {
        // Acquire: pairs with every `push` since the last `take`. Release: pairs with a `push` that comes too late.
        let taken = self.0.swap(closed(), Ordering::AcqRel);
        Chain(if taken == closed() { ptr::null_mut() } else { reverse(taken) })
    }
}

/// Turns a taken chain around.
fn reverse<N: Linked>(mut from: *mut N) -> *mut N {
    let mut to = ptr::null_mut();
    // SAFETY: Linked: a taken node is valid, and it is the taker's alone.
    while let Some(node) = unsafe { from.as_ref() } {
        // Relaxed: both steps are the taker's own, after the Acquire of `take` or `close`.
        let next = node.link().load(Ordering::Relaxed);
        node.link().store(to, Ordering::Relaxed);
        to = from;
        from = next;
    }
    to
}

/// Taken nodes, oldest first.
#[derive(Debug)]
pub(crate) struct Chain<N>(*mut N);

impl<N: Linked> Iterator for Chain<N> {
    type Item = NonNull<N>;

    fn next(&mut self) -> Option<NonNull<N>> {
        let node = NonNull::new(self.0)?;
        // SAFETY: Linked: a taken node is valid until the iterator has yielded it.
        let link = unsafe { node.as_ref() }.link();
        // Relaxed: the taker's own, after the Acquire of `take` or `close`.
        self.0 = link.load(Ordering::Relaxed);
        Some(node)
    }
}

/// Whether a shard sleeps.
#[derive(Debug)]
pub(crate) struct Sleep(AtomicBool);

impl Sleep {
    pub(crate) fn new() -> Sleep {
        Sleep(AtomicBool::new(false))
    }

    /// The sleeper's first step; after it, it must look once more whether there is work.
    pub(crate) fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
        // SeqCst: pairs with the fence of `must_wake`.
        fence(Ordering::SeqCst);
    }

    /// The sleeper is up. A push that misses this wakes in vain; one that sees it is found before the next sleep.
    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// The pusher's second step: true if it has to wake the sleeper. One pusher per sleep is told so.
    pub(crate) fn must_wake(&self) -> bool {
        // SeqCst: pairs with the fence of `announce`.
        fence(Ordering::SeqCst);
        // Relaxed: the fences order these against the stack, and the wake itself synchronises.
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Node(AtomicPtr<Node>);

    // SAFETY: Linked: the only field, and nothing else uses it.
    unsafe impl Linked for Node {
        fn link(&self) -> &AtomicPtr<Node> {
            &self.0
        }
    }

    #[test]
    fn oldest_first_and_nothing_after_the_end() {
        let nodes = [const { Node(AtomicPtr::new(ptr::null_mut())) }; 3];
        let stack = Stack::new();
        // SAFETY: the array outlives the stack's use, and a node is pushed again only after it was taken.
        let push = |n: usize| unsafe { stack.push(NonNull::from(&nodes[n])) };
        let order = |chain: Chain<Node>| -> Vec<usize> {
            chain.map(|node| nodes.iter().position(|n| ptr::eq(n, node.as_ptr())).unwrap()).collect()
        };
        for round in [[0, 1, 2], [2, 0, 1]] {
            assert!(stack.is_empty());
            assert!(round.into_iter().all(push));
            assert_eq!(order(stack.take()), round);
        }
        assert!(push(1));
        assert_eq!(order(stack.close()), [1]);
        assert!(!push(2));
        assert_eq!(order(stack.take()), []);
        assert!(!push(2), "asking a closed stack does not open it");
        assert_eq!((order(stack.take()), order(stack.close())), (vec![], vec![]));
    }
}
