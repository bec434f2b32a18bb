//! How listeners and connections are to be.

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
}

/// How a connection is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnectOpts {
    /// Send the first data with the opening of the connection (`TCP_FASTOPEN_CONNECT`). Off by default.
    pub tcp_fast_open: bool,
}

impl TcpConnectOpts {
    /// The defaults.
    #[must_use]
    pub const fn new() -> TcpConnectOpts {
        TcpConnectOpts { tcp_fast_open: false }
    }

    /// See [`TcpConnectOpts::tcp_fast_open`](struct@TcpConnectOpts).
    #[must_use]
    pub const fn tcp_fast_open(mut self, on: bool) -> TcpConnectOpts {
        self.tcp_fast_open = on;
        self
    }
}
