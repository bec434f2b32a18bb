//! Making a TCP connection.

use super::{TcpConnectOpts, TcpStream, ToSocketAddrs, domain, nothing, prepare, set};
use crate::{driver::Fd, op, sys::unix};
use std::{io, net::SocketAddr, os::fd::AsRawFd};

impl TcpStream {
    /// Connects to `addr`; of several addresses, to the first that answers. A name is looked up on the pool.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut` and whatever else `connect(2)` says of the last address; those of
    /// [`lookup_host`](super::lookup_host); `InvalidInput` for an empty slice.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect(addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut last = None;
        for &addr in addr.query()?.addresses().await?.iter() {
            match TcpStream::connect_addr(addr).await {
                Ok(stream) => return Ok(stream),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(nothing))
    }

    /// Connects to one address.
    ///
    /// # Errors
    /// Those of `socket(2)` and `connect(2)`.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_addr(addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_addr_with_config(addr, &TcpConnectOpts::default()).await
    }

    /// Connects to one address, as `opts` say.
    ///
    /// # Errors
    /// Those of [`TcpStream::connect_addr`], and those of options that the system does not have.
    ///
    /// # Cancellation
    /// **Clean**: a connection that was made is closed.
    pub async fn connect_addr_with_config(addr: SocketAddr, opts: &TcpConnectOpts) -> io::Result<TcpStream> {
        let fd = Fd::socket(op::socket(domain(addr), libc::SOCK_STREAM, 0).await?);
        if opts.tcp_fast_open {
            set(&fd, libc::IPPROTO_TCP, unix::TCP_FASTOPEN_CONNECT, 1)?;
        }
        prepare(&fd, opts.send_buf_size, opts.recv_buf_size, opts.device, opts.mark)?;
        if let Some(local) = opts.local_addr {
            bind(&fd, local)?;
        }
        op::connect(&fd, addr).await?;
        Ok(TcpStream::from_fd(fd))
    }
}

/// Gives this end its address. Without a port, one is found with the peer's address in mind, where the system can wait.
fn bind(fd: &Fd, local: SocketAddr) -> io::Result<()> {
    if let Some(late) = unix::IP_BIND_ADDRESS_NO_PORT.filter(|_| local.port() == 0) {
        set(fd, libc::IPPROTO_IP, late, 1)?;
    }
    unix::bind(fd.as_raw_fd(), &local.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[crate::test]
    async fn the_address_that_answers_is_taken() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let alive = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(&[dead, alive.local_addr().unwrap()][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive.local_addr().unwrap());
        assert_eq!(TcpStream::connect(dead).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(TcpStream::connect(&[][..]).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
