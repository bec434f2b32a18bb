//! The commands, and the keys that they are about.

use super::parse::{Request, integer};
use std::{collections::HashMap, io::Write};

/// What a key costs beside its bytes, by and large.
const ENTRY: usize = 96;

/// Keys and their values, with a bound to their memory.
pub(crate) struct Store {
    values: HashMap<Vec<u8>, Vec<u8>>,
    used: usize,
    most: usize,
    /// How many commands there were, and how many writes answered them.
    pub(crate) commands: u64,
    pub(crate) writes: u64,
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Quit,
}

type Answer = Result<Then, &'static str>;

impl Store {
    pub(crate) fn new(most: usize) -> Store {
        Store { values: HashMap::new(), used: 0, most, commands: 0, writes: 0 }
    }

    /// Does what the request says, and appends the answer to `out`.
    pub(crate) fn run(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Then {
        let mut arguments = request.arguments();
        let Some(name) = arguments.next() else { return Then::GoOn };
        self.commands += 1;
        let mut upper = [0; 16];
        let upper = match upper.get_mut(..name.len()) {
            Some(upper) => {
                upper.copy_from_slice(name);
                upper.make_ascii_uppercase();
                &*upper
            }
            None => name,
        };
        match self.command(upper, arguments, out) {
            Some(Ok(then)) => return then,
            Some(Err(error)) => line(out, format_args!("-{error}")),
            None if is_known(upper) => {
                let name = name.to_ascii_lowercase();
                line(out, format_args!("-ERR wrong number of arguments for '{}' command", name.escape_ascii()));
            }
            None => {
                let name = &name[..name.len().min(64)];
                line(out, format_args!("-ERR unknown command '{}'", name.escape_ascii()));
            }
        }
        Then::GoOn
    }

    /// None if there is no such command with so many arguments.
    fn command<'a>(
        &mut self,
        name: &[u8],
        mut arguments: impl ExactSizeIterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Option<Answer> {
        let count = arguments.len();
        let mut next = || arguments.next().unwrap_or_default();
        match (name, count) {
            (b"PING", 0) => line(out, format_args!("+PONG")),
            (b"PING" | b"ECHO", 1) => bulk(out, next()),
            (b"GET", 1) => match self.values.get(next()) {
                Some(value) => bulk(out, value),
                None => out.extend_from_slice(b"$-1\r\n"),
            },
            (b"SET", 2) => {
                if let Err(error) = self.set(next(), next()) {
                    return Some(Err(error));
                }
                line(out, format_args!("+OK"));
            }
            (b"SET", 3..) => return Some(Err("ERR syntax error")),
            (b"INCR", 1) => match self.increment(next()) {
                Ok(number) => line(out, format_args!(":{number}")),
                Err(error) => return Some(Err(error)),
            },
            (b"DEL", 1..) => {
                let gone = arguments.filter(|&key| self.remove(key)).count();
                line(out, format_args!(":{gone}"));
            }
            (b"EXISTS", 1..) => {
                let there = arguments.filter(|&key| self.values.contains_key(key)).count();
                line(out, format_args!(":{there}"));
            }
            (b"DBSIZE", 0) => line(out, format_args!(":{}", self.values.len())),
            (b"FLUSHALL", 0) => {
                (self.values, self.used) = (HashMap::new(), 0);
                line(out, format_args!("+OK"));
            }
            (b"QUIT", _) => {
                line(out, format_args!("+OK"));
                return Some(Ok(Then::Quit));
            }
            _ => return self.about(name, arguments, out),
        }
        Some(Ok(Then::GoOn))
    }

    /// What clients ask at their start.
    fn about<'a>(
        &mut self,
        name: &[u8],
        mut arguments: impl ExactSizeIterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Option<Answer> {
        let count = arguments.len();
        let mut next = || arguments.next().unwrap_or_default();
        match (name, count) {
            (b"COMMAND", _) => line(out, format_args!("*0")),
            (b"CONFIG", 2) if next().eq_ignore_ascii_case(b"GET") => {
                line(out, format_args!("*2"));
                bulk(out, next());
                bulk(out, b"");
            }
            (b"INFO", _) => {
                let (keys, used, commands) = (self.values.len(), self.used, self.commands);
                let text = format!("keys:{keys}\r\nused_memory:{used}\r\ntotal_commands_processed:{commands}\r\n");
                bulk(out, text.as_bytes());
            }
            (b"CLIENT", 1..) => line(out, format_args!("+OK")),
            (b"SELECT", 1) if next() == b"0" => line(out, format_args!("+OK")),
            (b"SELECT", 1) => return Some(Err("ERR DB index is out of range")),
            _ => return None,
        }
        Some(Ok(Then::GoOn))
    }

    /// A value that is there is written over, in its place.
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let there = self.values.get_mut(key);
        let (old, new) = match &there {
            Some(old) => (old.len(), value.len()),
            None => (0, key.len() + value.len() + ENTRY),
        };
        if new > old && self.used - old + new > self.most {
            return Err("OOM command not allowed when used memory > 'maxmemory'.");
        }
        self.used = self.used - old + new;
        match there {
            Some(there) => {
                there.clear();
                there.extend_from_slice(value);
                there.shrink_to(2 * value.len() + ENTRY);
            }
            None => drop(self.values.insert(key.to_vec(), value.to_vec())),
        }
        Ok(())
    }

    fn increment(&mut self, key: &[u8]) -> Result<i64, &'static str> {
        let digits = self.values.get(key).map_or(&b"0"[..], Vec::as_slice);
        let number = integer(digits).ok_or("ERR value is not an integer or out of range")?;
        let number = number.checked_add(1).ok_or("ERR increment or decrement would overflow")?;
        let mut digits = [0; 20];
        let mut left = &mut digits[..];
        write!(left, "{number}").expect("20 places for an i64");
        let length = 20 - left.len();
        self.set(key, &digits[..length])?;
        Ok(number)
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let value = self.values.remove(key);
        self.used -= value.as_ref().map_or(0, |value| key.len() + value.len() + ENTRY);
        value.is_some()
    }
}

/// Whether a command of this name exists with another number of arguments.
fn is_known(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"PING",
        b"ECHO",
        b"GET",
        b"SET",
        b"INCR",
        b"DEL",
        b"EXISTS",
        b"DBSIZE",
        b"FLUSHALL",
        b"CONFIG",
        b"CLIENT",
        b"SELECT",
    ];
    NAMES.contains(&name)
}

/// An answer in one line.
pub(crate) fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    write!(out, "{text}\r\n").expect("a vector takes everything");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    line(out, format_args!("${}", bytes.len()));
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
