//! `shards`: all cores at one port, connections that move, and an end that is asked for.

use super::{example, on_both_drivers};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Stdio,
    time::Duration,
};

/// An address that nobody has at the moment.
fn free_address() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).expect("a port").to_string()
}

/// Red when a connection that is handed on is closed, and when the shards do not end as they are asked to.
#[test]
fn shards_serve_one_port_and_end_when_they_are_asked_to() {
    on_both_drivers("shards_serve_one_port_and_end_when_they_are_asked_to", "shards", |driver, mut command| {
        let address = free_address();
        command.arg(&address).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a child");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        assert!(line.starts_with(&format!("listening on {address} with ")) && line.contains(driver), "{line}");
        let mut clients: Vec<_> = (0..30).map(|_| TcpStream::connect(&address).expect("a connection")).collect();
        for round in 0..5u8 {
            for client in &mut clients {
                client.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
                client.write_all(&[round; 3]).expect("a request");
                let mut echo = [0; 3];
                client.read_exact(&mut echo).expect("an answer");
                assert_eq!(echo, [round; 3]);
            }
        }
        drop(child.stdin.take());
        assert!(child.wait().expect("an end").success(), "{driver}");
        let mut told = String::new();
        out.read_to_string(&mut told).expect("what each has done");
        let sum = |word: &str| -> u64 {
            let numbers = told.split(word).skip(1).map(|rest| rest.trim_start().split([',', '\n']).next());
            numbers.map(|number| number.expect("a number").parse::<u64>().expect("a number")).sum()
        };
        assert_eq!(sum("accepted"), 30, "{told}");
        assert!(sum("requests") >= 150 && sum("handed on") > 0, "{told}");
    });
}

/// The first failure in the shards' order is the process's, and the error is printed.
#[test]
fn shards_that_cannot_listen_say_so_and_fail() {
    let alone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = alone.local_addr().expect("an address").to_string();
    let output = example("shards").arg(&address).output().expect("a child");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(told.contains("Error: ") && told.contains("AddrInUse"), "{told}");
}
