//! `select!`: the first of several futures.

use super::random;
use crate::rt::coop;
use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

/// Awaits several futures at once and goes on with the first that fits.
///
/// ```text
/// select! {
///     biased;                                            // optional
///     <pattern> = <future> (, if <condition>)? => <handler>,
///     else => <expression>,                              // optional
/// }
/// ```
///
/// 1. The conditions are evaluated. A branch whose condition is false is disabled.
/// 2. The future expressions are evaluated, those of disabled branches, too.
/// 3. The futures of the branches that are left are polled until one is ready with an output that fits its pattern. An
///    output that does not fit disables its branch and is dropped.
/// 4. All futures are dropped, in the order in which they are written. Then the handler runs; its value is the value of
///    the whole. So a handler may use what a future had borrowed, and it may use `?`, `break`, `continue`, `return` and
///    `.await`.
/// 5. If every branch is disabled, the futures are dropped and the value is that of `else`.
///
/// Each poll begins with a branch chosen at random, so that one that is always ready does not starve the others. After
/// `biased;` it begins with the first and goes down: then it is yours to put a branch that is always ready last. Either
/// way the others of this thread get their turn: `select!` polls nothing while the task's budget is spent.
///
/// A handler that is a block needs no comma. There are at most 64 branches.
///
/// ```
/// use annulus::time::{Duration, sleep};
///
/// # annulus::run(async {
/// let mut work = std::pin::pin!(async { sleep(Duration::from_millis(20)).await; "done" });
/// let mut waited = 0;
/// let result = loop {
///     annulus::select! {
///         result = &mut work => break result,
///         () = sleep(Duration::from_millis(3)), if waited < 2 => waited += 1,
///     }
/// };
/// assert!(result == "done" && waited <= 2);
/// # });
/// ```
///
/// What a future had borrowed is the handler's:
///
/// ```edition2021
/// use annulus::time::{Duration, sleep};
///
/// # annulus::run(async {
/// async fn slowly(to: &mut Vec<u8>, pause: u64) {
///     sleep(Duration::from_millis(pause)).await;
///     to.push(1);
/// }
///
/// let (mut quick, mut late) = (vec![], vec![]);
/// annulus::select! {
///     biased;
///     () = slowly(&mut quick, 1) => late.push(2),
///     () = slowly(&mut late, 1000) => quick.push(2),
/// }
/// assert_eq!((quick, late), (vec![1], vec![2]));
/// # });
/// ```
///
/// # Panics
/// If every branch is disabled and there is no `else`.
///
/// # Cancellation
/// The losers are dropped, and so is everything if the future that `select!` stands in is. What is lost then is said
/// by each future's own section: in a loop, select over `&mut future`, or over what is **Clean**.
#[macro_export]
macro_rules! select {
    () => { ::core::compile_error!("select! wants at least one branch") };
    ($(biased;)? else => $else:expr $(,)?) => { $else };
    (biased; $($branches:tt)+) => { $crate::__select!(biased: true, $($branches)+) };
    ($($branches:tt)+) => { $crate::__select!(biased: false, $($branches)+) };
}

/// Takes `select!` apart. `@ biased [names that are left] [named branches] [their names, last first] input`.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    (biased: $biased:literal, $($input:tt)+) => {
        $crate::__select! {
            @ $biased [
                _0 _1 _2 _3 _4 _5 _6 _7 _8 _9 _10 _11 _12 _13 _14 _15 _16 _17 _18 _19 _20 _21
                _22 _23 _24 _25 _26 _27 _28 _29 _30 _31 _32 _33 _34 _35 _36 _37 _38 _39 _40 _41 _42 _43
                _44 _45 _46 _47 _48 _49 _50 _51 _52 _53 _54 _55 _56 _57 _58 _59 _60 _61 _62 _63
            ] [] [] $($input)+
        }
    };

    // The end.
    (@ $biased:tt $names:tt $branches:tt $reversed:tt) => {
        $crate::__select! {
            @ $biased $names $branches $reversed
            else => ::core::panic!("select!: all branches are disabled and there is no else")
        }
    };
    (
        @ $biased:tt $names:tt
        [$($name:ident: $pattern:pat = $future:expr, if $condition:expr => $handler:expr;)*] [$($reversed:ident)*]
        else => $else:expr $(,)?
    ) => {{
        // Items are visible to the user's code below, so this one has a name that nobody else gives.
        #[allow(non_camel_case_types)]
        enum __SelectOutput<$($name),*> { $($name($name)),* }
        match {
            let enabled = [$($condition),*];
            $(let $name = $future;)*
            // Variables are dropped last first.
            $(let mut $reversed = ::core::pin::pin!(::core::future::IntoFuture::into_future($reversed));)*
            $crate::__private::select($biased, enabled, |branch, cx| {
                let mut before = 0..branch;
                $(
                    if before.next().is_none() {
                        return match ::core::future::Future::poll($name.as_mut(), cx) {
                            ::core::task::Poll::Pending => ::core::task::Poll::Pending,
                            #[allow(unused_mut)]
                            ::core::task::Poll::Ready(mut output) => {
                                let mut fits = false;
                                // A guard that fails has moved nothing, whatever the pattern binds.
                                match output {
                                    #[allow(unused_variables, unreachable_patterns)]
                                    $pattern if { fits = true; false } => ::core::unreachable!(),
                                    output => ::core::task::Poll::Ready(fits.then_some(__SelectOutput::$name(output))),
                                }
                            }
                        };
                    }
                )*
                ::core::unreachable!("select! has no branch {branch}")
            })
            .await
        } {
            $(::core::option::Option::Some(__SelectOutput::$name($pattern)) => $handler,)*
            ::core::option::Option::None => $else,
            #[allow(unreachable_patterns)]
            ::core::option::Option::Some(_) => ::core::unreachable!("an output fits its pattern once and then not"),
        }
    }};

    // A branch.
    (@ $biased:tt [] $branches:tt $reversed:tt $($input:tt)+) => {
        ::core::compile_error!("select! takes at most 64 branches")
    };
    (
        @ $biased:tt [$name:ident $($names:ident)*] [$($branches:tt)*] [$($reversed:ident)*]
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block, $($input:tt)*
    ) => {
        $crate::__select! {
            @ $biased [$($names)*]
            [$($branches)* $name: $pattern = $future, if true $(&& $condition)? => $handler;] [$name $($reversed)*]
            $($input)*
        }
    };
    (
        @ $biased:tt [$name:ident $($names:ident)*] [$($branches:tt)*] [$($reversed:ident)*]
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block $($input:tt)*
    ) => {
        $crate::__select! {
            @ $biased [$($names)*]
            [$($branches)* $name: $pattern = $future, if true $(&& $condition)? => $handler;] [$name $($reversed)*]
            $($input)*
        }
    };
    (
        @ $biased:tt [$name:ident $($names:ident)*] [$($branches:tt)*] [$($reversed:ident)*]
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:expr $(, $($input:tt)*)?
    ) => {
        $crate::__select! {
            @ $biased [$($names)*]
            [$($branches)* $name: $pattern = $future, if true $(&& $condition)? => $handler;] [$name $($reversed)*]
            $($($input)*)?
        }
    };
}

/// Polls the branches that are enabled until one gives an output, or until none is left, which is None. A branch gives
/// `Ready(None)` if its output does not fit.
///
/// # Cancellation
/// **Clean**: there is nothing here but the borrowed branches.
pub fn select<O, const N: usize>(
    biased: bool,
    mut enabled: [bool; N],
    mut branch: impl FnMut(usize, &mut Context<'_>) -> Poll<Option<O>>,
) -> impl Future<Output = Option<O>> {
    poll_fn(move |cx| {
        // Without a budget those branches that know of it would all be pending, and the others would win.
        drop(ready!(coop::poll_proceed(cx)));
        let start = if biased { 0 } else { random::below(N) };
        let mut is_pending = false;
        for i in (start..N).chain(0..start) {
            if !enabled[i] {
                continue;
            }
            match branch(i, cx) {
                Poll::Pending => is_pending = true,
                Poll::Ready(None) => enabled[i] = false,
                output => return output,
            }
        }
        if is_pending { Poll::Pending } else { Poll::Ready(None) }
    })
}
