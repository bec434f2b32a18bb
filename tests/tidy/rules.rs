//! The rules that look at one file, or at all of them, without knowing the floors.

use crate::source::{Fault, Source, closing, head_end, is_name, name, words};
use std::collections::HashMap;

/// The longest line and the longest function that fit a screen.
pub(crate) const LINE: usize = 120;
pub(crate) const FUNCTION: usize = 60;

/// The files where a system or a feature may be named.
pub(crate) const GATES: &[&str] = &[
    "src/lib.rs",
    "src/sys/mod.rs",
    "src/sys/unix.rs",
    "src/driver/mod.rs",
    "src/driver/poll/mod.rs",
    "src/driver/wake.rs",
];

/// Other files that may ask for one thing: file, predicate, why.
pub(crate) const GATE_EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/buf/mod.rs", "feature = \"bytes\"", "the room's one module that belongs to a feature"),
    ("src/io/mod.rs", "feature = \"tokio\"", "traits that are another crate's"),
    ("src/net/mod.rs", "feature = \"tokio\"", "the connections that have them"),
    ("src/rt/mod.rs", "feature = \"backtrace\"", "what asks a thread for its stack, and what does not"),
    ("src/rt/mod.rs", "not(feature = \"backtrace\")", "what asks a thread for its stack, and what does not"),
    ("src/rt/task/store.rs", "debug_assertions", "a sanitizer is to see that a task was freed"),
    ("src/entry/options.rs", "target_endian = \"big\"", "the one field of an entry that differs by byte order"),
];

/// The files that may name an atomic ordering; each says there whom it pairs with.
pub(crate) const ORDERINGS: &[&str] = &[
    "src/sys/buf_ring.rs",
    "src/sys/per_process.rs",
    "src/ring/word.rs",
    "src/ring/fork.rs",
    "src/ring/number.rs",
    "src/driver/batch.rs",
    "src/rt/handoff.rs",
    "src/rt/elsewhere.rs",
    "src/rt/pulse.rs",
    "src/rt/stack.rs",
    "src/rt/remote.rs",
    "src/rt/task/id.rs",
    "src/rt/task/about.rs",
    "src/rt/task/state.rs",
    "src/signal/handler.rs",
    "src/testing.rs",
];

/// Files of `src/op` that are not an operation.
pub(crate) const NOT_OPERATIONS: &[&str] =
    &["mod.rs", "submit.rs", "multi.rs", "flight.rs", "ending.rs", "zero_copy.rs"];

/// Where an opcode may be matched on: the drivers' own words are interpreted there.
pub(crate) const INTERPRETERS: &[&str] = &["src/sys", "src/driver"];

/// Where the names that bindgen made up may stand.
pub(crate) const BINDGEN_NAMES: &[&str] = &["src/sys", "src/entry/sqe.rs"];

const FATES: [&str; 3] = ["**Clean**", "**Lossy**", "**Detached**"];

pub(crate) fn gates(source: &Source) -> Vec<Fault> {
    if GATES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for word in ["cfg", "cfg_attr"] {
        for at in words(&source.code, word) {
            let rest = &source.code[at + word.len()..];
            let open = at + word.len() + usize::from(rest.starts_with('!'));
            if !source.code[open..].starts_with('(') {
                continue;
            }
            let predicate = &source.text[open + 1..closing(&source.code, open) - 1];
            let excepted = GATE_EXCEPTIONS.iter().any(|(path, asks, _)| *path == source.path && *asks == predicate);
            if !excepted && !asks_for_tests(predicate) {
                faults.push(source.fault(at, format!("cfg({predicate}) outside of the gates")));
            }
        }
    }
    faults
}

/// Whether a predicate asks only whether this is a test, or a model check.
fn asks_for_tests(predicate: &str) -> bool {
    let mut asked = predicate.split(|c| !is_name(c)).filter(|word| !word.is_empty());
    asked.all(|word| matches!(word, "test" | "loom" | "not" | "all" | "any"))
}

pub(crate) fn long_lines(source: &Source) -> Vec<Fault> {
    let mut offset = 0;
    let mut faults = Vec::new();
    for line in source.text.split('\n') {
        let length = line.chars().count();
        if length > LINE {
            faults.push(source.fault(offset, format!("a line of {length} characters, more than {LINE}")));
        }
        offset += line.len() + 1;
    }
    faults
}

pub(crate) fn long_functions(source: &Source) -> Vec<Fault> {
    let code = &source.code;
    let mut faults = Vec::new();
    for at in words(code, "fn") {
        let function = name(code[at + 2..].trim_start());
        let body = head_end(code, at);
        if function.is_empty() || !code[body..].starts_with('{') {
            continue;
        }
        let lines = 1 + code[at..closing(code, body)].matches('\n').count();
        if lines > FUNCTION {
            faults.push(source.fault(at, format!("fn {function} has {lines} lines, more than {FUNCTION}")));
        }
    }
    faults
}

pub(crate) fn module_docs(source: &Source) -> Vec<Fault> {
    let starts = source.text.trim_start().starts_with("//!");
    if starts { Vec::new() } else { vec![source.fault(0, "the file does not begin with `//!`: what is it for?")] }
}

/// `//! \`recv(2)\`: \`IORING_OP_RECV\`, since Linux 5.6.` in each file of an operation or of an entry without one, and
/// tests in those of operations: entries are tested as rows of a table. `since` knows when an opcode came.
pub(crate) fn operations(source: &Source, since: &HashMap<String, String>) -> Vec<Fault> {
    let Some(folder) = folder_of_opcodes(source) else { return Vec::new() };
    let mut faults: Vec<Fault> =
        header_fault(&source.text, since).map(|what| source.fault(0, what)).into_iter().collect();
    if folder == "src/op/"
        && !source.code.contains("#[test]")
        && !source.code.contains("::test]")
        && !source.code.contains("::test(")
    {
        faults.push(source.fault(0, "an operation without tests"));
    }
    faults
}

/// The folder of a file that is about an opcode.
fn folder_of_opcodes(source: &Source) -> Option<&'static str> {
    let folder = ["src/op/", "src/ring/ops/"].into_iter().find(|folder| source.path.starts_with(folder))?;
    (!NOT_OPERATIONS.contains(&&source.path[folder.len()..])).then_some(folder)
}

/// Each of the kernel's `opcodes` (without `IORING_OP_`) is put into an entry by one file, whose header names it.
pub(crate) fn constructors(sources: &[Source], opcodes: &[&str]) -> Vec<Fault> {
    let mut files: HashMap<&str, Vec<&Source>> = HashMap::new();
    for source in sources.iter().filter(|source| folder_of_opcodes(source).is_some()) {
        for (at, mark) in source.product.match_indices("sys::IORING_OP_") {
            let opcode = name(&source.product[at + mark.len()..]);
            let asks = source.product[..at].strip_suffix('(').is_some_and(|before| before.ends_with(is_name));
            let files = files.entry(opcode).or_default();
            if !asks && !files.iter().any(|known| known.path == source.path) {
                files.push(source);
            }
        }
    }
    let fault = |&opcode: &&str| {
        let files = files.get(opcode).map_or(&[][..], Vec::as_slice);
        let what = match files {
            [file] if file.text.split("\nuse ").next().unwrap().contains(&format!("`IORING_OP_{opcode}`")) => None,
            [_] => Some(format!("its header does not name IORING_OP_{opcode}")),
            [] => Some(format!("no constructor of IORING_OP_{opcode}")),
            [_, second, ..] => Some(format!("another constructor of IORING_OP_{opcode}, in {}", second.path)),
        }?;
        Some(files.first().map_or_else(
            || Fault { path: "src/ring/ops/mod.rs".into(), line: 1, what: what.clone() },
            |file| file.fault(0, what.clone()),
        ))
    };
    opcodes.iter().filter_map(fault).collect()
}

fn header_fault(text: &str, since: &HashMap<String, String>) -> Option<String> {
    const FORM: &str = "the first line has the form: //! `name(2)`: `IORING_OP_NAME`, since Linux 5.1.";
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    let header = lines.collect::<Vec<_>>().join(" ");
    let form = || {
        let (name, rest) = header.strip_prefix('`')?.split_once("`: ")?;
        let (opcodes, rest) = rest.split_once(", since Linux ")?;
        let opcodes: Vec<&str> = opcodes.split('`').filter(|part| part.starts_with("IORING_OP_")).collect();
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let version = rest[..end].trim_end_matches('.');
        (!name.is_empty() && version.contains('.') && rest[version.len()..].starts_with('.'))
            .then_some((*opcodes.first()?, version))
    };
    let Some((opcode, version)) = form() else { return Some(FORM.into()) };
    match since.get(opcode) {
        None => Some(format!("{opcode} is not in the list of opcodes")),
        Some(first) if first != version => Some(format!("{opcode} came with Linux {first}, not {version}")),
        Some(_) => None,
    }
}

/// A `# Cancellation` section with one of the fixed words, on everything public that can be awaited.
pub(crate) fn cancellation(source: &Source) -> Vec<Fault> {
    let code = &source.product;
    let in_traits: Vec<(usize, usize)> = words(code, "trait")
        .filter(|&at| code[..at].trim_end().ends_with("pub") || code[..at].trim_end().ends_with("pub unsafe"))
        .map(|at| (at, closing(code, head_end(code, at))))
        .collect();
    let mut faults = Vec::new();
    for at in words(code, "fn") {
        let line = code[..at].rfind('\n').map_or(0, |n| n + 1);
        let in_trait = in_traits.iter().any(|&(from, to)| from < at && at < to);
        let (before, head) = (&code[line..at], &code[at..head_end(code, at)]);
        let public = in_trait || words(before, "pub").any(|at| !before[at + 3..].starts_with('('));
        let awaited = words(before, "async").next().is_some() || returns_future(head);
        if public && awaited {
            let what = cancellation_fault(&docs_above(&source.text[..line]));
            faults.extend(what.map(|what| source.fault(at, format!("fn {} {what}", name(head[2..].trim_start())))));
        }
    }
    faults
}

fn returns_future(head: &str) -> bool {
    let Some((_, output)) = head.split_once("->") else { return false };
    words(output, "impl").any(|at| words(&output[at..], "Future").next().is_some())
}

/// The text of the doc comment right above the end of `text`, attributes left out.
fn docs_above(text: &str) -> String {
    let mut docs = Vec::new();
    for line in text.lines().rev().map(str::trim) {
        match line.strip_prefix("///") {
            Some(doc) => docs.push(doc.trim()),
            None if line.starts_with("#[") || line.ends_with(")]") || line.starts_with("//") => {}
            None => break,
        }
    }
    docs.reverse();
    docs.join("\n")
}

fn cancellation_fault(docs: &str) -> Option<&'static str> {
    let Some((_, section)) = docs.split_once("# Cancellation\n") else {
        return Some("has no `# Cancellation` section");
    };
    let section = section.split("\n# ").next().unwrap_or(section);
    let words: usize = FATES.iter().map(|word| section.matches(word).count()).sum();
    (words != 1).then_some("does not say exactly one of **Clean**, **Lossy** and **Detached**")
}

pub(crate) fn orderings(source: &Source) -> Vec<Fault> {
    if ORDERINGS.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let compares = |rest: &str| ["Less", "Equal", "Greater"].contains(&name(rest));
    let atomic = |at: &usize| source.product[at + 8..].strip_prefix("::").is_some_and(|rest| !compares(rest));
    let found = words(&source.product, "Ordering").filter(atomic);
    found.map(|at| source.fault(at, "an atomic ordering outside of ORDERINGS")).collect()
}

/// Arguments that are too short, or that were copied.
pub(crate) fn safety(sources: &[Source]) -> Vec<Fault> {
    const SHORTEST: usize = 25;
    let mut faults = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for source in sources {
        for (at, argument) in safety_comments(source) {
            let times = seen.entry(argument.clone()).or_default();
            *times += 1;
            if *times > 2 {
                faults.push(source.fault(at, format!("a rubber stamp, stands here {times} times: {argument}")));
            }
            if argument.chars().count() < SHORTEST {
                faults.push(source.fault(at, format!("no argument: {argument}")));
            }
        }
    }
    faults
}

/// Each `// SAFETY:` with its further lines. Those of tests are not read: there, "a NOP names no memory" may be said
/// as often as it is true.
fn safety_comments(source: &Source) -> Vec<(usize, String)> {
    let in_product = |at: usize| {
        let code = source.code[at..].find(|c: char| !c.is_whitespace()).map_or(source.code.len(), |n| at + n);
        source.code[code..].is_empty() || !source.product[code..].starts_with(' ')
    };
    let starts = source.text.match_indices("// SAFETY:");
    let starts = starts.filter(|&(at, _)| source.code[at..].starts_with(' ') && in_product(at));
    let argument = |text: &str| {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or("").trim();
        let further = lines.map_while(|line| line.trim().strip_prefix("// "));
        let further = further.take_while(|line| !line.starts_with("SAFETY:"));
        std::iter::once(first).chain(further).collect::<Vec<_>>().join(" ")
    };
    starts.map(|(at, mark)| (at, argument(&source.text[at + mark.len()..]))).collect()
}

pub(crate) fn opcodes(source: &Source) -> Vec<Fault> {
    let code = &source.product;
    let mut faults = Vec::new();
    if !INTERPRETERS.iter().any(|place| source.is_in(place)) {
        for (at, _) in code.match_indices("IORING_OP_") {
            let after = code[at + name(&code[at..]).len()..].trim_start();
            if after.starts_with("=>") || after.starts_with("| ") {
                faults.push(source.fault(at, "a match over opcodes outside of the drivers"));
            }
        }
    }
    for at in words(code, "opcode") {
        let after = code[at + 6..].trim_start().trim_start_matches([':', '=', '!']).trim_start();
        if after.len() < code[at + 6..].trim_start().len() && after.starts_with(|c: char| c.is_ascii_digit()) {
            faults.push(source.fault(at, "an opcode as a bare number"));
        }
    }
    faults
}

pub(crate) fn bindgen_names(source: &Source) -> Vec<Fault> {
    if BINDGEN_NAMES.iter().any(|place| source.is_in(place)) {
        return Vec::new();
    }
    let found =
        ["__bindgen", "__Bindgen", "_bindgen_ty"].into_iter().flat_map(|mark| source.product.match_indices(mark));
    found.map(|(at, _)| source.fault(at, "a name that bindgen made up")).collect()
}

/// Words that must not stand anywhere, comments included; and calls that must not be made.
pub(crate) fn banned(source: &Source) -> Vec<Fault> {
    let marks = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];
    let in_text = marks.into_iter().flat_map(|mark| words(&source.text, mark).map(move |at| (at, mark)));
    let calls = ["unwrap_unchecked", "unreachable_unchecked"];
    let in_code = calls.into_iter().flat_map(|call| words(&source.code, call).map(move |at| (at, call)));
    let ignored = source.code.match_indices("#[ignore");
    in_text.chain(in_code).chain(ignored).map(|(at, what)| source.fault(at, format!("{what} is banned"))).collect()
}

pub(crate) fn raw_syscalls(source: &Source) -> Vec<Fault> {
    if source.is_in("src/sys") {
        return Vec::new();
    }
    let calls = source
        .product
        .match_indices("libc::syscall")
        .filter(|(at, call)| !source.product[at + call.len()..].starts_with(is_name));
    calls.map(|(at, call)| source.fault(at, format!("{call} outside of src/sys"))).collect()
}

/// Dependencies of `manifest` that no source uses. `rooms` says which room brings a dependency; without the room,
/// nothing is asked.
pub(crate) fn unused_dependencies(manifest: &str, sources: &[Source], rooms: &[(&str, &str)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (line, dependency) in table(manifest, "[dependencies]") {
        let crate_name = dependency.replace('-', "_");
        let used = |source: &Source| words(&source.code, &crate_name).next().is_some();
        let room = rooms.iter().find(|(name, _)| *name == dependency);
        let is_due = room.is_none_or(|(_, room)| sources.iter().any(|source| source.is_in(room)));
        if is_due && !sources.iter().any(used) {
            let what = format!("{dependency} is used nowhere in src/");
            faults.push(Fault { path: "Cargo.toml".into(), line, what });
        }
    }
    faults
}

/// The keys of one table of a manifest, with their lines.
fn table<'a>(manifest: &'a str, header: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let lines = manifest.lines().enumerate().skip_while(move |(_, line)| line.trim() != header).skip(1);
    lines
        .take_while(|(_, line)| !line.starts_with('['))
        .filter_map(|(i, line)| Some((i + 1, line.split_once('=')?.0.trim())))
        .filter(|(_, key)| !key.starts_with('#'))
}

/// Examples that `readme` does not name. `examples` are names without `.rs`.
pub(crate) fn unnamed_examples(readme: &str, examples: &[String]) -> Vec<Fault> {
    let named = |example: &&String| words(readme, example).next().is_none();
    let fault = |example: &String| Fault {
        path: "README.md".into(),
        line: 1,
        what: format!("the example {example} is not named"),
    };
    examples.iter().filter(named).map(fault).collect()
}

mod tests {
    use super::*;

    fn lines(faults: Vec<Fault>) -> Vec<usize> {
        faults.into_iter().map(|fault| fault.line).collect()
    }

    fn on(rule: fn(&Source) -> Vec<Fault>, path: &str, text: &str) -> Vec<usize> {
        lines(rule(&Source::new(path, text)))
    }

    #[test]
    fn systems_are_named_at_the_gates() {
        let text = "#[cfg(target_os = \"linux\")]\nfn f() {}\n#[cfg(test)]\nmod t {}\nfn g() { cfg!(unix) }\n\
                    #[cfg_attr(windows, x)]\n#[cfg(all(test, loom))]\nmod u {}\n// #[cfg(unix)]";
        assert_eq!(on(gates, "src/op/recv.rs", text), [1, 5, 6]);
        assert_eq!(on(gates, "src/sys/unix.rs", text), [0; 0]);
        assert_eq!(
            on(gates, "src/buf/mod.rs", "#[cfg(feature = \"bytes\")]\nmod b;\n#[cfg(feature = \"x\")] mod x;"),
            [3]
        );
        assert_eq!(on(gates, "src/buf/other.rs", "#[cfg(feature = \"bytes\")]\nmod b;"), [1]);
    }

    #[test]
    fn lines_and_functions_fit_the_screen() {
        let line = format!("a\n{}\n{}", "ä".repeat(120), "b".repeat(121));
        assert_eq!(on(long_lines, "src/x.rs", &line), [3]);
        let function = |lines: usize| format!("fn f() -> [u8; 2]\nwhere\n{{{}}}\nfn g();", "\n".repeat(lines - 3));
        assert_eq!(on(long_functions, "src/x.rs", &function(60)), [0; 0]);
        assert_eq!(on(long_functions, "src/x.rs", &function(61)), [1]);
    }

    #[test]
    fn a_file_begins_with_its_purpose() {
        assert_eq!(on(module_docs, "src/x.rs", "//! Why.\nuse a;"), [0; 0]);
        assert_eq!(on(module_docs, "src/x.rs", "// Why.\nuse a;"), [1]);
    }

    #[test]
    fn operations_say_what_they_are_and_have_tests() {
        let since = [("IORING_OP_RECV", "5.6"), ("IORING_OP_READ", "5.6")].map(|(a, b)| (a.into(), b.into())).into();
        let check = |file: &str, text: &str| operations(&Source::new(&format!("src/op/{file}"), text), &since).len();
        let tests = "#[cfg(test)]\nmod tests {\n#[test]\nfn f() {}\n}";
        for header in [
            "`recv(2)`: `IORING_OP_RECV`, since Linux 5.6.",
            "`read(2)`: `IORING_OP_READ` or `IORING_OP_X`, since\n//! Linux 5.6. And more.",
        ] {
            assert_eq!(check("recv.rs", &format!("//! {header}\n{tests}")), 0, "{header}");
            assert_eq!(check("recv.rs", &format!("//! {header}\nfn f() {{}}")), 1, "{header}");
        }
        for header in [
            "Receives.",
            "`recv(2)`: `IORING_OP_RECV`.",
            "`r`: `IORING_OP_RECV`, since Linux 5.7.",
            "`r`: `IORING_OP_RECEIVE`, since Linux 5.6.",
            "`r`: `RECV`, since Linux 5.6.",
        ] {
            assert_eq!(check("recv.rs", &format!("//! {header}\n{tests}")), 1, "{header}");
        }
        assert_eq!(check("mod.rs", "//! Operations."), 0);
        let entry = |text: &str| operations(&Source::new("src/ring/ops/recv.rs", text), &since).len();
        assert_eq!(entry("//! `recv(2)`: `IORING_OP_RECV`, since Linux 5.6."), 0);
        assert_eq!(entry("//! `recv(2)`: `IORING_OP_RECV`, since Linux 5.7."), 1);
    }

    #[test]
    fn an_opcode_has_one_constructor() {
        let file = |path: &str, header: &str, code: &str| Source::new(path, &format!("//! {header}\nuse a;\n{code}"));
        let recv = || file("src/op/recv.rs", "`IORING_OP_RECV`", "let opcode = sys::IORING_OP_RECV as u8;");
        let asks = || file("src/op/other.rs", "Other.", "on_ring(sys::IORING_OP_RECV as u8)");
        let opcodes = ["RECV"];
        assert_eq!(constructors(&[recv(), asks()], &opcodes), []);
        assert_eq!(constructors(&[asks()], &opcodes).len(), 1, "none");
        let other = file("src/ring/ops/x.rs", "`IORING_OP_RECV`", "Sqe { opcode: sys::IORING_OP_RECV as u8 }");
        assert_eq!(constructors(&[recv(), other], &opcodes).len(), 1, "two");
        let silent = file("src/op/recv.rs", "`IORING_OP_RECVMSG`", "(opcode, x) = (sys::IORING_OP_RECV as u8, 0);");
        assert_eq!(constructors(&[silent], &opcodes).len(), 1, "not named");
    }

    #[test]
    fn what_is_awaited_says_how_it_is_cancelled() {
        let doc = "/// # Cancellation\n/// **Clean**: because.\n///\n/// # Errors\n/// Not **Lossy**.\n";
        let fine = format!("{doc}#[must_use]\npub async fn f() {{}}\npub(crate) async fn g() {{}}\nasync fn h() {{}}");
        assert_eq!(on(cancellation, "src/x.rs", &fine), [0; 0]);
        assert_eq!(on(cancellation, "src/x.rs", "/// Reads.\npub async fn f() {}"), [2]);
        assert_eq!(on(cancellation, "src/x.rs", "pub fn f(\n) -> impl std::future::Future<Output = ()> {}"), [1]);
        assert_eq!(on(cancellation, "src/x.rs", "/// # Cancellation\n/// Safe.\npub async fn f() {}"), [3]);
        assert_eq!(
            on(cancellation, "src/x.rs", "/// # Cancellation\n/// **Clean** or **Lossy**.\npub async fn f() {}"),
            [3]
        );
        let in_trait = "pub trait T {\n    fn f() -> impl Future<Output = u8>;\n    fn g() -> impl Fn();\n}";
        assert_eq!(on(cancellation, "src/x.rs", in_trait), [2]);
        assert_eq!(on(cancellation, "src/x.rs", &format!("pub trait T {{\n{doc}async fn f();\n}}")), [0; 0]);
    }

    #[test]
    fn orderings_stand_in_few_files() {
        let text = "use std::cmp::Ordering;\nfn f() { Ordering::Less }\nfn g() { x.load(Ordering::Acquire) }";
        assert_eq!(on(orderings, "src/op/recv.rs", text), [3]);
        assert_eq!(on(orderings, "src/ring/word.rs", text), [0; 0]);
    }

    #[test]
    fn safety_is_argued_and_not_stamped() {
        let argument = "// SAFETY: Lent: the buffer is the kernel's until the final completion.\n";
        let stamped = Source::new("src/x.rs", &argument.repeat(3));
        assert_eq!(lines(safety(&[stamped])), [3]);
        let short = Source::new(
            "src/y.rs",
            "// SAFETY: see above.\n// SAFETY: Lent: this argument is long enough,\n// as it should be.",
        );
        assert_eq!(lines(safety(&[short])), [1]);
        let wrapped = Source::new("src/z.rs", "// SAFETY: Lent: it\n    // has a second line.");
        assert_eq!(lines(safety(&[wrapped])), [0; 0]);
        let tested =
            Source::new("src/t.rs", "// SAFETY: short.\nf();\n#[cfg(test)]\nmod t {\n// SAFETY: short.\ng(); }");
        assert_eq!(lines(safety(&[tested])), [1]);
    }

    #[test]
    fn opcodes_are_names_and_known_to_drivers() {
        let text = "match x {\n    sys::IORING_OP_NOP => 1,\n    sys::IORING_OP_RECV | sys::IORING_OP_SEND => 2,\n}";
        assert_eq!(on(opcodes, "src/op/recv.rs", text), [2, 3, 3]);
        assert_eq!(on(opcodes, "src/driver/poll/mod.rs", text), [0; 0]);
        let text = "Sqe { opcode: 22 }\nif sqe.opcode == 0 {}\nSqe { opcode: sys::IORING_OP_NOP as u8 }\nopcode(3)";
        assert_eq!(on(opcodes, "src/driver/mod.rs", text), [1, 2]);
    }

    #[test]
    fn bindgen_names_stay_at_the_ground() {
        let text = "sqe.__bindgen_anon_1";
        assert_eq!(on(bindgen_names, "src/driver/mod.rs", text), [1]);
        assert_eq!(on(bindgen_names, "src/entry/sqe.rs", text), [0; 0]);
    }

    #[test]
    fn some_words_are_banned() {
        let text = format!(
            "// {}: later\n#[ignore]\nfn f() {{ x.unwrap_unchecked() }}\n// {}ed",
            concat!("FIX", "ME"),
            concat!("TO", "DO")
        );
        assert_eq!(on(banned, "src/x.rs", &text), [1, 3, 2]);
        assert_eq!(on(raw_syscalls, "src/ring/mod.rs", "libc::syscall(1);\nlibc::syscalls"), [1]);
        assert_eq!(on(raw_syscalls, "src/sys/uring.rs", "libc::syscall(1)"), [0; 0]);
    }

    #[test]
    fn every_dependency_is_used() {
        let manifest =
            "[package]\nname = \"x\"\n[dependencies]\n# why\nsome-lib = \"1\"\nslab = \"0.4\"\n\n[features]\na = []";
        let check = |text: &str, path: &str| {
            lines(unused_dependencies(manifest, &[Source::new(path, text)], &[("slab", "src/driver")]))
        };
        assert_eq!(check("use some_lib::x; // slab", "src/driver/mod.rs"), [6]);
        assert_eq!(check("use slab::Slab;", "src/driver/mod.rs"), [5]);
        assert_eq!(check("use some_lib::x;", "src/sys/mod.rs"), [0; 0]);
    }

    #[test]
    fn every_example_is_in_the_readme() {
        let examples = ["echo".to_owned(), "doctor".to_owned()];
        assert_eq!(unnamed_examples("| `echo` | echoes |\n", &examples).len(), 1);
        assert_eq!(unnamed_examples("`echo`, `doctor`", &examples), []);
    }
}
