//! `udp_echo`: datagrams of every length come back whole, to whom they are from.

use super::{
    on_both_drivers,
    server::{LONG, Server},
};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
};

fn client(server: &Server) -> UdpSocket {
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    client.set_read_timeout(Some(LONG)).expect("a limit");
    client.connect(server.address).expect("a connection");
    client
}

/// The next datagram.
fn next<'a>(client: &UdpSocket, buf: &'a mut [u8]) -> &'a [u8] {
    loop {
        match client.recv(buf) {
            Ok(n) => return &buf[..n],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

/// Red when a buffer is too short, when an empty datagram ends a task, and when answers go to whoever came last.
#[test]
fn udp_echo_sends_each_datagram_back() {
    on_both_drivers("udp_echo_sends_each_datagram_back", "udp_echo", |driver, command| {
        let server = Server::start(driver, command, &["--tasks", "4"]);
        let clients: Vec<UdpSocket> = (0..8).map(|_| client(&server)).collect();
        let mut buf = vec![0; 70_000];
        // More of the long ones at a time than a socket's buffer holds would be lost.
        for (length, at_once) in [(0, 8), (1, 8), (1472, 8), (9000, 4), (65_507, 1)] {
            for clients in clients.chunks(at_once) {
                for (index, client) in clients.iter().enumerate() {
                    client.send(&vec![index as u8; length]).expect("a datagram");
                }
                for (index, client) in clients.iter().enumerate() {
                    let got = next(client, &mut buf);
                    assert!(got == vec![index as u8; length], "{driver}: {} bytes and not {length}", got.len());
                }
            }
        }
        let bytes = 8 * (1 + 1472 + 9000 + 65_507);
        assert_eq!(server.end(), format!("40 datagrams of {bytes} bytes, 0 of them not sent back\n"), "{driver}");
    });
}

/// Nobody receives what is sent back to a socket that is gone; the next one is served all the same.
#[test]
fn udp_echo_survives_those_who_go() {
    on_both_drivers("udp_echo_survives_those_who_go", "udp_echo", |driver, command| {
        let server = Server::start(driver, command, &["--tasks", "1"]);
        for _ in 0..20 {
            client(&server).send(b"gone").expect("a datagram");
        }
        let client = client(&server);
        client.send(b"here").expect("a datagram");
        assert_eq!(next(&client, &mut [0; 8]), b"here", "{driver}");
        server.end();
    });
}
