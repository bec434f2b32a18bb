//! What a connection that waits costs a server in memory. Opens many, lets each be echoed once, so that it is as far as
//! it gets, and looks at how much larger the server has become: user memory alone, not what the kernel keeps for sockets.
//! Before, one connection was echoed often enough to have touched every buffer of a pool, so a pool is in the base.
//!
//! Called like the load generator; prints `bytes=` per connection, `base_kib=` before and `full_kib=` after.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

/// Echoes of the first connection: more than any server's pool has buffers.
const ECHOES: u64 = 2048;
const SIZE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);

fn arg<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::args().skip_while(|arg| arg != name).nth(1)?.parse().ok()
}

/// Lets a process (0: this one) have as many descriptors as it may. Gives the number.
fn raise(pid: libc::pid_t) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes to `limit` alone.
    if unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, ptr::null(), &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: reads `limit` alone.
    if unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_max)
}

/// Memory of the server in use, in KiB.
fn rss(pid: libc::pid_t) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("process {pid} has no memory")))
}

/// The same when it has settled: twice the same, or what it is after a second.
fn settled(pid: libc::pid_t) -> io::Result<u64> {
    let (began, mut last) = (Instant::now(), 0);
    loop {
        let now = rss(pid)?;
        if now == last || began.elapsed() > Duration::from_secs(1) {
            return Ok(now);
        }
        last = now;
        thread::sleep(Duration::from_millis(100));
    }
}

fn echo(stream: &mut TcpStream, number: u64) -> io::Result<()> {
    let mut message = [0x5a; SIZE];
    message[..8].copy_from_slice(&number.to_le_bytes());
    stream.write_all(&message)?;
    let mut answer = [0; SIZE];
    stream.read_exact(&mut answer)?;
    if answer == message { Ok(()) } else { Err(io::Error::other(format!("wrong bytes in echo {number}"))) }
}

fn connect(addr: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(addr, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn run() -> io::Result<()> {
    let (Some(addr), Some(pid), Some(conns)) = (arg("--addr"), arg("--pid"), arg::<u32>("--conns")) else {
        return Err(io::Error::other("wants --addr A --pid P --conns N"));
    };
    // What the process has open beside the connections fits into a hundred.
    let allowed = raise(0)?.min(raise(pid)?);
    if allowed < u64::from(conns) + 100 {
        return Err(io::Error::other(format!("a process may have {allowed} descriptors here, too few for {conns}")));
    }
    let mut first = connect(&addr)?;
    (0..ECHOES).try_for_each(|number| echo(&mut first, number))?;
    let base = settled(pid)?;
    let mut waiting = Vec::with_capacity(conns as usize);
    for number in 0..conns {
        let mut stream = connect(&addr)?;
        echo(&mut stream, number.into())?;
        waiting.push(stream);
    }
    let full = settled(pid)?;
    let bytes = full.saturating_sub(base) as f64 * 1024.0 / f64::from(conns);
    // Memory does not depend on who else uses the machine: no sample is a dirty one.
    println!("bytes={bytes:.0} base_kib={base} full_kib={full} srv_wait=0 load_wait=0 others=0");
    Ok(())
}

fn main() {
    if let Err(e) = run() {
        eprintln!("idle: {e}");
        std::process::exit(1);
    }
}
