//! What is behind a proxy: an echo on a thread of this process, so its CPU time is the load's. It is at the proxy's port
//! of another loopback address.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::epoll::{Epoll, events};

/// The listener's number among those of connections.
const LISTENER: usize = usize::MAX;

struct Conn {
    stream: TcpStream,
    /// What was received and is not sent yet.
    parked: Vec<u8>,
}

impl Conn {
    /// Echoes until there is nothing, or no room; `false` at the end.
    fn turn(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        loop {
            while !self.parked.is_empty() {
                let sent = self.stream.write(&self.parked)?;
                self.parked.drain(..sent);
            }
            let count = self.stream.read(buf)?;
            if count == 0 {
                return Ok(false);
            }
            let sent = match self.stream.write(&buf[..count]) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
                sent => sent?,
            };
            self.parked.extend_from_slice(&buf[sent..count]);
        }
    }
}

fn serve(listener: &TcpListener, epoll: &Epoll) -> io::Result<()> {
    let (mut conns, mut next, mut events, mut buf) = (HashMap::new(), 0, events(), vec![0; 64 * 1024]);
    loop {
        let ready = epoll.wait(&mut events, Duration::from_secs(60))?;
        for event in &events[..ready] {
            let index = event.u64 as usize;
            if index == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    epoll.watch(&stream, next)?;
                    conns.insert(next, Conn { stream, parked: Vec::new() });
                    next += 1;
                }
            } else if let Some(conn) = conns.get_mut(&index) {
                match conn.turn(&mut buf) {
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Ok(true) => {}
                    // The proxy will notice, and so will the client.
                    Ok(false) | Err(_) => drop(conns.remove(&index)),
                }
            }
        }
    }
}

/// Starts the backend of the proxy at `proxy`.
pub fn start(proxy: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), proxy.port()))?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new()?;
    epoll.watch(&listener, LISTENER)?;
    thread::spawn(move || serve(&listener, &epoll));
    Ok(())
}
