//! What a family of opcodes can be told beside its arguments: one type for each word that the kernel reads it from.

use crate::{entry::Sqe, sys};

bitflags::bitflags! {
    /// `IORING_ACCEPT_*`: how to accept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct AcceptFlags: u16 {
        /// Accepts again and again, with a completion for each connection. Since Linux 5.19.
        const MULTISHOT = sys::IORING_ACCEPT_MULTISHOT as u16;
        /// Answers `EAGAIN` when nobody is there, instead of waiting. Since Linux 6.10.
        const DONTWAIT = sys::IORING_ACCEPT_DONTWAIT as u16;
        /// Waits for readiness first: for a listener that is known to have nobody. Since Linux 6.10.
        const POLL_FIRST = sys::IORING_ACCEPT_POLL_FIRST as u16;
    }
}

bitflags::bitflags! {
    /// `IORING_RECVSEND_*` and its like: how to send or to receive.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct RecvSendFlags: u16 {
        /// Waits for readiness first: for a socket that is known to be empty, or full. Since Linux 5.19.
        const POLL_FIRST = sys::IORING_RECVSEND_POLL_FIRST as u16;
        /// Receives again and again, each time into a buffer of the group. Since Linux 6.0.
        const MULTISHOT = sys::IORING_RECV_MULTISHOT as u16;
        /// The bytes lie in the registered buffer that the entry names. For zero-copy sends since Linux 6.0, for those
        /// of messages 6.15, for plain sends and receives 7.2.
        const FIXED_BUF = sys::IORING_RECVSEND_FIXED_BUF as u16;
        /// A zero-copy send's notification says whether the bytes were [copied](crate::entry::Cqe::was_copied) all the
        /// same. Since Linux 6.2.
        const REPORT_USAGE = sys::IORING_SEND_ZC_REPORT_USAGE as u16;
        /// Goes over several buffers of the group by one completion. Since Linux 6.10.
        const BUNDLE = sys::IORING_RECVSEND_BUNDLE as u16;
        /// `SEND` and `SEND_ZC`: what is named are an array of buffers and their number. Since Linux 6.17.
        const VECTORIZED = sys::IORING_SEND_VECTORIZED as u16;
    }
}

bitflags::bitflags! {
    /// `IORING_TIMEOUT_*`: how time is measured, and what its end means.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct TimeoutFlags: u32 {
        /// The time is a point and no length. Since Linux 5.5.
        const ABS = sys::IORING_TIMEOUT_ABS;
        /// On `CLOCK_BOOTTIME`, which goes on while the machine sleeps. Since Linux 5.15.
        const BOOTTIME = sys::IORING_TIMEOUT_BOOTTIME;
        /// On `CLOCK_REALTIME`, which somebody may set. Since Linux 5.15.
        const REALTIME = sys::IORING_TIMEOUT_REALTIME;
        /// That the time has passed is no failure to what is linked behind. The result is `-ETIME` all the same. Since
        /// Linux 5.16.
        const ETIME_SUCCESS = sys::IORING_TIMEOUT_ETIME_SUCCESS;
        /// Begins again each time. Since Linux 6.4.
        const MULTISHOT = sys::IORING_TIMEOUT_MULTISHOT;
    }
}

/// What belongs to a family of opcodes. On an entry of another one they mean something else, or `EINVAL`.
impl Sqe {
    /// For accepts.
    #[must_use]
    pub const fn accept_flags(mut self, flags: AcceptFlags) -> Sqe {
        self.ioprio |= flags.bits();
        self
    }

    /// For what sends and receives: send, sendmsg, recv, recvmsg and the zero-copy ones.
    #[must_use]
    pub const fn recv_send_flags(mut self, flags: RecvSendFlags) -> Sqe {
        self.ioprio |= flags.bits();
        self
    }

    /// For timeouts, those of links, and what changes them.
    #[must_use]
    pub const fn timeout_flags(mut self, flags: TimeoutFlags) -> Sqe {
        self.op_flags |= flags.bits();
        self
    }

    /// From the registered buffer `index`, for sends and receives.
    #[must_use]
    pub(crate) const fn by_index(mut self, index: crate::entry::BufIndex) -> Sqe {
        self.buf_index = index.0;
        self.recv_send_flags(RecvSendFlags::FIXED_BUF)
    }
}

/// The word for a mask of `POLL*`: the kernel wants its halves exchanged on big-endian machines.
pub(crate) const fn poll_word(mask: u32) -> u32 {
    if cfg!(target_endian = "big") { mask.rotate_left(16) } else { mask }
}

/// Two numbers of 32 bits in one of 64, in the order of their addresses.
pub(crate) fn two_words(first: u32, second: u32) -> u64 {
    let [first, second] = [first.to_ne_bytes(), second.to_ne_bytes()];
    u64::from_ne_bytes(std::array::from_fn(|at| if at < 4 { first[at] } else { second[at - 4] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_added_to_what_was_there() {
        let sqe = Sqe::nop().accept_flags(AcceptFlags::MULTISHOT).accept_flags(AcceptFlags::POLL_FIRST);
        assert_eq!(u32::from(sqe.ioprio), sys::IORING_ACCEPT_MULTISHOT | sys::IORING_ACCEPT_POLL_FIRST);
        let sqe = Sqe::nop().timeout_flags(TimeoutFlags::ABS).timeout_flags(TimeoutFlags::BOOTTIME);
        assert_eq!(sqe.op_flags, sys::IORING_TIMEOUT_ABS | sys::IORING_TIMEOUT_BOOTTIME);
    }

    #[test]
    fn words_lie_as_in_memory() {
        assert_eq!(two_words(1, 2).to_ne_bytes(), *[1u32.to_ne_bytes(), 2u32.to_ne_bytes()].as_flattened());
        let swapped = if cfg!(target_endian = "big") { 0x0001_2000 } else { 0x2000_0001 };
        assert_eq!(poll_word(0x2000_0001), swapped);
    }
}
