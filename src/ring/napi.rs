//! Polling network devices while a ring waits: `IORING_REGISTER_NAPI`.

use super::Ring;
use crate::sys::{self, io_uring_napi};
use std::{io, time::Duration};

/// How a waiting ring polls network devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Napi {
    /// For how long a wait polls before it sleeps, to the microsecond; 10 ms at most. 0 is not at all.
    pub busy_poll: Duration,
    /// Whether a device's own interrupts stay away while it is polled (`SO_PREFER_BUSY_POLL`).
    pub prefer: bool,
    /// Which devices are polled.
    pub tracking: Tracking,
}

/// Which devices a waiting ring polls: each is a NAPI id, as `SO_INCOMING_NAPI_ID` of a socket says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracking {
    /// Those of the sockets that were used lately.
    #[default]
    Dynamic,
    /// Those that were named with [`Ring::add_napi`]. Since Linux 6.13.
    Static,
    /// None.
    Inactive,
}

impl Napi {
    fn ask(self) -> io_uring_napi {
        let microseconds = self.busy_poll.as_nanos().div_ceil(1000);
        io_uring_napi {
            busy_poll_to: u32::try_from(microseconds).unwrap_or(u32::MAX),
            prefer_busy_poll: self.prefer.into(),
            opcode: sys::IO_URING_NAPI_REGISTER_OP as u8,
            op_param: match self.tracking {
                Tracking::Dynamic => sys::IO_URING_NAPI_TRACKING_DYNAMIC,
                Tracking::Static => sys::IO_URING_NAPI_TRACKING_STATIC,
                Tracking::Inactive => sys::IO_URING_NAPI_TRACKING_INACTIVE,
            },
            ..io_uring_napi::default()
        }
    }

    fn told(answer: &io_uring_napi) -> Napi {
        Napi {
            busy_poll: Duration::from_micros(answer.busy_poll_to.into()),
            prefer: answer.prefer_busy_poll != 0,
            tracking: match answer.op_param {
                sys::IO_URING_NAPI_TRACKING_DYNAMIC => Tracking::Dynamic,
                sys::IO_URING_NAPI_TRACKING_STATIC => Tracking::Static,
                _ => Tracking::Inactive,
            },
        }
    }
}

impl Ring {
    /// Lets the waits of this ring poll network devices for a while, before they sleep: packets are met sooner, at the
    /// cost of a processor. Gives how it was before. Since Linux 6.9.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.9, on an `IOPOLL` ring, where the kernel has no busy polling, and for other devices than
    /// `Dynamic` before Linux 6.13; `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `Other` in a forked child.
    pub fn register_napi(&self, napi: Napi) -> io::Result<Napi> {
        self.napi(sys::IORING_REGISTER_NAPI, napi.ask()).map(|before| Napi::told(&before))
    }

    /// Polls no more. Gives how it was before; of its devices, kernels tell nothing here. Since Linux 6.9.
    ///
    /// # Errors
    /// Those of [`Ring::register_napi`].
    pub fn unregister_napi(&self) -> io::Result<Napi> {
        self.napi(sys::IORING_UNREGISTER_NAPI, io_uring_napi::default()).map(|before| Napi::told(&before))
    }

    /// Names a device to poll, with [`Tracking::Static`]. Since Linux 6.13.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.13, with other tracking, and for a number that no device can have; `EEXIST` if it is
    /// named already, and on a `SINGLE_ISSUER` ring from another thread; `Other` in a forked child.
    pub fn add_napi(&self, id: u32) -> io::Result<()> {
        self.name_napi(sys::IO_URING_NAPI_STATIC_ADD_ID, id)
    }

    /// Takes back a device that was named. Since Linux 6.13.
    ///
    /// # Errors
    /// `ENOENT` if it was not; else those of [`Ring::add_napi`].
    pub fn remove_napi(&self, id: u32) -> io::Result<()> {
        self.name_napi(sys::IO_URING_NAPI_STATIC_DEL_ID, id)
    }

    fn name_napi(&self, command: u32, id: u32) -> io::Result<()> {
        let ask = io_uring_napi { opcode: command as u8, op_param: id, ..io_uring_napi::default() };
        self.napi(sys::IORING_REGISTER_NAPI, ask).map(drop)
    }

    /// Gives what the kernel wrote in place of the question.
    fn napi(&self, opcode: u32, mut ask: io_uring_napi) -> io::Result<io_uring_napi> {
        // SAFETY: Kernel's word: one structure, which is read and then written before the call returns.
        unsafe { self.register(opcode, (&raw mut ask).cast(), 1) }?;
        Ok(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a setting is not what is told of it afterwards.
    #[test]
    fn what_is_asked_is_what_is_told() {
        for tracking in [Tracking::Dynamic, Tracking::Static, Tracking::Inactive] {
            for prefer in [false, true] {
                let napi = Napi { busy_poll: Duration::from_micros(50), prefer, tracking };
                assert_eq!(Napi::told(&napi.ask()), napi);
            }
        }
        let longest = Napi { busy_poll: Duration::MAX, ..Napi::default() };
        assert_eq!(longest.ask().busy_poll_to, u32::MAX);
    }
}
