//! An example that serves, as a program that a test talks to.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything takes on a machine that is busy.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A running example. It is killed when the test is done with it.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the server, on a port that the system chooses, and reads where it listens.
    pub(crate) fn start(driver: &str, mut command: Command, args: &[&str]) -> Server {
        command.args(["--listen", "127.0.0.1:0"]).args(args).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a child");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split_once(", driver "));
        let (address, said) = address.unwrap_or_else(|| panic!("{line:?}"));
        assert!(said.starts_with(driver), "{line}");
        Server { child, out, address: address.parse().expect("an address") }
    }

    /// A connection that waits for nothing longer than [`LONG`].
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(LONG)).expect("a limit");
        stream.set_write_timeout(Some(LONG)).expect("a limit");
        stream.set_nodelay(true).expect("an option");
        stream
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        line
    }

    /// Asks it to end, and gives what it said since.
    pub(crate) fn end(mut self) -> String {
        self.signal(Signal::TERM);
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a status") {
                Some(status) => break status,
                None => assert!(begun.elapsed() < LONG, "it does not end"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}");
        let mut said = String::new();
        self.out.read_to_string(&mut said).expect("what it said");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `request` and gives all that comes until the server closes, which a reset does, too.
pub(crate) fn until_closed(stream: &TcpStream, request: &[u8]) -> Vec<u8> {
    until_end_or_reset(stream, request).0
}

/// Sends `request` and gives all that comes until the server ends the connection in peace.
#[track_caller]
pub(crate) fn until_end(stream: &TcpStream, request: &[u8]) -> Vec<u8> {
    let (answer, is_reset) = until_end_or_reset(stream, request);
    assert!(!is_reset, "a reset after {}", answer.escape_ascii());
    answer
}

/// Sends `request`, and gives all that comes and whether a reset ends it.
pub(crate) fn until_end_or_reset(mut stream: &TcpStream, request: &[u8]) -> (Vec<u8>, bool) {
    // A server that has seen enough may close before it has read all. A reset is told once, and perhaps here.
    let written = stream.write_all(request).map_err(|error| error.kind());
    let is_reset = matches!(written, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
    let (mut answer, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return (answer, is_reset),
            Ok(n) => answer.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (answer, true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}, after {}", answer.escape_ascii()),
        }
    }
}

/// Sends `request` and reads as many bytes as `answer` has, which are to be those.
#[track_caller]
pub(crate) fn exchange(mut stream: &TcpStream, request: &[u8], answer: &[u8]) {
    stream.write_all(request).expect("a request");
    expect(stream, request, answer);
}

/// Waits until there is something to read, and leaves it there.
pub(crate) fn wait_for_bytes(stream: &TcpStream) {
    while let Err(error) = stream.peek(&mut [0]) {
        assert_eq!(error.kind(), ErrorKind::Interrupted, "nothing comes: {error}");
    }
}

/// Reads as many bytes as `answer` has, which are to be those.
#[track_caller]
pub(crate) fn expect(mut stream: &TcpStream, request: &[u8], answer: &[u8]) {
    let (mut got, mut buf) = (Vec::new(), vec![0; answer.len()]);
    while got.len() < answer.len() && answer.starts_with(&got) {
        let at = got.len();
        match stream.read(&mut buf[at..]) {
            Ok(0) => break,
            Ok(n) => got.extend_from_slice(&buf[at..][..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}, after {}", got.escape_ascii()),
        }
    }
    let start = |bytes: &[u8]| bytes[..bytes.len().min(300)].escape_ascii().to_string();
    assert!(got == answer, "{} gives {} and not {}", start(request), start(&got), start(answer));
}
