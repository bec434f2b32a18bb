//! What the fuzzer and `tests/corpus.rs` feed: bytes as if a kernel had written them.

use crate::sys::{
    control::{messages, rights},
    recvmsg_out::Rooms,
};

/// Any bytes as control data of a message.
pub fn control(bytes: &[u8]) {
    let mut total = 0;
    for message in messages(bytes) {
        total += message.data.len();
        assert!(rights(message).all(|fd| fd >= 0));
        let (from, to) = (bytes.as_ptr_range(), message.data.as_ptr_range());
        assert!(message.data.is_empty() || (from.start <= to.start && to.end <= from.end));
    }
    assert!(total <= bytes.len(), "a byte belongs to two messages");
}

/// Any bytes as a message in a chosen buffer: the first two say how much room was asked for.
pub fn recvmsg_out(bytes: &[u8]) {
    let [name, room, rest @ ..] = bytes else { return };
    let rooms = Rooms { name: usize::from(*name), control: usize::from(*room) };
    let Some(layout) = rooms.layout(rest) else { return };
    assert!(layout.name.end <= layout.control.start && layout.control.end <= layout.payload.start);
    control(&rest[layout.control.clone()]);
    let payload = &rest[layout.payload];
    assert!(payload.len() <= rest.len() - rooms.start() && layout.name.len() <= rooms.name);
}
