//! The threads that the kernel keeps for requests that block: `IORING_REGISTER_IOWQ_AFF` and `_MAX_WORKERS`.

use super::Ring;
use crate::sys;
use std::{io, mem::size_of, ptr};

/// As many processors as the C library's own set has.
const MOST: usize = 1024;

impl Ring {
    /// Keeps the kernel's workers of this thread's rings to these processors, numbered as in `/proc/cpuinfo`. Since
    /// Linux 5.14.
    ///
    /// ```
    /// use annulus::ring::Ring;
    /// # fn main() -> std::io::Result<()> {
    /// # let Ok(ring) = Ring::new(4) else { return Ok(()) };
    /// ring.set_worker_cpus([0])?;
    /// ring.free_worker_cpus()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` for a number of 1,024 or more, and for no processor at all. `EINVAL` before Linux 5.14, for
    /// processors that this thread's group may not use, and from a thread that has made and entered no ring; `EEXIST`
    /// on a `SINGLE_ISSUER` ring from another thread; `Other` in a forked child.
    pub fn set_worker_cpus(&self, cpus: impl IntoIterator<Item = usize>) -> io::Result<()> {
        let mut mask = [0_u8; MOST / 8];
        for cpu in cpus {
            let Some(byte) = mask.get_mut(cpu / 8) else {
                let why = format!("there is no processor {cpu}: a mask has {MOST}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            };
            *byte |= 1 << (cpu % 8);
        }
        if mask.iter().all(|&byte| byte == 0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "workers need a processor: see free_worker_cpus()",
            ));
        }
        // The kernel's mask is made of whole words, each in the machine's order.
        const WORD: usize = size_of::<libc::c_ulong>();
        let mut words = [0 as libc::c_ulong; MOST / 8 / WORD];
        for (word, bytes) in words.iter_mut().zip(mask.chunks_exact(WORD)) {
            *word = libc::c_ulong::from_le_bytes(bytes.try_into().expect("chunks of that size"));
        }
        let arg = words.as_mut_ptr().cast();
        // SAFETY: Kernel's word: a mask of that many bytes, which is read before the call returns.
        unsafe { self.register(sys::IORING_REGISTER_IOWQ_AFF, arg, (MOST / 8) as u32) }.map(drop)
    }

    /// Lets the workers run where this thread's group may. Since Linux 5.14.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.14; `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `Other` in a forked child.
    pub fn free_worker_cpus(&self) -> io::Result<()> {
        // SAFETY: Kernel's word: what is unregistered here needs no argument and no count.
        unsafe { self.register(sys::IORING_UNREGISTER_IOWQ_AFF, ptr::null_mut(), 0) }.map(drop)
    }
}
