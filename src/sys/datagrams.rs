//! What Linux tells beside datagrams, and can be told: pure parsing of control data, and the options that ask for it.

use crate::sys::{
    control::{ControlMessage, ControlMessages},
    sockaddr::SockAddr,
    unix::set_option,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::RawFd,
};

/// An error that a datagram met which was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) errno: i32,
    /// `SO_EE_ORIGIN_*`, and the type and code of ICMP.
    pub(crate) origin: u8,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// The size that would have passed, if that was the trouble.
    pub(crate) info: u32,
    /// Who told.
    pub(crate) offender: Option<SocketAddr>,
}

/// The flag to receive from the queue of errors.
pub(crate) fn error_queue() -> io::Result<i32> {
    Ok(libc::MSG_ERRQUEUE)
}

/// The control data that cuts bytes into datagrams.
pub(crate) fn segment() -> io::Result<(i32, i32)> {
    Ok((libc::SOL_UDP, libc::UDP_SEGMENT))
}

/// Lets datagrams come together.
pub(crate) fn set_gro(fd: RawFd, on: bool) -> io::Result<()> {
    set_option(fd, libc::SOL_UDP, libc::UDP_GRO, on.into())
}

/// Lets the address come along that a datagram was sent to.
pub(crate) fn set_recv_local(fd: RawFd, is_v4: bool, on: bool) -> io::Result<()> {
    match is_v4 {
        true => set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, on.into()),
        false => set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, on.into()),
    }
}

/// Keeps what is told of datagrams that were sent.
pub(crate) fn set_recv_errors(fd: RawFd, is_v4: bool, on: bool) -> io::Result<()> {
    match is_v4 {
        true => set_option(fd, libc::IPPROTO_IP, libc::IP_RECVERR, on.into()),
        false => set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, on.into()),
    }
}

/// The control data by which a datagram leaves from `ip` by the interface of this number: level, kind and content.
pub(crate) fn source(ip: IpAddr, interface: u32) -> io::Result<(i32, i32, Vec<u8>)> {
    let interface = interface.to_ne_bytes();
    Ok(match ip {
        IpAddr::V4(ip) => (libc::IPPROTO_IP, libc::IP_PKTINFO, [interface, ip.octets(), [0; 4]].concat()),
        IpAddr::V6(ip) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, [&ip.octets()[..], &interface[..]].concat()),
    })
}

/// The `N` bytes at `at`.
fn bytes<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

/// The address that a datagram was sent to, and the interface that it came by.
pub(crate) fn local(control: &[u8]) -> Option<(IpAddr, u32)> {
    ControlMessages::new(control).find_map(|ControlMessage { level, kind, data }| match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            Some((Ipv4Addr::from(bytes::<4>(data, 8)?).into(), u32::from_ne_bytes(bytes(data, 0)?)))
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            Some((Ipv6Addr::from(bytes::<16>(data, 0)?).into(), u32::from_ne_bytes(bytes(data, 16)?)))
        }
        _ => None,
    })
}

/// The size of each of the datagrams that came as one.
pub(crate) fn segment_size(control: &[u8]) -> Option<usize> {
    let is_meant = |m: &ControlMessage<'_>| (m.level, m.kind) == (libc::SOL_UDP, libc::UDP_GRO);
    let size = u32::from_ne_bytes(bytes(ControlMessages::new(control).find(is_meant)?.data, 0)?);
    usize::try_from(size).ok().filter(|&size| size > 0)
}

/// What a datagram met that was sent.
pub(crate) fn trouble(control: &[u8]) -> Option<Trouble> {
    ControlMessages::new(control).find_map(|ControlMessage { level, kind, data }| match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            let [origin, kind, code, _] = bytes(data, 4)?;
            Some(Trouble {
                errno: u32::from_ne_bytes(bytes(data, 0)?) as i32,
                origin,
                kind,
                code,
                info: u32::from_ne_bytes(bytes(data, 8)?),
                offender: data.get(16..).and_then(|addr| SockAddr::from_bytes(addr).ok()?.to_std().ok()),
            })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut control = Vec::new();
        ControlMessage { level: 77, kind: 77, data: b"something else" }.append_to(&mut control);
        ControlMessage { level, kind, data }.append_to(&mut control);
        control
    }

    #[test]
    fn what_is_told_is_understood() {
        for ip in ["127.0.0.2", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let (level, kind, mut data) = source(ip, 3).unwrap();
            if ip.is_ipv4() {
                // To be sent, the address is the second field; what came has it in the third.
                data.copy_within(4..8, 8);
            }
            assert_eq!(local(&one(level, kind, &data)), Some((ip, 3)));
        }
        assert_eq!(segment_size(&one(libc::SOL_UDP, libc::UDP_GRO, &1200u32.to_ne_bytes())), Some(1200));
        let mut data = [&(libc::ECONNREFUSED as u32).to_ne_bytes()[..], &[2, 3, 3, 0], &[0; 8]].concat();
        let bare = trouble(&one(libc::IPPROTO_IP, libc::IP_RECVERR, &data)).unwrap();
        assert_eq!((bare.errno, bare.origin, bare.code, bare.offender), (libc::ECONNREFUSED, 2, 3, None));
        let who: SocketAddr = "127.0.0.1:0".parse().unwrap();
        data.extend_from_slice(SockAddr::from(who).as_bytes());
        let told = trouble(&one(libc::IPPROTO_IP, libc::IP_RECVERR, &data)).unwrap();
        assert_eq!(told.offender, Some(who));
    }

    /// Red when a structure is taken for longer than it is.
    #[test]
    fn what_is_too_short_is_nothing() {
        let kinds = [
            (libc::IPPROTO_IP, libc::IP_PKTINFO, 12),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 20),
            (libc::SOL_UDP, libc::UDP_GRO, 4),
            (libc::IPPROTO_IP, libc::IP_RECVERR, 12),
        ];
        for (level, kind, whole) in kinds {
            for len in 0..whole {
                let control = one(level, kind, &vec![1; len]);
                assert_eq!((local(&control), segment_size(&control), trouble(&control)), (None, None, None));
            }
        }
        assert_eq!(segment_size(&one(libc::SOL_UDP, libc::UDP_GRO, &[0; 4])), None, "no division by it");
    }
}
