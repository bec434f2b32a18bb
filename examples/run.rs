//! Runs a command with limits: `run [SECONDS [BYTES]] -- COMMAND [ARGUMENT...]`.
//!
//! It prints what the command has written when that has ended, and ends with its status. A command that runs for too
//! long or writes too much is killed. Ctrl-C is the command's business: the terminal tells both, and we wait for what
//! the command makes of it.

use annulus::{
    io::{AsyncWriteRentExt, stderr, stdout},
    process::{Command, LimitExceeded, Output, OutputLimits},
    select,
    signal::{SignalKind, signal},
    time::timeout,
};
use std::{
    env, io,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

#[annulus::main]
async fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((limits, [program, arguments @ ..])) = split(&arguments) else {
        return usage();
    };
    let number = |at: usize, usual| limits.get(at).map_or(Ok(usual), |limit| limit.parse());
    let (Ok(seconds), Ok(bytes)) = (number(0, 60), number(1, 1 << 20)) else { return usage() };
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let ended = run(&mut command, Duration::from_secs(seconds), OutputLimits::each(bytes as usize)).await;
    let output = match ended.map_err(|error| (error.to_string(), error.downcast::<LimitExceeded>())) {
        Ok(output) => output,
        Err((text, Ok(exceeded))) => {
            eprintln!("run: {text}");
            exceeded.output
        }
        Err((text, Err(_))) => {
            eprintln!("run: {text}");
            return Ok(ExitCode::from(127));
        }
    };
    stdout().write_all(output.stdout).await.0?;
    stderr().write_all(output.stderr).await.0?;
    Ok(code(output.status))
}

fn usage() -> io::Result<ExitCode> {
    eprintln!("usage: run [SECONDS [BYTES]] -- COMMAND [ARGUMENT...]");
    Ok(ExitCode::from(2))
}

/// What stands before the `--`, and the command after it.
fn split(arguments: &[String]) -> Option<(&[String], &[String])> {
    let at = arguments.iter().position(|argument| argument == "--")?;
    Some((&arguments[..at], &arguments[at + 1..])).filter(|(limits, _)| limits.len() <= 2)
}

async fn run(command: &mut Command, time: Duration, limits: OutputLimits) -> io::Result<Output> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let running = timeout(time, command.output_with_limits(limits));
    annulus::pin!(running);
    loop {
        select! {
            output = running.as_mut() => {
                let late = || Err(io::Error::other(format!("the command was killed after {time:?}")));
                return output.unwrap_or_else(|_| late());
            }
            _ = interrupts.recv() => eprintln!("run: interrupted, waiting for the command"),
        }
    }
}

/// The command's own code, or as shells say it for one that a signal has ended.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(code as u8)
}
