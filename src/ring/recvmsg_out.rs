//! A message in a buffer that the kernel chose, as a multishot `IORING_OP_RECVMSG` leaves it.

use crate::sys::{
    control::ControlMessages,
    recvmsg_out::{Layout, Rooms},
    sockaddr::SockAddr,
};
use std::io;

/// A message that was received into a provided buffer, taken apart. Since Linux 6.0.
///
/// In the buffer stand a header, the room that was asked for the sender's address and for control data
/// (`msg_namelen` and `msg_controllen` of the request), and what was received. Lengths that exceed the room or the
/// bytes are cut to them.
///
/// ```
/// use annulus::ring::RecvMsgOut;
///
/// // 0 bytes of an address, 0 of control data, 2 of a message of which more was sent (MSG_TRUNC).
/// let mut bytes = [0u32, 0, 2, 0x20].map(u32::to_ne_bytes).concat();
/// bytes.extend_from_slice(b"hi");
/// let message = RecvMsgOut::parse(&bytes, 0, 0).unwrap();
/// assert_eq!((message.payload(), message.is_truncated()), (&b"hi"[..], true));
/// assert!(RecvMsgOut::parse(&bytes, 16, 0).is_none(), "no room for an address is in these bytes");
/// ```
#[derive(Clone, Debug)]
pub struct RecvMsgOut<'a> {
    bytes: &'a [u8],
    at: Layout,
    rooms: Rooms,
}

impl<'a> RecvMsgOut<'a> {
    /// Takes `bytes` apart: the buffer of a completion, cut to its result. `name` and `control` are the `msg_namelen`
    /// and `msg_controllen` that the request had. `None` if there are fewer bytes than [`RecvMsgOut::overhead`].
    #[must_use]
    pub fn parse(bytes: &'a [u8], name: usize, control: usize) -> Option<RecvMsgOut<'a>> {
        let rooms = Rooms { name, control };
        Some(RecvMsgOut { bytes, at: rooms.layout(bytes)?, rooms })
    }

    /// Bytes of a buffer that are not for the message, with so much room for an address and for control data.
    #[must_use]
    pub fn overhead(name: usize, control: usize) -> usize {
        Rooms { name, control }.start()
    }

    /// The sender's address as the kernel has it, cut to the room.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        &self.bytes[self.at.name.clone()]
    }

    /// The sender's address.
    ///
    /// # Errors
    /// `InvalidInput` if there is none.
    pub fn addr(&self) -> io::Result<SockAddr> {
        SockAddr::from_bytes(self.name())
    }

    /// The control data that came along.
    #[must_use]
    pub fn control(&self) -> ControlMessages<'a> {
        ControlMessages::new(&self.bytes[self.at.control.clone()])
    }

    /// What was received.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.at.payload.clone()]
    }

    /// The `MSG_*` of the message.
    #[must_use]
    pub fn flags(&self) -> i32 {
        self.at.flags
    }

    /// Whether the message was longer than its room, and what did not fit is lost.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.at.flags & libc::MSG_TRUNC != 0
    }

    /// Whether there was more control data than room, and what did not fit is lost.
    #[must_use]
    pub fn is_control_truncated(&self) -> bool {
        self.at.flags & libc::MSG_CTRUNC != 0
    }

    /// Whether the address was longer than its room.
    #[must_use]
    pub fn is_name_truncated(&self) -> bool {
        self.at.name_len > self.rooms.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::control::ControlMessage;
    use std::net::SocketAddr;

    /// Red when a part is taken from the place of another.
    #[test]
    fn each_part_is_what_was_put_there() {
        let from: SocketAddr = "127.0.0.1:53".parse().unwrap();
        let addr = SockAddr::from(from);
        let mut control = Vec::new();
        ControlMessage { level: 1, kind: 2, data: b"beside" }.append_to(&mut control);
        let lens = [addr.as_bytes().len() as u32, control.len() as u32, 4, libc::MSG_CTRUNC as u32];
        let mut bytes = lens.map(u32::to_ne_bytes).concat();
        bytes.extend_from_slice(addr.as_bytes());
        bytes.resize(16 + 28, 0xff);
        bytes.extend_from_slice(&control);
        bytes.resize(16 + 28 + 64, 0xff);
        bytes.extend_from_slice(b"text");
        assert_eq!(RecvMsgOut::overhead(28, 64), bytes.len() - 4);
        let message = RecvMsgOut::parse(&bytes, 28, 64).unwrap();
        assert_eq!((message.addr().unwrap().to_std().unwrap(), message.payload()), (from, &b"text"[..]));
        assert_eq!(message.control().map(|m| m.data).collect::<Vec<_>>(), [b"beside"]);
        assert!(message.is_control_truncated() && !message.is_truncated() && !message.is_name_truncated());
        let short = RecvMsgOut::parse(&bytes, 4, 64).unwrap();
        assert!(short.is_name_truncated() && short.name().len() == 4);
    }
}
