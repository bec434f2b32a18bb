//! Bytes in one direction, as fast as they go: the first byte of a connection tells the server which.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Load;
use crate::client::histogram;
use crate::epoll::{Epoll, events, receive, send};

/// What a request is here: so many bytes.
const BLOCK: usize = 64 * 1024;
/// The most that one connection moves before the others have their turn.
const TURN: usize = 16 * BLOCK;

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The server, and every byte is compared.
    Source,
    /// This side.
    Sink,
}

struct Conn {
    stream: TcpStream,
    /// Where in the pattern the connection is.
    at: usize,
}

pub struct Bulk {
    direction: Direction,
    epoll: Epoll,
    conns: Vec<Conn>,
    /// Which can go on: edges are told once.
    ready: Vec<usize>,
    pattern: Vec<u8>,
    inbox: Vec<u8>,
    bytes: u64,
}

impl Bulk {
    pub fn connect(addr: SocketAddr, conns: usize, direction: Direction) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let conn = |index| {
            let stream = TcpStream::connect(addr)?;
            stream.set_nonblocking(true)?;
            epoll.watch(&stream, index)?;
            send(stream.as_raw_fd(), if direction == Direction::Source { b"S" } else { b"K" })?;
            Ok(Conn { stream, at: 0 })
        };
        let conns = (0..conns).map(conn).collect::<io::Result<Vec<_>>>()?;
        let pattern = (0..BLOCK).map(|at| (at * 31 + at / 251) as u8).collect();
        let (ready, inbox) = ((0..conns.len()).collect(), vec![0; BLOCK]);
        Ok(Self { direction, epoll, conns, ready, pattern, inbox, bytes: 0 })
    }

    /// Moves bytes of one connection; `false` when there are none any more for now.
    fn turn(&mut self, index: usize) -> io::Result<bool> {
        let (conn, mut moved) = (&mut self.conns[index], 0);
        let fd = conn.stream.as_raw_fd();
        while moved < TURN {
            let count = match self.direction {
                Direction::Source => receive(fd, &mut self.inbox)?,
                Direction::Sink => send(fd, &self.pattern[conn.at..])?,
            };
            let Some(count) = count else { return Ok(false) };
            if count == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            if self.direction == Direction::Source {
                let (first, second) = self.inbox[..count].split_at(count.min(BLOCK - conn.at));
                if first != &self.pattern[conn.at..conn.at + first.len()] || second != &self.pattern[..second.len()] {
                    return Err(io::Error::other(format!("wrong bytes on connection {index}")));
                }
            }
            conn.at = (conn.at + count) % BLOCK;
            moved += count;
            self.bytes += count as u64;
        }
        Ok(true)
    }
}

impl Load for Bulk {
    fn run(&mut self, time: Duration) -> io::Result<Duration> {
        let (start, mut events) = (Instant::now(), events());
        while start.elapsed() < time {
            let most = if self.ready.is_empty() { time.saturating_sub(start.elapsed()) } else { Duration::ZERO };
            let count = self.epoll.wait(&mut events, most)?;
            for event in &events[..count] {
                let index = event.u64 as usize;
                if !self.ready.contains(&index) {
                    self.ready.push(index);
                }
            }
            for index in std::mem::take(&mut self.ready) {
                if self.turn(index)? {
                    self.ready.push(index);
                }
            }
        }
        Ok(start.elapsed())
    }

    fn done(&self) -> u64 {
        self.bytes / BLOCK as u64
    }

    fn size(&self) -> usize {
        BLOCK
    }

    fn forget(&mut self) {
        self.bytes = 0;
    }

    fn finish(self: Box<Self>) -> io::Result<(u64, Histogram<u64>)> {
        if self.done() == 0 {
            return Err(io::Error::other("nothing moved"));
        }
        Ok((self.done(), histogram()?))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::{BLOCK, Bulk, Direction};
    use crate::Load;

    /// What the load says to a source whose byte `wrong` is spoilt.
    fn source(wrong: Option<usize>) -> Result<u64, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, mut first) = (listener.accept().unwrap().0, [0]);
            stream.read_exact(&mut first).unwrap();
            let pattern: Vec<u8> = (0..BLOCK).map(|at| (at * 31 + at / 251) as u8).collect();
            let mut sent = [&pattern[..], &pattern, &pattern].concat();
            wrong.into_iter().for_each(|at| sent[at] ^= 1);
            // So one receive has the end of a block and the beginning of the next.
            stream.write_all(&sent[..100]).unwrap();
            thread::sleep(Duration::from_millis(20));
            stream.write_all(&sent[100..]).and_then(|()| stream.read_exact(&mut first)).unwrap_or(());
        });
        let mut load = Bulk::connect(addr, 1, Direction::Source).unwrap();
        load.run(Duration::from_millis(100)).map_err(|e| e.to_string())?;
        Ok(load.done())
    }

    /// Red when a byte is not compared.
    #[test]
    fn every_byte_of_a_source_counts() {
        assert_eq!(source(None), Ok(3));
        for at in [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK - 1] {
            assert!(source(Some(at)).unwrap_err().contains("wrong bytes"), "{at}");
        }
    }
}
