//! Several futures in one: [`select!`](crate::select), [`join!`](crate::join), [`try_join!`](crate::try_join), and
//! [`pin!`](crate::pin).
//!
//! The futures live in the one that awaits them: nothing is allocated and nothing is spawned, so they may borrow from
//! it. Grammar and meaning are tokio's.
//!
//! The macros take the input apart and give every branch a name; what happens then is an ordinary function here. They
//! are `macro_rules`, for a reader finds the whole of them in two places, and a user who does without the attribute
//! macros does without `syn`. Each takes one branch off its input per recursion, so 64 of them stay below the
//! compiler's limit.

mod join;
mod random;
mod select;

pub use join::{Branch, join, never_fails};
pub use random::below;
pub use select::select;

/// Pins futures where they stand.
///
/// `pin!(a, b)` takes the variables `a` and `b` and puts pinned references in their places. `pin! { let a = future; }`
/// makes the variable, too. For an expression there is [`std::pin::pin!`].
///
/// ```
/// # annulus::run(async {
/// let answer = async { 42 };
/// annulus::pin!(answer);
/// assert_eq!(answer.as_mut().await, 42);
///
/// annulus::pin! {
///     let one = async { 1 };
///     let two = async { 2 };
/// }
/// assert_eq!(one.await + two.await, 3);
/// # });
/// ```
#[macro_export]
macro_rules! pin {
    ($($name:ident),* $(,)?) => {
        $(
            #[allow(unused_mut)]
            let mut $name = ::core::pin::pin!($name);
        )*
    };
    ($(let $name:ident = $future:expr;)*) => {
        $(
            let $name = $future;
            $crate::pin!($name);
        )*
    };
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    #[crate::test]
    async fn this_crate_may_use_them_too() {
        let sum = crate::select! { (a, b) = async { crate::join!(ready(1), ready(2)) } => a + b, () = pending() => 0 };
        assert_eq!((sum, crate::try_join!(ready(Err::<(), _>(4)))), (3, Err(4)));
    }
}
