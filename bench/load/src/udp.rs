//! Datagrams to a server that sends them back: each socket sends some together, and again when all their echoes have
//! come, in whichever order. With segments, some are one send (`UDP_SEGMENT`) and may come as one (`UDP_GRO`).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Load;
use crate::client::histogram;
use crate::epoll::{Epoll, events, receive, send, set_option};
use crate::message::Message;

/// After this time a datagram counts as lost, and is sent again.
const LOST: Duration = Duration::from_millis(100);
const SOL_UDP: i32 = 17;
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;

struct Peer {
    socket: UdpSocket,
    /// The number of the first datagram of those on their way, and which of them are still missed.
    first: u64,
    missed: Vec<bool>,
    sent: Instant,
    /// Some were sent twice, so some may come twice.
    repeated: bool,
}

pub struct Udp {
    epoll: Epoll,
    peers: Vec<Peer>,
    message: Message,
    segments: bool,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    done: u64,
    lost: u64,
    hist: Histogram<u64>,
}

impl Udp {
    pub fn connect(addr: SocketAddr, peers: usize, depth: usize, size: usize, segments: bool) -> io::Result<Self> {
        let (epoll, message) = (Epoll::new()?, Message::binary(size.max(8)));
        let peer = |index| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(addr)?;
            socket.set_nonblocking(true)?;
            if segments {
                set_option(socket.as_raw_fd(), SOL_UDP, UDP_SEGMENT, message.len() as i32)?;
                set_option(socket.as_raw_fd(), SOL_UDP, UDP_GRO, 1)?;
            }
            epoll.watch(&socket, index)?;
            Ok(Peer { socket, first: 0, missed: vec![true; depth], sent: Instant::now(), repeated: false })
        };
        let peers = (0..peers).map(peer).collect::<io::Result<Vec<_>>>()?;
        let (inbox, outbox, hist) = (vec![0; 65_535], Vec::new(), histogram()?);
        let mut load = Self { epoll, peers, message, segments, inbox, outbox, done: 0, lost: 0, hist };
        (0..load.peers.len()).try_for_each(|index| load.ask(index))?;
        Ok(load)
    }

    /// Sends all that are missed.
    fn ask(&mut self, index: usize) -> io::Result<()> {
        let peer = &mut self.peers[index];
        let fd = peer.socket.as_raw_fd();
        peer.sent = Instant::now();
        self.outbox.clear();
        for (seq, _) in (peer.first..).zip(&peer.missed).filter(|(_, missed)| **missed) {
            let datagram = self.message.named(index, seq);
            if self.segments {
                self.outbox.extend_from_slice(datagram);
            } else {
                // Without room it is as lost as on the way.
                send(fd, datagram)?;
            }
        }
        if self.segments {
            send(fd, &self.outbox)?;
        }
        Ok(())
    }

    /// Takes all that has come.
    fn turn(&mut self, index: usize) -> io::Result<()> {
        let peer = &mut self.peers[index];
        while let Some(count) = receive(peer.socket.as_raw_fd(), &mut self.inbox)? {
            for datagram in self.inbox[..count].chunks(self.message.len()) {
                let wrong = || io::Error::other(format!("a wrong datagram at socket {index}"));
                let name = datagram.first_chunk::<8>().ok_or_else(wrong)?;
                let seq = u64::from_le_bytes(*name) & 0xff_ffff_ffff;
                if datagram.len() != self.message.len() || !self.message.matches(datagram, 0, index, seq) {
                    return Err(wrong());
                }
                match peer.missed.get_mut(seq.wrapping_sub(peer.first) as usize) {
                    Some(missed) if *missed => *missed = false,
                    _ if peer.repeated => continue,
                    _ => return Err(wrong()),
                }
                self.hist.saturating_record(peer.sent.elapsed().as_nanos() as u64);
                self.done += 1;
            }
        }
        if !peer.missed.contains(&true) {
            peer.first += peer.missed.len() as u64;
            peer.missed.fill(true);
            self.ask(index)?;
        }
        Ok(())
    }

    fn find_lost(&mut self) -> io::Result<()> {
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if peer.sent.elapsed() > LOST {
                peer.repeated = true;
                self.lost += peer.missed.iter().filter(|missed| **missed).count() as u64;
                self.ask(index)?;
            }
        }
        Ok(())
    }
}

impl Load for Udp {
    fn run(&mut self, time: Duration) -> io::Result<Duration> {
        let (start, mut events) = (Instant::now(), events());
        while start.elapsed() < time {
            let count = self.epoll.wait(&mut events, time.saturating_sub(start.elapsed()))?;
            for event in &events[..count] {
                self.turn(event.u64 as usize)?;
            }
        }
        self.find_lost()?;
        Ok(start.elapsed())
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn forget(&mut self) {
        self.hist.reset();
        (self.done, self.lost) = (0, 0);
    }

    fn lost(&self) -> u64 {
        self.lost
    }

    fn finish(self: Box<Self>) -> io::Result<(u64, Histogram<u64>)> {
        if self.done == 0 {
            return Err(io::Error::other("the server echoed nothing"));
        }
        Ok((self.done, self.hist))
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread;
    use std::time::Duration;

    use super::Udp;
    use crate::Load;

    /// What the load says to a server that hands every datagram to `spoil` before it sends it back, if at all.
    fn outcome(spoil: fn(u64, &mut [u8]) -> bool) -> Result<(u64, u64), String> {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr().unwrap();
        thread::spawn(move || {
            let (mut buf, mut count) = ([0; 2048], 0);
            while let Ok((len, from)) = server.recv_from(&mut buf) {
                count += 1;
                if spoil(count, &mut buf[..len]) {
                    server.send_to(&buf[..len], from).unwrap();
                }
            }
        });
        let mut load = Udp::connect(addr, 1, 4, 100, false).unwrap();
        for _ in 0..30 {
            load.run(Duration::from_millis(10)).map_err(|e| e.to_string())?;
        }
        Ok((load.done(), load.lost()))
    }

    fn flip(byte: &mut u8) -> bool {
        *byte ^= 64;
        true
    }

    #[test]
    fn echoes_are_compared_and_the_lost_are_sent_again() {
        let (done, lost) = outcome(|_, _| true).unwrap();
        assert!(done > 100 && lost == 0, "{done} {lost}");
        let (done, lost) = outcome(|count, _| count != 10).unwrap();
        assert!(done > 100 && lost > 0, "{done} {lost}");
        for spoil in [|_, bytes: &mut [u8]| flip(&mut bytes[50]), |_, bytes: &mut [u8]| flip(&mut bytes[0])] {
            assert!(outcome(spoil).unwrap_err().contains("wrong datagram"));
        }
    }
}
