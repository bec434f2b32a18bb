//! A source file as the rules see it: text, code without comments and literals, code without tests.

use std::{fs, path::Path};

/// One file. `code` and `product` have the length and the lines of `text`; what they leave out is spaces.
pub(crate) struct Source {
    /// From the root of the crate, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Without comments and without what stands between quotes.
    pub(crate) code: String,
    /// `code` without what only tests compile.
    pub(crate) product: String,
}

/// What breaks a rule, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code = without_comments_and_literals(text);
        let of_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
        let product = if of_tests { blank(&code, 0, code.len()) } else { without_tests(&code) };
        Source { path: path.into(), text: text.into(), code, product }
    }

    pub(crate) fn read(root: &Path, path: &str) -> Source {
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        Source::new(path, &text)
    }

    pub(crate) fn fault(&self, offset: usize, what: impl Into<String>) -> Fault {
        let line = 1 + self.text.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count();
        Fault { path: self.path.clone(), line, what: what.into() }
    }

    /// Whether the file is `place` or lies in the folder `place`.
    pub(crate) fn is_in(&self, place: &str) -> bool {
        self.path
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || place.ends_with('/') || rest.starts_with('/'))
    }
}

/// All files below `folder` that end with `.rs`, in order; none when there is no such folder.
pub(crate) fn all(root: &Path, folder: &str) -> Vec<Source> {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|e| e.expect("a readable folder")).collect();
    names.sort_by_key(|e| e.file_name());
    let mut found = Vec::new();
    for entry in names {
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("a UTF-8 name"));
        if entry.path().is_dir() {
            found.extend(all(root, &path));
        } else if path.ends_with(".rs") {
            found.push(Source::read(root, &path));
        }
    }
    found
}

/// The offsets of the word `word` in `code`: not as a part of a longer name.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_name) && !code[at + word.len()..].starts_with(is_name))
}

pub(crate) fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The name that `code` begins with.
pub(crate) fn name(code: &str) -> &str {
    &code[..code.find(|c| !is_name(c)).unwrap_or(code.len())]
}

/// The offset after the bracket that closes the one at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, b) in code.bytes().enumerate().skip(open) {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return i + 1;
        }
    }
    code.len()
}

/// The offset of the `{` or `;` that ends the head of the item that starts at `start`.
pub(crate) fn head_end(code: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(found) = code[at..].find(['(', '[', '{', ';']) {
        at += found;
        match code.as_bytes()[at] {
            b'(' | b'[' => at = closing(code, at),
            _ => return at,
        }
    }
    code.len()
}

fn blank(code: &str, from: usize, to: usize) -> String {
    let space = code[from..to].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' });
    code[..from].chars().chain(space).chain(code[to..].chars()).collect()
}

fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(at) = ["#[cfg(test)]", "#[cfg(all(test,"].iter().filter_map(|attr| code.find(attr)).min() {
        let end = head_end(&code, closing(&code, at + 1));
        let end = if code[end..].starts_with('{') { closing(&code, end) } else { (end + 1).min(code.len()) };
        code = blank(&code, at, end);
    }
    code
}

fn without_comments_and_literals(text: &str) -> String {
    let mut code = text.to_owned();
    let mut at = 0;
    while at < text.len() {
        let (from, to) = next_opaque(text, at);
        code = blank(&code, from, to);
        at = to.max(at + 1);
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    code
}

/// The next comment or literal at or after `at`, quotes left out; an empty range where there is none.
fn next_opaque(text: &str, at: usize) -> (usize, usize) {
    let Some(from) = text[at..].find(['/', '"', '\'']).map(|n| n + at) else { return (text.len(), text.len()) };
    let rest = &text[from..];
    let until = |end: &str| rest.find(end).map_or(text.len(), |n| from + n);
    match rest.as_bytes() {
        [b'/', b'/', ..] => (from, until("\n")),
        [b'/', b'*', ..] => (from, from + block_comment(rest)),
        [b'"', ..] => {
            let hashes = text[..from].len() - text[..from].trim_end_matches('#').len();
            match text[..from - hashes].ends_with('r') {
                // A raw string ends with a quote and as many hashes as it began with.
                true => (
                    from,
                    from + 1 + rest[1..].find(&format!("\"{}", "#".repeat(hashes))).map_or(rest.len() - 1, |n| n + 1),
                ),
                false => (from, from + string(rest)),
            }
        }
        [b'\'', ..] => (from, from + character(rest)),
        _ => (from, from),
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match &rest.as_bytes()[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of the string that `rest` begins with.
fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (i, b) in rest.bytes().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of the character literal that `rest` begins with; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((escape, _))) => rest[escape + 1..].find('\'').map_or(0, |n| escape + 1 + n + 1),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 0,
    }
}

mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let code = Source::new("src/x.rs", text).code;
        assert_eq!(code.len(), text.len());
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        assert_eq!(code("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(code(r#"a("b // c \" d") e"#), "a( ) e");
        assert_eq!(code("a(r#\"b \" \\ c\"#) d"), "a(r# #) d");
        assert_eq!(code(r"f('\'', 'x', '\u{7f}', b'{') <'a> g::<'static>"), "f( , , , b ) <'a> g::<'static>");
        assert_eq!(code("a(\"ä…\") b // ü"), "a( ) b");
    }

    #[test]
    fn test_code_is_no_product() {
        let text = "use a;\n#[cfg(test)]\nmod tests { fn f() { b } }\n#[cfg(test)] use c;\nfn g() {}";
        let product = Source::new("src/x.rs", text).product;
        assert_eq!(product.split_whitespace().collect::<Vec<_>>(), ["use", "a;", "fn", "g()", "{}"]);
        assert_eq!(Source::new("src/rt/tests.rs", "fn f() {}").product.trim(), "");
    }

    #[test]
    fn faults_know_their_line() {
        let source = Source::new("src/x.rs", "a\nb\nc");
        assert_eq!(source.fault(4, "c").line, 3);
        assert!(source.is_in("src") && source.is_in("src/x.rs") && !source.is_in("src/x") && !source.is_in("sr"));
    }
}
