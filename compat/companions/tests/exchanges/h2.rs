//! monoio-http: HTTP/2.

use crate::{bytes, exchange, pair, tls};
use ::bytes::Bytes;
use http::{HeaderMap, Request, Response};
use monoio::io::{AsyncReadRent, AsyncWriteRent};
use monoio_http::{
    common::body::BodyExt,
    h2::{
        RecvStream, client,
        server::{self, SendResponse},
    },
};

/// Gives each request's body back, with its header `x-word`, until the client is gone: with TLS that is an error if it did
/// not say so.
pub(crate) async fn serve(io: impl AsyncReadRent + AsyncWriteRent + Unpin + 'static) {
    let mut connection = server::handshake(io).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        monoio::spawn(answer(request, respond));
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, body) = request.into_parts();
    let body = body.bytes().await.unwrap();
    let response = Response::builder().header("x-word", &head.headers["x-word"]).body(()).unwrap();
    let mut stream = respond.send_response(response, false).unwrap();
    stream.send_data(body, false).unwrap();
    stream.send_trailers(HeaderMap::from_iter([("x-end".parse().unwrap(), "told".parse().unwrap())])).unwrap();
}

/// Several requests at once on one connection: the long one is longer than the windows of both sides.
async fn ask(io: impl AsyncReadRent + AsyncWriteRent + Unpin + 'static) {
    let (sender, connection) = client::handshake(io).await.unwrap();
    let connection = monoio::spawn(connection);
    let asking = [("none", 0), ("short", 5), ("long", 300_000)].map(|(word, len)| {
        let sender = sender.clone();
        monoio::spawn(async move {
            let request = Request::post("http://localhost/").header("x-word", word).body(()).unwrap();
            let (response, mut body) = sender.ready().await.unwrap().send_request(request, false).unwrap();
            body.send_data(Bytes::from(bytes(len)), true).unwrap();
            let (head, mut body) = response.await.unwrap().into_parts();
            assert_eq!((head.status.as_u16(), &head.headers["x-word"]), (200, &word.parse().unwrap()));
            let mut all = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                all.extend_from_slice(&data);
            }
            assert_eq!(all, bytes(len));
            assert_eq!(body.trailers().await.unwrap().unwrap()["x-end"], "told");
        })
    });
    for asked in asking {
        asked.await;
    }
    drop(sender);
    connection.await.unwrap();
}

#[monoio::test_all]
async fn streams_share_a_connection() {
    exchange(async {
        let (client, server) = pair().await;
        let serving = monoio::spawn(serve(server));
        ask(client).await;
        serving.await;
    })
    .await;
}

#[monoio::test_all]
async fn streams_share_a_connection_by_https() {
    exchange(async {
        let (client, server) = tls::pair(&["h2"]).await;
        assert_eq!(server.alpn_protocol().as_deref(), Some(&b"h2"[..]));
        let serving = monoio::spawn(serve(server));
        ask(client).await;
        serving.await;
    })
    .await;
}
