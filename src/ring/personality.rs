//! Credentials that entries may act with: `IORING_REGISTER_PERSONALITY`.

use super::{Personality, Ring};
use crate::sys;
use std::{io, ptr};

impl Ring {
    /// Keeps the credentials that this thread has now (user, groups, capabilities, and what a security module adds),
    /// for entries that name them with [`Sqe::personality`](crate::entry::Sqe::personality). They stay until
    /// [`Ring::unregister_personality`] or the end of the ring, whatever becomes of the thread. Since Linux 5.6.
    ///
    /// ```
    /// use annulus::ring::{Ring, Sqe};
    /// # fn main() -> std::io::Result<()> {
    /// # let Ok(mut ring) = Ring::new(4) else { return Ok(()) };
    /// let me = ring.register_personality()?;
    /// // SAFETY: Lent: an entry that does nothing names nothing, whoever does it.
    /// unsafe { ring.push(&Sqe::nop().personality(me)) }?;
    /// ring.submit_and_wait(1)?;
    /// assert_eq!(ring.completions().next().map(|cqe| cqe.res), Some(0));
    /// ring.unregister_personality(me)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.6; `EBUSY` or `ENOMEM` when there are 65,535 already; `EEXIST` on a `SINGLE_ISSUER` ring
    /// from another thread; `Other` in a forked child.
    pub fn register_personality(&self) -> io::Result<Personality> {
        // SAFETY: Kernel's word: credentials are taken from the thread, so there is no argument.
        let id = unsafe { self.register(sys::IORING_REGISTER_PERSONALITY, ptr::null_mut(), 0) }?;
        match u16::try_from(id) {
            Ok(id) if id != 0 => Ok(Personality(id)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("the kernel named credentials {id}"))),
        }
    }

    /// Lets go of credentials. Entries that were submitted with them go on with them; later ones get `EINVAL`.
    ///
    /// # Errors
    /// `EINVAL` if there are none of this id; `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `Other` in a
    /// forked child.
    pub fn unregister_personality(&self, id: Personality) -> io::Result<()> {
        // SAFETY: Kernel's word: the id is given in place of a count, and there is no memory.
        unsafe { self.register(sys::IORING_UNREGISTER_PERSONALITY, ptr::null_mut(), id.0.into()) }.map(drop)
    }
}
