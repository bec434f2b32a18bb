//! Where the kernel put what: `io_uring_params` as the kernel filled it, checked before anything is mapped.
//!
//! Pure arithmetic over numbers that come from outside. Every later access relies on what is checked here (the
//! invariant **Laid out**): each control word is aligned, lies inside the mapping and overlaps nothing else; the
//! entry counts are powers of two; the arrays of entries, completions and indices lie inside their mappings.

use super::flags::{Features, SetupFlags};
use crate::{
    entry::{Cqe, Sqe},
    sys::{self, io_cqring_offsets, io_sqring_offsets, io_uring_params},
};
use std::{error, fmt, io};

/// The largest submission queue there is.
pub(crate) const MAX_SQ_ENTRIES: u32 = 1 << 15;
/// The largest completion queue there is.
pub(crate) const MAX_CQ_ENTRIES: u32 = 1 << 16;

/// Where everything is, in bytes from the start of a mapping. Exists only checked.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) sq_entries: u32,
    pub(crate) cq_entries: u32,
    pub(crate) sq: io_sqring_offsets,
    pub(crate) cq: io_cqring_offsets,
    /// What the ring was made with.
    pub(crate) flags: SetupFlags,
    /// Whether the submission queue has its array of indices, at `sq.array`.
    pub(crate) has_array: bool,
    /// An entry's size, as a shift.
    pub(crate) sqe_shift: u32,
    /// A completion's size, as a shift.
    pub(crate) cqe_shift: u32,
    /// How much to map of both queues.
    pub(crate) ring_len: usize,
    /// How much to map of the entries.
    pub(crate) sqes_len: usize,
}

/// What is wrong with the kernel's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayoutError {
    /// The kernel wants each queue mapped alone, as before Linux 5.4.
    TwoMaps,
    /// A number of entries that is no power of two, or too large.
    Entries { queue: &'static str, entries: u32 },
    /// An offset that its type cannot have.
    Misaligned { what: &'static str, offset: u32 },
    /// Something that ends outside the mapping.
    Outside { what: &'static str, offset: u32 },
    /// Two things at one place.
    Overlap { first: &'static str, second: &'static str },
    /// The queues' own copy of their sizes, or their first positions, disagree with the kernel's answer.
    Disagrees { queue: &'static str },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TwoMaps => f.write_str("the kernel is older than 5.4: its queues need two mappings"),
            Self::Entries { queue, entries } => write!(f, "the kernel made a {queue} queue of {entries} entries"),
            Self::Misaligned { what, offset } => write!(f, "the kernel put the {what} at {offset}, not aligned"),
            Self::Outside { what, offset } => write!(f, "the kernel put the {what} at {offset}, outside the queues"),
            Self::Overlap { first, second } => write!(f, "the kernel put the {first} over the {second}"),
            Self::Disagrees { queue } => write!(f, "the {queue} queue's memory contradicts what the kernel said"),
        }
    }
}

impl error::Error for LayoutError {}

impl From<LayoutError> for io::Error {
    fn from(error: LayoutError) -> io::Error {
        let kind = match error {
            LayoutError::TwoMaps => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// A stretch of the mapping and what it is for.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) what: &'static str,
    pub(super) offset: u32,
    pub(super) bytes: u64,
    pub(super) align: usize,
}

impl Span {
    pub(super) fn word(what: &'static str, offset: u32) -> Span {
        Span { what, offset, bytes: size_of::<u32>() as u64, align: align_of::<u32>() }
    }

    /// No overflow: an offset has 32 bits, an array at most 22.
    fn end(&self) -> u64 {
        u64::from(self.offset) + self.bytes
    }

    fn overlaps(&self, other: &Span) -> bool {
        u64::from(self.offset) < other.end() && u64::from(other.offset) < self.end()
    }
}

impl Layout {
    /// Checks what `io_uring_setup(2)` answered.
    pub(crate) fn new(p: &io_uring_params) -> Result<Layout, LayoutError> {
        if !Features::from_bits_retain(p.features).contains(Features::SINGLE_MMAP) {
            return Err(LayoutError::TwoMaps);
        }
        check_entries("submission", p.sq_entries, MAX_SQ_ENTRIES)?;
        check_entries("completion", p.cq_entries, MAX_CQ_ENTRIES)?;
        let flags = SetupFlags::from_bits_retain(p.flags);
        let sqe_shift = size_of::<Sqe>().ilog2() + u32::from(flags.contains(SetupFlags::SQE128));
        let cqe_shift = size_of::<Cqe>().ilog2() + u32::from(flags.contains(SetupFlags::CQE32));
        let has_array = !flags.contains(SetupFlags::NO_SQARRAY);
        Ok(Layout {
            sq_entries: p.sq_entries,
            cq_entries: p.cq_entries,
            sq: p.sq_off,
            cq: p.cq_off,
            flags,
            has_array,
            sqe_shift,
            cqe_shift,
            ring_len: check_queues(p, cqe_shift, has_array)?,
            sqes_len: (p.sq_entries as usize) << sqe_shift,
        })
    }
}

fn check_entries(queue: &'static str, entries: u32, max: u32) -> Result<(), LayoutError> {
    let good = entries.is_power_of_two() && entries <= max;
    if good { Ok(()) } else { Err(LayoutError::Entries { queue, entries }) }
}

/// Checks every offset and returns how long the queues' mapping is: to the end of the last array.
fn check_queues(p: &io_uring_params, cqe_shift: u32, has_array: bool) -> Result<usize, LayoutError> {
    let (sq, cq) = (&p.sq_off, &p.cq_off);
    let cqes = Span {
        what: "completions",
        offset: cq.cqes,
        bytes: u64::from(p.cq_entries) << cqe_shift,
        align: align_of::<Cqe>(),
    };
    let (offset, indices) = if has_array { (sq.array, p.sq_entries) } else { (cq.cqes, 0) };
    // The flags of the completion queue came with Linux 5.8. Where they would be is the submission queue's head.
    let flags = if cq.flags == 0 {
        Span { what: "completion flags", offset: cq.cqes, bytes: 0, align: 1 }
    } else {
        Span::word("completion flags", cq.flags)
    };
    let array = Span { what: "array of indices", offset, bytes: u64::from(indices) * 4, align: align_of::<u32>() };
    let len = cqes.end().max(array.end());
    let spans = [
        Span::word("submission head", sq.head),
        Span::word("submission tail", sq.tail),
        Span::word("submission mask", sq.ring_mask),
        Span::word("submission size", sq.ring_entries),
        Span::word("submission flags", sq.flags),
        Span::word("count of dropped entries", sq.dropped),
        Span::word("completion head", cq.head),
        Span::word("completion tail", cq.tail),
        Span::word("completion mask", cq.ring_mask),
        Span::word("completion size", cq.ring_entries),
        Span::word("count of lost completions", cq.overflow),
        flags,
        cqes,
        array,
    ];
    check_spans(&spans, len)?;
    usize::try_from(len).map_err(|_| LayoutError::Outside { what: cqes.what, offset: cqes.offset })
}

/// Every span is aligned, inside `len` and alone. `len` itself stays below where the next mapping's offset begins.
pub(super) fn check_spans(spans: &[Span], len: u64) -> Result<(), LayoutError> {
    let len = len.min(u64::from(sys::IORING_OFF_CQ_RING));
    for (i, span) in spans.iter().enumerate() {
        let (what, offset) = (span.what, span.offset);
        if offset as usize % span.align != 0 {
            return Err(LayoutError::Misaligned { what, offset });
        }
        if span.end() > len {
            return Err(LayoutError::Outside { what, offset });
        }
        if let Some(other) = spans[..i].iter().find(|other| other.overlaps(span)) {
            return Err(LayoutError::Overlap { first: other.what, second: what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::fake;

    fn refused(change: impl FnOnce(&mut io_uring_params)) -> LayoutError {
        let mut params = fake::params(8, 16, SetupFlags::empty());
        change(&mut params);
        match Layout::new(&params) {
            Ok(_) => panic!("a bad layout passed"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_good_answer_passes_with_the_right_lengths() {
        let layout = Layout::new(&fake::params(8, 16, SetupFlags::empty())).unwrap();
        assert_eq!((layout.ring_len, layout.sqes_len), (64 + 16 * 16 + 8 * 4, 8 * 64));
        let layout = Layout::new(&fake::params(8, 16, SetupFlags::NO_SQARRAY)).unwrap();
        assert_eq!((layout.ring_len, layout.has_array), (64 + 16 * 16, false));
    }

    #[test]
    fn wide_entries_double_the_strides() {
        let wide = SetupFlags::SQE128 | SetupFlags::CQE32;
        let layout = Layout::new(&fake::params(8, 16, wide | SetupFlags::NO_SQARRAY)).unwrap();
        assert_eq!((layout.ring_len, layout.sqes_len), (64 + 16 * 32, 8 * 128));
        let layout = Layout::new(&fake::params(8, 16, wide)).unwrap();
        assert_eq!((layout.ring_len, layout.sqes_len), (64 + 16 * 32 + 8 * 4, 8 * 128));
        let mixed = SetupFlags::SQE_MIXED | SetupFlags::CQE_MIXED;
        let layout = Layout::new(&fake::params(8, 16, mixed | SetupFlags::NO_SQARRAY)).unwrap();
        assert_eq!((layout.ring_len, layout.sqes_len), (64 + 16 * 16, 8 * 64));
    }

    #[test]
    fn sizes_are_powers_of_two_in_range() {
        let entries = |queue, entries| LayoutError::Entries { queue, entries };
        assert_eq!(refused(|p| p.sq_entries = 0), entries("submission", 0));
        assert_eq!(refused(|p| p.sq_entries = 6), entries("submission", 6));
        assert_eq!(refused(|p| p.sq_entries = 65536), entries("submission", 65536));
        assert_eq!(refused(|p| p.cq_entries = 1 << 17), entries("completion", 1 << 17));
    }

    #[test]
    fn offsets_are_aligned_inside_and_apart() {
        let tail = "completion tail";
        assert_eq!(refused(|p| p.cq_off.tail = 13), LayoutError::Misaligned { what: tail, offset: 13 });
        assert_eq!(refused(|p| p.cq_off.tail = 1 << 20), LayoutError::Outside { what: tail, offset: 1 << 20 });
        let over = LayoutError::Overlap { first: "submission head", second: tail };
        assert_eq!(refused(|p| p.cq_off.tail = p.sq_off.head), over);
        let over = LayoutError::Overlap { first: tail, second: "completions" };
        assert_eq!(refused(|p| p.cq_off.tail = p.cq_off.cqes + 8), over);
        let over = LayoutError::Overlap { first: "completions", second: "array of indices" };
        assert_eq!(refused(|p| p.sq_off.array = p.cq_off.cqes + 16), over);
        let end = u32::MAX - 15;
        assert_eq!(refused(|p| p.cq_off.cqes = end), LayoutError::Outside { what: "completions", offset: end });
    }

    /// Red when the flags of the completion queue are trusted to be somewhere, or are missed before Linux 5.8.
    #[test]
    fn the_completion_flags_may_be_missing() {
        let mut params = fake::params(8, 16, SetupFlags::empty());
        params.cq_off.flags = 0;
        assert!(Layout::new(&params).is_ok());
        let flags = "completion flags";
        assert_eq!(refused(|p| p.cq_off.flags = 41), LayoutError::Misaligned { what: flags, offset: 41 });
        assert_eq!(refused(|p| p.cq_off.flags = 1 << 20), LayoutError::Outside { what: flags, offset: 1 << 20 });
        let over = LayoutError::Overlap { first: "completion tail", second: flags };
        assert_eq!(refused(|p| p.cq_off.flags = p.cq_off.tail), over);
    }

    #[test]
    fn two_maps_are_unsupported() {
        let error = refused(|p| p.features = 0);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Unsupported);
    }
}
