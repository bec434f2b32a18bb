//! A small server of the Redis protocol: `resp [--listen ADDRESS]`, 127.0.0.1:6399 without one.
//!
//! It shows pipelining: all requests that have come are answered by one write, and a request costs no allocation but
//! for a key that is new. The keys belong to one shard, so that they need no lock. Try it with `redis-cli -p 6399`, or
//! `redis-benchmark -p 6399 -t ping,set,get,incr -P 16 -q`. SIGINT and SIGTERM end it, with what it has done.

#[path = "../common/close.rs"]
mod close;
#[path = "../common/options.rs"]
mod options;
mod parse;
#[path = "../common/serve.rs"]
mod serve;
#[path = "../common/stop.rs"]
mod stop;
mod store;

use annulus::{
    Shards,
    buf::IoBufMut,
    io::{AsyncReadRent, AsyncWriteRentExt, WithDeadline},
    net::{ListenerOpts, TcpListener, TcpStream},
    shard::Shard,
    sync::CancellationToken,
};
use options::{Args, ValueExt, number, seconds};
use parse::{Limits, Parser};
use std::{cell::RefCell, io, process::ExitCode, rc::Rc, time::Duration};
use store::{Store, Then, line};

const HELP: &str = "\
usage: resp [OPTION...]

  --listen ADDRESS     where to listen [127.0.0.1:6399]
  --connections N      how many at a time; others wait [10000]
  --memory BYTES       of keys and values; a SET that needs more is refused [1073741824]
  --idle SECONDS       until a connection that says nothing, or takes no answer, is closed [300]
  --grace SECONDS      for requests in hand when the server is to end [5]";

/// Bytes that are to be free for each read.
const CHUNK: usize = 16 * 1024;
/// Answers of so many bytes are written before the next request is looked at.
const ANSWERS: usize = 256 * 1024;
/// A buffer that has become larger is given back when it is empty.
const KEPT: usize = 1024 * 1024;

const LIMITS: Limits = Limits { inline: 64 << 10, bulk: 16 << 20, arguments: 64 << 10, request: 32 << 20 };

#[derive(Clone)]
struct Options {
    listen: String,
    connections: usize,
    memory: usize,
    idle: Duration,
    grace: Duration,
}

fn main() -> ExitCode {
    let options = Options {
        listen: "127.0.0.1:6399".into(),
        connections: 10_000,
        memory: 1 << 30,
        idle: Duration::from_secs(300),
        grace: Duration::from_secs(5),
    };
    let set = |options: &mut Options, name: &str, args: &mut Args| {
        match name {
            "listen" => options.listen = args.value()?.string()?,
            "connections" => options.connections = number(args)?,
            "memory" => options.memory = number(args)?,
            "idle" => options.idle = seconds(args)?,
            "grace" => options.grace = seconds(args)?,
            _ => return Ok(false),
        }
        Ok(true)
    };
    options::main("resp", HELP, options, set, run)
}

fn run(options: Options) -> io::Result<()> {
    let mut done = Shards::builder().count(1).run(async move |shard: Shard| listen(options, &shard).await)?;
    done.remove(0).map_err(io::Error::other)?
}

async fn listen(options: Options, shard: &Shard) -> io::Result<()> {
    let stop = stop::on_signal(shard)?;
    // The keys are this process's alone, so nobody else is to listen at the same port.
    let listener = TcpListener::bind_with_config(&*options.listen, &ListenerOpts::new().reuse_port(false))?;
    println!("listening on {}, driver {}", listener.local_addr()?, annulus::driver());
    let store = Rc::new(RefCell::new(Store::new(options.memory)));
    let handler = |stream, _| {
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            // What a peer does to its connection is no news.
            let _ = connection(stream, &store, &stop, options.idle).await;
        }
    };
    let cut = serve::serve(listener, options.connections, &stop, options.grace, handler).await;
    let store = store.borrow();
    println!("{} commands, answered by {} writes; {cut} connections cut off", store.commands, store.writes);
    Ok(())
}

async fn connection(
    stream: TcpStream,
    store: &RefCell<Store>,
    stop: &CancellationToken,
    idle: Duration,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = WithDeadline::new(stream);
    stream.set_read_timeout(Some(idle));
    stream.set_write_timeout(Some(idle));
    let mut parser = Parser::new(LIMITS);
    let (mut input, mut output) = (Vec::new(), Vec::with_capacity(CHUNK));
    loop {
        if input.capacity() - input.len() < CHUNK / 4 {
            // Doubles it, so that a large request is not copied for each piece of it.
            input.reserve(CHUNK);
        }
        let end = input.len();
        let reading = stream.read(input.slice_mut(end..));
        let Some((res, part)) = stop.run_until_cancelled(reading).await else { return Ok(()) };
        input = part.into_inner();
        if res? == 0 {
            return Ok(());
        }
        let mut start = 0;
        let then = loop {
            let answered = answer(&mut parser, &input[start..], store, &mut output);
            if output.len() >= ANSWERS {
                output = write(&mut stream, output, store).await?;
            }
            match answered {
                Some((size, Then::GoOn)) => start += size,
                Some((_, Then::Quit)) => break Then::Quit,
                None => break Then::GoOn,
            }
        };
        output = write(&mut stream, output, store).await?;
        if then == Then::Quit {
            close::after_answer(stream.into_inner()).await;
            return Ok(());
        }
        input.drain(..start);
        if input.is_empty() && input.capacity() > KEPT {
            input = Vec::new();
        }
    }
}

/// Answers the first request of `input`, if all of it is there. Gives its size.
fn answer(parser: &mut Parser, input: &[u8], store: &RefCell<Store>, out: &mut Vec<u8>) -> Option<(usize, Then)> {
    match parser.parse(input) {
        Ok(request) => request.map(|request| (request.size, store.borrow_mut().run(&request, out))),
        Err(error) => {
            line(out, format_args!("-ERR {error}"));
            Some((input.len(), Then::Quit))
        }
    }
}

/// Writes all of `output` and gives it back empty.
async fn write(stream: &mut WithDeadline<TcpStream>, output: Vec<u8>, store: &RefCell<Store>) -> io::Result<Vec<u8>> {
    if output.is_empty() {
        return Ok(output);
    }
    store.borrow_mut().writes += 1;
    let (res, mut output) = stream.write_all(output).await;
    res?;
    output.clear();
    output.shrink_to(KEPT);
    Ok(output)
}
