//! One sample: start the server on its CPU, wait until it listens, run the load on the other CPU, end the server.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::{Contender, Workload};

/// The share of a window that server or load may wait for their CPU before the sample counts as disturbed.
const DIRTY: f64 = 0.03;
/// The CPUs that everybody else may use in the window: they wake up where the server slept, and leave its cache cold.
const OTHERS: f64 = 0.08;
/// The machine is quiet when everybody together used less than this share of it.
const QUIET: f64 = 0.05;

/// How to measure.
pub struct Setting {
    pub programs: PathBuf,
    pub server_cpu: usize,
    pub load_cpu: usize,
    pub rounds: usize,
    pub secs: f64,
    /// How long this run will still wait, in all, for the machine to become quiet.
    pub patience: Duration,
}

/// What the load generator said, and about what.
pub struct Sample {
    pub who: &'static str,
    pub what: &'static str,
    pub round: usize,
    pub clean: bool,
    pub values: HashMap<String, f64>,
}

impl Sample {
    /// A number that the load generator printed.
    pub fn get(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(f64::NAN)
    }

    /// The sample in a few words, for the eye that watches.
    pub fn line(&self) -> String {
        let [cpu, util, rps, p99] = ["srv_us", "util", "rps", "p99"].map(|name| self.get(name));
        let mark = if self.clean { "" } else { "  (dirty)" };
        format!("{cpu:6.2} us/req  util {util:.2}  {rps:7.0}/s  p99 {p99:7.1} us{mark}")
    }
}

/// The server's process; it ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only if the process is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes the command run on one CPU, and end if this process does.
fn pin(command: &mut Command, cpu: usize) -> &mut Command {
    let prepare = move || {
        // SAFETY: an all-zero set is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: writes inside `set`: `setting` refuses a CPU number that it has no bit for.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        // SAFETY: pointer and size are those of `set`.
        if unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: passes no pointers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes system calls on its own memory.
    unsafe { command.pre_exec(prepare) }
}

/// Starts a server and gives the address it listens on.
fn start(setting: &Setting, who: &Contender) -> io::Result<(Server, String)> {
    let mut command = Command::new(setting.programs.join(who.program));
    command.args(["--addr", "127.0.0.1:0"]).args(who.args).stdin(Stdio::null()).stdout(Stdio::piped());
    command.envs(who.driver.map(|driver| ("ANNULUS_DRIVER", driver)));
    let mut server = Server(pin(&mut command, setting.server_cpu).spawn()?);
    let (tell, told) = mpsc::channel();
    let out = server.0.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let mut driver = None;
    loop {
        let line = told.recv_timeout(Duration::from_secs(5)).map_err(|_| io::Error::other("it does not listen"))?;
        if let Some(name) = line.strip_prefix("driver: ") {
            driver = Some(name.to_lowercase());
        }
        if let Some(addr) = line.strip_prefix("listening ") {
            if driver.as_deref() != who.driver {
                return Err(io::Error::other(format!("it runs on {driver:?}, not on {:?}", who.driver)));
            }
            return Ok((server, addr.into()));
        }
    }
}

/// CPU time of the whole machine in ticks: used, and in all.
fn machine() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().unwrap_or("").split_whitespace().skip(1).take(8);
    let ticks: Vec<f64> = ticks.map(|tick| tick.parse().unwrap_or(0.0)).collect();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    let all: f64 = ticks.iter().sum();
    (all - idle, all)
}

/// Waits until nobody else uses the machine, or until the patience of this run is used up.
fn await_quiet(setting: &mut Setting) {
    let began = Instant::now();
    while began.elapsed() < setting.patience {
        let (used, all) = machine();
        thread::sleep(Duration::from_millis(100));
        let (used, all) = (machine().0 - used, machine().1 - all);
        if used < QUIET * all {
            break;
        }
    }
    setting.patience = setting.patience.saturating_sub(began.elapsed().saturating_sub(Duration::from_millis(100)));
}

/// Takes one sample.
pub fn take(setting: &mut Setting, who: &Contender, what: &Workload, round: usize) -> io::Result<Sample> {
    await_quiet(setting);
    let (server, addr) = start(setting, who)?;
    let (pid, secs) = (server.0.id().to_string(), setting.secs.to_string());
    let mut command = Command::new(setting.programs.join("load"));
    command.args(["--addr", &addr, "--pid", &pid, "--secs", &secs, "--warm", "0.2"]).args(what.args);
    let output = pin(&mut command, setting.load_cpu).output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(io::Error::other(format!("{} {why}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    let values = pairs.filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?))).collect();
    let mut sample = Sample { who: who.name, what: what.name, round, clean: false, values };
    sample.clean = sample.get("srv_wait").max(sample.get("load_wait")) < DIRTY && sample.get("others") < OTHERS;
    Ok(sample)
}
