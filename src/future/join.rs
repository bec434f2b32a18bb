//! `join!` and `try_join!`: all of several futures.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

/// Awaits several futures at once and gives all their outputs, as a tuple.
///
/// Each future is dropped as soon as it is ready. Each poll begins one branch further down than the last one, so that
/// a branch that spends the task's budget does not starve the others; after `biased;` it always begins with the first.
/// There are at most 64 branches.
///
/// ```edition2021
/// # annulus::run(async {
/// let name = String::from("annulus");
/// let (length, upper) = annulus::join!(async { name.len() }, async { name.to_uppercase() });
/// assert_eq!((length, upper.as_str()), (7, "ANNULUS"));
/// # });
/// ```
///
/// # Cancellation
/// If the future that `join!` stands in is dropped, all branches and the outputs so far are.
#[macro_export]
macro_rules! join {
    (biased; $($futures:tt)*) => {
        $crate::__private::never_fails($crate::__join!(@ true poll [] [] $($futures)*))
    };
    ($($futures:tt)*) => {
        $crate::__private::never_fails($crate::__join!(@ false poll [] [] $($futures)*))
    };
}

/// Awaits several futures at once: `Ok` with a tuple of all their values, or the first error.
///
/// With the first `Err` the other futures are dropped. All have the same type of error. Otherwise this is
/// [`join!`](crate::join).
///
/// ```
/// # annulus::run(async {
/// let fine = annulus::try_join!(async { Ok::<_, String>(1) }, async { Ok("two") });
/// assert_eq!(fine, Ok((1, "two")));
///
/// let failed = annulus::try_join!(std::future::pending::<Result<(), _>>(), async { Err::<(), _>("no") });
/// assert_eq!(failed, Err("no"));
/// # });
/// ```
///
/// # Cancellation
/// If the future that `try_join!` stands in is dropped, all branches and the values so far are.
#[macro_export]
macro_rules! try_join {
    (biased; $($futures:tt)*) => { $crate::__join!(@ true try_poll [] [] $($futures)*) };
    ($($futures:tt)*) => { $crate::__join!(@ false try_poll [] [] $($futures)*) };
}

/// `@ biased method [named futures] [their names, last first] input`. A name that a macro writes belongs to that one
/// expansion, so each `future` below is another variable.
#[doc(hidden)]
#[macro_export]
macro_rules! __join {
    (@ $biased:literal $poll:ident [$($name:ident = $future:expr;)*] [$($reversed:ident)*]) => {{
        $(let $name = $future;)*
        // Variables are dropped last first.
        $(let $reversed = ::core::pin::pin!(::core::option::Option::Some(
            ::core::future::IntoFuture::into_future($reversed)
        ));)*
        $(let mut $name = $crate::__private::Branch::new($name);)*
        let result = $crate::__private::join($biased, [$($name.is_running()),*], |branch, cx| {
            let mut before = 0..branch;
            $(
                if before.next().is_none() {
                    return $name.$poll(cx);
                }
            )*
            ::core::unreachable!("join! has no branch {branch}")
        })
        .await;
        match result {
            ::core::result::Result::Ok(()) => ::core::result::Result::Ok(($($name.take(),)*)),
            ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
        }
    }};
    (@ $biased:literal $poll:ident [$($named:tt)*] [$($reversed:ident)*] $future:expr $(, $($input:tt)*)?) => {
        $crate::__join!(@ $biased $poll [$($named)* future = $future;] [future $($reversed)*] $($($input)*)?)
    };
}

/// A future until it is ready, and then its output.
#[derive(Debug)]
pub struct Branch<'a, F, T> {
    future: Pin<&'a mut Option<F>>,
    output: Option<T>,
}

impl<'a, F: Future, T> Branch<'a, F, T> {
    /// A branch that is not ready.
    pub fn new(future: Pin<&'a mut Option<F>>) -> Branch<'a, F, T> {
        Branch { future, output: None }
    }

    /// Whether the future is not ready yet.
    pub fn is_running(&self) -> bool {
        self.future.is_some()
    }

    /// The output. The branch was ready before, and this is called once.
    pub fn take(&mut self) -> T {
        self.output.take().expect("a branch that was ready has its output")
    }

    /// Polls the future, and drops it once it is ready.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let running = self.future.as_mut().as_pin_mut().expect("a branch that is ready is not polled again");
        let output = running.poll(cx);
        if output.is_ready() {
            self.future.set(None);
        }
        output
    }
}

impl<F: Future> Branch<'_, F, F::Output> {
    /// The step of `join!`, which no output ends early.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.step(cx).map(|output| {
            self.output = Some(output);
            Ok(())
        })
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Branch<'_, F, T> {
    /// The step of `try_join!`, which an error ends.
    pub fn try_poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.step(cx).map_ok(|value| self.output = Some(value))
    }
}

/// Polls the branches that are `running` until all are ready, or one gives an error.
///
/// # Cancellation
/// **Clean**: there is nothing here but the borrowed branches.
pub fn join<E, const N: usize>(
    biased: bool,
    mut running: [bool; N],
    mut branch: impl FnMut(usize, &mut Context<'_>) -> Poll<Result<(), E>>,
) -> impl Future<Output = Result<(), E>> {
    let mut start = 0;
    poll_fn(move |cx| {
        for i in (start..N).chain(0..start) {
            if !running[i] {
                continue;
            }
            match branch(i, cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => running[i] = false,
                error => return error,
            }
        }
        start = if biased || start + 1 >= N { 0 } else { start + 1 };
        if running.contains(&true) { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
}

/// The outputs of `join!`.
pub fn never_fails<T>(result: Result<T, Infallible>) -> T {
    let Ok(outputs) = result;
    outputs
}
