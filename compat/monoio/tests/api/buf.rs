//! Buffers.

use crate::call;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf, MsgMeta, VecBuf};

pub(crate) fn all() {
    let bytes = b"hello".to_vec();
    assert_eq!(call!(buf::IoBuf::read_ptr)(&bytes), bytes.as_ptr());
    assert_eq!((call!(buf::IoBuf::bytes_init)(&bytes), call!(buf::IoBuf::as_slice)(&bytes)), (5, &b"hello"[..]));
    let slice = call!(buf::IoBuf::slice)(bytes, 1..3);
    assert_eq!(
        (call!(buf::Slice::begin)(&slice), call!(buf::Slice::end)(&slice), slice.as_slice()),
        (1, 3, &b"el"[..])
    );
    let mut bytes = call!(buf::Slice::into_inner)(slice);
    bytes.reserve(8);
    let room = call!(buf::IoBufMut::bytes_total)(&mut bytes);
    let at: *const u8 = call!(buf::IoBufMut::write_ptr)(&mut bytes);
    assert!(room >= 13 && std::ptr::eq(at, bytes.as_ptr()));
    // SAFETY: the first four bytes were written.
    unsafe { call!(buf::IoBufMut::set_init)(&mut bytes, 4) };
    assert_eq!(bytes, b"hell");
    let mut slice = call!(buf::IoBufMut::slice_mut)(bytes, 2..6);
    assert_eq!((call!(buf::SliceMut::begin)(&slice), call!(buf::SliceMut::end)(&slice)), (2, 6));
    assert_eq!((slice.bytes_total(), &slice[..]), (4, &b"ll"[..]));
    call!(buf::SliceMut::get_mut)(&mut slice).push(b'o');
    assert_eq!(call!(buf::SliceMut::get_ref)(&slice).len(), 5);
    let bytes = call!(buf::SliceMut::into_inner)(slice);
    // SAFETY: there are five bytes.
    let slice = unsafe { call!(buf::IoBuf::slice_unchecked)(bytes, ..2) };
    // SAFETY: there is room for five.
    let slice = unsafe { call!(buf::IoBufMut::slice_mut_unchecked)(slice.into_inner(), ..2) };
    let mut slice = call!(buf::Slice::new)(slice.into_inner(), 0, 1);
    call!(buf::Slice::get_mut)(&mut slice)[0] = b'y';
    assert_eq!(call!(buf::Slice::get_ref)(&slice), b"yello");
    // SAFETY: there is a byte.
    let slice = unsafe { call!(buf::Slice::new_unchecked)(slice.into_inner(), 0, 1) };
    let slice = call!(buf::SliceMut::new)(slice.into_inner(), 0, 1);
    // SAFETY: there is room for a byte.
    let slice = unsafe { call!(buf::SliceMut::new_unchecked)(slice.into_inner(), 0, 1) };
    assert_eq!(slice.into_inner(), b"yello");
    vectored();
    messages();
    every_buffer();
}

fn vectored() {
    let mut parts = call!(buf::VecBuf::from => VecBuf::from)(vec![b"ab".to_vec(), b"cde".to_vec()]);
    assert!(!call!(buf::IoVecBuf::read_iovec_ptr)(&parts).is_null());
    assert_eq!(call!(buf::IoVecBuf::read_iovec_len)(&parts), 2);
    assert!(!call!(buf::IoVecBufMut::write_iovec_ptr)(&mut parts).is_null());
    assert_eq!(call!(buf::IoVecBufMut::write_iovec_len)(&mut parts), 2);
    // SAFETY: the parts live while they are looked at.
    let raw = unsafe { call!(buf::RawBufVectored::new)(parts.read_iovec_ptr(), 2) };
    assert_eq!(raw.read_iovec_len(), 2);
    // SAFETY: as before.
    let first = unsafe { call!(buf::RawBuf::new_from_iovec)(&parts) }.unwrap();
    assert_eq!(first.as_slice(), b"ab");
    // SAFETY: as before.
    let first = unsafe { call!(buf::RawBuf::new_from_iovec_mut)(&mut parts) }.unwrap();
    assert_eq!(first.as_slice(), b"ab");
    // SAFETY: the bytes live for ever.
    assert_eq!(unsafe { call!(buf::RawBuf::new)(b"xyz".as_ptr(), 3) }.as_slice(), b"xyz");
    // SAFETY: nobody uses it.
    assert_eq!(unsafe { call!(buf::RawBuf::uninit)() }.bytes_init(), 0);
    // SAFETY: what was there counts as written.
    unsafe { call!(buf::IoVecBufMut::set_init)(&mut parts, 3) };
    let wrapped = call!(buf::IoVecWrapper::new)(parts).map_err(drop).unwrap();
    assert_eq!(wrapped.as_slice(), b"ab");
    let parts = call!(buf::IoVecWrapper::into_inner)(wrapped);
    let mut wrapped = call!(buf::IoVecWrapperMut::new)(parts).map_err(drop).unwrap();
    assert_eq!(wrapped.bytes_total(), 2);
    let parts: Vec<Vec<u8>> = call!(buf::IoVecWrapperMut::into_inner)(wrapped).into();
    assert_eq!(parts, [b"ab".to_vec(), b"c".to_vec()]);
    assert!(monoio::buf::IoVecWrapper::new(VecBuf::from(Vec::new())).is_err());
}

fn messages() {
    // SAFETY: a header of zeroes names nothing.
    let mut meta = call!(buf::MsgMeta::from => MsgMeta::from)(unsafe { std::mem::zeroed::<libc::msghdr>() });
    meta.msg_flags = 1;
    assert!(!call!(buf::MsgBuf::read_msghdr_ptr)(&meta).is_null());
    assert!(!call!(buf::MsgBufMut::write_msghdr_ptr)(&mut meta).is_null());
    assert_eq!(meta.msg_flags, 1);
}

/// What monoio takes for a buffer is one.
fn every_buffer() {
    fn read<T: IoBuf>(buf: T) -> usize {
        buf.bytes_init()
    }
    fn written<T: IoBufMut>(mut buf: T) -> usize {
        buf.bytes_total()
    }
    static BYTES: [u8; 2] = [1, 2];
    let leaked = || Box::leak(Box::new([0u8; 2]));
    let sums = [
        read(vec![0u8; 2]),
        read(vec![0u8; 2].into_boxed_slice()),
        read(&BYTES[..]),
        read(Box::new([0u8; 2])),
        read(&BYTES),
        read(&*leaked()),
        read("ab"),
        read(bytes::Bytes::from_static(b"ab")),
        read(bytes::BytesMut::from(&b"ab"[..])),
        read(std::rc::Rc::new(vec![0u8; 2])),
        read(std::sync::Arc::new(vec![0u8; 2])),
        read(std::mem::ManuallyDrop::new("ab")),
        written(vec![0u8; 2].into_boxed_slice()),
        written(Box::new([0u8; 2])),
        written(leaked()),
        written(std::mem::ManuallyDrop::new(Box::new([0u8; 2]))),
    ];
    assert!(sums.iter().all(|n| *n == 2), "{sums:?}");
    assert!(written(Vec::with_capacity(2)) >= 2 && written(bytes::BytesMut::with_capacity(2)) >= 2);
}
