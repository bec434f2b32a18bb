//! The files below a folder, and nothing beside it.

use annulus::fs::File;
use rustix::fs::{Mode, OFlags, openat};
use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    sync::Arc,
};

/// A folder that is served.
#[derive(Clone)]
pub(crate) struct Root(Arc<OwnedFd>);

/// A file to be sent.
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) length: u64,
    pub(crate) kind: &'static str,
}

impl Root {
    pub(crate) fn open(path: &str) -> io::Result<Root> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty());
        let explain = |error| io::Error::new(io::Error::from(error).kind(), format!("{path}: {error}"));
        Ok(Root(Arc::new(folder.map_err(explain)?)))
    }

    /// The file at a path that [`path`](super::parse::path) gave: a folder stands for the `index.html` in it. Looking
    /// it up may block, so a thread of the pool does it.
    ///
    /// Each name is looked up in the folder that was opened before it, and a link is not followed. So whatever somebody
    /// changes meanwhile, there is no way out.
    pub(crate) async fn find(&self, mut path: Vec<u8>) -> io::Result<Found> {
        if path.is_empty() || path.ends_with(b"/") {
            path.extend_from_slice(b"index.html");
        }
        let kind = kind(&path);
        let root = self.0.clone();
        let opened = annulus::spawn_blocking(move || walk(&root, &path)).await;
        let (file, length) = opened.map_err(io::Error::other)??;
        Ok(Found { file: File::from_std(file)?, length, kind })
    }
}

fn walk(root: &OwnedFd, path: &[u8]) -> io::Result<(std::fs::File, u64)> {
    let (folders, name) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    };
    let mut folder = None;
    // Without the last flag, a FIFO would keep the thread for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    for part in folders.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        let inner =
            openat(folder.as_ref().unwrap_or(root), OsStr::from_bytes(part), flags | OFlags::DIRECTORY, Mode::empty())?;
        folder = Some(inner);
    }
    let file = openat(folder.as_ref().unwrap_or(root), OsStr::from_bytes(name), flags, Mode::empty())?;
    let file = std::fs::File::from(file);
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((file, about.len()))
}

fn kind(path: &[u8]) -> &'static str {
    let end = path.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    match end {
        b"html" => "text/html; charset=utf-8",
        b"txt" | b"md" | b"rs" => "text/plain; charset=utf-8",
        b"css" => "text/css",
        b"js" => "text/javascript",
        b"json" => "application/json",
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"jpg" => "image/jpeg",
        _ => "application/octet-stream",
    }
}
