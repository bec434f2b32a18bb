//! What the macros expand to, and what programs use of it.

/// Values that a thread has for as long as a closure runs.
pub mod scoped_tls {
    use std::fmt;

    /// A key of such values; made by [`scoped_thread_local!`](crate::scoped_thread_local).
    pub struct ScopedKey<T: 'static>(&'static scoped_tls::ScopedKey<T>);

    impl<T> ScopedKey<T> {
        #[doc(hidden)]
        pub const fn new(key: &'static scoped_tls::ScopedKey<T>) -> ScopedKey<T> {
            ScopedKey(key)
        }

        /// Calls `f` with the key set to `value`, which may be borrowed.
        pub fn set<R>(&'static self, value: &T, f: impl FnOnce() -> R) -> R {
            self.0.set(value, f)
        }

        /// Calls `f` with the value.
        ///
        /// # Panics
        /// If there is none.
        pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
            self.0.with(f)
        }

        /// Calls `f` with the value, if there is one.
        pub fn try_with<R>(&'static self, f: impl FnOnce(Option<&T>) -> R) -> R {
            if self.is_set() { self.0.with(|value| f(Some(value))) } else { f(None) }
        }

        /// Whether there is a value.
        pub fn is_set(&'static self) -> bool {
            self.0.is_set()
        }
    }

    impl<T> fmt::Debug for ScopedKey<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ScopedKey")
        }
    }
}

/// Makes a [`ScopedKey`](crate::macros::scoped_tls::ScopedKey).
///
/// ```
/// monoio::scoped_thread_local!(static DEPTH: u32);
///
/// assert!(!DEPTH.is_set());
/// DEPTH.set(&3, || assert_eq!(DEPTH.with(|depth| depth + 1), 4));
/// ```
#[macro_export]
macro_rules! scoped_thread_local {
    ($(#[$attr:meta])* $vis:vis static $name:ident: $ty:ty) => {
        $(#[$attr])*
        $vis static $name: $crate::macros::scoped_tls::ScopedKey<$ty> = {
            $crate::__private::scoped_thread_local!(static KEY: $ty);
            $crate::macros::scoped_tls::ScopedKey::new(&KEY)
        };
    };
}

/// Parts of macros.
pub mod support {
    pub use crate::utils::thread_rng_n;
    pub use futures_util::future::{MaybeDone, PollFn, maybe_done, poll_fn};
    pub use std::{future::Future, pin::Pin, task::Poll};
}
