//! One sample. With a load program: start the server on its CPU, wait until it listens, run the load on the other CPU,
//! end the server. Without one: run the contender on the server's CPU.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::families::{Contender, Family, Load, Workload};

/// The share of a window that server or load may wait for their CPU before the sample counts as disturbed.
const DIRTY: f64 = 0.03;
/// The CPUs that everybody else may use in the window: they wake up where the server slept, and leave its cache cold.
const OTHERS: f64 = 0.08;
/// The machine is quiet when everybody together used less than this share of it.
const QUIET: f64 = 0.05;
/// How long a contender that measures itself may take, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(60);
/// What a contender that measures itself, or a load, exits with if it has no such workload.
const NO_SUCH_WORKLOAD: i32 = 2;

/// How to measure.
pub struct Setting {
    pub programs: PathBuf,
    pub server_cpu: usize,
    pub load_cpu: usize,
    /// Do disturbed samples count, too?
    pub dirty: bool,
    pub rounds: usize,
    pub secs: f64,
    /// How long this run will still wait, in all, for the machine to become quiet.
    pub patience: Duration,
}

/// What the load generator, or the contender itself, said, and about what.
pub struct Sample {
    pub who: &'static str,
    pub what: &'static str,
    pub round: usize,
    /// When it was begun.
    pub at: Instant,
    pub values: BTreeMap<String, f64>,
}

impl Sample {
    /// Reads the line of `name=value` pairs.
    fn read(who: &Contender, what: &Workload, round: usize, at: Instant, output: &Output) -> io::Result<Self> {
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_string();
            return Err(io::Error::other(format!("{} {why}", output.status)));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        let values = pairs.filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?))).collect();
        let sample = Self { who: who.name, what: what.name, round, at, values };
        if sample.waited().is_nan() {
            return Err(io::Error::other("the sample does not say how long it waited for a CPU"));
        }
        Ok(sample)
    }

    /// A number that was printed; NaN without.
    pub fn get(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(f64::NAN)
    }

    /// The largest share of the window that somebody waited for a CPU.
    fn waited(&self) -> f64 {
        ["wait", "srv_wait", "load_wait"].map(|name| self.get(name)).into_iter().fold(f64::NAN, f64::max)
    }

    /// Had it its CPUs for itself, as far as can be told?
    pub fn clean(&self) -> bool {
        self.waited() < DIRTY && (self.get("others").is_nan() || self.get("others") < OTHERS)
    }

    /// The sample in a few words, for the eye that watches.
    pub fn line(&self, family: &Family) -> String {
        let mark = if self.clean() { "" } else { "  (dirty)" };
        let cost = &family.cost;
        let mut text = format!("{:8.*} {}{mark}", cost.digits, self.get(cost.key), cost.title);
        for column in family.columns.iter().filter(|column| self.values.contains_key(column.key)).take(4) {
            text += &format!("  {} {:.*}", column.title, column.digits, self.get(column.key));
        }
        text
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

/// The contender's program, on the server's CPU.
fn command(setting: &Setting, who: &Contender) -> Command {
    let mut command = Command::new(setting.programs.join(who.program));
    command.envs(who.driver.map(|driver| ("ANNULUS_DRIVER", driver)));
    command.envs(who.hidden.map(|ability| ("ANNULUS_HIDE_OPS", ability)));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    pin(&mut command, setting.server_cpu);
    command
}

/// Starts a server and gives the address it listens on.
fn start(setting: &Setting, who: &Contender) -> io::Result<(Server, String)> {
    let mut server = Server(command(setting, who).args(["--addr", "127.0.0.1:0"]).args(who.args).spawn()?);
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

/// Waits for the child; ends it when the limit is over.
fn finish(mut child: Child) -> io::Result<Output> {
    let began = Instant::now();
    while child.try_wait()?.is_none() {
        if began.elapsed() > LIMIT {
            child.kill()?;
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output()
}

/// Takes one sample, at a rate if there is one. `None`: this contender has no such workload.
pub fn take(
    setting: &mut Setting,
    family: &Family,
    (who, what): (&Contender, &Workload),
    rate: Option<f64>,
    round: usize,
) -> io::Result<Option<Sample>> {
    await_quiet(setting);
    let (at, secs) = (Instant::now(), setting.secs.to_string());
    let output = match family.load {
        Load::Itself => {
            let mut command = command(setting, who);
            finish(command.args(what.args).args(who.args).args(["--secs", &secs]).stderr(Stdio::piped()).spawn()?)?
        }
        Load::Program(program) => {
            let (server, addr) = start(setting, who)?;
            let mut load = Command::new(setting.programs.join(program));
            load.args(["--addr", &addr, "--pid", &server.0.id().to_string(), "--secs", &secs, "--warm", "0.2"]);
            if let Some(rate) = rate {
                load.args(["--rate", &format!("{rate:.0}")]);
            }
            load.args(what.args);
            pin(&mut load, setting.load_cpu).output()?
        }
    };
    if output.status.code() == Some(NO_SUCH_WORKLOAD) {
        return Ok(None);
    }
    Sample::read(who, what, round, at, &output).map(Some)
}
