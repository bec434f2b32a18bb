//! Connections that live for one request: connect, send, compare the echo, shut down, wait for the server's end, close.
//! Each comes from another loopback address, so no port is used up by connections that have ended.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Load;
use crate::client::histogram;
use crate::epoll::{Epoll, check, events, receive, send, set_option};
use crate::message::Message;

/// Addresses that connections come from.
const SOURCES: u32 = 50_000;

/// One place in which a connection follows the other.
struct Place {
    stream: TcpStream,
    began: Instant,
    asked: bool,
    /// What came of the answer.
    received: usize,
    seq: u64,
}

pub struct Churn {
    addr: SocketAddrV4,
    epoll: Epoll,
    places: Vec<Place>,
    message: Message,
    inbox: Vec<u8>,
    begun: u32,
    done: u64,
    hist: Histogram<u64>,
}

fn address(addr: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*addr.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// A connection that has begun, from source number `number`.
fn begin(to: SocketAddrV4, number: u32) -> io::Result<TcpStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_INET, kind, 0) }.into())? as RawFd;
    // SAFETY: the descriptor is new and nobody else's.
    let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    stream.set_nodelay(true)?;
    // The port is chosen when it is known whom it is for.
    set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    let from = address(SocketAddrV4::new(Ipv4Addr::from(0x7f01_0001 + number % SOURCES), 0));
    let (to, len) = (address(to), size_of::<libc::sockaddr_in>() as libc::socklen_t);
    // SAFETY: pointer and length are those of `from`.
    check(unsafe { libc::bind(fd, (&raw const from).cast(), len) }.into())?;
    // SAFETY: pointer and length are those of `to`.
    match check(unsafe { libc::connect(fd, (&raw const to).cast(), len) }.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
        _ => Ok(stream),
    }
}

impl Churn {
    pub fn connect(addr: SocketAddr, places: usize, size: usize) -> io::Result<Self> {
        let SocketAddr::V4(addr) = addr else { return Err(io::Error::other("--kind churn is for IPv4")) };
        let (epoll, message) = (Epoll::new()?, Message::binary(size));
        let mut load = Self {
            addr,
            epoll,
            places: Vec::new(),
            inbox: vec![0; message.len() + 1],
            message,
            begun: 0,
            done: 0,
            hist: histogram()?,
        };
        for index in 0..places {
            let place = load.begin(index, 0)?;
            load.places.push(place);
        }
        Ok(load)
    }

    fn begin(&mut self, index: usize, seq: u64) -> io::Result<Place> {
        let began = Instant::now();
        let stream = begin(self.addr, self.begun)?;
        self.begun = self.begun.wrapping_add(1);
        self.epoll.watch(&stream, index)?;
        Ok(Place { stream, began, asked: false, received: 0, seq })
    }

    /// Goes on with the connection of a place as far as it can.
    fn turn(&mut self, index: usize) -> io::Result<()> {
        let (place, size) = (&mut self.places[index], self.message.len());
        let fd = place.stream.as_raw_fd();
        if !place.asked {
            match send(fd, self.message.named(index, place.seq)) {
                Err(e) if e.raw_os_error() == Some(libc::ENOTCONN) => return Ok(()),
                sent => match sent? {
                    None => return Ok(()),
                    Some(count) if count == size => place.asked = true,
                    Some(_) => return Err(io::Error::other("a request that a socket has no room for")),
                },
            }
        }
        while let Some(count) = receive(fd, &mut self.inbox)? {
            if count == 0 {
                let seq = place.seq + 1;
                if place.received < size {
                    return Err(io::Error::other("the server closed a connection too early"));
                }
                let next = self.begin(index, seq)?;
                drop(mem::replace(&mut self.places[index], next));
                return Ok(());
            }
            let (at, chunk) = (place.received, &self.inbox[..count]);
            if at + count > size || !self.message.matches(chunk, at, index, place.seq) {
                return Err(io::Error::other(format!("wrong bytes on connection {index}")));
            }
            place.received += count;
            if place.received == size {
                self.hist.saturating_record(place.began.elapsed().as_nanos() as u64);
                self.done += 1;
                place.stream.shutdown(std::net::Shutdown::Write)?;
            }
        }
        Ok(())
    }
}

impl Load for Churn {
    fn run(&mut self, time: Duration) -> io::Result<Duration> {
        let (start, mut events) = (Instant::now(), events());
        while start.elapsed() < time {
            let count = self.epoll.wait(&mut events, time.saturating_sub(start.elapsed()))?;
            for event in &events[..count] {
                self.turn(event.u64 as usize)?;
            }
        }
        Ok(start.elapsed())
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn forget(&mut self) {
        self.hist.reset();
        self.done = 0;
    }

    fn finish(self: Box<Self>) -> io::Result<(u64, Histogram<u64>)> {
        if self.done == 0 {
            return Err(io::Error::other("the server echoed nothing"));
        }
        Ok((self.done, self.hist))
    }
}
