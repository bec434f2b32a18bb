//! monoio-compat: hyper, and tokio's traits.

use crate::{bytes, exchange, pair, tls};
use ::bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client, rt, server, service::service_fn};
use monoio::{io::IntoPollIo, time::Duration};
use monoio_compat::{
    AsyncReadExt, AsyncWriteExt, StreamWrapper, TcpStreamCompat, UnixStreamCompat,
    hyper::{MonoioExecutor, MonoioIo, MonoioTimer},
};
use std::convert::Infallible;

/// Gives a request's body back, and its header `x-word`.
pub(crate) async fn answer(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let word = head.headers.get("x-word").map_or("none", |word| word.to_str().unwrap());
    let response = http::Response::builder().header("x-word", word);
    Ok(response.body(Full::new(body.collect().await.unwrap().to_bytes())).unwrap())
}

pub(crate) fn request(word: &str, body: Vec<u8>) -> http::Request<Full<Bytes>> {
    let request = http::Request::post("http://localhost/").header("host", "localhost").header("x-word", word);
    request.body(Full::new(body.into())).unwrap()
}

pub(crate) async fn check(response: http::Response<Incoming>, word: &str, body: Vec<u8>) {
    assert_eq!(response.headers()["x-word"], word);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
}

/// Three requests by HTTP/1.1 on one connection.
async fn ask_by_h1(client: impl rt::Read + rt::Write + Unpin + 'static) {
    let (mut sender, connection) = client::conn::http1::handshake(client).await.unwrap();
    let connection = monoio::spawn(connection);
    for (word, len) in [("one", 0), ("two", 5), ("three", 300_000)] {
        check(sender.send_request(request(word, bytes(len))).await.unwrap(), word, bytes(len)).await;
    }
    drop(sender);
    connection.await.unwrap();
}

#[monoio::test_all]
async fn hyper_speaks_h1() {
    exchange(async {
        let (client, server) = pair().await;
        let server = MonoioIo::new(server.into_poll_io().unwrap());
        let serving = monoio::spawn(server::conn::http1::Builder::new().serve_connection(server, service_fn(answer)));
        ask_by_h1(MonoioIo::new(client.into_poll_io().unwrap())).await;
        serving.await.unwrap();
    })
    .await;
}

/// Three requests at once: they share the connection.
#[monoio::test_all]
async fn hyper_speaks_h2() {
    exchange(async {
        let (client, server) = pair().await;
        let server = MonoioIo::new(server.into_poll_io().unwrap());
        let builder = server::conn::http2::Builder::new(MonoioExecutor);
        let serving = monoio::spawn(builder.serve_connection(server, service_fn(answer)));
        let client = MonoioIo::new(client.into_poll_io().unwrap());
        let (sender, connection) = client::conn::http2::handshake(MonoioExecutor, client).await.unwrap();
        let connection = monoio::spawn(connection);
        let asking = [("one", 0), ("two", 5), ("three", 300_000)].map(|(word, len)| {
            let mut sender = sender.clone();
            monoio::spawn(async move {
                check(sender.send_request(request(word, bytes(len))).await.unwrap(), word, bytes(len)).await;
            })
        });
        for asked in asking {
            asked.await;
        }
        drop(sender);
        connection.await.unwrap();
        // The client may be gone before it is told goodbye.
        let _ = serving.await;
    })
    .await;
}

#[monoio::test_all]
async fn hyper_speaks_https() {
    exchange(async {
        let (client, server) = tls::pair(&[]).await;
        let server = MonoioIo::new(StreamWrapper::new(server));
        let serving = monoio::spawn(server::conn::http1::Builder::new().serve_connection(server, service_fn(answer)));
        ask_by_h1(MonoioIo::new(StreamWrapper::new(client))).await;
        // The client may be gone before it is told goodbye.
        let _ = serving.await;
    })
    .await;
}

/// Red when hyper's timer is not the runtime's.
#[monoio::test_all]
async fn hyper_gives_a_silent_client_up() {
    exchange(async {
        let (_client, server) = pair().await;
        let server = MonoioIo::new(server.into_poll_io().unwrap());
        let mut builder = server::conn::http1::Builder::new();
        builder.timer(MonoioTimer).header_read_timeout(Duration::from_millis(10));
        assert!(builder.serve_connection(server, service_fn(answer)).await.unwrap_err().is_timeout());
    })
    .await;
}

/// Red when tokio's traits lose bytes, or a stream is not closed with its wrapper.
#[monoio::test_all]
async fn streams_have_tokios_traits() {
    exchange(async {
        let (client, server) = pair().await;
        let (mut client, mut server) = (TcpStreamCompat::new(client), TcpStreamCompat::new(server));
        let echo = monoio::spawn(async move {
            let mut body = vec![0; 100_000];
            server.read_exact(&mut body).await.unwrap();
            server.write_all(&body).await.unwrap();
            server.flush().await.unwrap();
            assert_eq!(server.read(&mut body).await.unwrap(), 0);
        });
        client.write_all(&bytes(100_000)).await.unwrap();
        client.flush().await.unwrap();
        let mut body = vec![0; 100_000];
        client.read_exact(&mut body).await.unwrap();
        assert_eq!(body, bytes(100_000));
        drop(client);
        echo.await;

        let (a, b) = monoio::net::UnixStream::pair().unwrap();
        let (mut a, mut b) = (UnixStreamCompat::new(a), UnixStreamCompat::new(b));
        a.write_all(b"ping").await.unwrap();
        a.shutdown().await.unwrap();
        let mut all = Vec::new();
        b.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"ping");
    })
    .await;
}
