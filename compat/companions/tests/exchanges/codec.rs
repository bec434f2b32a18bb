//! monoio-codec: frames in streams.

use crate::{bytes, exchange, pair};
use ::bytes::{Bytes, BytesMut};
use monoio::{
    io::{
        AsyncWriteRent, AsyncWriteRentExt,
        sink::{Sink, SinkExt},
        stream::Stream,
    },
    net::UnixStream,
    time::{Duration, sleep},
};
use monoio_codec::{Decoded, Decoder, Encoder, Framed, FramedRead, length_delimited::LengthDelimitedCodec};
use std::io;

/// Lines.
struct Lines;

impl Decoder for Lines {
    type Item = String;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Decoded<String>> {
        match src.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = src.split_to(end + 1);
                Ok(Decoded::Some(String::from_utf8_lossy(&line[..end]).into_owned()))
            }
            None => Ok(Decoded::Insufficient),
        }
    }
}

impl Encoder<&'static str> for Lines {
    type Error = io::Error;

    fn encode(&mut self, item: &'static str, dst: &mut BytesMut) -> io::Result<()> {
        dst.extend_from_slice(item.as_bytes());
        dst.extend_from_slice(b"\n");
        Ok(())
    }
}

#[monoio::test_all]
async fn lines_go_both_ways() {
    exchange(async {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut a, mut b) = (Framed::new(a, Lines), Framed::new(b, Lines));
        a.send_and_flush("first").await.unwrap();
        Sink::send(&mut a, "second").await.unwrap();
        Sink::<&'static str>::flush(&mut a).await.unwrap();
        assert_eq!(b.next().await.unwrap().unwrap(), "first");
        b.send_and_flush("third").await.unwrap();
        assert_eq!(b.next().await.unwrap().unwrap(), "second");
        assert_eq!(a.next().await.unwrap().unwrap(), "third");
        drop(a);
        assert!(b.next().await.is_none());
    })
    .await;
}

/// Frames, one after the other.
fn encoded(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut dst = BytesMut::new();
    for frame in frames {
        LengthDelimitedCodec::new().encode(Bytes::from(frame.clone()), &mut dst).unwrap();
    }
    dst.to_vec()
}

/// Red when what was read of a frame is lost, or read twice, when the rest of it comes.
#[monoio::test_all]
async fn frames_are_cut_anywhere() {
    exchange(async {
        let frames = [bytes(1), bytes(0), bytes(17), bytes(300), bytes(4), bytes(70_000), bytes(2)];
        let all = encoded(&frames);
        let (mut client, server) = pair().await;
        client.set_nodelay(true).unwrap();
        let writing = monoio::spawn(async move {
            let (mut rest, mut pieces) = (&all[..], [1, 2, 3, 5, 7, 11, 13].into_iter().cycle().take(60));
            while !rest.is_empty() {
                let piece;
                (piece, rest) = rest.split_at(pieces.next().unwrap_or(30_011).min(rest.len()));
                client.write_all(piece.to_vec()).await.0.unwrap();
                sleep(Duration::from_micros(200)).await;
            }
        });
        let mut reader = FramedRead::new(server, LengthDelimitedCodec::new());
        for frame in &frames {
            assert_eq!(reader.next().await.unwrap().unwrap(), frame);
        }
        assert!(reader.next().await.is_none());
        writing.await;
    })
    .await;
}

/// Red when the end is not an error inside of a frame.
#[monoio::test_all]
async fn half_a_frame_is_an_error() {
    exchange(async {
        let (mut client, server) = pair().await;
        let frames = encoded(&[bytes(5), bytes(5)]);
        client.write_all(frames[..frames.len() - 1].to_vec()).await.0.unwrap();
        client.shutdown().await.unwrap();
        let mut reader = FramedRead::new(server, LengthDelimitedCodec::new());
        assert_eq!(reader.next().await.unwrap().unwrap(), bytes(5));
        assert_eq!(reader.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::Other);
    })
    .await;
}
