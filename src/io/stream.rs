//! Streams of items: one after the other, each to be awaited.

use std::future::Future;

/// Items that come one after the other.
///
/// It is awaited item by item and borrowed meanwhile, so an implementor may write a plain `async fn`.
///
/// ```
/// use annulus::io::stream::{Stream, StreamExt, iter};
///
/// # annulus::run(async {
/// let mut squares = iter(1..4).map(|n| n * n);
/// assert_eq!(squares.next().await, Some(1));
/// let mut rest = Vec::new();
/// squares.for_each(|n| std::future::ready(rest.push(n))).await;
/// assert_eq!(rest, [4, 9]);
/// # });
/// ```
#[must_use = "a stream does nothing until it is asked for its next item"]
pub trait Stream {
    /// What comes.
    type Item;

    /// Waits for the next item; `None` after the last.
    ///
    /// # Cancellation
    /// **Lossy**, unless an implementor says better: an item that was on its way is lost.
    fn next(&mut self) -> impl Future<Output = Option<Self::Item>>;

    /// How many items there will be: at least, and if that is known, at most.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}

impl<S: ?Sized + Stream> Stream for &mut S {
    type Item = S::Item;

    fn next(&mut self) -> impl Future<Output = Option<S::Item>> {
        (**self).next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (**self).size_hint()
    }
}

/// What every [`Stream`] can do.
pub trait StreamExt: Stream {
    /// Makes something else of each item.
    fn map<T, F>(self, f: F) -> Map<Self, F>
    where
        F: FnMut(Self::Item) -> T,
        Self: Sized,
    {
        Map { stream: self, f }
    }

    /// Makes something else of each item, and awaits that.
    fn then<Fut, F>(self, f: F) -> Then<Self, F>
    where
        F: FnMut(Self::Item) -> Fut,
        Fut: Future,
        Self: Sized,
    {
        Then { stream: self, f }
    }

    /// Does something with each item, one after the other, until the last.
    ///
    /// # Cancellation
    /// **Lossy**: the item that was being dealt with is gone, and so is the stream.
    fn for_each<Fut, F>(mut self, mut f: F) -> impl Future<Output = ()>
    where
        F: FnMut(Self::Item) -> Fut,
        Fut: Future<Output = ()>,
        Self: Sized,
    {
        async move {
            while let Some(item) = self.next().await {
                f(item).await;
            }
        }
    }
}

impl<S: Stream> StreamExt for S {}

/// A stream of something else; made by [`StreamExt::map`].
#[derive(Clone, Debug)]
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Map<S, F> {
    stream: S,
    f: F,
}

impl<S: Stream, T, F: FnMut(S::Item) -> T> Stream for Map<S, F> {
    type Item = T;

    async fn next(&mut self) -> Option<T> {
        self.stream.next().await.map(&mut self.f)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

/// A stream of what was awaited; made by [`StreamExt::then`].
#[derive(Clone, Debug)]
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Then<S, F> {
    stream: S,
    f: F,
}

impl<S: Stream, Fut: Future, F: FnMut(S::Item) -> Fut> Stream for Then<S, F> {
    type Item = Fut::Output;

    async fn next(&mut self) -> Option<Fut::Output> {
        match self.stream.next().await {
            Some(item) => Some((self.f)(item).await),
            None => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

/// The items of an iterator; made by [`iter`].
#[derive(Clone, Debug)]
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Iter<I>(I);

/// The items of an iterator, as a stream that is always ready.
pub fn iter<I: IntoIterator>(items: I) -> Iter<I::IntoIter> {
    Iter(items.into_iter())
}

impl<I: Iterator> Stream for Iter<I> {
    type Item = I::Item;

    async fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::memory::tests::block_on;

    #[test]
    fn items_come_in_their_order_and_as_they_were_made() {
        block_on(async {
            let mut stream = iter(["a", "b", "c"]).map(str::to_uppercase).then(async |s| s + "!");
            let mut lent = &mut stream;
            assert_eq!(Stream::size_hint(&lent), (3, Some(3)));
            assert_eq!(Stream::next(&mut lent).await.as_deref(), Some("A!"));
            assert_eq!(stream.size_hint(), (2, Some(2)));
            let mut rest = Vec::new();
            let keep = |item| {
                rest.push(item);
                std::future::ready(())
            };
            (&mut stream).for_each(keep).await;
            assert_eq!(rest, ["B!", "C!"]);
            assert_eq!((stream.next().await, stream.size_hint()), (None, (0, Some(0))));
        });
    }
}
