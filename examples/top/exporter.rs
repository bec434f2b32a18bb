//! Lets others see the runtimes of this program: a file to copy into yours. Call [`serve`] once, and name the runtimes.
//!
//! To connect to the socket is the request. The answer has a line for each runtime that has a name, then it ends; try
//! `socat - UNIX:PATH`. A line has fields `key=value` with a tab between two of them.

use annulus::{
    Histogram,
    rt::{Activity, Observer, runtimes},
};
use std::{
    io::{self, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// A runtime that has not moved for so long is called stuck. Shorter, and a busy machine's are, too.
const PATIENCE: Duration = Duration::from_millis(250);

/// Who does not read is not waited for any longer.
const WRITING: Duration = Duration::from_secs(1);

/// Listens at `path` from now on, on a thread of its own, until the program ends.
///
/// # Errors
/// Whatever forbids the socket or the thread; `AddrInUse` if another program listens there, or if it is no socket.
pub(crate) fn serve(path: &Path) -> io::Result<()> {
    let listener = listen(path)?;
    let serve = move || {
        for stream in listener.incoming() {
            match stream {
                // Who asked has gone, or is asleep: the next one asks again.
                Ok(stream) => drop(answer(stream)),
                // Out of descriptors, for one: that may pass.
                Err(_) => thread::sleep(WRITING),
            }
        }
    };
    thread::Builder::new().name("exporter".into()).spawn(serve)?;
    Ok(())
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let error = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        result => return result,
    };
    // A program that was killed has left its socket behind: nobody answers there. What is no socket says the same.
    let dead = UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if !dead || !is_socket(path)? {
        return Err(error);
    }
    std::fs::remove_file(path)?;
    UnixListener::bind(path)
}

fn is_socket(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;
    Ok(std::fs::symlink_metadata(path)?.file_type().is_socket())
}

fn answer(mut stream: UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITING))?;
    stream.write_all(lines().as_bytes())
}

/// What the runtimes of this program have to say now. Takes as long as the patience for each that is stuck.
pub(crate) fn lines() -> String {
    runtimes().iter().map(line).collect()
}

fn line(runtime: &Observer) -> String {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let sight = runtime.look(PATIENCE);
    let state = match &sight.activity {
        Activity::Stuck(stuck) => format!("stuck, {stuck}"),
        other => other.to_string(),
    };
    let (metrics, driver) = (&sight.metrics, &sight.metrics.driver);
    let texts = [
        ("name", runtime.name().unwrap_or_default()),
        ("driver", &runtime.driver().kind().to_string()),
        ("state", &state),
        ("batches", &buckets(&driver.batches)),
        ("poll_times", &buckets(&metrics.poll_times)),
    ];
    let numbers = [
        ("at_us", u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX)),
        ("turns", metrics.turns),
        ("polls", metrics.polls),
        ("tasks", metrics.tasks_alive as u64),
        ("sqes", driver.sqes_total()),
        ("cqes", driver.cqes),
        ("enters", driver.enters),
        ("sent", metrics.remote_wakes_sent),
        ("elided", metrics.remote_wakes_elided),
    ];
    // A tab in a name would end it, so it becomes a space, as all that is not to be seen does.
    let texts = texts.map(|(key, text)| format!("{key}={}", text.replace(char::is_control, " ")));
    let numbers = numbers.map(|(key, number)| format!("{key}={number}"));
    texts.join("\t") + "\t" + &numbers.join("\t") + "\n"
}

/// How often a value of each number of bits came, from none on.
fn buckets(histogram: &Histogram) -> String {
    histogram.buckets().map(|n| n.to_string()).join(",")
}
