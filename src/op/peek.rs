//! `recv(2)`: `IORING_OP_RECV`, since Linux 5.6. Looks at what is there, and leaves it.

use crate::{
    buf::IoBufMut,
    driver::Fd,
    op::{Recv, Submit, submit},
};

/// Copies what is there to be received into `buf`, and leaves it there. Gives the number of bytes: 0 when the peer has
/// shut down. It waits until there is something; for more than that it does not wait.
///
/// # Errors
/// Those of `recv(2)`, with the buffer: `ENOTSOCK` for what is no socket.
///
/// # Cancellation
/// **Clean**: looking takes nothing away.
pub fn peek<B: IoBufMut>(fd: &Fd, buf: B) -> Submit<Recv<B>> {
    submit(Recv::new(fd, buf, libc::MSG_PEEK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{op, testing::poll_once, time::timeout};
    use std::{io::Write, time::Duration};

    /// A look that came short must not make the driver believe that there is nothing left. Red when a look takes
    /// something away.
    #[crate::test]
    async fn what_was_looked_at_is_received() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut b = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let a = Fd::new(listener.accept().unwrap().0.into());
        let mut looking = peek(&a, Vec::with_capacity(64));
        poll_once(&mut looking).await;
        b.write_all(b"GET").unwrap();
        let (n, buf) = looking.await;
        assert_eq!((n.unwrap(), &buf[..]), (3, &b"GET"[..]));
        let again = timeout(Duration::from_secs(5), peek(&a, vec![0; 2])).await;
        assert_eq!(again.expect("it was taken away").1, b"GE");
        assert_eq!(peek(&a, buf).await.1, b"GET");
        assert_eq!(op::recv(&a, Vec::with_capacity(64)).await.1, b"GET");
        drop(b);
        assert_eq!(peek(&a, vec![0; 2]).await.0.unwrap(), 0);
    }
}
