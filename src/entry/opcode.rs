//! Every opcode of the kernel's ring: since when there is it, what stands in for it, and what it can.

use crate::sys;

/// An operation of the ring, as the kernel knows it. The versions are those of the first Linux that has it.
///
/// ```
/// use annulus::entry::OPCODES;
///
/// let recv = OPCODES.iter().find(|opcode| opcode.name() == "RECV").unwrap();
/// assert_eq!((recv.since, recv.twin, recv.multishot), ("5.6", Some("recv(2)"), Some("6.0")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opcode {
    /// `IORING_OP_*`.
    pub number: u8,
    /// Since when the kernel has it.
    pub since: &'static str,
    /// What does the same where the ring does not: a system call, or what annulus has instead.
    pub twin: Option<&'static str>,
    /// Since when one entry can be answered many times.
    pub multishot: Option<&'static str>,
    /// Since when it takes buffers from a [group](crate::entry::BufGroup).
    pub groups: Option<&'static str>,
    /// Since when it takes a [registered buffer](crate::entry::BufIndex).
    pub registered: Option<&'static str>,
    /// Since when what it opens can go to the ring's [table of files](crate::entry::FixedFile).
    pub direct: Option<&'static str>,
}

impl Opcode {
    const fn new(number: u32, since: &'static str) -> Opcode {
        let none = None;
        Opcode {
            number: number as u8,
            since,
            twin: none,
            multishot: none,
            groups: none,
            registered: none,
            direct: none,
        }
    }

    const fn twin(self, twin: &'static str) -> Opcode {
        Opcode { twin: Some(twin), ..self }
    }

    const fn multishot(self, since: &'static str) -> Opcode {
        Opcode { multishot: Some(since), ..self }
    }

    const fn groups(self, since: &'static str) -> Opcode {
        Opcode { groups: Some(since), ..self }
    }

    const fn registered(self, since: &'static str) -> Opcode {
        Opcode { registered: Some(since), ..self }
    }

    const fn direct(self, since: &'static str) -> Opcode {
        Opcode { direct: Some(since), ..self }
    }

    /// Its name, without `IORING_OP_`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        sys::names::OPCODES[usize::from(self.number)]
    }
}

/// All of them, each at its number.
pub static OPCODES: [Opcode; sys::IORING_OP_LAST as usize] = [
    Opcode::new(sys::IORING_OP_NOP, "5.1").twin("no call at all"),
    Opcode::new(sys::IORING_OP_READV, "5.1").twin("readv(2)").groups("5.7"),
    Opcode::new(sys::IORING_OP_WRITEV, "5.1").twin("writev(2)"),
    Opcode::new(sys::IORING_OP_FSYNC, "5.1").twin("fsync(2)"),
    Opcode::new(sys::IORING_OP_READ_FIXED, "5.1").twin("read(2)").registered("5.1"),
    Opcode::new(sys::IORING_OP_WRITE_FIXED, "5.1").twin("write(2)").registered("5.1"),
    Opcode::new(sys::IORING_OP_POLL_ADD, "5.1").twin("poll(2)").multishot("5.13"),
    Opcode::new(sys::IORING_OP_POLL_REMOVE, "5.1"),
    Opcode::new(sys::IORING_OP_SYNC_FILE_RANGE, "5.2"),
    Opcode::new(sys::IORING_OP_SENDMSG, "5.3").twin("sendmsg(2)"),
    Opcode::new(sys::IORING_OP_RECVMSG, "5.3").twin("recvmsg(2)").multishot("6.0").groups("5.7"),
    Opcode::new(sys::IORING_OP_TIMEOUT, "5.4").twin("a timer").multishot("6.4"),
    Opcode::new(sys::IORING_OP_TIMEOUT_REMOVE, "5.5"),
    Opcode::new(sys::IORING_OP_ACCEPT, "5.5").twin("accept4(2)").multishot("5.19").direct("5.15"),
    Opcode::new(sys::IORING_OP_ASYNC_CANCEL, "5.5"),
    Opcode::new(sys::IORING_OP_LINK_TIMEOUT, "5.5"),
    Opcode::new(sys::IORING_OP_CONNECT, "5.5").twin("connect(2)"),
    Opcode::new(sys::IORING_OP_FALLOCATE, "5.6"),
    Opcode::new(sys::IORING_OP_OPENAT, "5.6").twin("openat(2)").direct("5.15"),
    Opcode::new(sys::IORING_OP_CLOSE, "5.6").twin("close(2)").direct("5.15"),
    Opcode::new(sys::IORING_OP_FILES_UPDATE, "5.6"),
    Opcode::new(sys::IORING_OP_STATX, "5.6").twin("statx(2)"),
    Opcode::new(sys::IORING_OP_READ, "5.6").twin("read(2)").groups("5.7"),
    Opcode::new(sys::IORING_OP_WRITE, "5.6").twin("write(2)"),
    Opcode::new(sys::IORING_OP_FADVISE, "5.6"),
    Opcode::new(sys::IORING_OP_MADVISE, "5.6"),
    Opcode::new(sys::IORING_OP_SEND, "5.6").twin("send(2)").groups("6.10").registered("7.2"),
    Opcode::new(sys::IORING_OP_RECV, "5.6").twin("recv(2)").multishot("6.0").groups("5.7").registered("7.2"),
    Opcode::new(sys::IORING_OP_OPENAT2, "5.6").direct("5.15"),
    Opcode::new(sys::IORING_OP_EPOLL_CTL, "5.6"),
    Opcode::new(sys::IORING_OP_SPLICE, "5.7").twin("splice(2)"),
    Opcode::new(sys::IORING_OP_PROVIDE_BUFFERS, "5.7"),
    Opcode::new(sys::IORING_OP_REMOVE_BUFFERS, "5.7"),
    Opcode::new(sys::IORING_OP_TEE, "5.8"),
    Opcode::new(sys::IORING_OP_SHUTDOWN, "5.11").twin("shutdown(2)"),
    Opcode::new(sys::IORING_OP_RENAMEAT, "5.11").twin("renameat(2)"),
    Opcode::new(sys::IORING_OP_UNLINKAT, "5.11").twin("unlinkat(2)"),
    Opcode::new(sys::IORING_OP_MKDIRAT, "5.15").twin("mkdirat(2)"),
    Opcode::new(sys::IORING_OP_SYMLINKAT, "5.15").twin("symlinkat(2)"),
    Opcode::new(sys::IORING_OP_LINKAT, "5.15").twin("linkat(2)"),
    Opcode::new(sys::IORING_OP_MSG_RING, "5.18").direct("6.0"),
    Opcode::new(sys::IORING_OP_FSETXATTR, "5.19"),
    Opcode::new(sys::IORING_OP_SETXATTR, "5.19"),
    Opcode::new(sys::IORING_OP_FGETXATTR, "5.19"),
    Opcode::new(sys::IORING_OP_GETXATTR, "5.19"),
    Opcode::new(sys::IORING_OP_SOCKET, "5.19").twin("socket(2)").direct("5.19"),
    Opcode::new(sys::IORING_OP_URING_CMD, "5.19").multishot("6.18").groups("6.18").registered("6.1"),
    Opcode::new(sys::IORING_OP_SEND_ZC, "6.0").twin("send(2)").registered("6.0"),
    Opcode::new(sys::IORING_OP_SENDMSG_ZC, "6.1").twin("sendmsg(2)").registered("6.15"),
    Opcode::new(sys::IORING_OP_READ_MULTISHOT, "6.7").multishot("6.7").groups("6.7"),
    Opcode::new(sys::IORING_OP_WAITID, "6.7").twin("waitid(2)"),
    Opcode::new(sys::IORING_OP_FUTEX_WAIT, "6.7"),
    Opcode::new(sys::IORING_OP_FUTEX_WAKE, "6.7"),
    Opcode::new(sys::IORING_OP_FUTEX_WAITV, "6.7"),
    Opcode::new(sys::IORING_OP_FIXED_FD_INSTALL, "6.8"),
    Opcode::new(sys::IORING_OP_FTRUNCATE, "6.9").twin("ftruncate(2)"),
    Opcode::new(sys::IORING_OP_BIND, "6.11").twin("bind(2)"),
    Opcode::new(sys::IORING_OP_LISTEN, "6.11").twin("listen(2)"),
    Opcode::new(sys::IORING_OP_RECV_ZC, "6.15").multishot("6.15"),
    Opcode::new(sys::IORING_OP_EPOLL_WAIT, "6.15"),
    Opcode::new(sys::IORING_OP_READV_FIXED, "6.15").registered("6.15"),
    Opcode::new(sys::IORING_OP_WRITEV_FIXED, "6.15").registered("6.15"),
    Opcode::new(sys::IORING_OP_PIPE, "6.16").direct("6.16"),
    Opcode::new(sys::IORING_OP_NOP128, "6.19"),
    Opcode::new(sys::IORING_OP_URING_CMD128, "6.19").multishot("6.19").groups("6.19").registered("6.19"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as a page of Markdown, which the documentation of `annulus::ring::ops` has.
    fn markdown() -> String {
        let mut page = String::from(
            "| | opcode | since Linux | twin | answered many times | buffer groups \
             | registered buffers | table of files |\n\
             |--|--|--|--|--|--|--|--|\n",
        );
        for opcode in &OPCODES {
            page += &format!("| {} | {} | {} |", opcode.number, linked(opcode.name()), opcode.since);
            for cell in [opcode.twin, opcode.multishot, opcode.groups, opcode.registered, opcode.direct] {
                page += &format!(" {} |", cell.unwrap_or(""));
            }
            page += "\n";
        }
        page
    }

    /// The name, with a link to the constructor, which is called the same but for these.
    fn linked(name: &str) -> String {
        let constructor = match name {
            "ASYNC_CANCEL" => "Sqe::cancel".into(),
            "NOP128" => "Sqe128::nop".into(),
            "URING_CMD128" => "Sqe128::uring_cmd".into(),
            name => format!("Sqe::{}", name.to_lowercase()),
        };
        format!("[{name}](crate::entry::{constructor})")
    }

    /// Red when a row stands at another's number, or is of another time than the list of facts says.
    #[test]
    fn the_table_is_that_of_the_facts() {
        let facts = include_str!("../../tests/data/uapi-facts.tsv");
        let facts = facts.lines().map(|line| line.split('\t').collect::<Vec<_>>()).filter(|row| row[0] == "op");
        let ours = OPCODES.iter().map(|opcode| {
            vec![
                "op".to_owned(),
                format!("IORING_OP_{}", opcode.name()),
                opcode.number.to_string(),
                opcode.since.into(),
            ]
        });
        assert!(ours.eq(facts), "{OPCODES:?}");
        assert!(OPCODES.iter().enumerate().all(|(at, opcode)| at == usize::from(opcode.number)));
    }

    /// Red when the documentation has another table; it is in `src/ring/ops/opcodes.md`.
    #[test]
    fn the_documentation_has_the_table() {
        assert_eq!(include_str!("../ring/ops/opcodes.md"), markdown(), "\n{}", markdown());
    }
}
