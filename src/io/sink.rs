//! Sinks of items: what takes one after the other.

use std::future::Future;

/// What takes items.
///
/// ```
/// use annulus::io::sink::{Sink, SinkExt};
///
/// struct Collect(Vec<u8>);
///
/// impl Sink<u8> for Collect {
///     type Error = std::convert::Infallible;
///
///     async fn send(&mut self, item: u8) -> Result<(), Self::Error> {
///         self.0.push(item);
///         Ok(())
///     }
///
///     async fn flush(&mut self) -> Result<(), Self::Error> {
///         Ok(())
///     }
///
///     async fn close(&mut self) -> Result<(), Self::Error> {
///         Ok(())
///     }
/// }
///
/// # annulus::run(async {
/// let mut sink = Collect(Vec::new());
/// sink.send_and_flush(7).await.unwrap();
/// assert_eq!(sink.0, [7]);
/// # });
/// ```
#[must_use = "a sink does nothing until something is sent"]
pub trait Sink<Item> {
    /// What can go wrong.
    type Error;

    /// Takes an item, which may be held back until the next flush.
    ///
    /// # Errors
    /// Whatever kept it from being taken.
    ///
    /// # Cancellation
    /// **Lossy**: the item may be taken, or gone, or a part of it.
    fn send(&mut self, item: Item) -> impl Future<Output = Result<(), Self::Error>>;

    /// Hands on what is held back.
    ///
    /// # Errors
    /// Whatever kept that from going out.
    ///
    /// # Cancellation
    /// **Lossy**: an unknown part went out.
    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Error>>;

    /// Flushes, and ends the sink.
    ///
    /// # Errors
    /// Whatever kept it from flushing or from being closed.
    ///
    /// # Cancellation
    /// **Detached**: it may be closed all the same.
    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>>;
}

impl<T, S: ?Sized + Sink<T>> Sink<T> for &mut S {
    type Error = S::Error;

    fn send(&mut self, item: T) -> impl Future<Output = Result<(), S::Error>> {
        (**self).send(item)
    }

    fn flush(&mut self) -> impl Future<Output = Result<(), S::Error>> {
        (**self).flush()
    }

    fn close(&mut self) -> impl Future<Output = Result<(), S::Error>> {
        (**self).close()
    }
}

/// What every [`Sink`] can do.
pub trait SinkExt<T>: Sink<T> {
    /// Sends an item, and flushes.
    ///
    /// # Errors
    /// Those of [`Sink::send`] and of [`Sink::flush`].
    ///
    /// # Cancellation
    /// **Lossy**: as [`Sink::send`].
    fn send_and_flush(&mut self, item: T) -> impl Future<Output = Result<(), Self::Error>> {
        async move {
            self.send(item).await?;
            self.flush().await
        }
    }
}

impl<T, S: ?Sized + Sink<T>> SinkExt<T> for S {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::memory::tests::block_on;

    /// Writes down what it is asked, and fails at an item of 0.
    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink<u8> for Log {
        type Error = &'static str;

        async fn send(&mut self, item: u8) -> Result<(), &'static str> {
            self.0.push(format!("send {item}"));
            if item == 0 { Err("zero") } else { Ok(()) }
        }

        async fn flush(&mut self) -> Result<(), &'static str> {
            self.0.push("flush".into());
            Ok(())
        }

        async fn close(&mut self) -> Result<(), &'static str> {
            self.0.push("close".into());
            Ok(())
        }
    }

    #[test]
    fn each_call_arrives_by_a_reference_too() {
        let mut log = Log::default();
        block_on(async {
            let mut by_ref = &mut log;
            Sink::send(&mut by_ref, 1).await.unwrap();
            Sink::flush(&mut by_ref).await.unwrap();
            by_ref.send_and_flush(2).await.unwrap();
            assert_eq!(by_ref.send_and_flush(0).await, Err("zero"), "and nothing is flushed");
            Sink::close(&mut by_ref).await.unwrap();
        });
        assert_eq!(log.0, ["send 1", "flush", "send 2", "flush", "send 0", "close"]);
    }
}
