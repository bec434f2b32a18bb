//! monoio-io-wrapper: std's traits, with buffers between.

use crate::{bytes, exchange, pair};
use monoio_io_wrapper::{ReadBuffer, WriteBuffer};
use std::io::{ErrorKind, Read, Write};

/// Red when the buffers lose bytes, or the end.
#[monoio::test_all]
async fn buffers_are_filled_and_emptied() {
    exchange(async {
        let (mut client, mut server) = pair().await;
        let writing = monoio::spawn(async move {
            let (all, mut buffer) = (bytes(50_000), WriteBuffer::new(4096));
            let mut rest = &all[..];
            while !rest.is_empty() {
                match buffer.write(rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        assert_eq!(buffer.do_io(&mut client).await.unwrap(), 4096);
                    }
                }
            }
            assert_eq!(buffer.do_io(&mut client).await.unwrap(), 50_000 % 4096);
        });
        let (mut all, mut buffer, mut piece) = (Vec::new(), ReadBuffer::new(1000), [0; 300]);
        loop {
            match buffer.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => all.extend_from_slice(&piece[..n]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    buffer.do_io(&mut server).await.unwrap();
                }
            }
        }
        assert_eq!(all, bytes(50_000));
        writing.await;
    })
    .await;
}
