//! [`MsgBuf`] and [`MsgBufMut`]: message headers as `sendmsg` and `recvmsg` take them.

use std::ops::{Deref, DerefMut};

use libc::msghdr;

/// A message header that an operation may read.
///
/// # Safety
/// **Steady** (see the [module](crate::buf#the-contract)): while it is lent, the pointer is the same at every call,
/// even when the value was moved in between, and leads to an initialised header.
///
/// The promise covers the header alone. Whether the pointers *in* it are valid nobody can see: whatever gives such a
/// header to a system must be an `unsafe fn` that asks its caller to promise that.
pub unsafe trait MsgBuf: Unpin + 'static {
    /// The header.
    fn read_msghdr_ptr(&self) -> *const msghdr;
}

/// A message header that an operation may write.
///
/// # Safety
/// As for [`MsgBuf`], and while it is lent nobody else touches the header.
pub unsafe trait MsgBufMut: Unpin + 'static {
    /// The header.
    fn write_msghdr_ptr(&mut self) -> *mut msghdr;
}

/// A message header on the heap, which stays in place when this value moves.
///
/// ```
/// use annulus::buf::{MsgBuf, MsgMeta};
///
/// // SAFETY: a header of zeros names no memory.
/// let mut meta = MsgMeta::from(unsafe { std::mem::zeroed::<libc::msghdr>() });
/// meta.msg_flags = 7;
/// let at = meta.read_msghdr_ptr();
/// let moved = meta;
/// assert_eq!((moved.read_msghdr_ptr(), moved.msg_flags), (at, 7));
/// ```
#[derive(Debug)]
pub struct MsgMeta(Box<msghdr>);

impl From<msghdr> for MsgMeta {
    fn from(data: msghdr) -> Self {
        Self(Box::new(data))
    }
}

impl Deref for MsgMeta {
    type Target = msghdr;

    fn deref(&self) -> &msghdr {
        &self.0
    }
}

impl DerefMut for MsgMeta {
    fn deref_mut(&mut self) -> &mut msghdr {
        &mut self.0
    }
}

// SAFETY: Steady: the header lies in a box of its own, and was initialised by `From`.
unsafe impl MsgBuf for MsgMeta {
    #[inline]
    fn read_msghdr_ptr(&self) -> *const msghdr {
        &raw const *self.0
    }
}

// SAFETY: as above, and the box is the only way to the header.
unsafe impl MsgBufMut for MsgMeta {
    #[inline]
    fn write_msghdr_ptr(&mut self) -> *mut msghdr {
        &raw mut *self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_writes_is_seen_after_a_move() {
        // SAFETY: zeros are a valid header without any memory.
        let mut meta = MsgMeta::from(unsafe { std::mem::zeroed::<msghdr>() });
        let at = meta.write_msghdr_ptr();
        // SAFETY: Steady: the header is alive and ours.
        unsafe { (*at).msg_namelen = 16 };
        let moved = Box::new(meta);
        assert_eq!((moved.read_msghdr_ptr(), moved.msg_namelen), (at.cast_const(), 16));
    }
}
