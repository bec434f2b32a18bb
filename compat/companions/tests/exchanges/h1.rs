//! monoio-http: HTTP/1.1.

use crate::{bytes, exchange, pair, tls};
use ::bytes::Bytes;
use http::{Request, Response};
use monoio::io::{AsyncReadRent, AsyncWriteRent, Split, sink::SinkExt, stream::Stream};
use monoio_http::{
    common::body::{Body, BodyExt, StreamHint},
    h1::{
        codec::{ClientCodec, ServerCodec, decoder::FillPayload},
        payload::{FixedPayload, Payload, stream_payload_pair},
    },
};

/// A body in two chunks.
fn chunks(body: Bytes) -> Payload {
    let (payload, mut sender) = stream_payload_pair();
    sender.feed_data(Some(body.slice(..body.len() / 2)));
    sender.feed_data(Some(body.slice(body.len() / 2..)));
    sender.feed_data(None);
    Payload::Stream(payload)
}

/// Gives each request's body back, in chunks if it came so, with its header `x-word`, until the client is gone: with TLS
/// that is an error if it did not say so.
pub(crate) async fn serve(io: impl Split + AsyncReadRent + AsyncWriteRent) {
    let mut codec = ServerCodec::new(io);
    while let Some(Ok(request)) = codec.next().await {
        let (head, body) = request.into_parts();
        codec.fill_payload().await.unwrap();
        let (hint, body) = (body.stream_hint(), body.bytes().await.unwrap());
        let body = match hint {
            StreamHint::None => Payload::None,
            StreamHint::Fixed => Payload::Fixed(FixedPayload::new(body)),
            StreamHint::Stream => chunks(body),
        };
        let word = head.headers.get("x-word").unwrap();
        codec.send_and_flush(Response::builder().header("x-word", word).body(body).unwrap()).await.unwrap();
    }
}

/// Requests of each kind on one connection.
async fn ask(io: impl Split + AsyncReadRent + AsyncWriteRent) {
    let mut codec = ClientCodec::new(io);
    for (word, len) in [("none", 0), ("short", 5), ("chunked", 20_000), ("long", 300_000), ("chunked", 300_000)] {
        let body = Bytes::from(bytes(len));
        let body = match word {
            "none" => Payload::None,
            "chunked" => chunks(body),
            _ => Payload::Fixed(FixedPayload::new(body)),
        };
        let request = Request::post("/").header("host", "localhost").header("x-word", word).body(body).unwrap();
        codec.send_and_flush(request).await.unwrap();
        let (head, body) = codec.next().await.unwrap().unwrap().into_parts();
        assert_eq!((head.status.as_u16(), &head.headers["x-word"]), (200, &word.parse().unwrap()));
        assert_eq!(head.headers.contains_key("transfer-encoding"), word == "chunked");
        assert_eq!(body.with_io(&mut codec).bytes().await.unwrap(), bytes(len));
    }
}

#[monoio::test_all]
async fn bodies_go_both_ways() {
    exchange(async {
        let (client, server) = pair().await;
        let serving = monoio::spawn(serve(server));
        ask(client).await;
        serving.await;
    })
    .await;
}

#[monoio::test_all]
async fn bodies_go_both_ways_by_https() {
    exchange(async {
        let (client, server) = tls::pair(&["http/1.1"]).await;
        let serving = monoio::spawn(serve(server));
        ask(client).await;
        serving.await;
    })
    .await;
}
