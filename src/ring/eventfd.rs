//! A counter that the kernel raises when there are completions: `IORING_REGISTER_EVENTFD`.

use super::Ring;
use crate::sys;
use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    ptr,
};

impl Ring {
    /// Lets the kernel raise `eventfd` when completions come, so that a loop that waits for descriptors wakes for them;
    /// on a ring with `DEFER_TASKRUN` also when work waits for an enter, of which the ring's own descriptor wakes
    /// nobody (Linux 6.12 was seen to lose such a signal: do not sleep without a limit there). Completions that come
    /// together raise it once: read the counter, then all there is. The kernel keeps the counter alive. A ring has one.
    /// Since Linux 5.2.
    ///
    /// ```
    /// use annulus::ring::{Ring, SetupFlags, Sqe};
    /// # use std::{fs::File, io::{Read, Write}, os::{fd::{AsRawFd, FromRawFd, OwnedFd}, unix::net::UnixStream}};
    /// # fn main() -> std::io::Result<()> {
    /// let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    /// # let Ok(mut ring) = Ring::builder().flags(deferred).build(8) else { return Ok(()) };
    /// // SAFETY: makes a descriptor that nobody else has.
    /// let counter = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) };
    /// ring.register_eventfd(&counter)?;
    /// let mut counter = File::from(counter);
    ///
    /// let (socket, mut peer) = UnixStream::pair()?;
    /// let mut buffer = [0; 8];
    /// // SAFETY: Lent: both outlive the only completion, which is waited for.
    /// unsafe { ring.push(&Sqe::read(socket.as_raw_fd(), buffer.as_mut_ptr(), 8, u64::MAX)) }?;
    /// ring.submit()?;
    /// # let peer = std::thread::spawn(move || {
    /// peer.write_all(b"hello")?; // on another thread
    /// # Ok::<_, std::io::Error>(peer) });
    ///
    /// let read = loop {
    ///     let mut watched = libc::pollfd { fd: counter.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    ///     // SAFETY: one structure, and the number of it.
    ///     if unsafe { libc::poll(&mut watched, 1, 10_000) } < 0 {
    ///         continue; // interrupted
    ///     }
    ///     let _ = counter.read(&mut [0; 8])?;
    ///     // The completion is deferred: it comes with an enter.
    ///     ring.submit()?;
    ///     if let Some(cqe) = ring.completions().next() {
    ///         break cqe.result()?;
    ///     }
    /// };
    /// assert_eq!(&buffer[..read as usize], b"hello");
    /// # peer.join().unwrap()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `EBUSY` if the ring has one, `EINVAL` for what is no eventfd; `EEXIST` on a `SINGLE_ISSUER` ring from another
    /// thread; `Other` in a forked child.
    pub fn register_eventfd(&self, eventfd: &impl AsFd) -> io::Result<()> {
        self.signal_to(sys::IORING_REGISTER_EVENTFD, eventfd)
    }

    /// The same for completions alone that come later than the enter that submitted their entries: what is there when
    /// the enter returns needs no signal. Since Linux 5.6.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.6; else those of [`Ring::register_eventfd`].
    pub fn register_eventfd_async(&self, eventfd: &impl AsFd) -> io::Result<()> {
        self.signal_to(sys::IORING_REGISTER_EVENTFD_ASYNC, eventfd)
    }

    fn signal_to(&self, opcode: u32, eventfd: &impl AsFd) -> io::Result<()> {
        let mut fd: RawFd = eventfd.as_fd().as_raw_fd();
        // SAFETY: Kernel's word: one descriptor, which is read before the call returns; it is open, being borrowed.
        unsafe { self.register(opcode, (&raw mut fd).cast(), 1) }.map(drop)
    }

    /// Raises no counter any more.
    ///
    /// # Errors
    /// `ENXIO` if the ring has none; `EEXIST` on a `SINGLE_ISSUER` ring from another thread; `Other` in a forked child.
    pub fn unregister_eventfd(&self) -> io::Result<()> {
        // SAFETY: Kernel's word: this registration is ended without an argument.
        unsafe { self.register(sys::IORING_UNREGISTER_EVENTFD, ptr::null_mut(), 0) }.map(drop)
    }

    /// Asks the kernel not to raise the counter for now, or to do so again: no system call, but a flag that both see.
    /// So a thread that is awake anyway spares the kernel the signals. Look for completions after turning it on again,
    /// and before sleeping: those that came meanwhile raised nothing. None is missed between the two (since Linux 5.11,
    /// whose part is in order, too). On a ring with `DEFER_TASKRUN` that look is a [`submit`](Ring::submit), also of
    /// nothing: completions wait for an enter there, and while one waits that raised nothing, no other raises anything.
    /// Since Linux 5.8.
    ///
    /// # Errors
    /// `Unsupported` before Linux 5.8, whose rings have no such flag; `Other` in a forked child.
    pub fn mute_eventfd(&mut self, muted: bool) -> io::Result<()> {
        self.check_alive()?;
        if self.cq.mute(muted) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::Unsupported, "muting a ring's eventfd needs Linux 5.8"))
        }
    }
}
