//! wrk in place of this program, where it is installed: what others measure with. It looks at the status of an answer
//! alone, and its window begins with its connections. `WRK` is the command, if it is not `wrk`.

use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::usage::{Usage, machine_us};
use crate::{NO_SUCH_LOAD, Window, arg};

/// How often wrk's own use is read, which cannot be asked when it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A time as wrk writes it, in microseconds.
fn micros(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

/// The time in the line of a percentile.
fn percentile(said: &str, name: &str) -> Option<f64> {
    said.lines().find_map(|line| micros(line.trim().strip_prefix(name)?.trim()))
}

fn requests(said: &str) -> Option<f64> {
    said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
}

/// wrk, ready to be started; whole seconds are all that it takes.
fn command(secs: f64) -> Command {
    let words = std::env::var("WRK").unwrap_or_else(|_| "wrk".into());
    let mut words = words.split_whitespace();
    let mut wrk = Command::new(words.next().unwrap_or("wrk"));
    let (conns, depth) = (arg("--conns", 64), arg("--depth", 1));
    wrk.args(words).args(["-t1", "--latency", &format!("-c{conns}"), &format!("-d{}", secs.ceil())]);
    if depth > 1 {
        wrk.args(["-s", concat!(env!("CARGO_MANIFEST_DIR"), "/src/wrk.lua")]);
    }
    wrk.arg(format!("http://{}/Hello-World!", arg("--addr", String::new())));
    if depth > 1 {
        wrk.args(["--", &depth.to_string()]);
    }
    wrk
}

pub fn run(pid: libc::pid_t, secs: f64) -> io::Result<()> {
    let (machine, server, began) = (machine_us(), Usage::of(pid)?, Instant::now());
    let wrk = command(secs).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    if wrk.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        eprintln!("load: there is no wrk");
        std::process::exit(NO_SUCH_LOAD);
    }
    let mut wrk = wrk?;
    let mut me = Usage::default();
    while wrk.try_wait()?.is_none() {
        me = Usage::of(wrk.id() as libc::pid_t).unwrap_or(me);
        thread::sleep(LOOK);
    }
    let (server, micros) = (Usage::of(pid)?.since(server), began.elapsed().as_secs_f64() * 1e6);
    let others = (machine_us() - machine - server.cpu_us - me.cpu_us).max(0.0);

    let output = wrk.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let fine = output.status.success() && !said.contains("Socket errors") && !said.contains("Non-2xx");
    let done = requests(&said).filter(|done| fine && *done > 0.0);
    let done =
        done.ok_or_else(|| io::Error::other(format!("wrk: {said}{}", String::from_utf8_lossy(&output.stderr))))?;
    Window { micros, server, me, others }.print(done, f64::NAN);
    let [p50, p99] = ["50%", "99%"].map(|name| percentile(&said, name).unwrap_or(f64::NAN));
    println!(" p50={p50:.2} p99={p99:.2}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{micros, percentile, requests};

    #[test]
    fn what_wrk_says_is_understood() {
        let said =
            "  Latency Distribution\n     50%  431.50us\n     99%    1.20ms\n  12345 requests in 1.00s, 1.2MB read\n";
        assert_eq!((percentile(said, "50%"), percentile(said, "99%")), (Some(431.5), Some(1200.0)));
        assert_eq!((requests(said), micros("2s"), micros("2 parrots")), (Some(12345.0), Some(2e6), None));
    }
}
