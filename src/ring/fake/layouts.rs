//! The check of the kernel's answer, held to a second one that does not know how the first counts.

use crate::{
    ring::layout::{Layout, MAX_CQ_ENTRIES, MAX_SQ_ENTRIES},
    sys::{self, io_uring_params},
};
use std::ops::Range;

/// Reads `bytes` as `io_uring_params` and checks them. A layout passes just when nothing speaks against it, and then
/// says what the numbers say.
pub fn layout(bytes: &[u8]) {
    let mut raw = [0; size_of::<io_uring_params>()];
    let n = bytes.len().min(raw.len());
    raw[..n].copy_from_slice(&bytes[..n]);
    // SAFETY: Kernel's word: the structure is numbers alone, and as long as `raw`.
    let params: io_uring_params = unsafe { std::ptr::read_unaligned(raw.as_ptr().cast()) };
    let at = Layout::new(&params);
    assert_eq!(at.is_ok(), is_good(&params), "it is refused just when it is bad");
    let Ok(at) = at else { return };
    let wide = |flag: u32| u32::from(params.flags & flag != 0);
    assert_eq!(1 << at.sqe_shift, 64 << wide(sys::IORING_SETUP_SQE128));
    assert_eq!(1 << at.cqe_shift, 16 << wide(sys::IORING_SETUP_CQE32));
    assert_eq!(at.has_array, wide(sys::IORING_SETUP_NO_SQARRAY) == 0);
    assert_eq!((at.sq_entries, at.cq_entries), (params.sq_entries, params.cq_entries));
    assert_eq!(at.ring_len as u64, end(&params));
    assert_eq!(at.sqes_len as u64, u64::from(at.sq_entries) * (64 << wide(sys::IORING_SETUP_SQE128)));
}

/// A place in the queues' memory, and by what it is aligned.
type Part = (Range<u64>, u64);

fn part(at: u32, bytes: u64, align: u64) -> Part {
    (at.into()..u64::from(at) + bytes, align)
}

/// The words; old kernels have none for the flags of completions.
fn words(p: &io_uring_params) -> Vec<Part> {
    let (sq, cq) = (&p.sq_off, &p.cq_off);
    let words = [sq.head, sq.tail, sq.ring_mask, sq.ring_entries, sq.flags, sq.dropped];
    let more = [cq.head, cq.tail, cq.ring_mask, cq.ring_entries, cq.overflow];
    let flags = Some(cq.flags).filter(|&at| at != 0);
    words.into_iter().chain(more).chain(flags).map(|word| part(word, 4, 4)).collect()
}

fn arrays(p: &io_uring_params) -> Vec<Part> {
    let size = if p.flags & sys::IORING_SETUP_CQE32 != 0 { 32 } else { 16 };
    let mut arrays = vec![part(p.cq_off.cqes, u64::from(p.cq_entries) * size, 8)];
    if p.flags & sys::IORING_SETUP_NO_SQARRAY == 0 {
        arrays.push(part(p.sq_off.array, u64::from(p.sq_entries) * 4, 4));
    }
    arrays
}

/// Where the last array ends, and with it the memory.
fn end(p: &io_uring_params) -> u64 {
    arrays(p).iter().map(|(part, _)| part.end).max().unwrap_or(0)
}

fn is_good(p: &io_uring_params) -> bool {
    let counts = [(p.sq_entries, MAX_SQ_ENTRIES), (p.cq_entries, MAX_CQ_ENTRIES)];
    let (parts, end) = ([words(p), arrays(p)].concat(), end(p).min(sys::IORING_OFF_CQ_RING.into()));
    let apart = |a: &Range<u64>, b: &Range<u64>| a.end <= b.start || b.end <= a.start;
    p.features & sys::IORING_FEAT_SINGLE_MMAP != 0
        && counts.iter().all(|&(n, most)| n.count_ones() == 1 && n <= most)
        && parts.iter().all(|(part, align)| part.start % align == 0 && part.end <= end)
        && parts.iter().enumerate().all(|(i, (a, _))| parts[..i].iter().all(|(b, _)| apart(a, b)))
}
