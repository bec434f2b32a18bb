//! The load generator: one thread, non-blocking sockets, epoll. It asks a server for something, again and again, either
//! in a closed loop (each connection asks again when its answer is complete) or at a fixed rate, where latency counts
//! from the moment a request was *scheduled*, so that a stalled server cannot hide behind requests that were never sent.
//! Every byte that comes back is compared with what has to come. `--kind` says what is asked: see `load()`. Around the
//! measured window it reads the server's clocks from outside (`usage`).
//!
//! Prints `name=value` pairs; times are microseconds. Exits with an error when the server misbehaves.

mod backend;
mod bulk;
mod churn;
mod client;
mod epoll;
mod message;
mod udp;
mod usage;
mod wrk;

use std::io;
use std::time::Duration;

use bulk::{Bulk, Direction};
use churn::Churn;
use client::{Client, Plan};
use hdrhistogram::Histogram;
use message::Message;
use udp::Udp;
use usage::{Calls, Usage, cpu_us, machine_us};

fn arg<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::args().skip_while(|arg| arg != name).nth(1).and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn flag(name: &str) -> bool {
    std::env::args().any(|arg| arg == name)
}

/// What a server is asked to do, again and again.
trait Load {
    /// Runs the load for `time` and gives the time it took.
    fn run(&mut self, time: Duration) -> io::Result<Duration>;
    /// How many requests were answered so far.
    fn done(&self) -> u64;
    /// Bytes of one request, where bytes are what counts.
    fn size(&self) -> usize {
        0
    }
    /// How many requests got no answer, where that is allowed.
    fn lost(&self) -> u64 {
        0
    }
    /// Forgets what the warm-up measured; requests under way stay under way.
    fn forget(&mut self);
    /// How many requests were answered, and their latencies in nanoseconds.
    fn finish(self: Box<Self>) -> io::Result<(u64, Histogram<u64>)>;
}

/// What this program exits with if it cannot put such a load on here.
const NO_SUCH_LOAD: i32 = 2;
/// A slice of the window: short enough to fall between two disturbances.
const SLICE: Duration = Duration::from_millis(10);

/// Runs the load in slices, and gives the time it took and the server's CPU time per request in each slice.
fn measure(load: &mut dyn Load, pid: libc::pid_t, secs: f64) -> io::Result<(Duration, Vec<f64>)> {
    let (mut elapsed, mut slices) = (Duration::ZERO, Vec::new());
    while elapsed.as_secs_f64() < secs {
        let (done, cpu) = (load.done(), cpu_us(pid)?);
        elapsed += load.run(SLICE)?;
        let done = load.done() - done;
        if done > 0 {
            slices.push((cpu_us(pid)? - cpu) / done as f64);
        }
    }
    slices.sort_by(f64::total_cmp);
    Ok((elapsed, slices))
}

/// The load that `--kind` names.
fn load() -> io::Result<Box<dyn Load>> {
    let plan = Plan {
        addr: arg("--addr", ([127, 0, 0, 1], 7).into()),
        conns: arg("--conns", 50),
        depth: arg("--depth", 1),
        rate: arg("--rate", 0),
        spin: flag("--spin"),
    };
    let (addr, conns, depth, size) = (plan.addr, plan.conns, plan.depth, arg("--size", 64));
    match arg("--kind", String::from("echo")).as_str() {
        "echo" => Ok(Box::new(Client::connect(plan, Message::binary(size), Message::binary(size))?)),
        "http" => Ok(Box::new(Client::connect(plan, Message::request(), Message::answer())?)),
        "hyper" => Ok(Box::new(Client::connect(plan, Message::request(), Message::hyper_answer())?)),
        "proxy" => {
            backend::start(addr)?;
            Ok(Box::new(Client::connect(plan, Message::binary(size), Message::binary(size))?))
        }
        "source" => Ok(Box::new(Bulk::connect(addr, conns, Direction::Source)?)),
        "sink" => Ok(Box::new(Bulk::connect(addr, conns, Direction::Sink)?)),
        "churn" => Ok(Box::new(Churn::connect(addr, conns, size)?)),
        "udp" => Ok(Box::new(Udp::connect(addr, conns, depth, size, flag("--segments"))?)),
        other => Err(io::Error::other(format!("--kind {other}: no such load"))),
    }
}

/// Warms up for so many seconds, and gives the server's system calls per request if they can be counted. The second half
/// only runs: to stop counting takes the kernel a while.
fn warm_up(load: &mut dyn Load, pid: libc::pid_t, secs: f64) -> io::Result<Option<f64>> {
    load.run(Duration::from_secs_f64(secs / 4.0))?;
    let (done, mut counter) = (load.done(), Calls::of(pid).ok());
    load.run(Duration::from_secs_f64(secs / 4.0))?;
    let (done, calls) = (load.done() - done, counter.as_mut().and_then(|counter| counter.count().ok()));
    drop(counter);
    load.run(Duration::from_secs_f64(secs / 2.0))?;
    load.forget();
    Ok(calls.filter(|_| done > 0).map(|calls| calls as f64 / done as f64))
}

/// What was used in a window.
struct Window {
    micros: f64,
    server: Usage,
    me: Usage,
    others: f64,
}

impl Window {
    /// Prints what was measured but for latencies: so many requests were answered, and `low` is what one cost in the
    /// lower quartile of the slices.
    fn print(&self, done: f64, low: f64) {
        let Self { micros, server, me, others } = self;
        let user = server.user_ticks as f64 / (server.user_ticks + server.sys_ticks).max(1) as f64;
        let cpu = server.cpu_us / done;
        print!(
            "done={done} rps={:.0} srv_us={cpu:.4} low={low:.4} user_us={:.3} sys_us={:.3} util={:.4} switches={:.5} \
             rss_kib={} srv_wait={:.4} load_wait={:.4} load_util={:.4} others={:.3}",
            done / micros * 1e6,
            cpu * user,
            cpu * (1.0 - user),
            server.cpu_us / micros,
            server.switches as f64 / done,
            server.rss_kib,
            server.wait_us / micros,
            me.wait_us / micros,
            me.cpu_us / micros,
            others / micros,
        );
    }
}

fn run() -> io::Result<()> {
    let pid = arg("--pid", std::process::id() as libc::pid_t);
    let (warm, secs) = (arg("--warm", 0.2), arg("--secs", 1.0));
    // SAFETY: takes no pointers. Ends this process if the server hangs in a way that the loops below do not see.
    unsafe { libc::alarm((warm + secs) as u32 + 20) };
    if arg("--kind", String::new()) == "wrk" {
        return wrk::run(pid, secs);
    }
    let mut load = load()?;
    let calls = warm_up(&mut *load, pid, warm)?;

    let machine = machine_us();
    let (server, me) = (Usage::of(pid)?, Usage::of(std::process::id() as libc::pid_t)?);
    let (elapsed, slices) = measure(&mut *load, pid, secs)?;
    let (server, me) = (Usage::of(pid)?.since(server), Usage::of(std::process::id() as libc::pid_t)?.since(me));
    let others = (machine_us() - machine - server.cpu_us - me.cpu_us).max(0.0);

    let (size, lost) = (load.size() as f64, load.lost() as f64);
    let (done, hist) = load.finish()?;
    let done = done as f64;
    // A disturbance makes some slices dearer; the lower quartile is what the others cost.
    let low = slices.get(slices.len() / 4).copied().unwrap_or(f64::NAN);
    let window = Window { micros: elapsed.as_secs_f64() * 1e6, server, me, others };
    window.print(done, low);
    if let Some(calls) = calls {
        print!(" calls={calls:.4}");
    }
    if size > 0.0 {
        let gigabytes = done * size / 1e9;
        print!(" gbps={:.4} ms_gb={:.3}", gigabytes / window.micros * 1e6, server.cpu_us / 1e3 / gigabytes);
    }
    let micros = |quantile| hist.value_at_quantile(quantile) as f64 / 1e3;
    let (p50, p99, p999, max) = (micros(0.5), micros(0.99), micros(0.999), hist.max() as f64 / 1e3);
    println!(" p50={p50:.2} p99={p99:.2} p999={p999:.2} max={max:.2} lost={:.6}", lost / done);
    Ok(())
}

fn main() {
    if let Err(e) = run() {
        eprintln!("load: {e}");
        std::process::exit(1);
    }
}
