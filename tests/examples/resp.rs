//! `resp`: answers as Redis gives them, requests in one piece and in many, and clients of bad manners.

use super::{
    example, on_both_drivers, output,
    server::{LONG, Server, exchange, expect, until_closed, until_end},
};
use rustix::process::Signal;
use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

/// `words` as a request.
fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Requests in order, and what is to come back.
const TALK: &[(&str, &str)] = &[
    ("PING", "+PONG\r\n"),
    ("ping hello", "$5\r\nhello\r\n"),
    ("ECHO x", "$1\r\nx\r\n"),
    ("GET k", "$-1\r\n"),
    ("SET k 41", "+OK\r\n"),
    ("INCR k", ":42\r\n"),
    ("GET k", "$2\r\n42\r\n"),
    ("EXISTS k k l", ":2\r\n"),
    ("DBSIZE", ":1\r\n"),
    ("DEL k l", ":1\r\n"),
    ("INCR k", ":1\r\n"),
    ("SET k 9223372036854775807", "+OK\r\n"),
    ("INCR k", "-ERR increment or decrement would overflow\r\n"),
    ("SET k 9223372036854775808", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k +1", "+OK\r\n"),
    ("INCR k", "-ERR value is not an integer or out of range\r\n"),
    ("SET k -1", "+OK\r\n"),
    ("INCR k", ":0\r\n"),
    ("SET k v EX 10", "-ERR syntax error\r\n"),
    ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
    ("NOSUCH thing", "-ERR unknown command 'NOSUCH'\r\n"),
    ("COMMAND DOCS", "*0\r\n"),
    ("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
    ("CLIENT SETNAME me", "+OK\r\n"),
    ("SELECT 0", "+OK\r\n"),
    ("SELECT 1", "-ERR DB index is out of range\r\n"),
    ("FLUSHALL", "+OK\r\n"),
    ("DBSIZE", ":0\r\n"),
];

/// The talk as requests of the protocol's own form, and all its answers.
fn talk() -> (Vec<u8>, Vec<u8>) {
    let words = |line: &str| request(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    let requests = TALK.iter().flat_map(|(line, _)| words(line)).collect();
    (requests, TALK.iter().flat_map(|(_, answer)| answer.bytes()).collect())
}

#[test]
fn resp_answers_as_redis_does() {
    on_both_drivers("resp_answers_as_redis_does", "resp", |driver, command| {
        let server = Server::start(driver, command, &[]);
        let client = server.connect();
        for (line, answer) in TALK {
            exchange(&client, format!("{line}\r\n").as_bytes(), answer.as_bytes());
        }
        exchange(&client, b"\r\n\n*0\r\n*-1\r\n  PING  \n", b"+PONG\r\n");
        let binary: Vec<u8> = (0..=255).collect();
        exchange(&client, &request(&[b"SET", &binary, b"\r\n$"]), b"+OK\r\n");
        exchange(&client, &request(&[b"GET", &binary]), b"$3\r\n\r\n$\r\n");
        exchange(&client, &request(&[b"\r\nX"]), b"-ERR unknown command '\\r\\nX'\r\n");
        assert_eq!(until_closed(&client, &request(&[b"QUIT"])), b"+OK\r\n", "{driver}");
        server.end();
    });
}

/// Red when the parser forgets where it was, and when answers wait for what comes later.
#[test]
fn resp_takes_requests_in_any_pieces() {
    on_both_drivers("resp_takes_requests_in_any_pieces", "resp", |driver, command| {
        let server = Server::start(driver, command, &[]);
        let (requests, answers) = talk();
        let mut client = server.connect();
        for piece in [1, 2, 3, 7, 64, requests.len()] {
            for part in requests.chunks(piece) {
                client.write_all(part).expect("a piece");
            }
            expect(&client, &requests, &answers);
        }
        // The end of the requests is not the end of the answers.
        client.write_all(&requests).expect("requests");
        client.shutdown(std::net::Shutdown::Write).expect("an end");
        assert!(until_closed(&client, b"") == answers, "{driver}");
        server.end();
    });
}

/// Red when each request is answered by a write of its own.
#[test]
fn resp_answers_all_that_has_come_by_one_write() {
    on_both_drivers("resp_answers_all_that_has_come_by_one_write", "resp", |driver, command| {
        let server = Server::start(driver, command, &[]);
        let client = server.connect();
        for _ in 0..10 {
            exchange(&client, &b"PING\r\n".repeat(1000), &b"+PONG\r\n".repeat(1000));
        }
        drop(client);
        let said = server.end();
        let numbers: Vec<u32> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert_eq!((numbers[0], numbers[2]), (10_000, 0), "{said}");
        // Ten, if the kernel gives each of the ten in one piece.
        assert!(numbers[1] <= 100, "{said}");
    });
}

#[test]
fn resp_gives_large_values_back() {
    on_both_drivers("resp_gives_large_values_back", "resp", |driver, command| {
        let server = Server::start(driver, command, &[]);
        let mut client = server.connect();
        let value: Vec<u8> = (0..10 << 20).map(|n| (n % 251) as u8).collect();
        exchange(&client, &request(&[b"SET", b"large", &value]), b"+OK\r\n");
        let mut answer = format!("${}\r\n", value.len()).into_bytes();
        answer.extend_from_slice(&value);
        answer.extend_from_slice(b"\r\n");
        client.write_all(&request(&[b"GET", b"large"]).repeat(5)).expect("requests");
        for _ in 0..5 {
            expect(&client, b"GET large", &answer);
        }
        server.end();
    });
}

/// Red without a bound to any of them: the server would wait for more, or take what it cannot hold.
#[test]
fn resp_refuses_what_it_cannot_understand_and_closes() {
    let many = "a".repeat(1_000_000);
    let cases: &[(&[u8], &str)] = &[
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
        (b"*1\r\n\n", "expected '$', got '\\n'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*1\rx", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*65537\r\n", "invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$16777217\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        (b"*1\r\n$4\r\nPINGPONG\r\n", "invalid bulk length"),
        (&[b'*'; 100], "too big mbulk count string"),
        (&[b"*1\r\n$", many.as_bytes()].concat(), "too big bulk count string"),
        (many.as_bytes(), "too big inline request"),
    ];
    on_both_drivers("resp_refuses_what_it_cannot_understand_and_closes", "resp", |driver, command| {
        let server = Server::start(driver, command, &[]);
        for (bytes, error) in cases {
            let answer = until_end(&server.connect(), &[b"PING\r\n", *bytes].concat());
            let answer = String::from_utf8(answer).expect("UTF-8");
            let start = bytes[..bytes.len().min(40)].escape_ascii();
            assert_eq!(answer, format!("+PONG\r\n-ERR Protocol error: {error}\r\n"), "{driver}: {start}");
        }
        exchange(&server.connect(), b"PING\r\n", b"+PONG\r\n");
        server.end();
    });
}

/// 3 arguments of 16 MiB are more than a request may have; red when each is looked at alone.
#[test]
fn resp_bounds_requests_and_memory() {
    on_both_drivers("resp_bounds_requests_and_memory", "resp", |driver, command| {
        let server = Server::start(driver, command, &["--memory", "1000"]);
        let value = vec![b'v'; 16 << 20];
        let answer = until_closed(&server.connect(), &request(&[b"ECHO", &value, &value]));
        assert_eq!(answer, b"-ERR Protocol error: too big request\r\n", "{driver}");
        let client = server.connect();
        let full = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n";
        exchange(&client, &request(&[b"SET", b"a", &value[..900]]), b"+OK\r\n");
        exchange(&client, &request(&[b"SET", b"b", b"1"]), full);
        exchange(&client, b"INCR c\r\n", full);
        exchange(&client, &request(&[b"SET", b"a", &value[..1000]]), full);
        exchange(&client, b"SET a 1\r\nSET b 1\r\nDEL a b\r\n", b"+OK\r\n+OK\r\n:2\r\n");
        exchange(&client, &request(&[b"SET", b"b", &value[..900]]), b"+OK\r\n");
        server.end();
    });
}

/// Red when only the first read, or only reads, have a limit.
#[test]
fn resp_leaves_those_who_say_nothing_and_those_who_do_not_listen() {
    on_both_drivers("resp_leaves_those_who_say_nothing_and_those_who_do_not_listen", "resp", |driver, command| {
        let server = Server::start(driver, command, &["--idle", "0.3"]);
        for said in ["", "PING\r\n*1\r\n$4\r\nPI"] {
            let begun = Instant::now();
            let answer = until_closed(&server.connect(), said.as_bytes());
            assert_eq!(answer, &b"+PONG\r\n"[..answer.len()], "{driver}");
            assert!(begun.elapsed() >= Duration::from_millis(250), "{driver}: {said:?}");
        }
        let deaf = server.connect();
        exchange(&deaf, &request(&[b"SET", b"k", &vec![b'v'; 1 << 20]]), b"+OK\r\n");
        let asks = request(&[b"GET", b"k"]).repeat(100);
        (&deaf).write_all(&asks).expect("requests");
        thread::sleep(Duration::from_secs(1));
        assert!(until_closed(&deaf, b"").len() < 100 << 20, "{driver}: all of it came");
        server.end();
    });
}

/// Red when the limit is not kept, and when a connection that has ended keeps its place.
#[test]
fn resp_serves_as_many_as_it_is_told() {
    on_both_drivers("resp_serves_as_many_as_it_is_told", "resp", |driver, command| {
        let server = Server::start(driver, command, &["--connections", "2"]);
        let (first, second, third) = (server.connect(), server.connect(), server.connect());
        exchange(&first, b"PING\r\n", b"+PONG\r\n");
        exchange(&second, b"PING\r\n", b"+PONG\r\n");
        (&third).write_all(b"PING\r\n").expect("a request");
        third.set_read_timeout(Some(Duration::from_millis(200))).expect("a limit");
        assert!((&third).read(&mut [0; 8]).is_err(), "{driver}");
        third.set_read_timeout(Some(LONG)).expect("a limit");
        drop(first);
        expect(&third, b"PING", b"+PONG\r\n");
        server.end();
    });
}

/// Red when idle connections are waited for, and when busy ones are for ever.
#[test]
fn resp_ends_while_it_is_busy() {
    on_both_drivers("resp_ends_while_it_is_busy", "resp", |driver, command| {
        let server = Server::start(driver, command, &["--grace", "0.5"]);
        let (idle, deaf) = (server.connect(), server.connect());
        exchange(&idle, &request(&[b"SET", b"k", &vec![b'v'; 1 << 20]]), b"+OK\r\n");
        (&deaf).write_all(&request(&[b"GET", b"k"]).repeat(100)).expect("requests");
        let mut busy = server.connect();
        let talker = thread::spawn(move || {
            let mut buf = vec![0; 64 * 1024];
            while busy.write_all(&b"PING\r\n".repeat(100)).is_ok() && busy.read(&mut buf).is_ok_and(|n| n > 0) {}
        });
        thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        server.signal(Signal::INT);
        assert_eq!(until_closed(&idle, b""), b"", "{driver}");
        let said = server.end();
        assert!(begun.elapsed() < Duration::from_secs(10), "{driver}: after {:?}", begun.elapsed());
        assert!(said.ends_with("; 1 connections cut off\n"), "{driver}: {said}");
        talker.join().expect("an end");
    });
}

#[test]
fn resp_explains_itself() {
    let (said, errors, code) = output(example("resp").arg("--help"));
    assert!(said.starts_with("usage: resp ") && errors.is_empty() && code == Some(0), "{said}{errors}");
    for (args, told) in [
        (&["--nonsense"][..], "resp: invalid option '--nonsense'"),
        (&["--idle", "soon"], "resp: \"soon\" is not a number of seconds"),
        (&["--connections", "0"], "resp: \"0\" is not a number from 1"),
        (&["--listen"], "resp: missing argument for option '--listen'"),
    ] {
        let (_, errors, code) = output(example("resp").args(args));
        assert!(errors.starts_with(told) && code == Some(2), "{errors}");
    }
    let (_, errors, code) = output(example("resp").args(["--listen", "192.0.2.1:1"]));
    assert!(errors.starts_with("resp: ") && code == Some(1), "{errors}");
}
