//! How listeners and connections are to be.

use super::Device;
use std::{net::SocketAddr, time::Duration};

/// How a listener is to be.
#[derive(Clone, Copy, Debug)]
pub struct ListenerOpts {
    /// Let other sockets bind the same port, and share its connections (`SO_REUSEPORT`). On by default, so that each
    /// shard can have a listener of its own.
    pub reuse_port: bool,
    /// Let the port be bound while old connections of it linger (`SO_REUSEADDR`). On by default.
    pub reuse_addr: bool,
    /// How many connections may wait to be accepted. 1024 by default.
    pub backlog: i32,
    /// Bytes of each connection's send buffer (`SO_SNDBUF`); the kernel's choice by default.
    pub send_buf_size: Option<usize>,
    /// Bytes of each connection's receive buffer (`SO_RCVBUF`); the kernel's choice by default.
    pub recv_buf_size: Option<usize>,
    /// Take data with the opening of a connection (`TCP_FASTOPEN`). Off by default.
    pub tcp_fast_open: bool,
    /// Whether an address of IPv6 takes connections of IPv6 only, or those of IPv4 as well (`IPV6_V6ONLY`); the
    /// system's choice by default.
    pub only_v6: Option<bool>,
    /// Take what comes in by this interface only (`SO_BINDTODEVICE`, Linux). None by default.
    pub device: Option<Device>,
    /// Mark the packets of all connections (`SO_MARK`, Linux). None by default.
    pub mark: Option<u32>,
}

impl Default for ListenerOpts {
    fn default() -> ListenerOpts {
        ListenerOpts::new()
    }
}

impl ListenerOpts {
    /// The defaults.
    #[must_use]
    pub const fn new() -> ListenerOpts {
        ListenerOpts {
            reuse_port: true,
            reuse_addr: true,
            backlog: 1024,
            send_buf_size: None,
            recv_buf_size: None,
            tcp_fast_open: false,
            only_v6: None,
            device: None,
            mark: None,
        }
    }

    /// See [`ListenerOpts::reuse_port`](struct@ListenerOpts).
    #[must_use]
    pub const fn reuse_port(mut self, on: bool) -> ListenerOpts {
        self.reuse_port = on;
        self
    }

    /// See [`ListenerOpts::reuse_addr`](struct@ListenerOpts).
    #[must_use]
    pub const fn reuse_addr(mut self, on: bool) -> ListenerOpts {
        self.reuse_addr = on;
        self
    }

    /// See [`ListenerOpts::backlog`](struct@ListenerOpts).
    #[must_use]
    pub const fn backlog(mut self, backlog: i32) -> ListenerOpts {
        self.backlog = backlog;
        self
    }

    /// See [`ListenerOpts::send_buf_size`](struct@ListenerOpts).
    #[must_use]
    pub const fn send_buf_size(mut self, bytes: usize) -> ListenerOpts {
        self.send_buf_size = Some(bytes);
        self
    }

    /// See [`ListenerOpts::recv_buf_size`](struct@ListenerOpts).
    #[must_use]
    pub const fn recv_buf_size(mut self, bytes: usize) -> ListenerOpts {
        self.recv_buf_size = Some(bytes);
        self
    }

    /// See [`ListenerOpts::tcp_fast_open`](struct@ListenerOpts).
    #[must_use]
    pub const fn tcp_fast_open(mut self, on: bool) -> ListenerOpts {
        self.tcp_fast_open = on;
        self
    }

    /// See [`ListenerOpts::only_v6`](struct@ListenerOpts).
    #[must_use]
    pub const fn only_v6(mut self, on: bool) -> ListenerOpts {
        self.only_v6 = Some(on);
        self
    }

    /// See [`ListenerOpts::device`](struct@ListenerOpts).
    #[must_use]
    pub const fn device(mut self, device: Device) -> ListenerOpts {
        self.device = Some(device);
        self
    }

    /// See [`ListenerOpts::mark`](struct@ListenerOpts).
    #[must_use]
    pub const fn mark(mut self, mark: u32) -> ListenerOpts {
        self.mark = Some(mark);
        self
    }
}

/// How a connection is to be made.
#[derive(Clone, Copy, Debug)]
pub struct TcpConnectOpts {
    /// Send the first data with the opening of the connection (`TCP_FASTOPEN_CONNECT`). Off by default.
    pub tcp_fast_open: bool,
    /// The address of this end; with port 0 the system finds one. Addresses of the other family are not tried then. The
    /// system's choice by default.
    pub local_addr: Option<SocketAddr>,
    /// Go out by this interface only (`SO_BINDTODEVICE`, Linux). None by default.
    pub device: Option<Device>,
    /// Mark the packets (`SO_MARK`, Linux). None by default.
    pub mark: Option<u32>,
    /// Bytes of the send buffer (`SO_SNDBUF`); the kernel's choice by default.
    pub send_buf_size: Option<usize>,
    /// Bytes of the receive buffer (`SO_RCVBUF`); the kernel's choice by default.
    pub recv_buf_size: Option<usize>,
    /// How long it may take, from the lookup of a name to the last of its addresses. The system's patience, which is
    /// minutes for each address, by default.
    pub timeout: Option<Duration>,
    /// How long the next address of a name waits for the one before it. A quarter of a second by default, as RFC 8305
    /// wants it.
    pub stagger: Duration,
}

impl Default for TcpConnectOpts {
    fn default() -> TcpConnectOpts {
        TcpConnectOpts::new()
    }
}

impl TcpConnectOpts {
    /// The defaults.
    #[must_use]
    pub const fn new() -> TcpConnectOpts {
        TcpConnectOpts {
            tcp_fast_open: false,
            local_addr: None,
            device: None,
            mark: None,
            send_buf_size: None,
            recv_buf_size: None,
            timeout: None,
            stagger: Duration::from_millis(250),
        }
    }

    /// See [`TcpConnectOpts::tcp_fast_open`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn tcp_fast_open(mut self, on: bool) -> TcpConnectOpts {
        self.tcp_fast_open = on;
        self
    }

    /// See [`TcpConnectOpts::local_addr`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn local_addr(mut self, addr: SocketAddr) -> TcpConnectOpts {
        self.local_addr = Some(addr);
        self
    }

    /// See [`TcpConnectOpts::device`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn device(mut self, device: Device) -> TcpConnectOpts {
        self.device = Some(device);
        self
    }

    /// See [`TcpConnectOpts::mark`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn mark(mut self, mark: u32) -> TcpConnectOpts {
        self.mark = Some(mark);
        self
    }

    /// See [`TcpConnectOpts::send_buf_size`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn send_buf_size(mut self, bytes: usize) -> TcpConnectOpts {
        self.send_buf_size = Some(bytes);
        self
    }

    /// See [`TcpConnectOpts::recv_buf_size`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn recv_buf_size(mut self, bytes: usize) -> TcpConnectOpts {
        self.recv_buf_size = Some(bytes);
        self
    }

    /// See [`TcpConnectOpts::timeout`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> TcpConnectOpts {
        self.timeout = Some(limit);
        self
    }

    /// See [`TcpConnectOpts::stagger`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn stagger(mut self, pause: Duration) -> TcpConnectOpts {
        self.stagger = pause;
        self
    }
}
