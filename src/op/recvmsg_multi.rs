//! `recvmsg(2)`: `IORING_OP_RECVMSG`, since Linux 5.3. Many times: as a multishot since 6.0.

use crate::{
    driver::Fd,
    entry::{After, BufGroup, Cqe, Flag, Interest, Multishot, RecvSendFlags, Sqe, Target, Twin},
    op::{Multi, MultiOp, Op, multi},
    pool::{PoolBuf, RecvPool},
    sys::{
        control::{ControlMessage, ControlMessages},
        recvmsg_out::{Rooms, write_header},
        sockaddr::SockAddr,
        unix::{self, ret},
    },
};
use std::{
    fmt, io,
    mem::{self, MaybeUninit},
    ops,
    os::fd::{AsRawFd, OwnedFd},
};

/// What a message of one answer would say of its sender lies in a place that all answers would share. So without the
/// flag the entry is one that the kernel refuses.
const ONE_BY_ONE: u64 = 1;

impl Sqe {
    /// Receives messages without end, each into a buffer of `group`; `flags` are `MSG_*`, but not `MSG_WAITALL`. Of the
    /// header at `header`, `msg_namelen` and `msg_controllen` say how much room in each buffer is for an address and
    /// for control data; it names no memory, and is read when this is submitted.
    ///
    /// A buffer begins with 16 bytes that say what came (`struct io_uring_recvmsg_out`), the two rooms follow, and then
    /// the message.
    ///
    /// *Result*: how many bytes of the buffer were used in all; `EFAULT` for a buffer that has no room for what comes
    /// before the message. Goes on and ends as [`recv_multi`](Sqe::recv_multi) does, but an empty message is no end.
    /// *Since* Linux 6.0. *Cancel*: while it waits. Multishot, and only with a group. *Twin*: `recvmsg(2)`, one by one.
    #[must_use]
    pub fn recvmsg_multi(fd: impl Target, header: *mut libc::msghdr, flags: i32, group: BufGroup) -> Sqe {
        let sqe = Sqe::recvmsg(fd, header, flags).buffer_select(group);
        Sqe { len: 0, ..sqe }.recv_send_flags(RecvSendFlags::MULTISHOT)
    }
}

pub(super) static MULTISHOT: Multishot = Multishot {
    flag: Some(Flag {
        name: "RECVMSG_MULTISHOT",
        set: |sqe| Sqe { off: 0, ..sqe }.recv_send_flags(RecvSendFlags::MULTISHOT),
    }),
    after,
};

/// What a datagram sent earlier met on its way is told once, and the socket goes on.
fn after(res: i32) -> After {
    match -res {
        ..0 | libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH => After::More,
        libc::EMSGSIZE | libc::ENOPROTOOPT | libc::EHOSTDOWN => After::More,
        _ => After::End,
    }
}

static TWIN: Twin = Twin::ready(Interest::Read, call);

/// Does with a chosen buffer what the kernel does: the header of the operation is at `addr3`, where whoever chose the
/// buffer has put what was at `addr`.
unsafe fn call(sqe: &Sqe, _attempt: u32) -> i32 {
    let (at, template) = (sqe.addr as *mut u8, sqe.addr3 as *const libc::msghdr);
    // SAFETY: Lent: the header stays, unchanged, until completion; null if nobody has chosen a buffer.
    let Some(template) = (unsafe { template.as_ref() }) else { return -libc::EINVAL };
    let rooms = rooms(template);
    let Some(room) = (sqe.len as usize).checked_sub(rooms.start()) else { return -libc::EFAULT };
    let mut part = libc::iovec { iov_base: at.wrapping_add(rooms.start()).cast(), iov_len: room };
    // SAFETY: Plain bytes: all zeros are a header, of a message without anything.
    let mut header = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    header.msg_name = at.wrapping_add(rooms.name_at()).cast();
    header.msg_namelen = template.msg_namelen;
    header.msg_control = at.wrapping_add(rooms.control_at()).cast();
    header.msg_controllen = template.msg_controllen;
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    let flags = sqe.op_flags as i32 | libc::MSG_DONTWAIT;
    // SAFETY: Lent: the chosen buffer is this call's alone, and all parts were just found to fit into it.
    let n = ret(unsafe { libc::recvmsg(sqe.fd, &mut header, flags) });
    if n < 0 {
        return n;
    }
    let len = room.min(n as usize);
    let lens = [header.msg_namelen, header.msg_controllen as u32, len as u32];
    // SAFETY: Lent: the buffer begins with room for the header.
    unsafe { write_header(at, lens, header.msg_flags) };
    (rooms.start() + len) as i32
}

/// The rooms that a header asks for.
fn rooms(header: &libc::msghdr) -> Rooms {
    #[allow(clippy::unnecessary_cast, reason = "C libraries do not agree on the type")]
    Rooms { name: header.msg_namelen as usize, control: header.msg_controllen as usize }
}

/// The receiving of messages without end, as an operation.
pub struct RecvMsgMulti {
    fd: Fd,
    pool: RecvPool,
    /// Says how much room there is for what. It names no memory.
    header: Box<libc::msghdr>,
}

// SAFETY: Lent: the entry names the header, which lies in a box of its own, and the buffers of a pool that is kept.
unsafe impl Op for RecvMsgMulti {
    type Output = Option<io::Result<Datagram>>;

    fn twin(&self) -> &'static Twin {
        &TWIN
    }

    fn fd(&self) -> Option<&Fd> {
        Some(&self.fd)
    }

    fn pool(&self) -> Option<&RecvPool> {
        Some(&self.pool)
    }

    fn encode(&mut self) -> Sqe {
        let sqe = Sqe::recvmsg(self.fd.as_raw_fd(), &raw mut *self.header, 0);
        self.pool.select(Sqe { len: 0, off: ONE_BY_ONE, ..sqe })
    }

    fn finish(mut self, cqe: Cqe) -> Self::Output {
        match -cqe.res {
            libc::ECANCELED => None,
            libc::EINVAL => {
                let why = "the kernel refuses to receive many messages by one request (it can since Linux 6.0), \
                           or the descriptor is none to receive from; receive them one by one";
                Some(Err(io::Error::new(io::ErrorKind::Unsupported, why)))
            }
            _ => Some(self.each(cqe)),
        }
    }
}

// SAFETY: Lent: `each` touches the buffer that was given back, and reads from the header what it was made with.
unsafe impl MultiOp for RecvMsgMulti {
    type Item = io::Result<Datagram>;

    fn multishot(&self) -> &'static Multishot {
        &MULTISHOT
    }

    fn each(&mut self, cqe: Cqe) -> Self::Item {
        let filled = self.pool.filled(cqe);
        cqe.result()?;
        filled
            .and_then(|buf| Datagram::new(buf, rooms(&self.header)))
            .ok_or_else(|| io::Error::other("annulus: the kernel received a message into no buffer"))
    }
}

impl fmt::Debug for RecvMsgMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMsgMulti").field("fd", &self.fd).field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// A message in a buffer of a pool. It is the bytes of the message; what came along is asked of its methods.
#[derive(Debug)]
pub struct Datagram {
    payload: PoolBuf,
    control: PoolBuf,
    addr: SockAddr,
    flags: i32,
    fds: Vec<OwnedFd>,
}

impl Datagram {
    /// Takes apart what the kernel wrote. `None` if it is too short for a message.
    fn new(mut buf: PoolBuf, rooms: Rooms) -> Option<Datagram> {
        let layout = rooms.layout(&buf)?;
        let addr = SockAddr::from_bytes(&buf[layout.name]).unwrap_or_else(|_| SockAddr::none());
        let numbers = ControlMessages::new(&buf[layout.control.clone()]).flat_map(ControlMessage::descriptors);
        // SAFETY: Fresh descriptor: it has just come with this message, which is taken apart once.
        let fds = numbers.map(|fd| unsafe { unix::arrived(fd) }).collect();
        buf.truncate(layout.payload.end);
        let payload = buf.split_off(layout.payload.start);
        buf.truncate(layout.control.end);
        buf.advance(layout.control.start);
        Some(Datagram { payload, control: buf, addr, flags: layout.flags, fds })
    }

    /// Who it is from.
    #[must_use]
    pub fn addr(&self) -> &SockAddr {
        &self.addr
    }

    /// The control data that came with it, in the system's form.
    #[must_use]
    pub fn control_bytes(&self) -> &[u8] {
        &self.control
    }

    /// The descriptors that came with it.
    #[must_use]
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        mem::take(&mut self.fds)
    }

    /// Whether the message was longer than the buffer, and what did not fit is lost (`MSG_TRUNC`).
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.flags & libc::MSG_TRUNC != 0
    }

    /// Whether there was more control data than room, and what did not fit is lost (`MSG_CTRUNC`).
    #[must_use]
    pub fn is_control_truncated(&self) -> bool {
        self.flags & libc::MSG_CTRUNC != 0
    }

    /// The bytes alone, as a buffer that can be sent on.
    #[must_use]
    pub fn into_payload(self) -> PoolBuf {
        self.payload
    }
}

impl ops::Deref for Datagram {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.payload
    }
}

/// Receives messages, each into a buffer of `pool`, by one request where the kernel can (since Linux 6.0).
///
/// Beside the message, a buffer has a header of 16 bytes, and room for `name` bytes of its sender's address and for
/// `control` bytes of control data. While no buffer is on offer it waits for one to come back; what is sent meanwhile
/// waits in the socket as far as there is room.
///
/// What a message sent earlier met on its way (`ECONNREFUSED`) is an item, and the stream goes on; any other error is
/// the last. It is made for datagrams: on a stream, its end is an empty message again and again. How many buffers it
/// may have, [`RecvPool::set_stream_limit`] says.
///
/// A stream whose `pool` belongs to another runtime than the one that polls it answers `EXDEV`, and on Linux 5.19 it
/// answers `Unsupported`: there are pools, but no such request.
///
/// # Errors
/// `InvalidInput` when a buffer of the pool has no room for a byte of a message.
pub fn recvmsg_multi(fd: &Fd, pool: &RecvPool, name: usize, control: usize) -> io::Result<Multi<RecvMsgMulti>> {
    let needed = Rooms { name, control }.start();
    if pool.buf_size() as usize <= needed {
        let why = format!("buffers of {} bytes are too small: {needed} are for what comes along", pool.buf_size());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // SAFETY: Plain bytes: a header of zeros names no memory, and is none to send or receive by.
    let mut header = Box::new(unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() });
    (header.msg_namelen, header.msg_controllen) = (name as libc::socklen_t, control as _);
    Ok(multi(RecvMsgMulti { fd: fd.clone(), pool: pool.clone(), header }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::settle,
        time::{sleep, timeout},
    };
    use std::{net::UdpSocket, os::unix::net::UnixDatagram, time::Duration};

    const SOON: Duration = Duration::from_secs(5);

    /// Red when the twin writes another form than the kernel, or a buffer is lost.
    #[crate::test]
    async fn datagrams_of_all_sizes_come_with_their_sender() {
        let pool = RecvPool::new(4, 16 + 28 + 1000).unwrap();
        let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let b = Fd::new(b.into());
        let mut stream = recvmsg_multi(&b, &pool, 28, 0).unwrap();
        for len in (0..50).chain([999, 1000, 1001, 3000]) {
            let sent: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            a.send_to(&sent, to).unwrap();
            let came = timeout(SOON, stream.next()).await.expect("it hangs").unwrap().unwrap();
            assert_eq!((came.addr().to_std().unwrap(), came.is_truncated()), (from, len > 1000), "{len}");
            assert!(came[..] == sent[..len.min(1000)], "{len}: {}", came.len());
        }
        drop(stream);
        settle().await;
        assert_eq!(pool.offered(), 4);
    }

    /// Red when a stream that starves is not fed.
    #[crate::test]
    async fn a_lack_of_buffers_is_waited_for() {
        let pool = RecvPool::new(2, 128).unwrap();
        pool.set_stream_limit(u32::MAX);
        let (a, b) = UnixDatagram::pair().unwrap();
        let mut stream = recvmsg_multi(&Fd::new(b.into()), &pool, 0, 0).unwrap();
        let mut kept = Vec::new();
        for n in 0..4u8 {
            a.send(&[n]).unwrap();
        }
        for n in 0..4u8 {
            if kept.len() == 2 {
                assert!(timeout(Duration::from_millis(5), stream.next()).await.is_err(), "both are kept");
                kept.clear();
            }
            let came = timeout(SOON, stream.next()).await.expect("it starves").unwrap().unwrap();
            assert_eq!(came[..], [n]);
            kept.push(came);
        }
        // Bytes that are sent on need no copy.
        let payload = kept.pop().unwrap().into_payload();
        assert_eq!(payload[..], [3]);
    }

    /// Red when an error that is an earlier message's ends the stream.
    #[crate::test]
    async fn what_a_message_met_on_its_way_is_no_end() {
        let pool = RecvPool::new(2, 128).unwrap();
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        let there = b.local_addr().unwrap();
        a.connect(there).unwrap();
        drop(b);
        let (fd, a) = (Fd::new(a.try_clone().unwrap().into()), a);
        let mut stream = recvmsg_multi(&fd, &pool, 28, 0).unwrap();
        for _ in 0..3 {
            a.send(b"nobody").unwrap();
            let told = timeout(SOON, stream.next()).await.expect("it hangs").unwrap();
            assert_eq!(told.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
        UdpSocket::bind(there).unwrap().send_to(b"here", a.local_addr().unwrap()).unwrap();
        assert_eq!(timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap()[..], *b"here");
    }

    /// Red when descriptors that come with a message are only bytes, or one that nobody fetches keeps them.
    #[crate::test]
    async fn descriptors_come_along_and_are_closed_with_their_message() {
        use crate::{buf::Envelope, op};
        use std::io::Read;
        let pool = RecvPool::new(4, 256).unwrap();
        pool.set_stream_limit(u32::MAX);
        let (a, b) = UnixDatagram::pair().unwrap();
        let a = Fd::new(a.into());
        let mut stream = recvmsg_multi(&Fd::new(b.into()), &pool, 0, Envelope::space(4)).unwrap();
        let mut readers = Vec::new();
        for _ in 0..3 {
            let (reader, writer) = io::pipe().unwrap();
            let mut envelope = Envelope::new();
            envelope.send_fds(vec![writer.into()]);
            drop(op::sendmsg(&a, "x", envelope).await);
            readers.push(reader);
        }
        let mut first = timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap();
        drop(timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap());
        let fds = first.take_fds();
        assert_eq!(fds.len(), 1);
        sleep(Duration::from_millis(5)).await;
        drop(stream);
        settle().await;
        for (n, reader) in readers.iter_mut().enumerate().skip(1) {
            crate::sys::unix::set_nonblocking(reader.as_raw_fd(), true).unwrap();
            assert_eq!(reader.read(&mut [0]).expect("its other end is closed"), 0, "{n}");
        }
        drop(fds);
        assert_eq!(readers[0].read(&mut [0]).unwrap(), 0);
    }

    #[crate::test]
    async fn small_buffers_and_foreign_descriptors_are_errors() {
        let pool = RecvPool::new(2, 44).unwrap();
        let socket = Fd::new(UdpSocket::bind("127.0.0.1:0").unwrap().into());
        for (name, control) in [(28, 0), (0, 28), (usize::MAX, 1), (1 << 40, 1 << 40)] {
            let refused = recvmsg_multi(&socket, &pool, name, control).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
        let file = Fd::new(std::fs::File::open("Cargo.toml").unwrap().into());
        let mut stream = recvmsg_multi(&file, &pool, 0, 0).unwrap();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
        assert!(stream.next().await.is_none());
    }
}
