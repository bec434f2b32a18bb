//! Socket addresses as the kernel has them, to and from those of `std`.

use crate::sys::unix;
use std::{
    ffi::OsStr,
    fmt, io,
    mem::{self, MaybeUninit},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::unix::ffi::OsStrExt,
    path::Path,
    slice,
};

/// An address of a socket, of whatever family.
///
/// ```
/// use annulus::net::SockAddr;
///
/// let addr: std::net::SocketAddr = "127.0.0.1:80".parse().unwrap();
/// assert_eq!(SockAddr::from(addr).to_std()?, addr);
/// let named = SockAddr::unix("/run/app.sock".as_ref())?;
/// assert_eq!(named.as_pathname(), Some("/run/app.sock".as_ref()));
/// # std::io::Result::Ok(())
/// ```
// Boxed by the operations that lend it: the kernel writes both the bytes and the length.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SockAddr {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

/// Where the family of an address ends.
const FAMILY_END: usize = mem::offset_of!(libc::sockaddr_storage, ss_family) + mem::size_of::<libc::sa_family_t>();

/// Where the name of a Unix address begins, and how long it can be.
const UNIX_START: usize = mem::offset_of!(libc::sockaddr_un, sun_path);
const UNIX_ROOM: usize = mem::size_of::<libc::sockaddr_un>() - UNIX_START;

impl SockAddr {
    /// All of the room, zeroed: for the kernel to write an address into.
    pub(crate) fn room() -> SockAddr {
        // SAFETY: Plain bytes: all-zero is a value of `sockaddr_storage`, a structure of integers.
        let storage = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
        SockAddr { storage, len: mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    /// No address at all.
    pub(crate) fn none() -> SockAddr {
        SockAddr { len: 0, ..SockAddr::room() }
    }

    /// The address of `bytes` as the system has it: an address structure, which begins with the family.
    ///
    /// # Errors
    /// `InvalidInput` for bytes that are no family, or more than any address has.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<SockAddr> {
        let room = mem::size_of::<libc::sockaddr_storage>();
        if bytes.len() < FAMILY_END || bytes.len() > room {
            let why = format!("{} bytes are no socket address: it has {FAMILY_END} to {room}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut addr = SockAddr::room();
        // SAFETY: Plain bytes: just checked that they fit into the storage, a structure of integers.
        unsafe { addr.room_ptrs().0.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        addr.len = bytes.len() as libc::socklen_t;
        unix::say_length(&mut addr.storage, addr.len);
        Ok(addr)
    }

    /// The address as the system has it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: Plain bytes: as many as the storage has at most, all of which were zero or written.
        unsafe { slice::from_raw_parts(self.as_ptr().cast::<u8>(), self.len() as usize) }
    }

    /// The `AF_*` of the address; 0 (`AF_UNSPEC`) when there is none.
    #[must_use]
    pub fn family(&self) -> i32 {
        if (self.len as usize) < FAMILY_END { libc::AF_UNSPEC } else { self.storage.ss_family.into() }
    }

    /// An address in Linux's abstract namespace, where names are bytes and no files.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is too long, `Unsupported` where there is no such namespace.
    pub fn unix_abstract(name: &[u8]) -> io::Result<SockAddr> {
        if !unix::HAS_ABSTRACT_NAMES {
            let why = "only Linux has Unix sockets with abstract names; use a path";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        if name.len() >= UNIX_ROOM {
            let why = format!("an abstract name of {} bytes is too long: {} fit", name.len(), UNIX_ROOM - 1);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // SAFETY: Plain bytes: a `sockaddr_un` may be all zero, and begins as an abstract address then.
        let mut addr = unsafe { MaybeUninit::<libc::sockaddr_un>::zeroed().assume_init() };
        addr.sun_family = libc::AF_UNIX as libc::sa_family_t;
        addr.sun_path[1..].iter_mut().zip(name).for_each(|(room, &byte)| *room = byte as libc::c_char);
        let mut addr = SockAddr::with(addr);
        addr.len = (UNIX_START + 1 + name.len()) as libc::socklen_t;
        Ok(addr)
    }

    /// An address between a machine and its guests: the number of a machine (`VMADDR_CID_*`; 1 is this one, `u32::MAX`
    /// any), and a port (`u32::MAX`: one that is free).
    ///
    /// # Errors
    /// `Unsupported` where there are no such sockets.
    pub fn vsock(cid: u32, port: u32) -> io::Result<SockAddr> {
        let Some(family) = unix::AF_VSOCK else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "annulus knows no vsock on this system"));
        };
        // `sockaddr_vm`: the family, two bytes of nothing, port and machine, four bytes of nothing.
        let parts =
            [[(family as u16).to_ne_bytes(), [0; 2]].concat(), [port.to_ne_bytes(), cid.to_ne_bytes()].concat()];
        SockAddr::from_bytes(&[&parts.concat()[..], &[0; 4]].concat())
    }

    /// The number of a machine and a port, of an address between a machine and its guests.
    #[must_use]
    pub fn as_vsock(&self) -> Option<(u32, u32)> {
        unix::AF_VSOCK.filter(|&family| family == self.family())?;
        let word = |at| self.as_bytes().get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
        Some((word(8)?, word(4)?))
    }

    /// What follows the family of a Unix address. `None` for other families.
    fn unix_name(&self) -> Option<&[u8]> {
        if self.family() == libc::AF_UNIX { self.as_bytes().get(UNIX_START..) } else { None }
    }

    /// Whether this is the address of a Unix socket that has none.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        let nameless = self.as_pathname().is_none() && self.as_abstract_namespace().is_none();
        nameless && (self.family() == libc::AF_UNIX || self.len == 0)
    }

    /// The path of a Unix socket that has one.
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        let name = self.unix_name()?.split(|&byte| byte == 0).next()?;
        (!name.is_empty()).then(|| Path::new(OsStr::from_bytes(name)))
    }

    /// The name of a Unix socket in the abstract namespace.
    #[must_use]
    pub fn as_abstract_namespace(&self) -> Option<&[u8]> {
        let name = self.unix_name().filter(|_| unix::HAS_ABSTRACT_NAMES)?;
        name.strip_prefix(&[0])
    }

    /// Takes the length that the kernel wrote.
    pub(crate) fn set_len(&mut self, len: libc::socklen_t) {
        self.len = len;
    }

    /// The address of a Unix socket that has a name in the file system.
    ///
    /// # Errors
    /// `InvalidInput` for a path that is empty, too long for an address, or has a zero byte in it.
    pub fn unix(path: &Path) -> io::Result<SockAddr> {
        const ROOM: usize = UNIX_ROOM;
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

    /// Bytes used. **Kernel's word**: it may have written the length of an address that did not fit.
    pub(crate) fn len(&self) -> libc::socklen_t {
        self.len.min(mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t)
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
    pub fn to_std(self) -> io::Result<SocketAddr> {
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
        match (self.to_std(), self.as_pathname()) {
            (Ok(addr), _) => addr.fmt(f),
            (_, Some(path)) => path.fmt(f),
            _ => write!(f, "SockAddr {{ family: {}, len: {} }}", self.storage.ss_family, self.len),
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
    fn names_of_unix_sockets_are_told_apart() {
        let named = SockAddr::unix(Path::new("/tmp/x")).unwrap();
        assert_eq!((named.as_pathname(), named.is_unnamed()), (Some(Path::new("/tmp/x")), false));
        assert_eq!(named.as_abstract_namespace(), None);
        let unnamed = SockAddr::from_bytes(&named.as_bytes()[..FAMILY_END]).unwrap();
        assert!(unnamed.is_unnamed() && unnamed.as_pathname().is_none(), "{unnamed:?}");
        assert!(SockAddr::none().is_unnamed());
        assert!(!SockAddr::from("127.0.0.1:80".parse::<SocketAddr>().unwrap()).is_unnamed());
        if unix::HAS_ABSTRACT_NAMES {
            for name in [&b"a\0b"[..], b"", &[7; 107]] {
                let addr = SockAddr::unix_abstract(name).unwrap();
                assert_eq!((addr.as_abstract_namespace(), addr.as_pathname()), (Some(name), None));
            }
            assert_eq!(SockAddr::unix_abstract(&[7; 108]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        } else {
            assert_eq!(SockAddr::unix_abstract(b"x").unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
        for bad in [&[][..], &[0], &vec![0; mem::size_of::<libc::sockaddr_storage>() + 1]] {
            assert_eq!(SockAddr::from_bytes(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn machines_and_ports_survive_the_round_trip() {
        match SockAddr::vsock(2, 1024) {
            Ok(addr) => assert_eq!((addr.as_vsock(), addr.as_bytes().len()), (Some((2, 1024)), 16)),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::Unsupported),
        }
        assert_eq!(SockAddr::from("127.0.0.1:80".parse::<SocketAddr>().unwrap()).as_vsock(), None);
    }

    /// Red when the kernel's length is believed: it speaks of more than there is room for.
    #[test]
    fn a_length_that_lies_is_cut() {
        let mut addr = SockAddr::room();
        addr.set_len(u32::MAX);
        assert_eq!(addr.as_bytes().len(), mem::size_of::<libc::sockaddr_storage>());
    }

    #[test]
    fn short_and_foreign_addresses_are_errors() {
        let mut short = SockAddr::from("127.0.0.1:80".parse::<SocketAddr>().unwrap());
        short.len = 3;
        assert_eq!(short.to_std().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(SockAddr::room().to_std().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
