//! `top`: a load of its own, the same seen from another process, and exporters that say nonsense.

use super::{example, on_both_drivers, output};
use std::{
    fs,
    io::Write,
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{self, Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A path for a socket, and nothing there when the test is over.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        Place(std::env::temp_dir().join(format!("annulus-top-{name}-{}", process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A child that does not outlive the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A frame of the demonstration, seen by whomever: both shards are alive, and the first one is as busy as it should be.
fn check(driver: &str, frame: &str) {
    let mut lines = frame.lines().map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let heads = lines.next().expect("heads");
    assert_eq!((heads[0], heads[2], heads[11], heads[13]), ("name", "turns/s", "p50", "state"), "{frame}");
    let rows: Vec<_> = lines.collect();
    assert_eq!((rows.len(), rows[0][0], rows[1][0]), (2, "demo-0", "demo-1"), "{frame}");
    for row in &rows {
        assert!(row[1] == driver && row.len() >= heads.len(), "{frame}");
    }
    let number = |head: &str| -> u64 {
        let column = heads.iter().position(|it| *it == head).expect("a column");
        rows[0][column].parse().unwrap_or_else(|_| panic!("{head} is no number\n{frame}"))
    };
    for head in ["turns/s", "polls/s", "cqes/s", "enters/s", "batch"] {
        assert!(number(head) > 0, "{head}\n{frame}");
    }
    // The first future, `load`, a listener, a timer; four clients and their echoes.
    assert!(number("tasks") >= 10, "{frame}");
    assert_eq!(number("sqes/s") > 0, driver == "uring", "{frame}");
    assert!(number("sent/s") + number("elided/s") > 0, "the other shard's ticks\n{frame}");
    assert!(rows[0][11].ends_with('s') && rows[0][12].ends_with('s'), "times of polls\n{frame}");
    assert_eq!(rows[0][13], "running", "{frame}");
}

#[test]
fn top_shows_its_own_load() {
    on_both_drivers("top_shows_its_own_load", "top", |driver, mut top| {
        let (frame, errors, code) = output(top.args(["demo", "--once"]));
        assert_eq!((errors.as_str(), code), ("", Some(0)), "{frame}");
        check(driver, &frame);
    });
}

/// Red when a dead program's socket is in the way of the next.
#[test]
fn top_shows_another_program() {
    let place = Place::new("other");
    drop(UnixListener::bind(&place.0).expect("a socket that nobody listens at"));
    on_both_drivers("top_shows_another_program", "top", |driver, mut demo| {
        let demo = demo.args(["demo", "--socket"]).arg(&place.0).stdout(Stdio::null());
        let _demo = Ended(demo.spawn().expect("a child"));
        let deadline = Instant::now() + Duration::from_secs(60);
        let (frame, errors, code) = loop {
            let told = output(example("top").args(["attach", "--once"]).arg(&place.0));
            if told.2 == Some(0) || Instant::now() > deadline {
                break told;
            }
            assert!(told.1.contains(&place.0.display().to_string()), "{}", told.1);
            thread::sleep(Duration::from_millis(50));
        };
        assert_eq!((errors.as_str(), code), ("", Some(0)), "{frame}");
        check(driver, &frame);
        let (_, second, code) = output(example("top").args(["demo", "--once", "--socket"]).arg(&place.0));
        assert!(code == Some(1) && second.contains("in use"), "two at one socket: {code:?} {second}");
    });
}

/// What `top attach` makes of an exporter that says `texts`, one after the other, and then no more.
fn told(name: &str, texts: &[&str]) -> (String, String, Option<i32>) {
    let place = Place::new(name);
    let listener = UnixListener::bind(&place.0).expect("a socket");
    let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
    thread::spawn(move || {
        for text in texts {
            let (mut stream, _) = listener.accept().expect("a connection");
            // Who has heard enough does not read the rest.
            let _ = stream.write_all(text.as_bytes());
        }
    });
    output(example("top").arg("attach").arg(&place.0).arg("--once"))
}

/// A histogram with `n` values of `bits` bits.
fn only(n: u64, bits: usize) -> String {
    let mut buckets = vec!["0".to_owned(); annulus::Histogram::BUCKETS];
    buckets[bits] = n.to_string();
    buckets.join(",")
}

/// All counters of a runtime are `n`, but for those that are to tell them apart.
fn line(name: &str, state: &str, at_us: u64, n: u64) -> String {
    let (batches, poll_times) = (only(n, 3), only(n, 20));
    let (polls, sent) = (n * 1000, n * 1_000_000);
    format!(
        "name={name}\tdriver=uring\tstate={state}\tat_us={at_us}\tturns={n}\tpolls={polls}\ttasks=3\tsqes={n}\t\
         cqes={n}\tenters={n}\tsent={sent}\telided={n}\tbatches={batches}\tpoll_times={poll_times}\tnew=1\n"
    )
}

/// Red when rates are by the viewer's clock, when a runtime is compared with another, when one that began anew counts
/// as one that went on, and when they do not stand in their order.
#[test]
fn top_makes_rates_of_what_it_is_told() {
    let first = line("gone", "running", 0, 5) + &line("10", "running", 0, 500) + &line("9", "running", 0, 100);
    let stuck = "stuck, no turn for 0.1 s, in task 7 \"a b\" (src/main.rs:1:2)";
    let second = line("10", "running", 1_000_000, 400) + &line("9", stuck, 2_000_000, 500);
    let (frame, errors, code) = told("rates", &[&first, &(second + &line("born", "resting", 9, 1))]);
    assert_eq!((errors.as_str(), code), ("", Some(0)));
    let words = |line: &str| line.split_whitespace().collect::<Vec<&str>>().join(" ");
    let lines: Vec<String> = frame.lines().skip(1).map(words).collect();
    let expected = [
        format!("9 uring 200 200k 3 200 200 200 7 200M 200 1048us 1048us {stuck}"),
        "10 uring - - 3 - - - - - - - - running".to_owned(),
        "born uring - - 3 - - - - - - - - resting".to_owned(),
    ];
    assert_eq!(lines, expected, "{frame}");
    assert!(told("none", &["", ""]).0.starts_with("no runtime has a name"));
}

/// Each is told by its line and its key; none is a panic, and nothing comes through to the terminal.
#[test]
fn top_says_what_is_wrong_with_what_it_is_told() {
    let good = line("one", "running", 0, 100);
    let with = |from: &str, to: &str| good.clone() + &good.replace(from, to);
    let cases = [
        (with("turns=100", "turns"), "line 2: \"turns\" is no key=value"),
        (with("turns=100", "turns=-1"), "line 2: \"turns\" is \"-1\": invalid digit"),
        (with("turns=100", "turns=99999999999999999999"), "line 2: \"turns\" is \"99999999999999999999\": number too"),
        (with("turns=100\t", ""), "line 2: \"turns\" is missing"),
        (with("turns=100\t", "turns=1\tturns=1\t"), "line 2: \"turns\" comes twice"),
        (with("poll_times=0,", "poll_times="), "line 2: \"poll_times\" has 31 numbers instead of 32"),
        (with("poll_times=0,", "poll_times=,"), "line 2: \"poll_times\" is \"\": cannot parse"),
        (with("name=one", "name=\x1b[2J"), "line 2: \"name=\\u{1b}[2J\" has a control character"),
        (good.clone() + "\n", "line 2: \"\" is no key=value"),
        (good.repeat(5000), "it does not stop talking"),
    ];
    for (text, expected) in cases {
        let (frame, errors, code) = told("wrong", &[&text]);
        assert_eq!((frame.as_str(), code), ("", Some(1)), "{expected}: {errors}");
        assert!(errors.starts_with("top: /") && errors.contains(expected), "{expected} is not in {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

/// Red when whatever is in the way is removed.
#[test]
fn top_keeps_a_file_that_is_no_socket() {
    let place = Place::new("file");
    fs::write(&place.0, "mine").expect("a file");
    let (_, errors, code) = output(example("top").args(["demo", "--once", "--socket"]).arg(&place.0));
    assert!(code == Some(1) && errors.contains("in use"), "{code:?} {errors}");
    assert_eq!(fs::read_to_string(&place.0).expect("the file"), "mine");
}

#[test]
fn top_says_how_it_is_to_be_used() {
    let wrong: [&[&str]; 7] = [
        &[],
        &["show"],
        &["attach"],
        &["attach", "--once"],
        &["attach", "a", "b"],
        &["demo", "a"],
        &["demo", "--socket"],
    ];
    for words in wrong {
        let (text, errors, code) = output(example("top").args(words));
        assert_eq!((text.as_str(), code), ("", Some(2)), "{words:?}");
        assert!(errors.starts_with("usage: top demo"), "{words:?}: {errors}");
    }
    let (_, errors, code) = output(example("top").args(["attach", "/no/such/socket"]));
    assert_eq!((errors.as_str(), code), ("top: /no/such/socket: No such file or directory (os error 2)\n", Some(1)));
}
