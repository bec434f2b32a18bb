//! Buffers that are lent and given back: [`annulus::buf`].

pub use annulus::buf::{
    IoBuf, IoBufMut, IoVecBuf, IoVecBufMut, IoVecWrapper, IoVecWrapperMut, MsgBuf, MsgBufMut, MsgMeta, RawBuf,
    RawBufVectored, Slice, SliceMut, VecBuf,
};
