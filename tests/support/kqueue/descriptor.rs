//! What a number stands for, and what Linux can tell of it.

use super::{Errno, linux};
use std::{
    fs::File,
    os::fd::{AsRawFd, RawFd},
};

/// `SO_MEMINFO` (parisc and sparc have other numbers).
const SO_MEMINFO: i32 = 55;

/// A descriptor that is watched for reading or for writing.
pub(super) struct Descriptor {
    number: RawFd,
    kind: Kind,
    identity: Identity,
    /// What epoll watches in place of a regular file, which it refuses: an eventfd that is ready for ever, so that the
    /// filter is asked.
    stand_in: Option<File>,
}

/// Device and inode. All of some kinds share one, epolls among them.
type Identity = (libc::dev_t, libc::ino_t);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Listener,
    /// TCP, or a stream of AF_UNIX.
    Stream,
    /// Any other socket; and of a descriptor that was not asked yet, any at all.
    OtherSocket,
    Pipe,
    File,
    Other,
}

impl Descriptor {
    pub(super) fn new(ident: usize) -> Result<Descriptor, Errno> {
        let number = RawFd::try_from(ident).map_err(|_| libc::EBADF)?;
        let stat = linux::stat(number)?;
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFSOCK => Kind::OtherSocket,
            libc::S_IFIFO => Kind::Pipe,
            libc::S_IFREG => Kind::File,
            _ => Kind::Other,
        };
        let stand_in = if kind == Kind::File { Some(linux::eventfd(1)?) } else { None };
        Ok(Descriptor { number, kind, identity: (stat.st_dev, stat.st_ino), stand_in })
    }

    /// What epoll watches.
    pub(super) fn watched(&self) -> RawFd {
        self.stand_in.as_ref().map_or(self.number, File::as_raw_fd)
    }

    /// What it is now: a socket may have become a listener since.
    pub(super) fn kind(&self) -> Kind {
        if self.kind != Kind::OtherSocket {
            return self.kind;
        }
        match (self.socket_option(libc::SO_ACCEPTCONN), self.socket_option(libc::SO_TYPE)) {
            (1, _) => Kind::Listener,
            (_, kind) if kind == libc::SOCK_STREAM as u32 => Kind::Stream,
            _ => Kind::OtherSocket,
        }
    }

    fn socket_option(&self, name: i32) -> u32 {
        linux::option::<1>(self.number, libc::SOL_SOCKET, name).map_or(0, |[value]| value)
    }

    /// Whether the number was closed since, or closed and used again. `epoll` is the one that watches it.
    ///
    /// epoll drops an entry with the last duplicate of a descriptor, not with its number. Where the identity does not
    /// tell, it is asked to add the number once more, which it refuses if it has it.
    pub(super) fn is_gone(&self, epoll: RawFd) -> bool {
        let is_other = linux::stat(self.number).map(|stat| (stat.st_dev, stat.st_ino)) != Ok(self.identity);
        if is_other || self.stand_in.is_some() {
            return is_other;
        }
        let added = linux::epoll_control(epoll, libc::EPOLL_CTL_ADD, self.number, 0, u64::MAX);
        if added.is_ok() {
            let _ = linux::epoll_control(epoll, libc::EPOLL_CTL_DEL, self.number, 0, 0);
        }
        added != Err(libc::EEXIST)
    }

    pub(super) fn poll(&self) -> i32 {
        let events = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP;
        linux::poll(self.number, events.into(), Some(std::time::Duration::ZERO)).unwrap_or(0)
    }

    /// The bytes that can be read; `otherwise` where nobody counts them.
    pub(super) fn unread(&self, otherwise: isize) -> isize {
        linux::unread(self.number).unwrap_or(otherwise)
    }

    /// From here to the end of a file; less than nothing beyond it.
    pub(super) fn rest_of_file(&self) -> isize {
        let size = linux::stat(self.number).map_or(0, |stat| stat.st_size);
        (size - linux::offset(self.number)) as isize
    }

    /// How many connections wait to be accepted; 1 where nobody counts them.
    pub(super) fn backlog(&self) -> isize {
        self.tcp().map_or(1, |tcp| tcp.unacked as isize)
    }

    /// The bytes that a socket would take.
    pub(super) fn room(&self) -> isize {
        let memory = linux::option::<9>(self.number, libc::SOL_SOCKET, SO_MEMINFO).unwrap_or_default();
        let value = |which: i32| memory[which as usize];
        let used = value(libc::SK_MEMINFO_WMEM_ALLOC).max(value(libc::SK_MEMINFO_WMEM_QUEUED));
        value(libc::SK_MEMINFO_SNDBUF).saturating_sub(used).max(1) as isize
    }

    /// The bytes that a pipe would take. It says that it can be written when a page of it is free.
    pub(super) fn room_of_pipe(&self) -> isize {
        let size = linux::pipe_size(self.number).unwrap_or(0);
        (size - self.unread(0)).max(libc::PIPE_BUF as isize)
    }

    /// The error of a socket that has one; which one is a guess, because asking would take it away.
    pub(super) fn error(&self) -> Errno {
        match self.tcp() {
            Some(tcp) if tcp.round_trip == 0 => libc::ECONNREFUSED,
            _ => libc::ECONNRESET,
        }
    }

    /// Whether the socket was never connected, nor is about to be.
    pub(super) fn is_fresh(&self, ready: i32) -> bool {
        let both = libc::POLLHUP | libc::POLLRDHUP;
        ready & i32::from(both) == libc::POLLHUP.into()
    }

    /// Whether a stream's own side of sending is shut. TCP is asked for its state: a send would take the error of a
    /// reset that came just now.
    pub(super) fn is_shut(&self) -> bool {
        self.tcp().map_or_else(|| linux::is_shut(self.number), |tcp| !matches!(tcp.state, 1 | 2 | 3 | 8))
    }

    fn tcp(&self) -> Option<Tcp> {
        let info = linux::option::<26>(self.number, libc::IPPROTO_TCP, libc::TCP_INFO).ok()?;
        Some(Tcp { state: info[0].to_ne_bytes()[0], unacked: info[6], round_trip: info[17] })
    }
}

/// A few words of `struct tcp_info`.
struct Tcp {
    /// ESTABLISHED is 1, SYN_SENT 2, SYN_RECV 3 and CLOSE_WAIT 8; in the others nothing can be sent.
    state: u8,
    /// Of a listener: the connections that wait.
    unacked: u32,
    /// In microseconds, and zero until something was acknowledged, the connection itself to begin with.
    round_trip: u32,
}
