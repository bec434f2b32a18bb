//! The connections and their loop. Edge-triggered: each socket is registered once for both directions, and a receive
//! that does not fill its buffer has emptied the socket.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Load;
use crate::epoll::{Epoll, events, receive, send};
use crate::message::Message;

const PATIENCE: Duration = Duration::from_secs(5);
/// How many connections are made before the server has to have accepted them: its queue may be as short as 128, and
/// whoever finds it full tries again after a second.
const TOGETHER: usize = 64;
/// The most that is sent by one call.
const OUTBOX: usize = 64 * 1024;

/// What to do to the server.
pub struct Plan {
    pub addr: SocketAddr,
    pub conns: usize,
    /// How many requests a connection sends together in the closed loop, before it waits for all their answers.
    pub depth: usize,
    /// Requests per second over all connections; 0 is the closed loop.
    pub rate: u64,
    /// Never sleep: the client's own wake-ups then add nothing to the latency.
    pub spin: bool,
}

/// One connection: two positions in the endless stream of its messages.
struct Conn {
    stream: TcpStream,
    index: usize,
    /// When each unanswered request was scheduled, in nanoseconds since the client's birth.
    due: VecDeque<u64>,
    unsent: usize,
    sent: u64,
    received: u64,
}

/// All connections, their clock and what they measured.
pub struct Client {
    plan: Plan,
    epoll: Epoll,
    conns: Vec<Conn>,
    request: Message,
    answer: Message,
    inbox: Vec<u8>,
    /// Where several requests are put one after the other.
    outbox: Vec<u8>,
    birth: Instant,
    /// Open loop: how many requests were scheduled so far, counted from `started`.
    scheduled: u64,
    started: u64,
    hist: Histogram<u64>,
    done: u64,
}

/// For latencies up to a minute.
pub fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)
}

impl Conn {
    /// Sends what is scheduled until the socket is full; several requests by one call.
    fn flush(&mut self, request: &mut Message, outbox: &mut Vec<u8>) -> io::Result<()> {
        let size = request.len();
        while self.unsent > 0 {
            let (seq, at) = (self.sent / size as u64, (self.sent % size as u64) as usize);
            let mut rest = &request.named(self.index, seq)[at..];
            if self.unsent > rest.len() {
                outbox.clear();
                outbox.extend_from_slice(rest);
                for seq in seq + 1.. {
                    if outbox.len() == self.unsent || outbox.len() + size > OUTBOX {
                        break;
                    }
                    outbox.extend_from_slice(request.named(self.index, seq));
                }
                rest = outbox;
            }
            let Some(count) = send(self.stream.as_raw_fd(), rest)? else { break };
            self.sent += count as u64;
            self.unsent -= count;
        }
        Ok(())
    }

    /// Receives once; `None` when there was nothing.
    fn receive(&mut self, inbox: &mut [u8]) -> io::Result<Option<usize>> {
        match receive(self.stream.as_raw_fd(), inbox)? {
            Some(0) => Err(io::Error::other("the server closed a connection")),
            count => Ok(count),
        }
    }

    /// Compares received bytes with what has to come, and counts the answers that are now complete. An answer before
    /// its request is as wrong as any.
    fn verify(&mut self, mut bytes: &[u8], request: usize, answer: &mut Message) -> io::Result<usize> {
        let (size, mut complete) = (answer.len(), 0);
        while !bytes.is_empty() {
            let (seq, at) = (self.received / size as u64, (self.received % size as u64) as usize);
            let (chunk, rest) = bytes.split_at(bytes.len().min(size - at));
            let asked = self.sent.div_ceil(request as u64);
            if seq >= asked || !answer.matches(chunk, at, self.index, seq) {
                return Err(io::Error::other(format!("wrong bytes on connection {} at {}", self.index, self.received)));
            }
            self.received += chunk.len() as u64;
            complete += usize::from(at + chunk.len() == size);
            bytes = rest;
        }
        Ok(complete)
    }
}

impl Client {
    pub fn connect(plan: Plan, request: Message, answer: Message) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let (birth, hist, inbox, outbox) = (Instant::now(), histogram()?, vec![0; 64 * 1024], Vec::new());
        let (conns, scheduled, started, done) = (Vec::with_capacity(plan.conns), 0, 0, 0);
        let mut client =
            Self { plan, epoll, conns, request, answer, inbox, outbox, birth, scheduled, started, hist, done };
        for index in 0..client.plan.conns {
            client.open(index)?;
            if index % TOGETHER == TOGETHER - 1 {
                client.await_accept(index)?;
            }
        }
        if client.plan.rate == 0 {
            let idle = |&index: &usize| client.conns[index].due.is_empty();
            let idle: Vec<_> = (0..client.conns.len()).filter(idle).collect();
            idle.into_iter().try_for_each(|index| client.ask(index, 0, client.plan.depth))?;
        }
        Ok(client)
    }

    fn open(&mut self, index: usize) -> io::Result<()> {
        let stream = TcpStream::connect_timeout(&self.plan.addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        self.epoll.watch(&stream, index)?;
        self.conns.push(Conn { stream, index, due: VecDeque::new(), unsent: 0, sent: 0, received: 0 });
        Ok(())
    }

    /// Asks on the newest connection and waits for an answer: then everyone before it was accepted, too.
    fn await_accept(&mut self, index: usize) -> io::Result<()> {
        let until = self.now() + PATIENCE.as_nanos() as u64;
        self.ask(index, self.now(), 1)?;
        while self.conns[index].received == 0 {
            if self.now() > until {
                return Err(io::Error::other("the server does not answer a new connection"));
            }
            self.turn(until)?;
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        self.birth.elapsed().as_nanos() as u64
    }

    /// Sends `count` requests that were due then.
    fn ask(&mut self, index: usize, due: u64, count: usize) -> io::Result<()> {
        let conn = &mut self.conns[index];
        conn.due.extend(std::iter::repeat_n(due, count));
        conn.unsent += self.request.len() * count;
        conn.flush(&mut self.request, &mut self.outbox)
    }

    /// Open loop: when the next request is due.
    fn next_due(&self) -> u64 {
        self.started + (self.scheduled as u128 * 1_000_000_000 / self.plan.rate as u128) as u64
    }

    /// Open loop: sends everything that is due, each request on the next connection.
    fn schedule(&mut self, now: u64) -> io::Result<()> {
        while self.next_due() <= now {
            self.ask(self.scheduled as usize % self.conns.len(), self.next_due(), 1)?;
            self.scheduled += 1;
        }
        Ok(())
    }

    fn answered(&mut self, index: usize) -> io::Result<()> {
        loop {
            let conn = &mut self.conns[index];
            let Some(count) = conn.receive(&mut self.inbox)? else { break };
            let complete = conn.verify(&self.inbox[..count], self.request.len(), &mut self.answer)?;
            let now = self.now();
            for _ in 0..complete {
                let due = self.conns[index].due.pop_front().unwrap_or(now);
                self.hist.saturating_record(now.saturating_sub(due));
                self.done += 1;
            }
            if self.plan.rate == 0 && self.conns[index].due.is_empty() {
                self.ask(index, now, self.plan.depth)?;
            }
            if count < self.inbox.len() {
                break;
            }
        }
        self.conns[index].flush(&mut self.request, &mut self.outbox)
    }

    /// Waits for events, at most until `until`; not at all when spinning.
    fn wait(&self, events: &mut [libc::epoll_event], until: u64) -> io::Result<usize> {
        let nanos = if self.plan.spin { 0 } else { until.saturating_sub(self.now()) };
        self.epoll.wait(events, Duration::from_nanos(nanos))
    }

    /// Waits once, and takes what arrived.
    fn turn(&mut self, until: u64) -> io::Result<()> {
        let mut events = events();
        let ready = self.wait(&mut events, until)?;
        events[..ready].iter().try_for_each(|event| self.answered(event.u64 as usize))
    }
}

impl Load for Client {
    fn run(&mut self, time: Duration) -> io::Result<Duration> {
        let start = self.now();
        let end = start + time.as_nanos() as u64;
        if self.scheduled == 0 {
            self.started = start;
        }
        let mut now = start;
        while now < end {
            if self.plan.rate > 0 {
                self.schedule(now)?;
            }
            let until = if self.plan.rate > 0 { end.min(self.next_due()) } else { end };
            self.turn(until)?;
            now = self.now();
        }
        Ok(Duration::from_nanos(now - start))
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn forget(&mut self) {
        self.hist.reset();
        self.done = 0;
    }

    /// In the open loop the requests still unanswered count with their age, or a server that stops answering would look
    /// better than a slow one.
    fn finish(mut self: Box<Self>) -> io::Result<(u64, Histogram<u64>)> {
        if self.done == 0 {
            return Err(io::Error::other("the server echoed nothing"));
        }
        let now = self.now();
        if self.plan.rate > 0 {
            for due in self.conns.iter().flat_map(|conn| &conn.due) {
                self.hist.saturating_record(now.saturating_sub(*due));
            }
        }
        Ok((self.done, self.hist))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;
    use std::time::Duration;

    use super::{Client, Plan};
    use crate::{Load, message::Message};

    /// A blocking server for one connection that hands every chunk to `spoil` before it echoes it.
    fn server(spoil: fn(&mut Vec<u8>)) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buf = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buf) {
                let mut chunk = buf[..count].to_vec();
                spoil(&mut chunk);
                stream.write_all(&chunk).unwrap();
            }
        });
        addr
    }

    /// Answers every request with the first one, as a server does that mixes up its buffers.
    fn stale(chunk: &mut Vec<u8>) {
        thread_local!(static FIRST: OnceCell<Vec<u8>> = const { OnceCell::new() });
        *chunk = FIRST.with(|first| first.get_or_init(|| chunk.clone()).clone());
    }

    fn outcome(depth: usize, rate: u64, spoil: fn(&mut Vec<u8>)) -> Result<u64, String> {
        let plan = Plan { addr: server(spoil), conns: 1, depth, rate, spin: false };
        let mut client = Client::connect(plan, Message::binary(100), Message::binary(100)).unwrap();
        for _ in 0..10 {
            client.run(Duration::from_millis(100)).map_err(|e| e.to_string())?;
            if client.done() > 10 {
                break;
            }
        }
        Box::new(client).finish().map(|(done, _)| done).map_err(|e| e.to_string())
    }

    #[test]
    fn an_honest_server_passes_and_a_broken_one_is_noticed() {
        for (depth, rate) in [(1, 0), (16, 0), (1, 1000)] {
            assert!(outcome(depth, rate, |_| {}).unwrap() > 10);
            assert!(outcome(depth, rate, |chunk| chunk[50] ^= 1).unwrap_err().contains("wrong bytes"));
            assert!(outcome(depth, rate, stale).unwrap_err().contains("wrong bytes"));
            assert!(outcome(depth, rate, |chunk| chunk.extend_from_within(..)).unwrap_err().contains("wrong bytes"));
            assert!(outcome(depth, rate, |chunk| chunk.truncate(99)).is_err());
        }
    }

    #[test]
    fn waiting_counts_from_the_moment_a_request_was_due() {
        let addr = server(|_| thread::sleep(Duration::from_millis(50)));
        let plan = Plan { addr, conns: 1, depth: 1, rate: 100, spin: false };
        let mut client = Client::connect(plan, Message::binary(100), Message::binary(100)).unwrap();
        client.run(Duration::from_millis(400)).unwrap();
        // One echo of a batch takes 50 ms, but a request due while the server slept waits for its own batch as well.
        let (_, hist) = Box::new(client).finish().unwrap();
        assert!(hist.value_at_quantile(0.9) > 70_000_000, "{}", hist.value_at_quantile(0.9));
    }
}
