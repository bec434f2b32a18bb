//! What the kernel says of itself: the query and the probe.

use crate::common::*;
use annulus::{
    ring::{Features, SetupFlags, query},
    sys::{self, io_uring_query_hdr, io_uring_query_opcode},
};
use std::ptr;

/// Red when an answer is read from another place, or what a ring says of itself differs.
#[test]
fn a_query_knows_what_a_ring_knows() {
    let ring = ring!("a_query_knows_what_a_ring_knows", 1);
    let probe = ring.probe().unwrap();
    match query() {
        Err(e) => assert!(matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EBADF)), "{e}"), // before Linux 6.18
        Ok(kernel) => {
            let last = u8::try_from(kernel.opcodes - 1).unwrap();
            assert!(probe.supports(last) && !probe.supports(last + 1));
            assert_eq!(kernel.features & !Features::from_bits_retain(0), ring.features());
            assert!(kernel.setup.contains(SetupFlags::DEFER_TASKRUN | SetupFlags::CQE_MIXED | SetupFlags::IOPOLL));
            assert!(kernel.registrations > sys::IORING_REGISTER_QUERY && kernel.questions > 0);
            assert!(!kernel.entry.is_empty() && !kernel.enter.is_empty());
            // What came with later questions is told exactly when they are known.
            assert_eq!(kernel.zcrx.is_some(), kernel.questions > sys::IO_URING_QUERY_ZCRX);
            assert_eq!(kernel.header.is_some(), kernel.questions > sys::IO_URING_QUERY_SCQ);
            assert_eq!(kernel.zcrx_events.is_some(), kernel.questions > sys::IO_URING_QUERY_ZCRX_EVENT);
        }
    }
}

/// The facts that `query` relies on, asked by hand of a ring: a place that is too short is filled as far as it goes,
/// one that is too long gets zeros, an unknown question is refused by itself, and a chain that does not end is given
/// up. Red when a kernel does otherwise.
#[test]
fn a_chain_of_questions_is_answered_one_by_one() {
    let ring = ring!("a_chain_of_questions", 1);
    let ask = |first: *mut io_uring_query_hdr| {
        // SAFETY: each chain is made below, of parts that live until after the call.
        unsafe { ring.register(sys::IORING_REGISTER_QUERY, first.cast(), 0) }
    };
    let mut whole = [io_uring_query_opcode::default(), io_uring_query_opcode::default()];
    whole[1].nr_request_opcodes = 77;
    let size = size_of::<io_uring_query_opcode>() as u32;
    let part = |op, data: *mut io_uring_query_opcode, size| io_uring_query_hdr {
        query_op: op,
        query_data: data as u64,
        size,
        ..io_uring_query_hdr::default()
    };
    let mut long = part(sys::IO_URING_QUERY_OPCODES, whole.as_mut_ptr(), 2 * size);
    let mut unknown = part(9999, ptr::null_mut(), 0);
    let mut short = io_uring_query_opcode::default();
    let mut cut = part(sys::IO_URING_QUERY_OPCODES, &raw mut short, 4);
    unknown.next_entry = &raw mut cut as u64;
    long.next_entry = &raw mut unknown as u64;
    if os_error(ask(&raw mut long)) == Some(libc::EINVAL) {
        return; // before Linux 6.18
    }
    assert_eq!((long.result, unknown.result, cut.result), (0, -libc::EOPNOTSUPP, 0));
    assert_eq!((long.size, whole[1].nr_request_opcodes), (size, 0));
    assert_eq!((short.nr_request_opcodes, short.nr_register_opcodes), (whole[0].nr_request_opcodes, 0));

    let mut bad = part(sys::IO_URING_QUERY_OPCODES, &raw mut short, 4);
    bad.next_entry = 8;
    assert_eq!(os_error(ask(&raw mut bad)), Some(libc::EFAULT));
    let mut circle = part(sys::IO_URING_QUERY_OPCODES, &raw mut short, 4);
    circle.next_entry = &raw mut circle as u64;
    assert_eq!(os_error(ask(&raw mut circle)), Some(libc::ERANGE));
}

/// A probe's memory has to be zero, and its opcodes are told up to where the kernel knows them. Red when a kernel does
/// otherwise: annulus hands in zeros.
#[test]
fn a_probe_wants_zeros() {
    let ring = ring!("a_probe_wants_zeros", 1);
    let ask = |memory: &mut [u32; 512]| {
        // SAFETY: room for the head, 16 bytes, and for 8 bytes for each of 128 opcodes.
        unsafe { ring.register(sys::IORING_REGISTER_PROBE, memory.as_mut_ptr().cast(), 128) }
    };
    let mut dirty = [0; 512];
    dirty[100] = 1;
    assert_eq!(os_error(ask(&mut dirty)), Some(libc::EINVAL));
    let mut clean = [0; 512];
    ask(&mut clean).unwrap();
    let [last, count, ..] = clean[0].to_ne_bytes();
    assert!(u32::from(last) >= sys::IORING_OP_READ && count == last + 1 && count <= 128, "{last} {count}");
}
