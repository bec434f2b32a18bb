//! Passes TCP connections on: `proxy --to ADDRESS`, from 127.0.0.1:8000.
//!
//! It shows bytes that pass inside the kernel, in both directions at once, each of which ends by itself; resets that
//! are passed on, too; and what a connection may not do for ever. SIGUSR1 prints what passed so far, SIGINT and SIGTERM
//! let what is open finish. Try it with `proxy --to example.org:80` and `curl -H 'Host: example.org' localhost:8000`,
//! or between `iperf3 -c 127.0.0.1 -p 8000` and `iperf3 -s`.

#[path = "../common/options.rs"]
mod options;
#[path = "../common/serve.rs"]
mod serve;
#[path = "../common/stop.rs"]
mod stop;

use annulus::{
    Shards,
    net::{CopyCounter, TcpListener, TcpStream, copy_bidirectional_counted},
    select,
    shard::Shard,
    signal::{SignalKind, signal},
    time::{sleep, timeout},
};
use options::{Args, ValueExt, number, seconds};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

const HELP: &str = "\
usage: proxy --to ADDRESS [OPTION...]

  --to ADDRESS         where to pass connections on to
  --listen ADDRESS     where to listen [127.0.0.1:8000]
  --shards N           how many threads [one for each core]
  --connections N      how many at a time for each shard; others wait [10000]
  --connect SECONDS    until a connection to the other side is given up [5]
  --idle SECONDS       until a connection on which nothing passes is closed [300]
  --grace SECONDS      for what is open when the proxy is to end [10]";

#[derive(Clone)]
struct Options {
    to: String,
    listen: String,
    shards: Option<usize>,
    connections: usize,
    connect: Duration,
    idle: Duration,
    grace: Duration,
}

/// What one shard has done.
#[derive(Clone, Default)]
struct Counters {
    connections: Cell<u64>,
    /// Connections that the other side did not take.
    refused: Cell<u64>,
    /// Connections that ended otherwise than by their ends.
    broken: Cell<u64>,
    /// Bytes.
    forth: Cell<u64>,
    back: Cell<u64>,
}

fn add(counter: &Cell<u64>, n: u64) {
    counter.set(counter.get() + n);
}

impl Counters {
    fn add(&self, other: &Counters) {
        add(&self.connections, other.connections.get());
        add(&self.refused, other.refused.get());
        add(&self.broken, other.broken.get());
        add(&self.forth, other.forth.get());
        add(&self.back, other.back.get());
    }

    fn passed(&self, copy: &CopyCounter) {
        add(&self.forth, copy.copied().a_to_b);
        add(&self.back, copy.copied().b_to_a);
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { connections, refused, broken, forth, back } = self;
        let [connections, refused, broken] = [connections, refused, broken].map(Cell::get);
        let (forth, back) = (forth.get(), back.get());
        write!(f, "{connections} connections, {refused} refused, {broken} broken; {forth} bytes forth, {back} back")
    }
}

fn main() -> ExitCode {
    let options = Options {
        to: String::new(),
        listen: "127.0.0.1:8000".into(),
        shards: None,
        connections: 10_000,
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(300),
        grace: Duration::from_secs(10),
    };
    let set = |options: &mut Options, name: &str, args: &mut Args| {
        match name {
            "to" => options.to = args.value()?.string()?,
            "listen" => options.listen = args.value()?.string()?,
            "shards" => options.shards = Some(number(args)?),
            "connections" => options.connections = number(args)?,
            "connect" => options.connect = seconds(args)?,
            "idle" => options.idle = seconds(args)?,
            "grace" => options.grace = seconds(args)?,
            _ => return Ok(false),
        }
        Ok(true)
    };
    options::main("proxy", HELP, options, set, run)
}

fn run(options: Options) -> io::Result<()> {
    if options.to.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "--to says where to pass connections on to"));
    }
    // The system may choose the port, and then all shards have to know it.
    let address = TcpListener::bind(&*options.listen)?.local_addr()?;
    let mut shards = Shards::builder();
    if let Some(count) = options.shards {
        shards = shards.count(count);
    }
    let (all, mut cut_off) = (Counters::default(), 0);
    let main = async move |shard: Shard| {
        let done = listen(options, address, &shard).await;
        // If it was for an error, the others are not to go on without it.
        shard.token().request();
        done
    };
    for done in shards.run(main)? {
        let (counters, cut) = done.map_err(io::Error::other)??;
        all.add(&counters);
        cut_off += cut;
    }
    println!("{all}; {cut_off} cut off");
    Ok(())
}

/// Gives what was done, and how many connections were cut off.
async fn listen(options: Options, address: SocketAddr, shard: &Shard) -> io::Result<(Counters, usize)> {
    let (stop, mut asked) = (stop::on_signal(shard)?, signal(SignalKind::user_defined1())?);
    // Ports are shared by default: the kernel deals the connections out.
    let listener = TcpListener::bind(address)?;
    if shard.index() == 0 {
        println!("listening on {address}, driver {}", annulus::driver());
    }
    let (work, index) = (Rc::new(Work::default()), shard.index());
    let told = work.clone();
    annulus::spawn(async move {
        while asked.recv().await.is_some() {
            println!("shard {index}: {}", told.counted());
        }
    });
    let (most, grace, options) = (options.connections, options.grace, Rc::new(options));
    let handler = |client: TcpStream, _| {
        let (options, work) = (options.clone(), work.clone());
        async move {
            add(&work.ended.connections, 1);
            match timeout(options.connect, TcpStream::connect(&*options.to)).await {
                Ok(Ok(server)) => Sides::new(client, server, work).pass(options.idle).await,
                _ => {
                    add(&work.ended.refused, 1);
                    reset(&client);
                }
            }
        }
    };
    let cut = serve::serve(listener, most, &stop, grace, handler).await;
    Ok((work.counted(), cut))
}

/// What one shard has done, and what it does.
#[derive(Default)]
struct Work {
    ended: Counters,
    /// Those that are open, by the numbers of their connections.
    open: RefCell<HashMap<u64, Rc<CopyCounter>>>,
}

impl Work {
    /// All, with what is open so far.
    fn counted(&self) -> Counters {
        let all = self.ended.clone();
        self.open.borrow().values().for_each(|open| all.passed(open));
        all
    }
}

/// The two sides of a connection. Unless both have ended by themselves, whatever else ends it (an error, a limit, the
/// end of the proxy) resets both, so that neither takes what it has heard for all.
struct Sides {
    client: TcpStream,
    server: TcpStream,
    work: Rc<Work>,
    number: u64,
    passed: Rc<CopyCounter>,
    are_done: bool,
}

impl Sides {
    fn new(client: TcpStream, server: TcpStream, work: Rc<Work>) -> Sides {
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let (number, passed) = (work.ended.connections.get(), Rc::new(CopyCounter::new()));
        work.open.borrow_mut().insert(number, passed.clone());
        Sides { client, server, work, number, passed, are_done: false }
    }

    /// Passes bytes on until both sides have ended, or one is broken, or nothing has passed for too long.
    async fn pass(mut self, limit: Duration) {
        let passed = self.passed.clone();
        self.are_done = select! {
            res = copy_bidirectional_counted(&mut self.client, &mut self.server, &passed) => res.is_ok(),
            () = idle(&passed, limit) => false,
        };
    }
}

impl Drop for Sides {
    fn drop(&mut self) {
        let ended = &self.work.ended;
        self.work.open.borrow_mut().remove(&self.number);
        ended.passed(&self.passed);
        if !self.are_done {
            add(&ended.broken, 1);
            reset(&self.client);
            reset(&self.server);
        }
    }
}

/// The close that follows is to be no end, but a reset.
fn reset(stream: &TcpStream) {
    let _ = stream.set_linger(Some(Duration::ZERO));
}

/// Until nothing has passed for so long, give or take a quarter.
async fn idle(passed: &CopyCounter, limit: Duration) {
    let (mut before, mut quarters) = (passed.copied(), 0);
    while quarters < 4 {
        sleep(limit / 4).await;
        let now = passed.copied();
        quarters = if now == before { quarters + 1 } else { 0 };
        before = now;
    }
}
