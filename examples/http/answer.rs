//! Answers: their heads.

use std::{
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Writes heads, and knows what time it is.
#[derive(Default)]
pub(crate) struct Heads {
    second: Duration,
    date: String,
}

/// What a head says beside its status.
#[derive(Default)]
pub(crate) struct About<'a> {
    pub(crate) length: u64,
    pub(crate) kind: &'a str,
    /// Further fields, each with its end.
    pub(crate) fields: &'a str,
    /// What the connection is to do, where that does not go without saying.
    pub(crate) connection: Option<&'static str>,
}

impl Heads {
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, status: u16, about: &About<'_>) {
        let now = SystemTime::now();
        let second = Duration::from_secs(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        if second != self.second {
            (self.second, self.date) = (second, httpdate::fmt_http_date(now));
        }
        let About { length, kind, fields, connection } = about;
        let (date, reason) = (&self.date, reason(status));
        let mut line = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a vector takes everything");
        line(format_args!("HTTP/1.1 {status} {reason}\r\nDate: {date}\r\nContent-Length: {length}\r\n"));
        if !kind.is_empty() {
            line(format_args!("Content-Type: {kind}\r\n"));
        }
        if let Some(connection) = connection {
            line(format_args!("Connection: {connection}\r\n"));
        }
        line(format_args!("{fields}\r\n"));
    }
}

pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}
