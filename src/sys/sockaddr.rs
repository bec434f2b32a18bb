//! `std::net::SocketAddr` to and from the kernel's `sockaddr`.
