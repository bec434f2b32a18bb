//! The command line of the examples, and how they fail.

pub(crate) use lexopt::{Parser as Args, ValueExt};
use std::{fmt::Display, io, process::ExitCode, str::FromStr, time::Duration};

/// Reads the options of program `name` by `set`, which says whether it knows one, and runs it with them.
pub(crate) fn main<O>(
    name: &str,
    help: &str,
    mut options: O,
    set: impl Fn(&mut O, &str, &mut Args) -> Result<bool, lexopt::Error>,
    run: impl FnOnce(O) -> io::Result<()>,
) -> ExitCode {
    match read(&mut options, set) {
        Ok(true) => match run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{name}: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(false) => {
            println!("{help}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}; {name} --help lists the options");
            ExitCode::from(2)
        }
    }
}

/// False when help is asked for.
fn read<O>(
    options: &mut O,
    set: impl Fn(&mut O, &str, &mut Args) -> Result<bool, lexopt::Error>,
) -> Result<bool, lexopt::Error> {
    let mut args = Args::from_env();
    while let Some(arg) = args.next()? {
        let lexopt::Arg::Long(name) = arg else {
            if arg == lexopt::Arg::Short('h') {
                return Ok(false);
            }
            return Err(arg.unexpected());
        };
        let name = name.to_owned();
        if name == "help" {
            return Ok(false);
        }
        if !set(options, &name, &mut args)? {
            return Err(lexopt::Arg::Long(&name).unexpected());
        }
    }
    Ok(true)
}

/// The value of an option that is a number, from 1.
pub(crate) fn number<T: FromStr<Err: Display> + PartialOrd + From<u8>>(args: &mut Args) -> Result<T, lexopt::Error> {
    let value = args.value()?.string()?;
    match value.parse() {
        Ok(number) if number >= T::from(1) => Ok(number),
        _ => Err(format!("{value:?} is not a number from 1").into()),
    }
}

/// The value of an option in seconds, which may have a point in it.
#[allow(dead_code, reason = "not each of the examples has such an option")]
pub(crate) fn seconds(args: &mut Args) -> Result<Duration, lexopt::Error> {
    let value = args.value()?.string()?;
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.filter(|seconds: &Duration| seconds.as_secs() < 1_000_000_000);
    seconds.ok_or_else(|| format!("{value:?} is not a number of seconds").into())
}
