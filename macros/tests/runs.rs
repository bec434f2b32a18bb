//! The macros in use, over a stand-in for annulus that records what it was asked.

use std::{future::Future, pin::pin, process::ExitCode, process::Termination};

/// Stands where `::annulus` does.
mod fake {
    #[doc(hidden)]
    pub(crate) mod __private {
        use super::super::*;
        use std::task::{Context, Poll, Waker};

        pub(crate) fn run_main<F: Future>(
            driver: Option<&str>,
            entries: Option<u32>,
            start_paused: Option<bool>,
            future: F,
        ) -> F::Output {
            ASKED.with_borrow_mut(|asked| asked.push(format!("{driver:?} {entries:?} {start_paused:?}")));
            match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => output,
                Poll::Pending => unreachable!("nothing here waits"),
            }
        }

        pub(crate) fn run_test<F, T>(
            name: &'static str,
            driver: &'static str,
            entries: Option<u32>,
            start_paused: Option<bool>,
            _wanted_panic: Option<&'static str>,
            body: impl FnOnce() -> F,
        ) -> ExitCode
        where
            F: Future<Output = T>,
            T: Termination,
        {
            assert!(name.starts_with("runs::") && name.ends_with(driver), "{name}");
            DRIVER.set(driver);
            run_main(Some(driver), entries, start_paused, body()).report()
        }
    }
}

thread_local! {
    static ASKED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
    static DRIVER: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

#[annulus_macros::main(driver = "poll", entries = 7, start_paused = true, crate = crate::fake)]
async fn program() -> Result<u32, std::num::ParseIntError> {
    let n: u32 = "41".parse()?;
    Ok(n + 1)
}

#[test]
fn main_runs_the_body() {
    assert_eq!(program(), Ok(42));
    ASKED.with_borrow(|asked| assert_eq!(*asked, ["Some(\"poll\") Some(7) Some(true)"]));
}

#[annulus_macros::test(crate = "crate::fake")]
async fn on_both() {
    assert!(["uring", "poll"].contains(&DRIVER.get()));
}

#[annulus_macros::test(driver = "uring", crate = crate::fake)]
#[should_panic(expected = "on purpose")]
async fn panics_pass_through() {
    assert_eq!(DRIVER.get(), "uring");
    panic!("on purpose");
}

#[annulus_macros::test(crate = crate::fake)]
async fn errors_pass_through() -> Result<(), std::num::ParseIntError> {
    "1".parse::<u8>().map(drop)
}

#[test]
fn a_failed_result_is_a_failed_exit_code() {
    async fn fails() -> Result<(), &'static str> {
        Err("on purpose")
    }
    let code = fake::__private::run_test("runs::fails::poll", "poll", None, None, None, fails);
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
}

mod inner {
    fn helper() -> u8 {
        3
    }

    /// Names mean what they mean without the attribute.
    #[annulus_macros::test(crate = crate::fake)]
    async fn relative_paths_still_resolve() {
        assert_eq!(self::helper() + super::elsewhere(), 4);
    }
}

fn elsewhere() -> u8 {
    1
}
