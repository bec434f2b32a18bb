//! Passes TCP connections on: `proxy --to ADDRESS`, from 127.0.0.1:8000.
//!
//! It shows the two directions of a connection at once, each of which ends by itself; a pool of buffers, so that
//! connections that wait hold none; and what a connection may not do for ever. SIGUSR1 prints what passed so far,
//! SIGINT and SIGTERM let what is open finish. Try it with `proxy --to example.org:80` and
//! `curl -H 'Host: example.org' localhost:8000`, or between `iperf3 -c 127.0.0.1 -p 8000` and `iperf3 -s`.

#[path = "../common/options.rs"]
mod options;
#[path = "../common/serve.rs"]
mod serve;
#[path = "../common/stop.rs"]
mod stop;

use annulus::{
    Fd, Shards,
    buf::IoBuf,
    net::{TcpListener, TcpStream},
    op,
    pool::RecvPool,
    select,
    shard::Shard,
    signal::{SignalKind, signal},
    time::{Instant, sleep_until, timeout},
    try_join,
};
use options::{Args, ValueExt, number, seconds};
use std::{
    cell::Cell,
    fmt, io,
    net::{Shutdown, SocketAddr},
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

/// Buffers of each shard, and their size in bytes.
const BUFS: u32 = 256;
const SIZE: u32 = 32 * 1024;

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
    let (counters, pool) = (Rc::new(Counters::default()), RecvPool::new(BUFS, SIZE)?);
    let (told, index) = (counters.clone(), shard.index());
    annulus::spawn(async move {
        while asked.recv().await.is_some() {
            println!("shard {index}: {told}");
        }
    });
    let (most, grace, options) = (options.connections, options.grace, Rc::new(options));
    let handler = |client: TcpStream, _| {
        let (options, counters, pool) = (options.clone(), counters.clone(), pool.clone());
        async move {
            add(&counters.connections, 1);
            match timeout(options.connect, TcpStream::connect(&*options.to)).await {
                Ok(Ok(server)) => pass(client, server, &options, &counters, &pool).await,
                _ => {
                    add(&counters.refused, 1);
                    reset(&client);
                }
            }
        }
    };
    let cut = serve::serve(listener, most, &stop, grace, handler).await;
    Ok(((*counters).clone(), cut))
}

/// The two sides of a connection. Unless both have ended by themselves, whatever else ends it (an error, a limit, the
/// end of the proxy) resets both, so that neither takes what it has heard for all.
struct Sides<'a> {
    client: TcpStream,
    server: TcpStream,
    counters: &'a Counters,
    are_done: bool,
}

impl Drop for Sides<'_> {
    fn drop(&mut self) {
        if !self.are_done {
            add(&self.counters.broken, 1);
            reset(&self.client);
            reset(&self.server);
        }
    }
}

/// The close that follows is to be no end, but a reset.
fn reset(stream: &TcpStream) {
    let _ = stream.set_linger(Some(Duration::ZERO));
}

/// Passes bytes on until both sides have ended, or one is broken, or nothing has passed for too long.
async fn pass(client: TcpStream, server: TcpStream, options: &Options, counters: &Counters, pool: &RecvPool) {
    let (mut sides, moved) = (Sides { client, server, counters, are_done: false }, Cell::new(Instant::now()));
    let (client, server) = (sides.client.fd(), sides.server.fd());
    for stream in [&sides.client, &sides.server] {
        let _ = stream.set_nodelay(true);
    }
    let both = async {
        let forth = copy(client, server, pool, &counters.forth, &moved);
        let back = copy(server, client, pool, &counters.back, &moved);
        try_join!(forth, back).is_ok()
    };
    sides.are_done = select! {
        are_done = both => are_done,
        () = idle(&moved, options.idle) => false,
    };
}

/// One direction: its end is passed on, too.
async fn copy(from: &Fd, to: &Fd, pool: &RecvPool, bytes: &Cell<u64>, moved: &Cell<Instant>) -> io::Result<()> {
    loop {
        let sent = match op::recv_provided(from, pool).await {
            Ok(Some(buf)) => send(to, buf).await?,
            Ok(None) => return op::shutdown(to, Shutdown::Write).await,
            // Those who do not take what is sent to them hold all buffers: this one brings its own.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                let (res, buf) = op::recv(from, Vec::with_capacity(SIZE as usize)).await;
                if res? == 0 {
                    return op::shutdown(to, Shutdown::Write).await;
                }
                send(to, buf).await?
            }
            Err(error) => return Err(error),
        };
        add(bytes, sent as u64);
        moved.set(Instant::now());
    }
}

async fn send(to: &Fd, mut buf: impl IoBuf) -> io::Result<usize> {
    let (mut done, all) = (0, buf.bytes_init());
    while done < all {
        let (res, part) = op::send(to, buf.slice(done..)).await;
        buf = part.into_inner();
        done += res?;
    }
    Ok(done)
}

/// Until nothing has moved for so long.
async fn idle(moved: &Cell<Instant>, limit: Duration) {
    while moved.get().elapsed() < limit {
        sleep_until(moved.get() + limit).await;
    }
}
