//! What the servers of the network workloads share: their arguments, their announcement, and what they serve. A server
//! is told its work by `--serve`.

pub mod http;
#[cfg(feature = "hyper")]
pub mod service;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Bytes of a buffer for one connection: the same for every contender.
pub const BUF: usize = 16 * 1024;
/// Bytes of one read or write where much is sent.
pub const BULK: usize = 64 * 1024;
/// Room for one datagram.
pub const DATAGRAM: usize = 2048;
/// Room for several that come as one.
pub const DATAGRAMS: usize = 65_535;
/// How many tasks answer datagrams on a ring: one alone would have one request in flight.
pub const TASKS: usize = 16;

/// What a server does with whom it accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Answers requests of HTTP/1.1.
    Http,
    /// The same through hyper.
    Hyper,
    /// Passes everything on to the [backend] and back, by a buffer.
    Proxy,
    /// The same, without reading it.
    Splice,
    /// Sends for as long as anybody reads, or reads all that comes: the first byte of a connection says which.
    Bulk,
    /// Sends datagrams back to where they came from.
    Udp,
}

/// The value after `name` on the command line.
pub fn arg(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

/// Is this flag among the arguments?
pub fn flag(name: &str) -> bool {
    std::env::args().any(|arg| arg == name)
}

/// What `--serve` says.
pub fn work() -> io::Result<Work> {
    let name = arg("--serve").unwrap_or_default();
    Ok(match name.as_str() {
        "http" => Work::Http,
        "hyper" => Work::Hyper,
        "proxy" => Work::Proxy,
        "splice" => Work::Splice,
        "bulk" => Work::Bulk,
        "udp" => Work::Udp,
        _ => return unknown(&name),
    })
}

/// This server does not do that.
pub fn unknown<T>(work: impl std::fmt::Debug) -> io::Result<T> {
    Err(io::Error::other(format!("--serve {work:?}: not here")))
}

/// The address to listen on: `--addr A`, else any free loopback port.
pub fn addr() -> String {
    arg("--addr").unwrap_or_else(|| "127.0.0.1:0".into())
}

/// Tells the runner that the server is ready. Standard output is line buffered, so this arrives at once.
pub fn announce(addr: SocketAddr) {
    println!("listening {addr}");
}

/// The first byte of a connection to which a server is to send. After any other it is to read.
pub const SEND: u8 = b'S';

/// Where a proxy's backend is: at the proxy's own port of another loopback address. So nobody has to be told.
pub fn backend(own: SocketAddr) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 2), own.port()).into()
}

/// What a source sends again and again. Its length has no factor in common with anything, so a lost byte is noticed.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}
