//! The example `echo`, seen from outside: by clients of another make, over many connections, on both drivers.
#![cfg(target_os = "linux")] // whose loopback has an address for every client

#[path = "outside/example.rs"]
mod example;
#[path = "outside/limits.rs"]
mod limits;

use example::{Server, echo};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Connects MANY times one after the other, or to that many at once, and counts what does not come back as sent. Each
/// connection has an address of its own, so that those which rest in TIME_WAIT leave ports enough.
const CLIENT: &str = r#"
import random, resource, selectors, socket, sys

host, port = sys.argv[1].rsplit(":", 1)
mode, many = sys.argv[2], int(sys.argv[3])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, many + 100)), hard))
random.seed(50002)

def connect(n):
    s = socket.socket()
    s.settimeout(30)
    s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    s.bind(("127.0.0.%d" % (2 + n % 200), 0))
    s.connect((host, int(port)))
    return s

def one_by_one():
    good = 0
    for n in range(many):
        s = connect(n)
        sent = random.randbytes(1 + n % 3000)
        s.sendall(sent)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while part := s.recv(65536):
            got += part
        good += got == sent
        s.close()
    return good

class Talk:
    def __init__(self, n):
        self.socket, self.sent, self.got, self.at = connect(n), random.randbytes(1 + n * 37 % 20000), bytearray(), 0
        self.socket.setblocking(False)

    def step(self, selector, ready):
        if ready & selectors.EVENT_WRITE:
            self.at += self.socket.send(self.sent[self.at:self.at + 5000])
            if self.at == len(self.sent):
                self.socket.shutdown(socket.SHUT_WR)
                selector.modify(self.socket, selectors.EVENT_READ, self)
        if ready & selectors.EVENT_READ:
            part = self.socket.recv(65536)
            self.got += part
            if not part:
                selector.unregister(self.socket)
                self.socket.close()
                return True

def at_once():
    talks = [Talk(n) for n in range(many)]
    selector = selectors.DefaultSelector()
    for talk in talks:
        selector.register(talk.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, talk)
    left = many
    while left:
        events = selector.select(30)
        if not events:
            break
        left -= sum(bool(key.data.step(selector, ready)) for key, ready in events)
    return sum(talk.got == talk.sent for talk in talks)

print(one_by_one() if mode == "one-by-one" else at_once())
"#;

fn python(address: &str, mode: &str, many: usize) -> Option<io::Result<String>> {
    let many = many.to_string();
    match Command::new("python3").args(["-c", CLIENT, address, mode, &many]).stderr(Stdio::inherit()).output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        output => Some(output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())),
    }
}

fn skip(name: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "SKIP {name}: {reason}");
}

/// Starts `echo` on a driver; `None` where the kernel has no ring.
fn start(name: &str, driver: &str) -> Option<Server> {
    if driver == "uring"
        && let Err(e) = annulus::Builder::new().driver(annulus::DriverKind::Uring).build()
    {
        skip(name, &e.to_string());
        return None;
    }
    let mut command = echo();
    command.arg("127.0.0.1:0").env("ANNULUS_DRIVER", driver);
    // SAFETY: Plain call: between fork and exec only two system calls are made.
    unsafe {
        command.pre_exec(|| {
            limits::set_soft(libc::RLIMIT_NOFILE, 8192);
            Ok(())
        })
    };
    let server = Server::start(&mut command);
    assert_eq!(server.driver.split(' ').next(), Some(driver), "{}", server.driver);
    Some(server)
}

fn nothing_is_lost(name: &str, driver: &str, mode: &str, many: usize) {
    let Some(mut server) = start(name, driver) else { return };
    match python(&server.address, mode, many) {
        None => skip(name, "there is no python3"),
        Some(good) => assert_eq!(good.unwrap(), many.to_string(), "connections without a fault"),
    }
    assert_eq!(server.stop(), "", "the server complained");
}

#[test]
fn ten_thousand_connections_one_by_one_on_uring() {
    nothing_is_lost("ten_thousand_connections_one_by_one_on_uring", "uring", "one-by-one", 10_000);
}

#[test]
fn ten_thousand_connections_one_by_one_on_poll() {
    nothing_is_lost("ten_thousand_connections_one_by_one_on_poll", "poll", "one-by-one", 10_000);
}

#[test]
fn two_thousand_connections_at_once_on_uring() {
    nothing_is_lost("two_thousand_connections_at_once_on_uring", "uring", "at-once", 2_000);
}

#[test]
fn two_thousand_connections_at_once_on_poll() {
    nothing_is_lost("two_thousand_connections_at_once_on_poll", "poll", "at-once", 2_000);
}

/// What `address` echoes of `text`.
fn say(address: &str, text: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn without_an_argument_it_listens_where_its_documentation_says() {
    const ADDRESS: &str = "127.0.0.1:7007";
    // Ports are shared by default, so only somebody who does not share finds out whether one is taken.
    // Another run of this test may have it for a moment.
    let taken = || TcpListener::bind(ADDRESS).err();
    let pause = |e| {
        thread::sleep(Duration::from_millis(100));
        Some(e)
    };
    if let Some(e) = (0..300).map_while(|_| taken().and_then(pause)).nth(299) {
        return skip("without_an_argument_it_listens_where_its_documentation_says", &format!("{ADDRESS}: {e}"));
    }
    let server = Server::start(&mut echo());
    assert_eq!(server.address, ADDRESS);
    assert_eq!(say(ADDRESS, "hello"), "hello");
}

#[test]
fn the_poll_driver_says_why_it_runs() {
    let server = Server::start(echo().arg("127.0.0.1:0").env("ANNULUS_DRIVER", "poll"));
    assert_eq!(server.driver, "poll (ANNULUS_DRIVER asks for it)");
    assert_eq!(say(&server.address, "poll"), "poll");
}
