//! What a message has beside its bytes.

use crate::sys::{
    control::{self, ControlMessage, ControlMessages},
    sockaddr::SockAddr,
    unix,
};
use std::{
    fmt, io,
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, OwnedFd},
};

/// What a message has beside its bytes: an address, control data (`cmsg(3)`), descriptors.
///
/// As a buffer it is lent to an operation and given back, and can be used again, so that messages cost no allocation.
/// What is sent with a message and what came with one are kept apart: an envelope that brought something can be sent
/// on, and sends only what was put in.
///
/// ```
/// use annulus::net::Envelope;
///
/// let mut envelope = Envelope::new();
/// envelope.set_addr("127.0.0.1:80".parse::<std::net::SocketAddr>().unwrap());
/// assert_eq!(envelope.addr().to_std()?.port(), 80);
/// # std::io::Result::Ok(())
/// ```
pub struct Envelope(Box<Inner>);

struct Inner {
    /// What the kernel is given. It is made anew for each message, and names the fields below.
    header: libc::msghdr,
    part: libc::iovec,
    addr: SockAddr,
    /// Control data to be sent.
    outgoing: Vec<u8>,
    /// The descriptors that it names.
    sent: Vec<OwnedFd>,
    /// Room for control data, and how much of it was used.
    incoming: Vec<u8>,
    came: usize,
    flags: i32,
    /// The descriptors that came.
    arrived: Vec<OwnedFd>,
}

impl Envelope {
    /// An envelope without an address or control data, and without room for any.
    #[must_use]
    pub fn new() -> Envelope {
        // SAFETY: Plain bytes: a header of zeros names no memory.
        let header = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
        Envelope(Box::new(Inner {
            header,
            part: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            addr: SockAddr::none(),
            outgoing: Vec::new(),
            sent: Vec::new(),
            incoming: Vec::new(),
            came: 0,
            flags: 0,
            arrived: Vec::new(),
        }))
    }

    /// Where the message goes, or where it came from.
    #[must_use]
    pub fn addr(&self) -> &SockAddr {
        &self.0.addr
    }

    /// Sets where the message goes.
    pub fn set_addr(&mut self, addr: impl Into<SockAddr>) {
        self.0.addr = addr.into();
    }

    /// Sends the message to whom the socket is connected to.
    pub fn clear_addr(&mut self) {
        self.0.addr = SockAddr::none();
    }

    /// Sends control data along; what was there of the same level and kind is replaced.
    ///
    /// # Errors
    /// `InvalidInput` for descriptors: [`Envelope::send_fds`] sends those, which knows whose they are.
    pub fn push(&mut self, level: i32, kind: i32, data: &[u8]) -> io::Result<()> {
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            let why = "numbers of descriptors are not sent as bytes; use Envelope::send_fds";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        control::remove(&mut self.0.outgoing, level, kind);
        ControlMessage { level, kind, data }.append_to(&mut self.0.outgoing);
        Ok(())
    }

    /// Sends descriptors along, instead of those from before. They stay open in the envelope until it goes or
    /// [`clear`](Envelope::clear)s; the receiver gets descriptors of its own.
    pub fn send_fds(&mut self, fds: Vec<OwnedFd>) {
        let inner = &mut *self.0;
        control::remove(&mut inner.outgoing, libc::SOL_SOCKET, libc::SCM_RIGHTS);
        if !fds.is_empty() {
            let numbers: Vec<u8> = fds.iter().flat_map(|fd| fd.as_raw_fd().to_ne_bytes()).collect();
            ControlMessage { level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, data: &numbers }
                .append_to(&mut inner.outgoing);
        }
        inner.sent = fds;
    }

    /// Takes all control data and descriptors out that would be sent, and gives the descriptors.
    pub fn clear(&mut self) -> Vec<OwnedFd> {
        self.0.outgoing.clear();
        mem::take(&mut self.0.sent)
    }

    /// Makes room for as many bytes of control data to come, headers included; see [`Envelope::space`].
    pub fn set_room(&mut self, bytes: usize) {
        self.0.incoming.clear();
        self.0.incoming.resize(bytes, 0);
        self.0.came = 0;
    }

    /// Makes room for so many descriptors to come, and for nothing else.
    pub fn set_room_for_fds(&mut self, most: usize) {
        // Not a byte more: the kernel would fill it.
        self.set_room(if most == 0 { 0 } else { control::header_len() + most * size_of::<i32>() });
    }

    /// The room that control data with `len` bytes of content takes.
    #[must_use]
    pub fn space(len: usize) -> usize {
        ControlMessage::space(len)
    }

    /// The control data that came, as it came.
    pub(crate) fn control_bytes(&self) -> &[u8] {
        &self.0.incoming[..self.0.came]
    }

    /// The control data that came. Descriptors are not among it: they are [`Envelope::take_fds`]'.
    pub fn control(&self) -> impl Iterator<Item = ControlMessage<'_>> {
        ControlMessages::new(self.control_bytes()).filter(|m| (m.level, m.kind) != (libc::SOL_SOCKET, libc::SCM_RIGHTS))
    }

    /// The descriptors that came. Children do not inherit them.
    #[must_use]
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        mem::take(&mut self.0.arrived)
    }

    /// Whether the message was longer than the buffer, and what did not fit is lost (`MSG_TRUNC`).
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.0.flags & libc::MSG_TRUNC != 0
    }

    /// Whether there was more control data than room, and what did not fit is lost, descriptors too (`MSG_CTRUNC`).
    #[must_use]
    pub fn is_control_truncated(&self) -> bool {
        self.0.flags & libc::MSG_CTRUNC != 0
    }

    /// The `MSG_*` that came with the message.
    #[must_use]
    pub fn flags(&self) -> i32 {
        self.0.flags
    }

    /// The header of a message of `len` bytes at `bytes`, with everything that is to be sent along. It is true until
    /// the envelope is touched again.
    pub(crate) fn lend_to_send(&mut self, bytes: *const u8, len: usize) -> *const libc::msghdr {
        let inner = &mut *self.0;
        inner.part = libc::iovec { iov_base: bytes.cast_mut().cast(), iov_len: len };
        inner.header.msg_namelen = inner.addr.len();
        let (control, room) = (inner.outgoing.as_mut_ptr(), inner.outgoing.len());
        inner.point(control, room)
    }

    /// The header of a message to come, with room for `len` bytes at `buf` and for whatever comes along. What came
    /// before is dropped.
    pub(crate) fn lend_to_receive(&mut self, buf: *mut u8, len: usize) -> *mut libc::msghdr {
        let inner = &mut *self.0;
        (inner.came, inner.flags) = (0, 0);
        inner.arrived.clear();
        inner.addr = SockAddr::room();
        inner.part = libc::iovec { iov_base: buf.cast(), iov_len: len };
        inner.header.msg_namelen = inner.addr.len();
        let (control, room) = (inner.incoming.as_mut_ptr(), inner.incoming.len());
        inner.point(control, room)
    }

    /// Takes in what the kernel wrote, and the descriptors that it gave.
    ///
    /// # Safety
    /// **Kernel's word**: a message was received by the header of [`Envelope::lend_to_receive`], and this was not
    /// called for it before.
    pub(crate) unsafe fn received(&mut self) {
        let inner = &mut *self.0;
        inner.addr.set_len(inner.header.msg_namelen);
        #[allow(clippy::unnecessary_cast, reason = "C libraries do not agree on the type")]
        let said = inner.header.msg_controllen as usize;
        inner.came = said.min(inner.incoming.len());
        inner.flags = inner.header.msg_flags;
        let numbers = ControlMessages::new(&inner.incoming[..inner.came]).flat_map(ControlMessage::descriptors);
        // SAFETY: Fresh descriptor: the kernel has just put it there for this message, and it is taken once.
        inner.arrived.extend(numbers.map(|fd| unsafe { unix::arrived(fd) }));
    }

    /// Nothing came: there is no address either.
    pub(crate) fn failed(&mut self) {
        self.0.addr = SockAddr::none();
    }
}

impl Inner {
    /// Lets the header name the rest. The address's length was set before.
    fn point(&mut self, control: *mut u8, room: usize) -> *mut libc::msghdr {
        let addr = self.addr.room_ptrs().0;
        let header = &mut self.header;
        header.msg_name = if header.msg_namelen == 0 { std::ptr::null_mut() } else { addr.cast() };
        (header.msg_iov, header.msg_iovlen) = (&raw mut self.part, 1);
        header.msg_control = if room == 0 { std::ptr::null_mut() } else { control.cast() };
        header.msg_controllen = room as _;
        header.msg_flags = 0;
        &raw mut self.header
    }
}

impl Default for Envelope {
    fn default() -> Envelope {
        Envelope::new()
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("addr", self.addr())
            .field("flags", &self.0.flags)
            .field("fds", &self.0.arrived)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn null() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    /// Red when a length that the kernel wrote is believed: a slice beyond the room is a panic.
    #[test]
    fn what_the_kernel_says_is_cut_to_the_room() {
        let mut envelope = Envelope::new();
        envelope.set_room(Envelope::space(4));
        let header = envelope.lend_to_receive([0u8; 4].as_mut_ptr(), 4);
        // SAFETY: Steady: the header is alive, and ours.
        unsafe { (*header).msg_controllen = usize::MAX as _ };
        // SAFETY: Steady: likewise.
        unsafe { (*header).msg_namelen = u32::MAX };
        // SAFETY: Kernel's word: we play the kernel, and give no descriptors.
        unsafe { envelope.received() };
        assert_eq!(envelope.control().count(), 0, "a header of zeros is none");
        assert!(envelope.addr().as_bytes().len() <= size_of::<libc::sockaddr_storage>());
    }

    #[test]
    fn descriptors_are_not_bytes() {
        let mut envelope = Envelope::new();
        let refused = envelope.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[0; 4]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        envelope.send_fds(vec![null(), null()]);
        envelope.push(1000, 1, b"x").unwrap();
        envelope.push(1000, 1, b"yz").unwrap();
        assert_eq!(
            envelope.0.outgoing.len(),
            ControlMessage::space(8) + ControlMessage::space(2),
            "replaced, not added"
        );
        assert_eq!(envelope.clear().len(), 2);
        assert!(envelope.0.outgoing.is_empty());
        envelope.send_fds(Vec::new());
        assert!(envelope.0.outgoing.is_empty());
    }
}
