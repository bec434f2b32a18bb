//! The name of a network interface.

use std::{fmt, io, str::FromStr};

/// The most bytes of a name; the kernel's room has one more for a zero (`IFNAMSIZ`).
const MOST: usize = 15;

/// A network interface by its name, such as `eth0`: where a socket's packets come and go.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use annulus::net::{Device, TcpConnectOpts};
///
/// let opts = TcpConnectOpts::new().device("wg0".parse::<Device>()?);
/// assert_eq!(opts.device.unwrap().as_bytes(), b"wg0");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    name: [u8; MOST],
    len: u8,
}

impl Device {
    /// The interface of this name. Whether there is one is told when a socket is bound to it.
    ///
    /// # Errors
    /// `InvalidInput` for a name that no interface can have: 1 to 15 bytes, without a zero and without a slash.
    pub fn new(name: impl AsRef<[u8]>) -> io::Result<Device> {
        let bytes = name.as_ref();
        if bytes.is_empty() || bytes.len() > MOST || bytes.iter().any(|byte| [0, b'/'].contains(byte)) {
            let name = String::from_utf8_lossy(bytes);
            let why = format!("{name:?} names no interface: it takes 1 to {MOST} bytes, without a zero or a slash");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut device = Device { name: [0; MOST], len: bytes.len() as u8 };
        device.name[..bytes.len()].copy_from_slice(bytes);
        Ok(device)
    }

    /// The name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.name[..self.len.into()]
    }
}

impl FromStr for Device {
    type Err = io::Error;

    fn from_str(name: &str) -> io::Result<Device> {
        Device::new(name)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_or_is_refused() {
        for good in ["lo", "fifteen-letters", "a"] {
            assert_eq!(Device::new(good).unwrap().to_string(), good);
        }
        for bad in ["", "sixteen-letters!", "a/b", "a\0"] {
            let error = Device::new(bad).unwrap_err();
            assert!(error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains("15"), "{error}");
        }
    }
}
