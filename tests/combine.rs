//! `select!`, `join!`, `try_join!` and `pin!` in a user's hands: a crate that takes no warning, and names annulus as it
//! likes.
#![deny(warnings)]

use annulus::{join, select, time, try_join};
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Ready, pending, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// What happened, in its order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, what: impl ToString) {
        self.0.borrow_mut().push(what.to_string());
    }

    fn take(&self) -> String {
        self.0.take().join(" ")
    }

    /// A future that is ready after `polls` polls, and tells of each and of its end.
    fn after<T: Clone>(&self, name: &'static str, polls: u32, output: T) -> Told<T> {
        Told { log: self.clone(), name, left: polls, output }
    }
}

struct Told<T> {
    log: Log,
    name: &'static str,
    left: u32,
    output: T,
}

impl<T: Clone + Unpin> Future for Told<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.log.add(self.name);
        if self.left == 0 {
            return Poll::Ready(self.output.clone());
        }
        self.left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T> Drop for Told<T> {
    fn drop(&mut self) {
        self.log.add(format!("-{}", self.name));
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Panics with what `future` panics with.
fn panic_of(future: impl Future) -> String {
    let mut future = pin!(future);
    let payload = catch_unwind(AssertUnwindSafe(|| poll_once(future.as_mut()).is_ready())).unwrap_err();
    payload.downcast_ref::<&str>().map(|text| text.to_string()).or_else(|| payload.downcast_ref().cloned()).unwrap()
}

/// Red when conditions are evaluated after the futures, when a disabled branch's future is not evaluated, and when it
/// is polled.
#[annulus::test]
async fn conditions_first_then_all_futures_then_polls() {
    let log = Log::default();
    let tell = |what: &str, value: bool| {
        log.add(what);
        value
    };
    let future = |what: &'static str| {
        log.add(format!("+{what}"));
        log.after(what, 0, ())
    };
    let got = select! {
        biased;
        _ = future("a"), if tell("if-a", false) => 1,
        _ = future("b"), if tell("if-b", true) => 2,
        _ = future("c") => 3,
    };
    assert_eq!(got, 2);
    assert_eq!(log.take(), "if-a if-b +a +b +c b -a -b -c");
}

/// Red when the futures are dropped after the handler, or last first.
#[annulus::test]
async fn all_futures_are_dropped_before_the_handler_in_their_order() {
    let log = Log::default();
    let (a, b, c) = (log.after("a", 9, ()), log.after("b", 0, ()), log.after("c", 9, ()));
    select! {
        biased;
        () = a => unreachable!(),
        () = b => log.add("handler"),
        () = c => unreachable!(),
    }
    assert_eq!(log.take(), "a b -a -b -c handler");

    let (a, b) = (log.after("a", 0, 1), log.after("b", 0, 2));
    select! {
        biased;
        2 = a => unreachable!(),
        1 = b => unreachable!(),
        else => log.add("else"),
    }
    assert_eq!(log.take(), "a b -a -b else");
}

/// Red when the futures live as long as the output, which the handler names.
#[annulus::test]
async fn a_handler_may_use_what_futures_borrowed() {
    async fn push(to: &mut Vec<u8>, value: u8) -> usize {
        to.push(value);
        to.len()
    }
    let (mut a, mut b) = (vec![1], vec![2]);
    let both = select! {
        biased;
        n = push(&mut a, 3) => { b.push(4); a.push(5); n + a.len() + b.len() }
        n = push(&mut b, 3) => { a.clear(); b.clear(); n }
    };
    assert_eq!((both, a, b), (7, vec![1, 3, 5], vec![2, 4]));

    // Shared by the futures, changed by the handlers.
    let mut count = 0;
    let read = async |n: &i32| *n;
    select! { n = read(&count) => count += n + 1, n = read(&count) => count += n + 1 }
    assert_eq!(count, 1);
}

/// Red when an output that does not fit ends the whole, and when its branch is polled again.
#[annulus::test]
async fn an_output_that_does_not_fit_disables_its_branch() {
    let log = Log::default();
    let (none, some) = (log.after("none", 0, None::<u8>), log.after("some", 2, Some(7)));
    let got = select! {
        biased;
        Some(n) = none => n,
        Some(n) = some => n,
    };
    assert_eq!(got, 7);
    assert_eq!(log.take(), "none some some some -none -some");

    let nothing = select! {
        Ok(n) = ready(Err::<u8, u8>(1)) => n,
        Some(n @ 5..) = ready(Some(4)) => n,
        _ = pending::<()>(), if false => unreachable!(),
        else => 99,
    };
    assert_eq!(nothing, 99);
}

/// What does not fit is dropped at once, not at the end.
#[annulus::test]
async fn an_output_that_does_not_fit_is_dropped_at_once() {
    let counted = Rc::new(());
    select! {
        biased;
        Err(()) = ready(Ok(counted.clone())) => {}
        () = poll_fn(|_| { assert_eq!(Rc::strong_count(&counted), 1); Poll::Ready(()) }) => {}
    }
}

/// Patterns bind as in a `match`: by move, mutably, by reference, with alternatives and names for the whole.
#[annulus::test]
async fn patterns_bind_as_in_a_match() {
    let text = String::from("moved");
    let text = select! { Some(text) = ready(Some(text)) => text };
    let len = select! { mut text = ready(text) => { text.push('!'); text.len() } };
    assert_eq!(len, 6);
    select! { ref mut n = ready(1) => { *n += 1; assert_eq!(*n, 2) } }
    select! { Some(ref n) = ready(Some(Box::new(1))) => assert_eq!(**n, 1) }
    let mut pair = (1, 2);
    select! { &mut (ref a, b) = ready(&mut pair) => assert_eq!((*a, b), (1, 2)) }
    let n = select! { Ok(n) | Err(n) = ready(Err::<u8, u8>(4)) => n };
    assert_eq!(n, 4);
    let whole = select! { whole @ (1 | 2, "x") = ready((2, "x")) => whole };
    assert_eq!(whole, (2, "x"));
    let mut target = 3;
    let reference = select! { r = ready(&mut target) => r };
    *reference += 1;
    assert_eq!(target, 4);
}

/// Red when a handler stands inside a closure or a loop of the macro's.
#[annulus::test]
async fn handlers_control_what_is_around_them() {
    async fn question(input: Result<u8, String>) -> Result<u8, String> {
        let n = select! { got = ready(input) => got? };
        Ok(n + 1)
    }
    assert_eq!(question(Ok(1)).await, Ok(2));
    assert_eq!(question(Err("no".into())).await, Err("no".into()));

    async fn returns() -> &'static str {
        select! { () = ready(()) => return "early", () = pending() => {} }
        "late"
    }
    assert_eq!(returns().await, "early");

    let mut rounds = 0;
    let result = 'outer: loop {
        for n in 0.. {
            rounds += 1;
            select! {
                biased;
                () = ready(()), if n < 3 => continue,
                () = ready(()), if rounds > 10 => break 'outer n,
                else => break,
            }
        }
    };
    assert_eq!((result, rounds), (3, 12));

    // `?` and `.await` in the future's expression belong to the function, too.
    let asked = async {
        let value = Ok::<_, u8>(async { 5 });
        Ok::<u8, u8>(select! { n = ready(value?.await) => n })
    };
    assert_eq!(asked.await, Ok(5));
}

#[annulus::test]
async fn a_future_goes_on_in_the_next_round() {
    let log = Log::default();
    let mut slow = log.after("slow", 4, "done");
    let mut ticks = 0;
    let result = loop {
        select! {
            biased;
            result = &mut slow => break result,
            () = log.after("tick", 1, ()) => ticks += 1,
        }
    };
    assert_eq!((result, ticks), ("done", 2));
    drop(slow);
    assert_eq!(log.take(), "slow tick slow tick -tick slow tick slow tick -tick slow -tick -slow");
}

/// Commas where tokio takes them, and none where it does.
#[annulus::test]
#[rustfmt::skip]
async fn handlers_are_blocks_or_expressions() {
    assert_eq!(select! { n = ready(1) => n }, 1);
    assert_eq!(select! { n = ready(1) => n, }, 1);
    assert_eq!(select! { n = ready(1) => { n } }, 1);
    assert_eq!(select! { n = ready(1) => { n }, }, 1);
    assert_eq!(select! { n = ready(1), if true => { n } else => 2 }, 1);
    assert_eq!(select! { n = ready(1), if true => n, else => { 2 } }, 1);
    assert_eq!(select! { biased; n = ready(1) => { n } _ = ready(0) => { 2 }, _ = ready(0) => 3, else => 4, }, 1);
    let four = select! { else => 4 };
    assert_eq!(select! { biased; else => four, }, 4);
    let n = "n";
    let n = select! { _ = ready(()), if n.len() == 1 => if n.is_empty() { 6 } else { 5 }, };
    assert_eq!(n, 5);
    assert_eq!(n, 4 + select! { n = async { 1 } => match n { 1 => 1, _ => 0 }, });
}

/// What is awaited need not be a future, only become one.
#[annulus::test]
async fn what_becomes_a_future_is_taken() {
    struct Query(u8);
    impl IntoFuture for Query {
        type Output = u8;
        type IntoFuture = Ready<u8>;
        fn into_future(self) -> Ready<u8> {
            ready(self.0)
        }
    }
    assert_eq!(select! { n = Query(3) => n }, 3);
    assert_eq!(join!(Query(1), Query(2)), (1, 2));
    // A temporary of the expression lives as long as its future.
    assert_eq!(select! { n = &mut ready(String::from("temporary")) => n }, "temporary");
    assert_eq!(join!(&mut ready(1), &mut ready(2)), (1, 2));
}

#[test]
fn without_a_branch_that_is_enabled_it_panics() {
    let all_off = async {
        select! { _ = pending::<()>(), if false => {} }
    };
    assert_eq!(panic_of(all_off), "select!: all branches are disabled and there is no else");
    let nothing_fits = async {
        select! { biased; Some(()) = ready(None) => {}, 1 = ready(2) => {} }
    };
    assert_eq!(panic_of(nothing_fits), "select!: all branches are disabled and there is no else");
}

/// Red when the start is always the first branch, and when `biased` is ignored.
#[annulus::test]
async fn everybody_wins_sometimes_unless_it_is_biased() {
    let mut wins = [0; 3];
    for _ in 0..3000 {
        let n = select! { () = ready(()) => 0, () = ready(()) => 1, () = ready(()) => 2 };
        wins[n] += 1;
    }
    assert!(wins.iter().all(|n| (700..1300).contains(n)), "{wins:?}");
    for _ in 0..100 {
        select! { biased; () = ready(()) => {}, () = ready(()) => unreachable!() }
        // Wherever it begins, it comes around.
        assert!(
            poll_once(pin!(async {
                select! { () = ready(()) => {}, () = pending() => {} }
            }))
            .is_ready()
        );
    }
}

/// Red when the budget is not looked at: then a branch without one wins for ever.
#[annulus::test]
async fn who_loops_over_select_lets_others_through() {
    let turns = Rc::new(Cell::new(0));
    let count = turns.clone();
    let other = annulus::spawn(async move {
        loop {
            count.set(count.get() + 1);
            annulus::rt::yield_now().await;
        }
    });
    for _ in 0..1000 {
        select! { biased; () = annulus::task::consume_budget() => {}, () = ready(()) => {} }
    }
    assert!(turns.get() >= 3, "{turns:?}");
    other.abort();
}

#[annulus::test]
async fn selects_nest() {
    let n = select! {
        n = async { select! { n = ready(1) => n + 1, n = pending::<u8>() => n } } => {
            select! { m = ready(n) => join!(ready(m), async { select! { k = ready(m) => k } }) }
        }
    };
    assert_eq!(n, (2, 2));
}

/// Names of the macro's own meet none of the user's.
#[annulus::test]
async fn the_macros_names_are_their_own() {
    struct Output(u8);
    let (output, branch, before, fits, enabled, cx) = (1, 2, 3, 4, 5, 6);
    let (future, result, error) = (7, 8, 9);
    let sum = select! {
        Output(n) = ready(Output(output)), if enabled == 5 => n + branch + before + fits + cx,
        Output(n) = ready(Output(output)), if fits == 0 => n,
    };
    assert_eq!(sum, 1 + 2 + 3 + 4 + 6);
    assert_eq!(join!(ready(future), ready(result), ready(error + branch)), (7, 8, 11));
}

mod facade {
    pub(crate) use annulus as renamed;
    pub(crate) use annulus::{join as all, select as first};
}

#[annulus::test]
async fn the_crate_may_have_another_name() {
    use facade::{all, first, renamed};
    assert_eq!(first! { n = ready(1) => n }, 1);
    assert_eq!(all!(ready(1), ready(2)), (1, 2));
    assert_eq!(renamed::try_join!(ready(Ok::<_, ()>(1))), Ok((1,)));
}

/// Futures that never end give no warnings, and need no arm that could.
#[annulus::test]
async fn what_never_ends_is_no_warning() {
    async fn forever() -> Infallible {
        pending().await
    }
    let n = select! {
        never = forever() => match never {},
        _ = async { loop { annulus::rt::yield_now().await } } => 2,
        n = ready(3) => n,
    };
    assert_eq!(n, 3);
    #[allow(dead_code)]
    async fn none_of_them() -> (Infallible, Infallible) {
        join!(forever(), forever())
    }
}

#[annulus::test]
async fn sixty_four_branches() {
    macro_rules! with_sixty_four {
        ($($n:literal)*) => {{
            for only in 0..64 {
                let n = select! { $(n = ready($n), if only == $n => n,)* };
                assert_eq!(n, only);
                let n = select! { $(n = ready($n), if only == $n => { n })* };
                assert_eq!(n, only);
            }
            let all = [$($n),*];
            let ($($n,)*) = join!($(ready($n)),*) else { panic!("{all:?}") };
            let Ok(($($n,)*)) = try_join!($(ready(Ok::<_, ()>($n))),*) else { panic!("{all:?}") };
        }};
    }
    with_sixty_four!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
        32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
    );
}

/// Red when a ready future is kept, when a branch is polled after it was ready, and when the start does not rotate.
#[annulus::test]
async fn join_begins_one_further_down_each_time() {
    let log = Log::default();
    let (a, b, c) = (log.after("a", 2, 1), log.after("b", 0, "two"), log.after("c", 3, 3.0));
    assert_eq!(join!(a, b, c), (1, "two", 3.0));
    assert_eq!(log.take(), "a b -b c c a c a -a c -c");
    let (a, b, c) = (log.after("a", 2, 1), log.after("b", 0, "two"), log.after("c", 3, 3.0));
    assert_eq!(join!(biased; a, b, c,), (1, "two", 3.0));
    assert_eq!(log.take(), "a b -b c a c a -a c c -c");
}

#[annulus::test]
async fn the_first_error_ends_try_join() {
    let log = Log::default();
    let (a, b, c) = (log.after("a", 9, Ok(1)), log.after("b", 0, Ok("two")), log.after("c", 1, Err::<(), _>(3)));
    assert_eq!(try_join!(biased; a, b, c), Err(3));
    assert_eq!(log.take(), "a b -b c a c -c -a");
    let (a, b) = (log.after("a", 1, Ok::<_, ()>(1)), log.after("b", 0, Ok(String::from("two"))));
    assert_eq!(try_join!(a, b), Ok((1, "two".into())));
    async fn question() -> Result<u8, String> {
        let (a, ()) = try_join!(ready(Ok::<u8, String>(1)), ready(Err(String::from("no"))))?;
        Ok(a)
    }
    assert_eq!(question().await, Err("no".into()));
}

#[annulus::test]
async fn joins_of_none_and_one() {
    let () = join!();
    let () = join!(biased;);
    assert_eq!(join!(ready(1)), (1,));
    assert_eq!(join!(biased; ready(1),), (1,));
    assert_eq!(try_join!(ready(Ok::<_, ()>(1)),), Ok((1,)));
    let none: Result<(), u8> = try_join!();
    assert_eq!(none, Ok(()));
}

/// Red when outputs or futures of a join that is given up are leaked, or dropped last first.
#[test]
fn a_join_that_is_given_up_drops_everything() {
    let (log, output) = (Log::default(), Rc::new(()));
    let (a, b, c) = (log.after("a", 5, ()), log.after("b", 0, output.clone()), log.after("c", 5, ()));
    let mut joined = Box::pin(async { join!(a, b, c) });
    assert!(poll_once(joined.as_mut()).is_pending());
    assert_eq!((log.take().as_str(), Rc::strong_count(&output)), ("a b -b c", 2));
    drop(joined);
    assert_eq!((log.take().as_str(), Rc::strong_count(&output)), ("-a -c", 1));

    let (a, b) = (log.after("a", 5, ()), log.after("b", 5, ()));
    let mut selected = Box::pin(async {
        select! { biased; _ = a => {}, _ = b => {} }
    });
    assert!(poll_once(selected.as_mut()).is_pending());
    drop(selected);
    assert_eq!(log.take(), "a b -a -b");
}

/// The futures of the macros are `Send` if what they hold is, and no larger than it.
#[test]
fn what_is_awaited_decides_what_the_whole_is() {
    fn is_send<F: Future + Send>(future: F) -> usize {
        size_of_val(&future)
    }
    let big = || async {
        let bytes = [1u8; 1000];
        std::future::ready(()).await;
        bytes[0]
    };
    let size = is_send(async {
        select! { n = big() => n, n = big() => n }
    });
    assert!(size < 2 * 2 * 1000 + 500, "{size}");
    let size = is_send(async { join!(big(), big()) });
    assert!(size < 2 * 2 * 1000 + 500, "{size}");
}

#[annulus::test]
async fn pinned_where_they_stand() {
    let sleep = time::sleep(time::Duration::ZERO);
    let answer = async { 42 };
    annulus::pin!(sleep, answer);
    sleep.as_mut().await;
    assert_eq!(answer.as_mut().await, 42);
    annulus::pin! {
        let a = async { 1 };
        let b = async { 2 };
    }
    assert_eq!(join!(a, b), (1, 2));
}
