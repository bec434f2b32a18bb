//! What the kernel's io_uring is made of, asked without a ring: `IORING_REGISTER_QUERY`.

use super::flags::{EnterFlags, Features, SetupFlags};
use crate::{
    entry::SqeFlags,
    sys::{
        self, io_uring_query_hdr, io_uring_query_opcode, io_uring_query_scq, io_uring_query_zcrx,
        io_uring_query_zcrx_event, uring as calls,
    },
};
use std::{io, mem::size_of};

/// What a kernel's io_uring is made of. Made by [`query`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// How many opcodes the kernel knows: all below are carried out, if the kernel was built with what they need.
    pub opcodes: u32,
    /// How many kinds of registration it knows.
    pub registrations: u32,
    /// How many questions like this one it knows.
    pub questions: u32,
    /// What it says of itself when it makes a ring.
    pub features: Features,
    /// How it can make a ring. Some go only together, and some not: see the builder.
    pub setup: SetupFlags,
    /// What an enter takes.
    pub enter: EnterFlags,
    /// What an entry takes.
    pub entry: SqeFlags,
    /// What it has of zero-copy receive. Since Linux 6.19.
    pub zcrx: Option<ZcrxQuery>,
    /// The part of a ring's memory that is before the completions, which counts for `NO_MMAP`. Since Linux 6.19.
    pub header: Option<HeaderQuery>,
    /// What it tells of zero-copy receive. Since Linux 7.2.
    pub zcrx_events: Option<ZcrxEventQuery>,
}

/// What a kernel has of zero-copy receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZcrxQuery {
    /// The flags that a registration takes, `ZCRX_REG_*`.
    pub flags: u64,
    /// The flags that an area takes, `IORING_ZCRX_AREA_*`.
    pub area_flags: u64,
    /// How many commands there are, `ZCRX_CTRL_*`.
    pub commands: u32,
    /// `ZCRX_FEATURE_*`.
    pub features: u32,
    /// How many bytes a refill ring has before its entries, and how they are aligned.
    pub header: HeaderQuery,
}

/// The size and the alignment of a header in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderQuery {
    /// In bytes.
    pub size: u64,
    /// In bytes.
    pub alignment: u64,
}

/// What a kernel tells of zero-copy receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZcrxEventQuery {
    /// The events that can be waited for, a bit each.
    pub events: u32,
    /// How many bytes the counts take.
    pub statistics: u32,
    /// How their place is aligned, in bytes.
    pub alignment: u32,
}

/// The kernel's answers, each zero until it is given.
#[derive(Default)]
struct Answers {
    opcode: io_uring_query_opcode,
    zcrx: io_uring_query_zcrx,
    scq: io_uring_query_scq,
    event: io_uring_query_zcrx_event,
}

/// Asks what the kernel's io_uring is made of, without a ring: the cheapest way to know what will work. Since Linux
/// 6.18; [`Ring::probe`](super::Ring::probe) knows the opcodes before.
///
/// ```
/// use annulus::ring::{SetupFlags, query};
/// match query() {
///     Ok(kernel) => assert!(kernel.setup.contains(SetupFlags::DEFER_TASKRUN)),
///     Err(older) => println!("{older}: ask a ring's probe"),
/// }
/// ```
///
/// # Errors
/// `EINVAL` or `EBADF` before Linux 6.18; `EPERM` or `ENOSYS` where io_uring is forbidden or missing.
pub fn query() -> io::Result<Query> {
    let mut answers = Answers::default();
    let mut chain = [
        question(sys::IO_URING_QUERY_OPCODES, &raw mut answers.opcode),
        question(sys::IO_URING_QUERY_ZCRX, &raw mut answers.zcrx),
        question(sys::IO_URING_QUERY_SCQ, &raw mut answers.scq),
        question(sys::IO_URING_QUERY_ZCRX_EVENT, &raw mut answers.event),
    ];
    for next in (1..chain.len()).rev() {
        chain[next - 1].next_entry = (&raw const chain[next]) as u64;
    }
    // SAFETY: Kernel's word: a chain that ends, whose parts and whose places for answers outlive the call; no answer is
    // longer than its place, as each says how long that is.
    unsafe { calls::register_nothing(sys::IORING_REGISTER_QUERY, chain.as_mut_ptr().cast(), 0) }?;
    read(&chain.map(|part| part.result), &answers)
}

fn question<T>(op: u32, answer: *mut T) -> io_uring_query_hdr {
    let size = size_of::<T>() as u32;
    io_uring_query_hdr { query_op: op, query_data: answer as u64, size, ..io_uring_query_hdr::default() }
}

/// The answers to the questions that were answered. The first one always is, where there are questions at all.
fn read(results: &[i32; 4], answers: &Answers) -> io::Result<Query> {
    let answered = |n: usize| results[n] >= 0;
    if !answered(0) {
        return Err(io::Error::from_raw_os_error(results[0].wrapping_neg()));
    }
    let Answers { opcode, zcrx, scq, event } = answers;
    Ok(Query {
        opcodes: opcode.nr_request_opcodes,
        registrations: opcode.nr_register_opcodes,
        questions: opcode.nr_query_opcodes,
        features: Features::from_bits_retain(opcode.feature_flags as u32),
        setup: SetupFlags::from_bits_retain(opcode.ring_setup_flags as u32),
        enter: EnterFlags::from_bits_retain(opcode.enter_flags as u32),
        entry: SqeFlags::from_bits_retain(opcode.sqe_flags as u8),
        zcrx: answered(1).then_some(ZcrxQuery {
            flags: zcrx.register_flags,
            area_flags: zcrx.area_flags,
            commands: zcrx.nr_ctrl_opcodes,
            features: zcrx.features,
            header: HeaderQuery { size: zcrx.rq_hdr_size.into(), alignment: zcrx.rq_hdr_alignment.into() },
        }),
        header: answered(2).then_some(HeaderQuery { size: scq.hdr_size, alignment: scq.hdr_alignment }),
        zcrx_events: answered(3).then_some(ZcrxEventQuery {
            events: event.event_flags,
            statistics: event.stats_size,
            alignment: event.stats_off_alignment,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when an unanswered question is taken for one answered with zeros, or an answer for its neighbour's.
    #[test]
    fn only_what_was_answered_is_told() {
        let mut answers = Answers::default();
        answers.opcode.nr_request_opcodes = 65;
        answers.opcode.ring_setup_flags = u64::from(SetupFlags::SQPOLL.bits());
        answers.opcode.sqe_flags = u64::from(SqeFlags::ASYNC.bits());
        answers.scq.hdr_size = 64;
        answers.event.stats_size = 16;
        let unknown = -libc::EOPNOTSUPP;
        let query = read(&[0, unknown, 0, unknown], &answers).unwrap();
        assert_eq!((query.opcodes, query.setup, query.entry), (65, SetupFlags::SQPOLL, SqeFlags::ASYNC));
        assert_eq!((query.zcrx, query.header.unwrap().size, query.zcrx_events), (None, 64, None));
        let query = read(&[0, 0, unknown, 0], &answers).unwrap();
        assert_eq!((query.header, query.zcrx_events.unwrap().statistics), (None, 16));
        let error = read(&[unknown, 0, 0, 0], &answers).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}
