//! The floors of the house: who may import whom.

use crate::source::{Fault, Source, name, words};

/// A room (a path below `src/`, without `.rs`) and its floor. The longest match counts.
pub(crate) const FLOORS: &[(&str, u8)] = &[
    ("sys", 0),
    ("trace", 0),
    ("untraced", 0),
    ("entry", 1),
    ("buf", 1),
    ("io/traits", 1),
    ("ring", 2),
    ("driver", 3),
    ("op", 4),
    ("rt", 4),
    ("pool", 4),
    ("time", 5),
    ("future", 5),
    ("sync", 5),
    ("task", 5),
    ("report", 5),
    ("io", 5),
    ("signal", 5),
    ("pool/fixed", 6),
    ("shard", 6),
    ("net", 6),
    ("fs", 6),
    ("process", 6),
    ("bridge", 7),
    ("private", 7),
    ("testing", 7),
];
const ROOF: u8 = 8;

/// Who may import from the same floor or above: importer, imported, why. One that nobody needs is a fault.
pub(crate) const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("io/traits", "buf", "the traits speak of buffers"),
    ("io/cancel", "sync", "a canceller is a token of cancellation"),
    ("io/cancel", "time", "a deadline is a timer"),
    ("io/deadline", "time", "likewise"),
    ("op", "pool", "operations receive into what pools hold"),
    ("process", "try_join", "a macro stands at the root"),
    ("net", "try_join", "likewise"),
];

/// Neighbours that must not know each other.
pub(crate) const STRANGERS: &[(&str, &str)] = &[("driver/uring", "driver/poll"), ("driver/poll", "driver/uring")];

type Exceptions<'a> = &'a [(&'a str, &'a str, &'a str)];

/// Imports that go up or sideways.
pub(crate) fn floors(source: &Source, exceptions: Exceptions<'_>) -> Vec<Fault> {
    let module = module(&source.path);
    let Some((room, floor)) = room(&module) else {
        let roof = module.is_empty();
        return if roof { Vec::new() } else { vec![source.fault(0, format!("{module:?} has no floor in FLOORS"))] };
    };
    let mut faults = Vec::new();
    for (at, target) in imports(&source.product, &module) {
        let (there, its_floor) = self::room(&target).unwrap_or(("the roof", ROOF));
        let path = target.join("::");
        if there != room && its_floor >= floor && !excepted(exceptions, &module, &target) {
            let what = format!("{room} (floor {floor}) imports crate::{path} of {there} (floor {its_floor})");
            faults.push(source.fault(at, what));
        }
        if STRANGERS.iter().any(|(a, b)| begins(&module, a) && begins(&target, b)) {
            faults.push(source.fault(at, format!("crate::{path} is a stranger here")));
        }
    }
    faults
}

/// Exceptions of files that are there, and that no import needs.
pub(crate) fn needless_exceptions(sources: &[Source], exceptions: Exceptions<'_>) -> Vec<Fault> {
    let needless = |&&(from, to, _): &&(&str, &str, &str)| {
        let mut importers = sources.iter().filter(|source| begins(&module(&source.path), from)).peekable();
        let exists = importers.peek().is_some();
        let one = [(from, to, "")];
        exists && !importers.any(|source| floors(source, &[]) != floors(source, &one))
    };
    let fault = |(from, to, _): &(&str, &str, &str)| Fault {
        path: "tests/tidy/floors.rs".into(),
        line: 1,
        what: format!("nobody needs the exception {from} -> {to}"),
    };
    exceptions.iter().filter(needless).map(fault).collect()
}

fn excepted(exceptions: Exceptions<'_>, importer: &[String], target: &[String]) -> bool {
    exceptions.iter().any(|(from, to, _)| begins(importer, from) && begins(target, to))
}

/// `src/op/recv.rs` is `op::recv`, `src/op/mod.rs` is `op`, `src/lib.rs` is the empty path.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = path.split('/').map(String::from).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib")) {
        parts.pop();
    }
    parts
}

fn begins(module: &[String], place: &str) -> bool {
    let parts: Vec<&str> = place.split('/').collect();
    module.len() >= parts.len() && parts.iter().zip(module).all(|(a, b)| a == b)
}

fn room(module: &[String]) -> Option<(&'static str, u8)> {
    FLOORS.iter().copied().filter(|(place, _)| begins(module, place)).max_by_key(|(place, _)| place.len())
}

/// Every path that starts at `crate`, `super` or the crate's own name, from the root, with its offset.
fn imports(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate", "super", "annulus"] {
        for at in words(code, start) {
            let before = code[..at].trim_end();
            if !code[at + start.len()..].trim_start().starts_with("::") || before.ends_with([':', '$']) {
                continue;
            }
            // `super` inside of an inline module starts one step further in.
            let mut here = module.to_vec();
            here.extend((0..inline_depth(&code[..at])).map(|_| "(inline)".into()));
            let mut paths = Vec::new();
            tree(&code[at..], Vec::new(), &mut paths);
            found.extend(paths.into_iter().map(|path| (at, resolved(&here, &path))));
        }
    }
    found
}

/// How many `mod name {` are open at the end of `code`.
fn inline_depth(code: &str) -> usize {
    let opens = words(code, "mod").filter(|&at| {
        let head = code[at + 3..].trim_start();
        let body = head[name(head).len()..].trim_start();
        body.starts_with('{') && !closes(body)
    });
    opens.count()
}

/// Whether the bracket that `body` begins with closes in it.
fn closes(body: &str) -> bool {
    let mut depth = 0;
    body.bytes().any(|b| {
        depth += i32::from(b == b'{') - i32::from(b == b'}');
        depth == 0
    })
}

/// The leaves of a `use` tree, or the one path of an expression.
fn tree<'a>(code: &'a str, mut prefix: Vec<&'a str>, leaves: &mut Vec<Vec<&'a str>>) {
    let code = code.trim_start();
    if let Some(list) = code.strip_prefix('{') {
        let end = crate::source::closing(code, 0).saturating_sub(2).min(list.len());
        let inside = &list[..end];
        split(inside).filter(|part| !part.trim().is_empty()).for_each(|part| tree(part, prefix.clone(), leaves));
        return;
    }
    let segment = name(code);
    if segment.is_empty() {
        leaves.push(prefix);
        return;
    }
    prefix.push(segment);
    match code[segment.len()..].trim_start().strip_prefix("::") {
        Some(rest) => tree(rest, prefix, leaves),
        None => leaves.push(prefix),
    }
}

/// The parts between the commas that stand outside of braces.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
}

fn resolved(here: &[String], path: &[&str]) -> Vec<String> {
    let mut from: Vec<String> = here.to_vec();
    for &segment in path {
        match segment {
            "crate" | "annulus" => from.clear(),
            "super" => drop(from.pop()),
            "self" => {}
            _ => from.push(segment.into()),
        }
    }
    from
}

mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        floors(&Source::new(path, text), &[])
            .into_iter()
            .map(|fault| format!("{}: {}", fault.line, fault.what))
            .collect()
    }

    #[test]
    fn going_down_is_fine() {
        let text = "use crate::{entry::{Cqe, Sqe}, sys, driver::slots::{self, Key}};\nuse super::Op;\nuse std::io;\n\
                    fn f() { crate::io::traits::g::<u8>(); self::h() }\nuse crate::op::send;";
        assert_eq!(check("src/op/recv.rs", text), [""; 0]);
        assert_eq!(check("src/lib.rs", "pub use crate::net::TcpStream;"), [""; 0]);
    }

    #[test]
    fn going_up_is_found_in_every_spelling() {
        let up = "1: entry (floor 1) imports crate::op::nop of op (floor 4)";
        assert_eq!(check("src/entry/sqe.rs", "use crate::op::nop;"), [up]);
        assert_eq!(check("src/entry/sqe.rs", "use crate::{sys, op::{nop}};"), [up]);
        assert_eq!(check("src/entry/sqe.rs", "use super::super::op::nop;"), [up]);
        assert_eq!(check("src/entry/mod.rs", "use super::op::nop;"), [up]);
        assert_eq!(check("src/entry/sqe.rs", "use annulus::op::nop;"), [up]);
        assert_eq!(check("src/entry/sqe.rs", "fn f() -> u8 { crate::op::nop }"), [up]);
        assert_eq!(check("src/entry/sqe.rs", "mod m { use super::super::super::op::nop; }"), [up]);
        assert_eq!(check("src/entry/sqe.rs", "mod m { use super::Sqe; }\nuse super::Cqe;"), [""; 0]);
    }

    #[test]
    fn going_sideways_and_to_the_roof_is_found() {
        assert_eq!(check("src/rt/mod.rs", "use crate::op::Op;").len(), 1);
        assert_eq!(
            check("src/op/recv.rs", "use crate::{spawn};"),
            ["1: op (floor 4) imports crate::spawn of the roof (floor 8)"]
        );
        assert_eq!(check("src/op/recv.rs", "use crate::io::copy;").len(), 1);
        assert_eq!(
            check("src/driver/uring.rs", "use super::poll::Poll;"),
            ["1: crate::driver::poll::Poll is a stranger here"]
        );
        assert_eq!(check("src/attic/mod.rs", "").len(), 1);
    }

    #[test]
    fn tests_and_comments_may_name_everybody() {
        assert_eq!(check("src/sys/mod.rs", "//! crate::net\n#[cfg(test)]\nmod tests { use crate::net::X; }"), [""; 0]);
    }

    #[test]
    fn an_exception_must_be_needed() {
        let exceptions = [("rt/spawn", "op", "because")];
        let needs = Source::new("src/rt/spawn.rs", "use crate::op::Op;");
        assert_eq!(floors(&needs, &exceptions), []);
        assert_eq!(needless_exceptions(&[needs], &exceptions), []);
        let does_not = Source::new("src/rt/spawn.rs", "use crate::driver::X;");
        assert_eq!(needless_exceptions(&[does_not], &exceptions).len(), 1);
        assert_eq!(needless_exceptions(&[], &exceptions), []);
    }
}
