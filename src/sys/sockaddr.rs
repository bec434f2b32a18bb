//! Socket addresses as the kernel has them, to and from those of `std`.

use crate::sys::unix;
use std::{
    fmt, io,
    mem::{self, MaybeUninit},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// Room for any socket address, and how much of it is used.
///
/// Boxed by the operations that lend it: the kernel writes both the bytes and the length.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SockAddr {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl SockAddr {
    /// All of the room, zeroed: for the kernel to write an address into.
    pub(crate) fn room() -> SockAddr {
        // SAFETY: Plain bytes: all-zero is a value of `sockaddr_storage`, a structure of integers.
        let storage = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
        SockAddr { storage, len: mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    /// The address of a Unix socket that has a name in the file system.
    ///
    /// # Errors
    /// `InvalidInput` for a path that is empty, too long for an address, or has a zero byte in it.
    pub(crate) fn unix(path: &Path) -> io::Result<SockAddr> {
        const ROOM: usize = mem::size_of::<libc::sockaddr_un>() - mem::offset_of!(libc::sockaddr_un, sun_path);
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.len() >= ROOM || bytes.contains(&0) {
            let why = format!("{path:?} names no Unix socket: it takes 1 to {} bytes without a zero", ROOM - 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // SAFETY: Plain bytes: all-zero is a value of `sockaddr_un`.
        let mut addr = unsafe { MaybeUninit::<libc::sockaddr_un>::zeroed().assume_init() };
        addr.sun_family = libc::AF_UNIX as libc::sa_family_t;
        addr.sun_path.iter_mut().zip(bytes).for_each(|(room, &byte)| *room = byte as libc::c_char);
        Ok(SockAddr::with(addr))
    }

    /// Where the address lies.
    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    /// Where the kernel may write an address, and where it reads the room and writes the length used.
    pub(crate) fn room_ptrs(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.storage).cast(), &raw mut self.len)
    }

    /// Bytes used.
    pub(crate) fn len(&self) -> libc::socklen_t {
        self.len
    }

    /// Whether an address of `T`'s size was written.
    fn holds<T>(&self) -> bool {
        self.len as usize >= mem::size_of::<T>()
    }

    /// Stores `value`, an address structure, at the start of the room.
    fn with<T: Copy>(value: T) -> SockAddr {
        const { assert!(mem::size_of::<T>() <= mem::size_of::<libc::sockaddr_storage>()) };
        let mut room = SockAddr::room();
        // SAFETY: Plain bytes: the room is at least as large and as aligned as any address structure.
        unsafe { room.room_ptrs().0.cast::<T>().write(value) };
        room.len = mem::size_of::<T>() as libc::socklen_t;
        unix::say_length(&mut room.storage, room.len);
        room
    }

    /// The address as an IP address and port.
    ///
    /// # Errors
    /// `InvalidInput` for a family other than IPv4 and IPv6, or when the kernel wrote too few bytes.
    pub(crate) fn to_std(self) -> io::Result<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET if self.holds::<libc::sockaddr_in>() => {
                // SAFETY: Plain bytes: the family and the length say that a `sockaddr_in` was written here.
                let a = unsafe { self.as_ptr().cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(u32::from_be(a.sin_addr.s_addr));
                Ok(SocketAddrV4::new(ip, u16::from_be(a.sin_port)).into())
            }
            libc::AF_INET6 if self.holds::<libc::sockaddr_in6>() => {
                // SAFETY: Plain bytes: likewise a `sockaddr_in6`.
                let a = unsafe { self.as_ptr().cast::<libc::sockaddr_in6>().read() };
                let (ip, port) = (Ipv6Addr::from(a.sin6_addr.s6_addr), u16::from_be(a.sin6_port));
                Ok(SocketAddrV6::new(ip, port, u32::from_be(a.sin6_flowinfo), a.sin6_scope_id).into())
            }
            family => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a socket address of family {family} and {} bytes is not an IP address", self.len),
            )),
        }
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(addr: SocketAddr) -> SockAddr {
        match addr {
            SocketAddr::V4(v4) => {
                // SAFETY: Plain bytes: all-zero is a value of `sockaddr_in`.
                let mut a = unsafe { MaybeUninit::<libc::sockaddr_in>::zeroed().assume_init() };
                a.sin_family = libc::AF_INET as libc::sa_family_t;
                a.sin_port = v4.port().to_be();
                a.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
                SockAddr::with(a)
            }
            SocketAddr::V6(v6) => {
                // SAFETY: Plain bytes: all-zero is a value of `sockaddr_in6`.
                let mut a = unsafe { MaybeUninit::<libc::sockaddr_in6>::zeroed().assume_init() };
                a.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                a.sin6_port = v6.port().to_be();
                a.sin6_flowinfo = v6.flowinfo().to_be();
                a.sin6_addr.s6_addr = v6.ip().octets();
                a.sin6_scope_id = v6.scope_id();
                SockAddr::with(a)
            }
        }
    }
}

impl fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_std() {
            Ok(addr) => addr.fmt(f),
            Err(_) => write!(f, "SockAddr {{ family: {}, len: {} }}", self.storage.ss_family, self.len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["127.0.0.1:80", "255.1.2.3:65535", "[::1]:7", "[fe80::1%3]:443"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(SockAddr::from(addr).to_std().unwrap(), addr);
        }
    }

    #[test]
    fn a_path_is_an_address_if_it_fits() {
        let addr = SockAddr::unix(Path::new("/tmp/x")).unwrap();
        assert_eq!(addr.len() as usize, mem::size_of::<libc::sockaddr_un>());
        for bad in ["", "a\0b", &"x".repeat(108)] {
            let error = SockAddr::unix(Path::new(bad)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
    }

    #[test]
    fn short_and_foreign_addresses_are_errors() {
        let mut short = SockAddr::from("127.0.0.1:80".parse::<SocketAddr>().unwrap());
        short.len = 3;
        assert_eq!(short.to_std().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(SockAddr::room().to_std().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
