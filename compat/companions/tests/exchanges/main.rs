//! Real exchanges by the crates around monoio, each on both drivers.

mod channels;
mod codec;
mod compat;
mod h1;
mod h2;
mod io_wrapper;
mod monolake;
#[cfg(feature = "native-tls")]
mod native;
mod tls;
mod transports;

use monoio::{
    net::{TcpListener, TcpStream},
    time::{Duration, timeout},
    utils::is_legacy,
};
use std::{any::type_name, future::Future};

#[cfg(not(feature = "native-tls"))]
#[test]
fn native() {
    // Written past the test harness, which hides what a passing test prints.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIP native: it was built without OpenSSL's headers\n");
}

/// Awaits what a test does: an `async` block of the test's own, so that its type tells the test's name. Red when that
/// names another driver than the one that runs, and when it takes too long.
async fn exchange<F: Future>(what: F) -> F::Output {
    let test = type_name::<F>();
    let (legacy, uring) = (test.contains("::legacy_"), test.contains("::uring_"));
    assert!(legacy != uring, "{test} names no driver");
    assert_eq!(legacy, is_legacy(), "{test} runs on the other driver");
    timeout(Duration::from_secs(20), what).await.unwrap_or_else(|_| panic!("{test} does not end"))
}

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// So many bytes, of which no two neighbours are the same.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}
