//! What is told beside datagrams, and can be told, on systems where annulus does not ask for it: nothing.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::RawFd,
};

/// An error that a datagram met which was sent: see `datagrams.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) errno: i32,
    pub(crate) origin: u8,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) info: u32,
    pub(crate) offender: Option<SocketAddr>,
}

fn lacking<T>(what: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("annulus has no {what} for datagrams on this system")))
}

pub(crate) fn error_queue() -> io::Result<i32> {
    lacking("queue of errors (MSG_ERRQUEUE)")
}

pub(crate) fn segment() -> io::Result<(i32, i32)> {
    lacking("segmentation (UDP_SEGMENT)")
}

pub(crate) fn set_gro(_: RawFd, _: bool) -> io::Result<()> {
    lacking("receive offload (UDP_GRO)")
}

pub(crate) fn set_recv_local(_: RawFd, _: bool, _: bool) -> io::Result<()> {
    lacking("local addresses (IP_PKTINFO)")
}

pub(crate) fn set_recv_errors(_: RawFd, _: bool, _: bool) -> io::Result<()> {
    lacking("queue of errors (IP_RECVERR)")
}

pub(crate) fn source(_: IpAddr, _: u32) -> io::Result<(i32, i32, Vec<u8>)> {
    lacking("local addresses (IP_PKTINFO)")
}

pub(crate) fn local(_: &[u8]) -> Option<(IpAddr, u32)> {
    None
}

pub(crate) fn segment_size(_: &[u8]) -> Option<usize> {
    None
}

pub(crate) fn trouble(_: &[u8]) -> Option<Trouble> {
    None
}
