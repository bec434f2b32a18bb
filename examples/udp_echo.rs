//! Sends each datagram back: `udp_echo [--listen ADDRESS]`, 127.0.0.1:50004 without one.
//!
//! It shows a socket that several tasks share: while one sends, others receive. Try it with
//! `socat - UDP:127.0.0.1:50004`. Whoever forges an address lets this send to others, so it is not for the open.

#[path = "common/options.rs"]
mod options;
#[path = "common/stop.rs"]
mod stop;

use annulus::{
    Shards,
    net::udp::UdpSocket,
    shard::Shard,
    time::{Duration, sleep},
};
use options::{Args, ValueExt, number};
use std::{cell::Cell, io, process::ExitCode};

const HELP: &str = "\
usage: udp_echo [OPTION...]

  --listen ADDRESS     where to listen [127.0.0.1:50004]
  --tasks N            how many datagrams may be in hand at a time [32]";

/// The longest datagram.
const LONGEST: usize = 64 * 1024;
/// How long to wait after a receive that failed.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Options {
    listen: String,
    tasks: usize,
}

/// What was done.
#[derive(Default)]
struct Done {
    datagrams: Cell<u64>,
    bytes: Cell<u64>,
    /// Answers that could not be sent.
    failed: Cell<u64>,
}

fn main() -> ExitCode {
    let options = Options { listen: "127.0.0.1:50004".into(), tasks: 32 };
    let set = |options: &mut Options, name: &str, args: &mut Args| {
        match name {
            "listen" => options.listen = args.value()?.string()?,
            "tasks" => options.tasks = number(args)?,
            _ => return Ok(false),
        }
        Ok(true)
    };
    options::main("udp_echo", HELP, options, set, run)
}

fn run(options: Options) -> io::Result<()> {
    let mut done = Shards::builder().count(1).run(async move |shard: Shard| listen(options, &shard).await)?;
    done.remove(0).map_err(io::Error::other)?
}

async fn listen(options: Options, shard: &Shard) -> io::Result<()> {
    let stop = stop::on_signal(shard)?;
    let socket = UdpSocket::bind(&*options.listen)?;
    println!("listening on {}, driver {}", socket.local_addr()?, annulus::driver());
    let done = Done::default();
    // The tasks borrow from here, and are gone when the scope is.
    let tasks = annulus::scope(async |scope| {
        for _ in 0..options.tasks {
            scope.spawn(echo(&socket, &done));
        }
    });
    stop.run_until_cancelled(tasks).await;
    let (datagrams, bytes, failed) = (done.datagrams.get(), done.bytes.get(), done.failed.get());
    println!("{datagrams} datagrams of {bytes} bytes, {failed} of them not sent back");
    Ok(())
}

async fn echo(socket: &UdpSocket, done: &Done) {
    let add = |counter: &Cell<u64>, n| counter.set(counter.get() + n);
    let mut buf = Vec::with_capacity(LONGEST);
    loop {
        let (received, back) = socket.recv_from(buf).await;
        buf = back;
        let Ok((length, peer)) = received.inspect_err(|error| eprintln!("udp_echo: {error}")) else {
            sleep(PAUSE).await;
            continue;
        };
        add(&done.datagrams, 1);
        add(&done.bytes, length as u64);
        let sent;
        (sent, buf) = socket.send_to(buf, peer).await;
        if sent.is_err() {
            add(&done.failed, 1);
        }
    }
}
