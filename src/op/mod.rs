//! Operations: one file each, with its entry, its twin, its future and its tests.
//!
//! An operation is a value ([`Op`]) that a future ([`Submit`]) hands to the driver at its first poll. To add one, write
//! its file and name it and its opcode here; no driver has to know.
//!
//! # Cancellation
//! Every function here returns a [`Submit`]: dropped before its completion, it asks the driver to cancel, and its
//! memory stays lent until the driver has answered. The operation is finished all the same, and only its output is
//! dropped: what it opened is closed, what it received is lost. [`Submit::cancel`] asks for an early end without giving
//! up the output.

mod accept;
mod accept_direct;
mod accept_multi;
mod bind;
mod cancel;
mod close;
mod connect;
pub(crate) mod ending;
mod flight;
mod fsync;
mod ftruncate;
mod install;
mod linkat;
mod listen;
mod mkdirat;
mod multi;
mod nop;
mod openat;
mod openat_direct;
mod peek;
mod poll;
mod poll_multi;
mod read;
mod readv;
mod recv;
mod recv_multi;
mod recv_provided;
mod recvmsg;
mod recvmsg_multi;
mod renameat;
mod send;
mod send_all;
mod send_zc;
mod sendmsg;
mod sendmsg_zc;
mod setsockopt;
mod shutdown;
mod socket;
mod socket_direct;
mod splice;
mod statx;
mod submit;
mod symlinkat;
mod timeout;
mod unlinkat;
mod waitid;
mod write;
mod writev;
mod zero_copy;

pub use accept::{Accept, Peer, accept};
pub use accept_direct::{AcceptDirect, accept_direct};
pub use accept_multi::{AcceptMulti, accept_multi};
pub use bind::{Bind, bind};
pub use cancel::{cancel, cancel_all};
pub use close::{Close, close};
pub use connect::{Connect, connect, connect_to, connect_unix};
pub use fsync::{Fsync, fdatasync, fsync};
pub use ftruncate::{Ftruncate, ftruncate};
pub use install::install;
pub use linkat::{LinkAt, linkat};
pub use listen::{Listen, listen};
pub use mkdirat::{MkdirAt, mkdirat};
pub use multi::{Multi, MultiOp, multi};
pub use nop::{Nop, nop};
pub use openat::{OpenAt, OpenHow, openat};
pub use openat_direct::{OpenAtDirect, openat_direct};
pub use peek::peek;
pub use poll::{Poll, poll};
pub use poll_multi::{PollMulti, poll_multi};
pub use read::{Read, read, read_at};
pub use readv::{Readv, readv, readv_at};
pub(crate) use recv::recv_tcp;
pub use recv::{Recv, recv};
pub use recv_multi::{RecvMulti, recv_multi};
pub use recv_provided::{RecvProvided, recv_provided};
pub use recvmsg::{RecvMsg, recvmsg};
pub use recvmsg_multi::{Datagram, RecvMsgMulti, recvmsg_multi};
pub use renameat::{RenameAt, renameat};
pub use send::{Send, send};
pub(crate) use send_all::send_all;
pub use send_zc::{SendZc, send_zc};
pub(crate) use sendmsg::sendmsg_unix;
pub use sendmsg::{SendMsg, sendmsg};
pub use sendmsg_zc::{SendMsgZc, send_vectored_zc};
pub use setsockopt::setsockopt;
pub use shutdown::{Shutdown, shutdown};
pub use socket::{Socket, socket};
pub use socket_direct::{SocketDirect, socket_direct};
pub use splice::{Splice, splice};
pub(crate) use splice::{splice_keeping, splice_now};
pub use statx::{Stat, fstatx, statx};
pub use submit::{Op, Submit, submit};
pub use symlinkat::{SymlinkAt, symlinkat};
pub use timeout::{Timeout, TimeoutMulti, timeout, timeout_multi};
pub use unlinkat::{UnlinkAt, rmdir, unlinkat};
pub use waitid::{WaitId, waitid};
pub use write::{Write, write, write_at};
pub use writev::{Writev, writev, writev_at};
pub use zero_copy::{Usage, ZC_FROM, ZcBuf, ZeroCopy, ZeroCopyOp};

use crate::{driver::Fd, entry::Twin, sys::unix::Kind};
use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

/// The most bytes that the kernel moves in one call; longer requests are cut, not refused.
pub(crate) const MAX_LEN: usize = 0x7fff_f000;

/// The most buffers that the kernel takes in one call.
pub(crate) const MAX_IOVECS: usize = 1024;

/// A length as an entry has it.
pub(crate) fn clamp(len: usize) -> u32 {
    len.min(MAX_LEN) as u32
}

/// A path as an entry has it.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path cannot have a NUL byte in it"))
}

/// The offset that means: where the file's own position is.
pub(crate) const HERE: u64 = u64::MAX;

/// An offset as an entry has it. The last one is taken for [`HERE`]; the one before it is refused as well (EINVAL), as
/// all are that do not fit a signed number.
pub(crate) fn place(offset: u64) -> u64 {
    offset.min(HERE - 1)
}

/// What the ring answers to an offset that no file has.
static NO_OFFSET: Twin = Twin::here(|_, _| -libc::EINVAL);
/// What it answers to a place in a socket.
static NO_PLACES: Twin = Twin::here(|_, _| -libc::ESPIPE);

/// The twin of a read or a write, of those for a file, a stream and a socket: by what the descriptor is, and by how the
/// ring takes an offset there. For a stream it does not matter, a socket has its beginning alone.
pub(crate) fn by_kind(fd: &Fd, offset: u64, twins: [&'static Twin; 3]) -> &'static Twin {
    let [file, stream, socket] = twins;
    match fd.kind() {
        Kind::File => file,
        Kind::Stream | Kind::Socket if offset != HERE && i64::try_from(offset).is_err() => &NO_OFFSET,
        Kind::Stream => stream,
        Kind::Socket if matches!(offset, HERE | 0) => socket,
        Kind::Socket => &NO_PLACES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{buf::VecBuf, entry::OPCODES, testing::socket_pair, time::timeout};
    use std::{collections::BTreeSet, fs, time::Duration};

    /// What was not written comes never.
    async fn soon<F: Future>(reading: F) -> Option<F::Output> {
        timeout(Duration::from_secs(5), reading).await.ok()
    }

    /// What a write, a vectored write, and two reads of what they wrote give at this place.
    async fn at(place: u64, from: &Fd, to: &Fd) -> [i32; 4] {
        let given = |n: io::Result<usize>| n.map_or_else(|e| -e.raw_os_error().unwrap(), |n| n as i32);
        let one = vec![1; 8];
        let written = given(write_at(to, one.clone(), place).await.0);
        let read = soon(read_at(from, vec![0; 8], place)).await.map_or(0, |done| given(done.0));
        let written_too = given(writev_at(to, VecBuf::from(vec![one]), place).await.0);
        let read_too =
            soon(readv_at(from, VecBuf::from(vec![vec![0; 8]]), place)).await.map_or(0, |done| given(done.0));
        [written, written_too, read, read_too]
    }

    /// Red when a twin asks for a place where a ring does not care, or does not where one does.
    #[crate::test]
    async fn what_has_no_places_is_read_and_written_where_it_is() {
        let (reader, writer) = io::pipe().unwrap();
        let (here, there) = (Fd::new(reader.into()), Fd::new(writer.into()));
        let (near, far) = socket_pair();
        let far = Fd::new(far.into());
        for (place, of_socket) in [(0, 8), (5, -libc::ESPIPE), (HERE, -libc::EINVAL)] {
            let of_pipe = if place == HERE { -libc::EINVAL } else { 8 };
            assert_eq!(at(place, &here, &there).await, [of_pipe; 4], "a pipe at {place}");
            assert_eq!(at(place, &near, &far).await, [of_socket; 4], "a socket at {place}");
        }
    }

    /// The opcodes that a file's entries have.
    fn opcodes(text: &str) -> BTreeSet<String> {
        let code = text.split("#[cfg(test)]").next().unwrap_or(text);
        let names = code.split("sys::IORING_OP_").skip(1);
        let names = names.filter_map(|rest| Some(rest.split_once(" as u8")?.0));
        let names = names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        names.map(String::from).collect()
    }

    /// Red when the table of opcodes names a twin that nobody has, or none where there is one.
    #[test]
    fn the_twins_of_the_table_are_the_folder() {
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/op")).unwrap();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        let with_twin = texts.filter(|text| text.contains("fn twin(&self) -> &'static Twin {"));
        // What only a ring can do says so there.
        let with_twin = with_twin.filter(|text| !text.contains("&RING_ONLY\n"));
        let there: BTreeSet<String> = with_twin.flat_map(|text| opcodes(&text)).collect();
        let listed: BTreeSet<String> =
            OPCODES.iter().filter(|opcode| opcode.twin.is_some()).map(|opcode| opcode.name().into()).collect();
        assert_eq!(listed, there);
    }
}
