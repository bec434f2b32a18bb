//! Which opcodes the kernel knows: `IORING_REGISTER_PROBE`.

use crate::{
    ring::Ring,
    sys::{self, io_uring_probe, io_uring_probe_op},
};
use std::{fmt, io};

/// The most that can be asked about: an opcode is a byte.
const OPS: usize = 256;

/// The kernel's `io_uring_probe` with its array.
#[repr(C)]
struct Answer {
    head: io_uring_probe,
    ops: [io_uring_probe_op; OPS],
}

/// The opcodes that a kernel carries out. Made by [`Ring::probe`](super::Ring::probe).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    supported: [u64; OPS / 64],
}

impl Probe {
    pub(crate) fn ask(ring: &Ring) -> io::Result<Probe> {
        // The kernel wants zeros.
        let mut answer = Answer { head: io_uring_probe::default(), ops: [io_uring_probe_op::default(); OPS] };
        let arg = std::ptr::from_mut(&mut answer).cast();
        // SAFETY: Kernel's word: the structure has room for the header and for as many opcodes as are asked for.
        unsafe { ring.register(sys::IORING_REGISTER_PROBE, arg, OPS as u32) }?;
        Ok(Probe::read(&answer))
    }

    /// Reads the kernel's answer; what stands beyond the length that it gives counts for nothing.
    fn read(answer: &Answer) -> Probe {
        let mut supported = [0; OPS / 64];
        for op in answer.ops.iter().take(answer.head.ops_len.into()) {
            let bit = u64::from(u32::from(op.flags) & sys::IO_URING_OP_SUPPORTED != 0);
            supported[usize::from(op.op / 64)] |= bit << (op.op % 64);
        }
        Probe { supported }
    }

    /// Whether the kernel carries out `opcode`, an `IORING_OP_*`. What flags it takes is another question.
    #[must_use]
    pub fn supports(&self, opcode: u8) -> bool {
        self.supported[usize::from(opcode / 64)] >> (opcode % 64) & 1 != 0
    }
}

/// The names of the opcodes, and the numbers of those that annulus has no name for.
impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for opcode in (0..=u8::MAX).filter(|&opcode| self.supports(opcode)) {
            match sys::names::OPCODES.get(usize::from(opcode)) {
                Some(name) => set.entry(&format_args!("{name}")),
                None => set.entry(&opcode),
            };
        }
        set.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_flagged_and_inside_the_length_counts() {
        let op = |op: u8, flags| io_uring_probe_op { op, flags, ..io_uring_probe_op::default() };
        let mut answer = Answer { head: io_uring_probe::default(), ops: [op(0, 0); OPS] };
        answer.head.ops_len = 3;
        (answer.ops[0], answer.ops[1], answer.ops[2], answer.ops[3]) = (op(5, 1), op(6, 2), op(255, 1), op(7, 1));
        let probe = Probe::read(&answer);
        let known: Vec<u8> = (0..=u8::MAX).filter(|&n| probe.supports(n)).collect();
        assert_eq!(known, [5, 255]);
        assert_eq!(format!("{probe:?}"), "{FSYNC? , 255}".replace("FSYNC? ", sys::names::OPCODES[5]));
    }
}
