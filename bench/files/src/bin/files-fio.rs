//! `fio`, where it is installed, as somebody else's measure: its io_uring engine, with `--fixed` registered file and
//! buffers. Its bookkeeping is in the numbers, and it does not look at what it reads.

use std::io;
use std::path::Path;
use std::process::Command;

use files::{Blocks, How, Workload, unavailable, workload};

/// The first number of this name in what fio says.
fn number(text: &str, name: &str) -> io::Result<f64> {
    let rest = text.split_once(&format!("\"{name}\"")).map_or("", |(_, rest)| rest);
    let rest = rest.trim_start_matches([' ', ':']);
    let end = rest.find([',', '\n', '}']).unwrap_or(0);
    rest[..end].trim().parse().map_err(|_| io::Error::other(format!("fio gives no {name}")))
}

fn fio(path: &Path, how: How, depth: usize) -> io::Result<()> {
    let mut command = Command::new("fio");
    command.args(["--name=read", "--ioengine=io_uring", "--rw=randread", "--bs=4k", "--readonly", "--thread"]);
    command.args(["--norandommap", "--time_based", "--runtime=1", "--ramp_time=1", "--invalidate=0"]);
    command.args(["--output-format=json", "--gtod_reduce=1"]).arg(format!("--filename={}", path.display()));
    command.arg(format!("--iodepth={depth}")).arg(format!("--direct={}", u8::from(how == How::Direct)));
    if std::env::args().any(|arg| arg == "--fixed") {
        command.args(["--fixedbufs", "--registerfiles"]);
    }
    let output = match command.output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => unavailable("fio is not installed"),
        output => output?,
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(io::Error::other(format!("fio: {} {text}", output.status)));
    }
    let (rate, busy) = (number(&text, "iops")?, number(&text, "usr_cpu")? + number(&text, "sys_cpu")?);
    let (cpu, wall) = (busy / 100.0 * 1e9 / rate, 1e9 / rate);
    println!("min={cpu:.2} low={cpu:.2} median={cpu:.2} wall={wall:.2} rate={rate:.0} slices=1 ops={rate:.0} wait=0");
    Ok(())
}

fn main() -> io::Result<()> {
    let workload = workload();
    let Workload::Read { how, depth } = workload else { unavailable("fio only reads here") };
    let (path, _) = Blocks::of(workload)?;
    fio(&path, how, depth)
}
