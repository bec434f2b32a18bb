//! `http`: what it answers, what it refuses and with which status, and that nothing outside of its folder is found.

use super::{
    Temp, example, on_both_drivers, output,
    server::{LONG, Server, until_closed, until_end},
};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::fs::symlink,
    path::PathBuf,
    process, thread,
    time::{Duration, Instant},
};

/// A folder with things to serve, and beside it a secret.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let site = Site(std::env::temp_dir().join(format!("annulus-http-{name}-{}", process::id())));
        let root = site.root();
        fs::create_dir_all(root.join("sub")).expect("folders");
        fs::write(site.0.join("secret"), "secret").expect("a file");
        fs::write(root.join("index.html"), "<p>home").expect("a file");
        fs::write(root.join("sub/index.html"), "<p>sub").expect("a file");
        fs::write(root.join("a b.txt"), "0123456789").expect("a file");
        fs::write(root.join("empty"), "").expect("a file");
        symlink("../secret", root.join("link")).expect("a link");
        symlink("..", root.join("up")).expect("a link");
        let large: Vec<u8> = (0..5_000_000).map(|n| (n % 251) as u8).collect();
        fs::write(root.join("middle"), &large[..100_000]).expect("a file");
        fs::write(root.join("large"), large).expect("a file");
        site
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    fn start(&self, driver: &str, command: process::Command, args: &[&str]) -> Server {
        let root = self.root();
        let args = [&["--shards", "1", "--root", root.to_str().expect("UTF-8")], args].concat();
        Server::start(driver, command, &args)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An answer: its status, its head, its body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Reads one answer, as long as its head says; without a body after HEAD.
#[track_caller]
fn answer(mut stream: &TcpStream, has_body: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {}", head.escape_ascii()));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("UTF-8");
    let length = field(&head, "Content-Length").expect("a length").parse().expect("a number");
    let mut body = vec![0; if has_body { length } else { 0 }];
    stream.read_exact(&mut body).expect("a body");
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("{head}")), head, body }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Asks and reads the answer.
#[track_caller]
fn get(mut stream: &TcpStream, target: &str, fields: &str) -> Answer {
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n").as_bytes()).expect("a request");
    answer(stream, true)
}

#[test]
fn http_serves_text_and_files() {
    let site = Site::new("files");
    on_both_drivers("http_serves_text_and_files", "http", |driver, command| {
        let server = site.start(driver, command, &[]);
        let client = server.connect();
        for (target, status, kind, body) in [
            ("/plaintext", 200, "text/plain", "Hello, World!"),
            ("/", 200, "text/html; charset=utf-8", "<p>home"),
            ("/sub/", 200, "text/html; charset=utf-8", "<p>sub"),
            ("/sub/index.html?x=/../..", 200, "text/html; charset=utf-8", "<p>sub"),
            ("//sub//index.html", 200, "text/html; charset=utf-8", "<p>sub"),
            ("http://any:80/sub/", 200, "text/html; charset=utf-8", "<p>sub"),
            ("/a%20b.txt", 200, "text/plain; charset=utf-8", "0123456789"),
            ("/%61%20b.txt", 200, "text/plain; charset=utf-8", "0123456789"),
            ("/empty", 200, "application/octet-stream", ""),
            ("/sub", 404, "text/plain", "Not Found\n"),
            ("/none", 404, "text/plain", "Not Found\n"),
            ("/index.html/", 404, "text/plain", "Not Found\n"),
        ] {
            let Answer { status: got, head, body: bytes } = get(&client, target, "");
            assert_eq!((got, field(&head, "Content-Type")), (status, Some(kind)), "{driver}: {target}");
            assert_eq!(bytes, body.as_bytes(), "{driver}: {target}");
            assert!(field(&head, "Date").is_some_and(|date| date.ends_with(" GMT")), "{head}");
        }
        let large = fs::read(site.root().join("large")).expect("a file");
        assert!(get(&client, "/large", "").body == large, "{driver}");
        assert!(get(&client, "/middle", "").body == large[..100_000], "{driver}");
        (&client).write_all(b"HEAD /large HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        assert_eq!(field(&answer(&client, false).head, "Content-Length"), Some("5000000"), "{driver}");
        (&client).write_all(b"HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        assert_eq!(answer(&client, false).status, 404, "{driver}");
        assert_eq!(server.end(), "16 requests; 0 connections cut off\n");
    });
}

#[test]
fn http_sends_parts_of_files() {
    let site = Site::new("parts");
    on_both_drivers("http_sends_parts_of_files", "http", |driver, command| {
        let server = site.start(driver, command, &[]);
        let client = server.connect();
        for (range, status, said, body) in [
            ("bytes=0-3", 206, Some("bytes 0-3/10"), "0123"),
            ("bytes=4-", 206, Some("bytes 4-9/10"), "456789"),
            ("bytes=-3", 206, Some("bytes 7-9/10"), "789"),
            ("bytes=-99", 206, Some("bytes 0-9/10"), "0123456789"),
            ("bytes=9-99999999999999999", 206, Some("bytes 9-9/10"), "9"),
            ("bytes=10-", 416, Some("bytes */10"), ""),
            ("bytes=-0", 416, Some("bytes */10"), ""),
            ("bytes=3-1", 200, None, "0123456789"),
            ("bytes=0-1,3-4", 200, None, "0123456789"),
            ("bytes=+1-2", 200, None, "0123456789"),
            ("lines=1-2", 200, None, "0123456789"),
            ("bytes=0-3\r\nIf-Range: \"x\"", 200, None, "0123456789"),
        ] {
            let got = get(&client, "/a%20b.txt", &format!("Range: {range}\r\n"));
            assert_eq!((got.status, field(&got.head, "Content-Range")), (status, said), "{driver}: {range}");
            assert_eq!(got.body, body.as_bytes(), "{driver}: {range}");
        }
        let large = fs::read(site.root().join("large")).expect("a file");
        let part = get(&client, "/large", "Range: bytes=100000-4000000\r\n").body;
        assert!(part == large[100_000..=4_000_000], "{driver}");
        server.end();
    });
}

/// Red when links are followed, and when `..` is looked for before the decoding.
#[test]
fn http_finds_nothing_outside_of_its_folder() {
    let site = Site::new("outside");
    on_both_drivers("http_finds_nothing_outside_of_its_folder", "http", |driver, command| {
        let server = site.start(driver, command, &[]);
        let client = server.connect();
        for (target, status) in [
            ("/../secret", 400),
            ("/%2e%2e/secret", 400),
            ("/.%2E/secret", 400),
            ("/sub/../../secret", 400),
            ("/sub/%2e%2e/%2e%2e/secret", 400),
            ("/..%2fsecret", 400),
            ("/sub%2f..%2f..%2fsecret", 400),
            ("/%2fetc/passwd", 400),
            ("/./index.html", 400),
            ("/secret%00.html", 400),
            ("/%", 400),
            ("/%2", 400),
            ("/%zz", 400),
            ("/%+1", 400),
            ("/%252e%252e/secret", 404),
            ("/..%5csecret", 404),
            ("//etc/passwd", 404),
            ("/link", 404),
            ("/up/secret", 404),
            ("/up/root/index.html", 404),
        ] {
            let got = get(&client, target, "");
            assert_eq!(got.status, status, "{driver}: {target}: {}", got.body.escape_ascii());
        }
        server.end();
    });
}

/// Many requests at once, cut anywhere. Red when what follows one is lost, and when bodies are taken for requests.
#[test]
fn http_takes_requests_in_any_pieces() {
    let site = Site::new("pieces");
    on_both_drivers("http_takes_requests_in_any_pieces", "http", |driver, command| {
        let server = site.start(driver, command, &[]);
        let talk = "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n\
            GET /a%20b.txt HTTP/1.1\nhost:x\n\n\
            \r\nGET /none HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n\
            HEAD /plaintext HTTP/1.1\r\nHost: x\r\n\r\n\
            GET /sub/ HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut client = server.connect();
        for piece in [1, 3, 17, 100, talk.len()] {
            for part in talk.as_bytes().chunks(piece) {
                client.write_all(part).expect("a piece");
            }
            for (body, has_body) in
                [("Hello, World!", true), ("0123456789", true), ("Not Found\n", true), ("", false), ("<p>sub", true)]
            {
                let got = answer(&client, has_body);
                assert_eq!(got.body, body.as_bytes(), "{driver}: in pieces of {piece}: {}", got.head);
            }
        }
        // The end of the requests is not the end of the answers.
        client.write_all(&b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3)).expect("requests");
        client.shutdown(Shutdown::Write).expect("an end");
        assert!(until_closed(&client, b"").len() > 15_000_000, "{driver}");
        server.end();
    });
}

#[test]
fn http_keeps_connections_as_it_is_asked_to() {
    on_both_drivers("http_keeps_connections_as_it_is_asked_to", "http", |driver, command| {
        let server = Server::start(driver, command, &[]);
        for (fields, said, stays) in [
            ("1.1\r\nHost: x", None, true),
            ("1.1\r\nHost: x\r\nConnection: Close", Some("close"), false),
            ("1.1\r\nHost: x\r\nConnection: te, close", Some("close"), false),
            ("1.0", Some("close"), false),
            ("1.0\r\nConnection: keep-alive", Some("keep-alive"), true),
        ] {
            let mut client = server.connect();
            client.write_all(format!("GET /plaintext HTTP/{fields}\r\n\r\n").as_bytes()).expect("a request");
            let got = answer(&client, true);
            assert_eq!((got.status, field(&got.head, "Connection")), (200, said), "{driver}: {fields}");
            if stays {
                assert_eq!(get(&client, "/plaintext", "").body, b"Hello, World!", "{driver}: {fields}");
            } else {
                assert_eq!(until_closed(&client, b""), b"", "{driver}: {fields}");
            }
        }
        server.end();
    });
}

/// Each is answered by its status and an end. Red without the limits, and without the care for two lengths.
#[test]
fn http_refuses_what_it_does_not_understand() {
    let get = |fields: &str| format!("GET /plaintext HTTP/1.1\r\n{fields}\r\n\r\n").into_bytes();
    let host = |fields: &str| get(&format!("Host: x\r\n{fields}"));
    let long = "a".repeat(20_000);
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".into(), 400),
        (b"GET /plaintext\r\n\r\n".into(), 400),
        (b"GET  /plaintext HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        (b"GET plaintext HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        (get("Accept: */*"), 400),
        (host("Host: y"), 400),
        (host("No colon"), 400),
        (host("Space : x"), 400),
        (host(" folded: x"), 400),
        (host("Nul: \0"), 400),
        (host("Content-Length: 1\r\nContent-Length: 1"), 400),
        (host("Content-Length: -1"), 400),
        (host("Content-Length: +1"), 400),
        (host("Content-Length: 1, 1"), 400),
        (host("Content-Length: 99999999999999999999"), 400),
        (host("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
        (host("Transfer-Encoding: chunked"), 501),
        (host("Content-Length: 65537"), 413),
        (host("Content-Length: 5\r\nExpect: 100-continue"), 417),
        (b"POST /plaintext HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".into(), 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n".into(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").into(), 414),
        (format!("GET /{long}").into(), 414),
        (host(&format!("Long: {long}")), 431),
        (host("a: b\r\n".repeat(65).trim_end()), 431),
    ];
    on_both_drivers("http_refuses_what_it_does_not_understand", "http", |driver, command| {
        let server = Server::start(driver, command, &[]);
        for (request, status) in &cases {
            let start = request[..request.len().min(80)].escape_ascii();
            let target = request.starts_with(b"GET plaintext");
            let client = server.connect();
            if target {
                // What is wrong with a target alone ends no connection.
                (&client).write_all(request).expect("a request");
                assert_eq!(answer(&client, true).status, *status, "{driver}: {start}");
                continue;
            }
            let said = String::from_utf8(until_end(&client, request)).expect("UTF-8");
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{driver}: {start}: {said}");
            assert_eq!(field(&said, "Connection"), Some("close"), "{driver}: {start}: {said}");
            assert_eq!(said.matches("HTTP/1.1").count(), 1, "{driver}: {start}: {said}");
            assert!(*status != 405 || said.contains("\r\nAllow: GET, HEAD\r\n"), "{said}");
        }
        server.end();
    });
}

/// Red when each byte that comes is given the whole time again.
#[test]
fn http_waits_for_nobody_for_ever() {
    let site = Site::new("slow");
    on_both_drivers("http_waits_for_nobody_for_ever", "http", |driver, command| {
        let server = site.start(driver, command, &["--request", "0.5", "--idle", "0.3", "--send", "0.5"]);
        let begun = Instant::now();
        assert_eq!(until_closed(&server.connect(), b""), b"", "{driver}: nothing was asked");
        assert!(begun.elapsed() >= Duration::from_millis(250), "{driver}");
        let mut slow = server.connect();
        let begun = Instant::now();
        let writer = slow.try_clone().expect("a clone");
        let trickle = thread::spawn(move || {
            let mut writer = writer;
            while writer.write_all(b"G").is_ok() && begun.elapsed() < LONG {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let mut said = String::new();
        let _ = slow.read_to_string(&mut said); // it may end in a reset, as there is always more
        assert!(said.starts_with("HTTP/1.1 408 ") && begun.elapsed() < LONG / 3, "{driver}: {said}");
        trickle.join().expect("an end");
        // What is sent from the kernel's memory, and what is written.
        for (name, times) in [("large", 20), ("middle", 1000)] {
            let deaf = server.connect();
            let asks = format!("GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(times);
            (&deaf).write_all(asks.as_bytes()).expect("requests");
            thread::sleep(Duration::from_millis(1500));
            assert!(until_closed(&deaf, b"").len() < 100_000_000, "{driver}: all of {name} came");
        }
        server.end();
    });
}

/// A request that has begun is answered, idle connections are closed, and who does not listen is cut off.
#[test]
fn http_ends_while_it_is_busy() {
    let site = Site::new("ends");
    on_both_drivers("http_ends_while_it_is_busy", "http", |driver, command| {
        let server = site.start(driver, command, &["--grace", "2"]);
        let (idle, mut begun, deaf) = (server.connect(), server.connect(), server.connect());
        get(&idle, "/plaintext", "");
        begun.write_all(b"GET /plaintext HTTP/1.1\r\n").expect("half a request");
        (&deaf).write_all(&b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20)).expect("requests");
        thread::sleep(Duration::from_millis(200));
        let asked = Instant::now();
        server.signal(Signal::INT);
        assert_eq!(until_closed(&idle, b""), b"", "{driver}");
        begun.write_all(b"Host: x\r\n\r\n").expect("the other half");
        let got = answer(&begun, true);
        assert_eq!((got.status, field(&got.head, "Connection")), (200, Some("close")), "{driver}");
        assert!(TcpStream::connect(server.address).is_err(), "{driver}: it still listens");
        let said = server.end();
        assert!(said.ends_with("; 1 connections cut off\n"), "{driver}: {said}");
        assert!(asked.elapsed() < Duration::from_secs(15), "{driver}: after {:?}", asked.elapsed());
    });
}

#[test]
fn http_on_several_shards_and_what_it_says_of_mistakes() {
    let (said, errors, code) = output(example("http").arg("--help"));
    assert!(said.starts_with("usage: http ") && errors.is_empty() && code == Some(0), "{said}{errors}");
    let (file, _) = Temp::new("no-folder", 1);
    let (_, errors, code) = output(example("http").arg("--root").arg(&file.0));
    assert!(errors.starts_with("http: ") && errors.contains("Not a directory") && code == Some(2), "{errors}");
    let (_, errors, code) = output(example("http").args(["--listen", "192.0.2.1:1"]));
    assert!(errors.starts_with("http: ") && code == Some(1), "{errors}");
    on_both_drivers("http_on_several_shards_and_what_it_says_of_mistakes", "http", |driver, command| {
        let server = Server::start(driver, command, &["--shards", "3"]);
        let clients: Vec<TcpStream> = (0..30).map(|_| server.connect()).collect();
        for client in clients.iter().chain(&clients) {
            assert_eq!(get(client, "/plaintext", "").status, 200, "{driver}");
        }
        assert_eq!(server.end(), "60 requests; 0 connections cut off\n", "{driver}");
    });
}
