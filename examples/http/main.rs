//! A small server of HTTP/1.1: `http [--root FOLDER]`, on 127.0.0.1:8080.
//!
//! It answers `/plaintext` from memory and everything else from a folder, with a listener on each core. It shows
//! limits to all that a client may send and to the time it takes, answers to many requests by one write, and an end
//! that lets requests in hand be answered. Try it with `curl -i localhost:8080/plaintext`, with
//! `wrk -c 100 http://127.0.0.1:8080/plaintext`, and with Ctrl-C in between.

mod answer;
#[path = "../common/close.rs"]
mod close;
mod files;
#[path = "../common/options.rs"]
mod options;
mod parse;
#[path = "../common/serve.rs"]
mod serve;
#[path = "../common/stop.rs"]
mod stop;

use annulus::{
    Shards,
    buf::IoBufMut,
    io::{AsyncReadRent, AsyncWriteRentExt, WithDeadline, send_file},
    net::{TcpListener, TcpStream},
    shard::Shard,
    sync::CancellationToken,
    time::{Instant, timeout},
};
use answer::{About, Heads, reason};
use files::{Found, Root};
use options::{Args, ValueExt, number, seconds};
use parse::Request;
use std::{cell::Cell, cell::RefCell, io, net::SocketAddr, process::ExitCode, rc::Rc, time::Duration};

const HELP: &str = "\
usage: http [OPTION...]

  --listen ADDRESS     where to listen [127.0.0.1:8080]
  --root FOLDER        whose files to serve, links excepted [none]
  --shards N           how many threads [one for each core]
  --connections N      how many at a time for each shard; others wait [10000]
  --request SECONDS    until a request that has begun is to be whole [10]
  --idle SECONDS       until a connection without requests is closed [60]
  --send SECONDS       until a client is to have taken a part of its answer [30]
  --grace SECONDS      for requests in hand when the server is to end [5]";

/// Bytes that are to be free for each read.
const CHUNK: usize = 16 * 1024;
/// A longer file is sent from the kernel's memory. Answers of so many bytes are written before the next request is
/// looked at.
const PART: usize = 128 * 1024;
/// Bytes of a file that a client has to take in the time for sending.
const SENT: u64 = 1024 * 1024;

#[derive(Clone)]
struct Options {
    listen: String,
    root: Option<Root>,
    shards: Option<usize>,
    connections: usize,
    request: Duration,
    idle: Duration,
    send: Duration,
    grace: Duration,
}

/// What one shard has to serve.
struct Site {
    options: Options,
    heads: RefCell<Heads>,
    requests: Cell<u64>,
    stop: CancellationToken,
}

fn main() -> ExitCode {
    let options = Options {
        listen: "127.0.0.1:8080".into(),
        root: None,
        shards: None,
        connections: 10_000,
        request: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        send: Duration::from_secs(30),
        grace: Duration::from_secs(5),
    };
    let set = |options: &mut Options, name: &str, args: &mut Args| {
        match name {
            "listen" => options.listen = args.value()?.string()?,
            "root" => options.root = Some(Root::open(&args.value()?.string()?).map_err(|e| e.to_string())?),
            "shards" => options.shards = Some(number(args)?),
            "connections" => options.connections = number(args)?,
            "request" => options.request = seconds(args)?,
            "idle" => options.idle = seconds(args)?,
            "send" => options.send = seconds(args)?,
            "grace" => options.grace = seconds(args)?,
            _ => return Ok(false),
        }
        Ok(true)
    };
    options::main("http", HELP, options, set, run)
}

fn run(options: Options) -> io::Result<()> {
    // The system may choose the port, and then all shards have to know it.
    let address = TcpListener::bind(&*options.listen)?.local_addr()?;
    let mut shards = Shards::builder();
    if let Some(count) = options.shards {
        shards = shards.count(count);
    }
    let (mut requests, mut cut) = (0, 0);
    let main = async move |shard: Shard| {
        let done = listen(options, address, &shard).await;
        // If it was for an error, the others are not to go on without it.
        shard.token().request();
        done
    };
    for done in shards.run(main)? {
        let done = done.map_err(io::Error::other)??;
        (requests, cut) = (requests + done.0, cut + done.1);
    }
    println!("{requests} requests; {cut} connections cut off");
    Ok(())
}

/// Gives how many requests there were, and how many connections were cut off.
async fn listen(options: Options, address: SocketAddr, shard: &Shard) -> io::Result<(u64, usize)> {
    let stop = stop::on_signal(shard)?;
    // Ports are shared by default: the kernel deals the connections out.
    let listener = TcpListener::bind(address)?;
    if shard.index() == 0 {
        println!("listening on {address}, driver {}", annulus::driver());
    }
    let (most, grace) = (options.connections, options.grace);
    let (heads, requests) = (RefCell::default(), Cell::new(0));
    let site = Rc::new(Site { options, heads, requests, stop: stop.clone() });
    let handler = |stream, _| {
        let site = site.clone();
        async move {
            // What a peer does to its connection is no news.
            let _ = Connection::new(stream, site).serve().await;
        }
    };
    let cut = serve::serve(listener, most, &stop, grace, handler).await;
    Ok((site.requests.get(), cut))
}

struct Connection {
    stream: WithDeadline<TcpStream>,
    site: Rc<Site>,
    /// Answers that were not written yet.
    output: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream, site: Rc<Site>) -> Connection {
        let stream = WithDeadline::new(stream);
        stream.set_write_timeout(Some(site.options.send));
        Connection { stream, site, output: Vec::new() }
    }

    async fn serve(mut self) -> io::Result<()> {
        self.stream.get_ref().set_nodelay(true)?;
        let mut input = Vec::new();
        // Until when the request that has begun is to be whole.
        let mut deadline = None;
        loop {
            match self.read(input, &mut deadline).await? {
                Some(more) => input = more,
                None => return Ok(()),
            }
            let mut start = 0;
            let ends = loop {
                match parse::request(&input[start..]) {
                    Ok(Some(request)) => {
                        (start, deadline) = (start + request.size, None);
                        if !self.answer(&request).await? {
                            break true;
                        }
                    }
                    Ok(None) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                        break self.refuse(408);
                    }
                    Ok(None) => break false,
                    Err(status) => break self.refuse(status),
                }
            };
            self.flush().await?;
            if ends {
                close::after_answer(self.stream.into_inner()).await;
                return Ok(());
            }
            input.drain(..start);
        }
    }

    /// Reads more behind what there is of a request. None when there will be no more; at the deadline, nothing more.
    async fn read(&mut self, mut input: Vec<u8>, deadline: &mut Option<Instant>) -> io::Result<Option<Vec<u8>>> {
        let Options { request, idle, .. } = self.site.options;
        input.reserve(CHUNK);
        let end = input.len();
        let (res, part) = if end == 0 {
            self.stream.set_read_deadline(Some(Instant::now() + idle));
            match self.site.stop.run_until_cancelled(self.stream.read(input.slice_mut(end..))).await {
                Some(read) => read,
                None => return Ok(None),
            }
        } else {
            // A request that has begun may be finished.
            self.stream.set_read_deadline(Some(*deadline.get_or_insert(Instant::now() + request)));
            self.stream.read(input.slice_mut(end..)).await
        };
        match res {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && end > 0 => Ok(Some(part.into_inner())),
            res => Ok((res? > 0).then(|| part.into_inner())),
        }
    }

    /// Answers a request. False if it was the last of its connection.
    async fn answer(&mut self, request: &Request<'_>) -> io::Result<bool> {
        self.site.requests.set(self.site.requests.get() + 1);
        let goes_on = request.keep_alive && !self.site.stop.is_cancelled();
        let connection = match goes_on {
            false => Some("close"),
            true => request.is_old.then_some("keep-alive"),
        };
        if request.target == "/plaintext" {
            let text = "Hello, World!";
            let about = About { length: text.len() as u64, kind: "text/plain", connection, fields: "" };
            self.head(200, &about);
            if !request.head_only {
                self.output.extend_from_slice(text.as_bytes());
            }
        } else {
            match self.find(request.target).await {
                Ok(found) => self.file(request, found, connection).await?,
                Err(status) => self.brief(status, request.head_only, connection),
            }
        }
        if self.output.len() >= PART {
            self.flush().await?;
        }
        Ok(goes_on)
    }

    async fn find(&self, target: &str) -> Result<Found, u16> {
        let path = parse::path(target)?;
        let root = self.site.options.root.as_ref().ok_or(404u16)?;
        root.find(path).await.map_err(|error| match error.raw_os_error() {
            Some(libc::EACCES) => 403,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => 503,
            // There is none, or it is a link, or no file at all.
            _ => 404,
        })
    }

    async fn file(&mut self, request: &Request<'_>, found: Found, connection: Option<&'static str>) -> io::Result<()> {
        let Found { mut file, length, kind } = found;
        let whole = 0..length;
        let part = request.range.map_or(Some(whole), |range| range.within(length));
        let Some(part) = part else {
            let fields = format!("Content-Range: bytes */{length}\r\n");
            self.head(416, &About { fields: &fields, connection, ..About::default() });
            return Ok(());
        };
        let (status, fields) = match request.range {
            Some(_) => (206, format!("Content-Range: bytes {}-{}/{length}\r\n", part.start, part.end - 1)),
            None => (200, "Accept-Ranges: bytes\r\n".into()),
        };
        self.head(status, &About { length: part.end - part.start, kind, fields: &fields, connection });
        if request.head_only {
            return Ok(());
        }
        if part.end - part.start <= PART as u64 {
            // What is short goes with its head.
            let (before, length) = (self.output.len(), (part.end - part.start) as usize);
            let mut output = std::mem::take(&mut self.output);
            output.reserve(length);
            let (res, read) = file.read_exact_at(output.slice_mut(before..before + length), part.start).await;
            self.output = read.into_inner();
            return res;
        }
        self.flush().await?;
        let (mut at, stream) = (part.start, self.stream.get_mut());
        while at < part.end {
            let length = (part.end - at).min(SENT);
            let sent = timeout(self.site.options.send, send_file(&mut file, at, length, stream));
            match sent.await? {
                (Ok(()), n) if n == length => at += n,
                // The file has become shorter, and so the answer cannot be what its head said.
                (Ok(()), _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (Err(error), _) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes a refusal, after which the connection ends.
    fn refuse(&mut self, status: u16) -> bool {
        self.brief(status, false, Some("close"));
        true
    }

    /// An answer that is its status.
    fn brief(&mut self, status: u16, head_only: bool, connection: Option<&'static str>) {
        let (text, fields) = (reason(status), if status == 405 { "Allow: GET, HEAD\r\n" } else { "" });
        self.head(status, &About { length: text.len() as u64 + 1, kind: "text/plain", fields, connection });
        if !head_only {
            self.output.extend_from_slice(text.as_bytes());
            self.output.push(b'\n');
        }
    }

    fn head(&mut self, status: u16, about: &About<'_>) {
        self.site.heads.borrow_mut().write(&mut self.output, status, about);
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let (res, mut output) = self.stream.write_all(std::mem::take(&mut self.output)).await;
        output.clear();
        self.output = output;
        res.map(drop)
    }
}
