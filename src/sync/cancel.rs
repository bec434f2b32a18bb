//! Telling many tasks to stop.
//!
//! The tokens of a tree know each other through one table, which holds for each token its parent, its first child and
//! its neighbours among the children. A token whose last handle is gone leaves the table if it has at most one child,
//! which then belongs to its parent; one with more children stays for their sake. So there are never more such ghosts
//! than tokens, and whatever comes and goes costs constant time, without recursion. A token that is cancelled leaves
//! the table with all that come from it.
//!
//! While the table is borrowed, no code of others runs: tokens are marked as cancelled first, all of them, and then
//! those who wait are woken.

use super::wait::{Crowd, Place};
use crate::rt::coop;
use slab::Slab;
use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
};

/// No node lies at this index.
const NIL: usize = usize::MAX;

/// Tells the tasks of a shard to stop; a clone is the same token.
///
/// A [child](CancellationToken::child_token) is cancelled with its parent, and can be cancelled by itself.
///
/// ```
/// # annulus::run(async {
/// use annulus::sync::CancellationToken;
///
/// let all = CancellationToken::new();
/// let connection = all.child_token();
/// let task = annulus::spawn(async move {
///     connection.run_until_cancelled(std::future::pending::<()>()).await
/// });
/// all.cancel();
/// assert_eq!(task.await.unwrap(), None);
/// # });
/// ```
#[derive(Clone)]
pub struct CancellationToken(Rc<Token>);

struct Token {
    cancelled: Cell<bool>,
    crowd: Crowd,
    tree: Rc<RefCell<Tree>>,
    /// Where it is in the tree; `NIL` when it is cancelled.
    node: Cell<usize>,
}

#[derive(Default)]
struct Tree(Slab<Node>);

struct Node {
    /// Gone if all handles are.
    token: Weak<Token>,
    parent: usize,
    /// The first child; each child knows the next and the one before.
    child: usize,
    next: usize,
    before: usize,
}

impl Tree {
    /// Adds a node as the first child of `parent`.
    fn add(&mut self, token: Weak<Token>, parent: usize) -> usize {
        let node = self.0.insert(Node { token, parent, child: NIL, next: NIL, before: NIL });
        self.hang(node, parent);
        node
    }

    fn hang(&mut self, node: usize, parent: usize) {
        let next = self.0.get_mut(parent).map_or(NIL, |parent| std::mem::replace(&mut parent.child, node));
        if let Some(next) = self.0.get_mut(next) {
            next.before = node;
        }
        let node = &mut self.0[node];
        (node.parent, node.next, node.before) = (parent, next, NIL);
    }

    /// Takes a node from its parent and its neighbours.
    fn unhang(&mut self, node: usize) {
        let Node { parent, next, before, .. } = self.0[node];
        match (self.0.get_mut(before), parent) {
            (Some(before), _) => before.next = next,
            (None, parent) => {
                if let Some(parent) = self.0.get_mut(parent) {
                    parent.child = next;
                }
            }
        }
        if let Some(next) = self.0.get_mut(next) {
            next.before = before;
        }
    }

    /// The last handle of a node is gone: it leaves, and so does a parent that stayed only for it and another.
    fn release(&mut self, node: usize) {
        let parent = self.0[node].parent;
        self.leave_if_needless(node);
        if self.0.get(parent).is_some_and(|parent| parent.token.strong_count() == 0) {
            self.leave_if_needless(parent);
        }
    }

    fn leave_if_needless(&mut self, node: usize) {
        let Node { parent, child, .. } = self.0[node];
        let only = self.0.get(child).is_none_or(|child| child.next == NIL);
        if !only {
            return;
        }
        self.unhang(node);
        if child != NIL {
            self.hang(child, parent);
        }
        self.0.remove(node);
    }

    /// Takes `node` and all that come from it out of the tree, marked as cancelled; gives those that have handles.
    /// Parents come before their children.
    fn cut(&mut self, node: usize) -> Vec<Rc<Token>> {
        self.unhang(node);
        let parent = self.0[node].parent;
        let (mut nodes, mut tokens) = (vec![node], Vec::new());
        let mut done = 0;
        while let Some(&node) = nodes.get(done) {
            done += 1;
            let Node { token, mut child, .. } = self.0.remove(node);
            while let Some(node) = self.0.get(child) {
                nodes.push(child);
                child = node.next;
            }
            tokens.extend(token.upgrade());
        }
        for token in &tokens {
            token.cancelled.set(true);
            token.node.set(NIL);
        }
        if self.0.get(parent).is_some_and(|parent| parent.token.strong_count() == 0) {
            self.leave_if_needless(parent);
        }
        tokens
    }
}

impl Token {
    /// A token of a tree, or one that is cancelled and needs none.
    fn new(tree: Rc<RefCell<Tree>>, parent: usize, cancelled: bool) -> Rc<Token> {
        let node = Cell::new(NIL);
        let token = Rc::new(Token { cancelled: Cell::new(cancelled), crowd: Crowd::new(), tree, node });
        if !cancelled {
            token.node.set(token.tree.borrow_mut().add(Rc::downgrade(&token), parent));
        }
        token
    }

    fn check(&self) -> Option<()> {
        self.cancelled.get().then_some(())
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if self.node.get() != NIL {
            self.tree.borrow_mut().release(self.node.get());
        }
    }
}

impl CancellationToken {
    /// A token that comes from no other.
    #[must_use]
    pub fn new() -> CancellationToken {
        CancellationToken(Token::new(Rc::default(), NIL, false))
    }

    /// A token that is cancelled with this one, but does not cancel it.
    #[must_use]
    pub fn child_token(&self) -> CancellationToken {
        CancellationToken(Token::new(self.0.tree.clone(), self.0.node.get(), self.is_cancelled()))
    }

    /// Cancels this token and all that come from it, and wakes those who wait for it. All are cancelled before the
    /// first is woken.
    pub fn cancel(&self) {
        if self.is_cancelled() {
            return;
        }
        let tokens = self.0.tree.borrow_mut().cut(self.0.node.get());
        for token in tokens {
            token.crowd.answer_all(());
        }
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.get()
    }

    /// Waits until it is cancelled.
    ///
    /// # Cancellation
    /// **Clean**: there is nothing to lose.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        WaitForCancellationFuture { token: &self.0, place: Place::default() }
    }

    /// Waits until it is cancelled, and keeps the token meanwhile.
    ///
    /// # Cancellation
    /// **Clean**: there is nothing to lose.
    pub fn cancelled_owned(self) -> WaitForCancellationFutureOwned {
        WaitForCancellationFutureOwned { token: self.0.clone(), place: Place::default() }
    }

    /// Runs `future` until it is ready or the token is cancelled, in which case it gives `None`. The token is looked
    /// at first, each time.
    ///
    /// # Cancellation
    /// **Clean** as far as the token goes; `future` is dropped, at once when the token is cancelled, too, and what is
    /// lost then is said by its own section.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        let (mut cancelled, mut future) = (self.cancelled(), pin!(future));
        poll_fn(|cx| match Pin::new(&mut cancelled).poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => future.as_mut().poll(cx).map(Some),
        })
        .await
    }

    /// A guard that cancels the token when it is dropped.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard(Some(self))
    }
}

impl Default for CancellationToken {
    fn default() -> CancellationToken {
        CancellationToken::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// Waits until a token is cancelled; made by [`CancellationToken::cancelled`].
#[must_use = "it does nothing unless it is awaited"]
pub struct WaitForCancellationFuture<'a> {
    token: &'a Token,
    place: Place,
}

/// Waits until a token is cancelled; made by [`CancellationToken::cancelled_owned`].
#[must_use = "it does nothing unless it is awaited"]
pub struct WaitForCancellationFutureOwned {
    token: Rc<Token>,
    place: Place,
}

fn poll_cancelled(token: &Token, place: &mut Place, cx: &mut Context<'_>) -> Poll<()> {
    let proceed = ready!(coop::poll_proceed(cx));
    ready!(token.crowd.poll_until(place, cx, || token.check()));
    proceed.made_progress();
    Poll::Ready(())
}

impl Future for WaitForCancellationFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        poll_cancelled(this.token, &mut this.place, cx)
    }
}

impl Future for WaitForCancellationFutureOwned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        poll_cancelled(&this.token, &mut this.place, cx)
    }
}

impl Drop for WaitForCancellationFuture<'_> {
    fn drop(&mut self) {
        self.token.crowd.leave(&mut self.place);
    }
}

impl Drop for WaitForCancellationFutureOwned {
    fn drop(&mut self) {
        self.token.crowd.leave(&mut self.place);
    }
}

impl fmt::Debug for WaitForCancellationFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitForCancellationFutureOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFutureOwned").finish_non_exhaustive()
    }
}

/// Cancels a token when it is dropped; made by [`CancellationToken::drop_guard`].
#[must_use = "the token is cancelled at once if this is dropped"]
#[derive(Debug)]
pub struct DropGuard(Option<CancellationToken>);

impl DropGuard {
    /// Gives the token back, which is not cancelled then.
    #[must_use]
    pub fn disarm(mut self) -> CancellationToken {
        self.0.take().expect("the token is taken once, by value")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.0 {
            token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::{Dice, Wakes, hostile, now, poll, unhurt};
    use std::task::Waker;

    fn nodes(token: &CancellationToken) -> usize {
        token.0.tree.borrow().0.len()
    }

    #[test]
    fn a_child_is_cancelled_with_its_parent_and_not_the_other_way() {
        let parent = CancellationToken::new();
        let (one, two) = (parent.child_token(), parent.child_token());
        let grandchild = one.child_token();
        let (wakes, waker) = Wakes::new();
        let mut waits = [&parent, &two, &grandchild].map(CancellationToken::cancelled);
        waits.iter_mut().for_each(|future| assert!(poll(future, &waker).is_pending()));
        one.cancel();
        assert_eq!((wakes.take(), nodes(&parent)), (1, 2));
        assert!(one.is_cancelled() && grandchild.is_cancelled() && !parent.is_cancelled() && !two.is_cancelled());
        parent.clone().cancel();
        parent.cancel();
        assert_eq!((wakes.take(), nodes(&parent)), (2, 0));
        waits.iter_mut().for_each(|future| assert!(poll(future, &waker).is_ready()));
        assert!(two.is_cancelled() && parent.child_token().is_cancelled());
        now(parent.child_token().cancelled_owned());
    }

    #[test]
    fn a_future_runs_until_its_token_is_cancelled() {
        let token = CancellationToken::new();
        assert_eq!(now(token.run_until_cancelled(async { 1 })), Some(1));
        let (wakes, waker) = Wakes::new();
        let mut runs = Box::pin(token.run_until_cancelled(std::future::pending::<()>()));
        assert!(poll(&mut runs, &waker).is_pending());
        drop(token.clone().drop_guard().disarm());
        drop(token.clone().drop_guard());
        assert_eq!((wakes.take(), poll(&mut runs, &waker)), (1, Poll::Ready(None)));
        assert_eq!(now(token.run_until_cancelled(async { 1 })), None);
    }

    /// Red when nodes that nobody holds stay.
    #[test]
    fn who_comes_and_goes_leaves_nothing_behind() {
        let root = CancellationToken::new();
        let mut last = root.clone();
        for _ in 0..1000 {
            drop(root.child_token().child_token());
            // Each parent goes, with a child that stays.
            last = last.child_token();
        }
        assert_eq!(nodes(&root), 2);
        root.cancel();
        assert!(last.is_cancelled());
        let root = CancellationToken::new();
        let middle = root.child_token();
        let (a, b) = (middle.child_token(), middle.child_token());
        drop(middle);
        assert_eq!(nodes(&root), 4, "a ghost keeps two");
        a.cancel();
        assert_eq!(nodes(&root), 2, "and goes when there is only one");
        root.cancel();
        assert!(b.is_cancelled());
    }

    /// Red with a recursion over children or parents.
    #[test]
    fn deep_and_wide_trees_overflow_nothing() {
        for cancels in [false, true] {
            let root = CancellationToken::new();
            let mut chain = vec![root.clone()];
            for n in 0..100_000 {
                chain.push(chain[n].child_token());
            }
            let wide: Vec<_> = (0..100_000).map(|_| root.child_token()).collect();
            if cancels {
                root.cancel();
                assert!(chain.iter().chain(&wide).all(CancellationToken::is_cancelled));
            }
            drop((chain, wide));
            assert_eq!(nodes(&root), usize::from(!cancels));
        }
    }

    /// All are cancelled before the first waker runs, which may then do what it likes.
    #[test]
    fn wakers_may_do_what_they_like() {
        let root = CancellationToken::new();
        let tokens: Vec<_> = (0..3).map(|_| root.child_token()).collect();
        let inside = RefCell::new(tokens.clone());
        let parent = root.clone();
        let waker = hostile(move || {
            if parent.is_cancelled() {
                assert!(inside.borrow().iter().all(CancellationToken::is_cancelled));
                inside.borrow_mut().pop();
            }
            let child = parent.child_token();
            let _ = poll(&mut child.cancelled(), Waker::noop());
            child.cancel();
        });
        let mut waits: Vec<_> = tokens.iter().map(CancellationToken::cancelled).collect();
        waits.iter_mut().for_each(|future| assert!(poll(future, &waker).is_pending()));
        root.cancel();
        waits.iter_mut().for_each(|future| assert!(poll(future, &waker).is_ready()));
        unhurt();
    }

    /// Against parents in a list: who is cancelled, and that there are never more nodes than twice the tokens.
    #[test]
    fn it_does_what_the_model_does() {
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let root = CancellationToken::new();
            // Every token that ever was, with its parent; those without handles stay for the sake of the model.
            let mut parents = vec![0];
            let mut cancelled = vec![false];
            let mut live = vec![(0, root.clone())];
            for _ in 0..200 {
                let at = dice.roll(live.len());
                match dice.roll(8) {
                    0..4 => {
                        let child = live[at].1.child_token();
                        parents.push(live[at].0);
                        cancelled.push(cancelled[live[at].0]);
                        live.push((parents.len() - 1, child));
                    }
                    4..7 if at > 0 => drop(live.swap_remove(at)),
                    7 if at > 0 => {
                        live[at].1.cancel();
                        cancelled[live[at].0] = true;
                        (1..parents.len()).for_each(|n| cancelled[n] |= cancelled[parents[n]]);
                    }
                    _ => {}
                }
                live.iter().for_each(|(n, token)| assert_eq!(token.is_cancelled(), cancelled[*n], "seed {seed}"));
                assert!(nodes(&root) < 2 * live.len(), "seed {seed}");
            }
            root.cancel();
            assert!(live.iter().all(|(_, token)| token.is_cancelled()));
        }
    }
}
