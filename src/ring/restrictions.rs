//! What a ring, or a thread's rings, may do from then on: `IORING_REGISTER_RESTRICTIONS`.

use super::{Ring, SqeFlags};
use crate::sys::{self, io_uring_restriction, io_uring_task_restriction, registrations::restriction, uring as calls};
use std::{io, mem};

/// The most rules that there can be: one for each opcode and each registration, and two about flags.
const MOST: usize = 256 + 256 + 2;

/// What may be done. A new one allows nothing but [`Ring::enable`], without which a ring that was made to be
/// restricted is good for nothing; each method allows more, or demands something.
///
/// ```
/// use annulus::{ring::{Restrictions, Ring, SetupFlags, Sqe}, sys};
/// # fn main() -> std::io::Result<()> {
/// # let Ok(mut ring) = Ring::builder().flags(SetupFlags::R_DISABLED).build(4) else { return Ok(()) };
/// ring.restrict(&Restrictions::new().opcode(sys::IORING_OP_NOP as u8))?;
/// ring.enable()?;
/// let poll = Sqe { opcode: sys::IORING_OP_POLL_ADD as u8, ..Sqe::default() };
/// for sqe in [Sqe::nop(), poll] {
///     // SAFETY: Lent: neither names memory, and standard input stays open.
///     unsafe { ring.push(&sqe) }?;
///     ring.submit_and_wait(1)?;
/// }
/// assert!(ring.completions().map(|cqe| cqe.res).eq([0, -libc::EACCES]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    opcodes: Set,
    registrations: Set,
    allowed: SqeFlags,
    required: SqeFlags,
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set([u64; 4]);

impl Set {
    fn with(mut self, member: u8) -> Set {
        self.0[usize::from(member / 64)] |= 1 << (member % 64);
        self
    }

    fn members(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |member| self.0[usize::from(member / 64)] >> (member % 64) & 1 != 0)
    }
}

/// The argument of the form for a thread, whose rules follow its head.
#[repr(C)]
struct ForThread {
    head: io_uring_task_restriction,
    rules: [io_uring_restriction; MOST],
}

// Where the kernel looks for them.
const _: () = assert!(mem::offset_of!(ForThread, rules) == size_of::<io_uring_task_restriction>());

impl Restrictions {
    /// Nothing is allowed.
    #[must_use]
    pub fn new() -> Restrictions {
        Restrictions::default()
    }

    /// Allows entries with this opcode, an `IORING_OP_*`.
    #[must_use]
    pub fn opcode(mut self, opcode: u8) -> Restrictions {
        self.opcodes = self.opcodes.with(opcode);
        self
    }

    /// Allows this registration, an `IORING_REGISTER_*` or `IORING_UNREGISTER_*`.
    #[must_use]
    pub fn registration(mut self, opcode: u8) -> Restrictions {
        self.registrations = self.registrations.with(opcode);
        self
    }

    /// Allows these flags on entries; others are refused, but for those that are required.
    #[must_use]
    pub fn flags(mut self, flags: SqeFlags) -> Restrictions {
        self.allowed |= flags;
        self
    }

    /// Demands these flags on every entry, such as [`SqeFlags::FIXED_FILE`] of a ring that is to know nothing but the
    /// files that were registered for it.
    #[must_use]
    pub fn required_flags(mut self, flags: SqeFlags) -> Restrictions {
        self.required |= flags;
        self
    }

    /// Writes the rules, and gives how many they are. There is always one about entries and one about registrations:
    /// since Linux 7.0 what no rule is about is free.
    fn write(&self, rules: &mut [io_uring_restriction; MOST]) -> u16 {
        let enable = sys::IORING_REGISTER_ENABLE_RINGS as u8;
        let flags = [
            (sys::IORING_RESTRICTION_SQE_FLAGS_ALLOWED, self.allowed.bits()),
            (sys::IORING_RESTRICTION_SQE_FLAGS_REQUIRED, self.required.bits()),
        ];
        let opcodes = self.opcodes.members().map(|opcode| (sys::IORING_RESTRICTION_SQE_OP, opcode));
        let registrations = self.registrations.with(enable).members();
        let registrations = registrations.map(|opcode| (sys::IORING_RESTRICTION_REGISTER_OP, opcode));
        let mut count = 0;
        for (rule, (kind, value)) in rules.iter_mut().zip(flags.into_iter().chain(opcodes).chain(registrations)) {
            *rule = restriction(kind, value);
            count += 1;
        }
        count
    }
}

impl Ring {
    /// Restricts this ring to what `restrictions` allow, for good. What they do not allow is answered with `EACCES`, an
    /// entry by its completion and a registration by an error. Only before [`Ring::enable`], and once. Since Linux
    /// 5.10.
    ///
    /// # Errors
    /// `EBADFD` if the ring is enabled, `EBUSY` if it has restrictions; `EINVAL` before Linux 5.10 and for an opcode or
    /// a registration that the kernel does not know; `Other` in a forked child.
    pub fn restrict(&self, restrictions: &Restrictions) -> io::Result<()> {
        let mut rules = [io_uring_restriction::default(); MOST];
        let count = restrictions.write(&mut rules);
        // SAFETY: Kernel's word: that many structures, which are read before the call returns.
        unsafe { self.register(sys::IORING_REGISTER_RESTRICTIONS, rules.as_mut_ptr().cast(), count.into()) }.map(drop)
    }
}

/// Restricts all rings that this thread makes from now on, and those of the threads and processes that it begins, to
/// what `restrictions` allow: for good, and once. Since Linux 7.0.
///
/// # Errors
/// `EPERM` if the thread has restrictions; `EACCES` without `CAP_SYS_ADMIN` or the promise to gain no privileges
/// (`PR_SET_NO_NEW_PRIVS`); `EINVAL` or `EBADF` before Linux 7.0, and `EINVAL` for an opcode or a registration that the
/// kernel does not know.
pub fn restrict_thread(restrictions: &Restrictions) -> io::Result<()> {
    let mut argument =
        ForThread { head: io_uring_task_restriction::default(), rules: [io_uring_restriction::default(); MOST] };
    argument.head.nr_res = restrictions.write(&mut argument.rules);
    // SAFETY: Kernel's word: a head, and behind it as many rules as it says; all is read before the call returns.
    unsafe { calls::register_nothing(sys::IORING_REGISTER_RESTRICTIONS, (&raw mut argument).cast(), 1) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a rule is left out, or there is none about registrations.
    #[test]
    fn every_permission_is_a_rule() {
        let mut rules = [io_uring_restriction::default(); MOST];
        let kinds =
            |rules: &[io_uring_restriction]| rules.iter().map(|rule| u32::from(rule.opcode)).collect::<Vec<_>>();
        let (op, reg) = (sys::IORING_RESTRICTION_SQE_OP, sys::IORING_RESTRICTION_REGISTER_OP);
        let flags = [sys::IORING_RESTRICTION_SQE_FLAGS_ALLOWED, sys::IORING_RESTRICTION_SQE_FLAGS_REQUIRED];
        assert_eq!(Restrictions::new().write(&mut rules), 3);
        assert_eq!(kinds(&rules[..3]), [flags[0], flags[1], reg]);
        let some = Restrictions::new().opcode(0).opcode(255).opcode(64).opcode(64).registration(8);
        assert_eq!(some.write(&mut rules), 7);
        assert_eq!(kinds(&rules[..7]), [flags[0], flags[1], op, op, op, reg, reg]);
        let all = (0..=u8::MAX).fold(Restrictions::new(), |all, n| all.opcode(n).registration(n));
        assert_eq!(usize::from(all.write(&mut rules)), MOST);
    }
}
