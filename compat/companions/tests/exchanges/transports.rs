//! monoio-transports: clients with pools.

use crate::{bytes, compat, exchange, h1, h2, tls};
use http::{Request, Version};
use hyper::{server, service::service_fn};
use monoio::{
    io::{AsyncReadRent, AsyncWriteRent, IntoPollIo},
    net::{TcpListener, TcpStream, UnixListener},
};
use monoio_compat::hyper::{MonoioExecutor, MonoioIo};
use monoio_http::common::body::{BodyExt, FixedBody, HttpBody};
use monoio_rustls::TlsAcceptor;
use monoio_transports::{
    connectors::{Connector, TcpConnector, TcpTlsAddr, TlsConnector, UnixConnector, pollio::PollIo},
    http::{
        HttpConnection, HttpConnector,
        hyper::{HyperH1Connector, HyperH2Connector},
    },
    pool::Key,
};
use std::{cell::Cell, fmt::Debug, fs, future::Future, net::SocketAddr, process, rc::Rc, thread};

/// Serves connections, and counts them.
fn listen<F: Future<Output = ()> + 'static>(serve: impl Fn(TcpStream) -> F + 'static) -> (SocketAddr, Rc<Cell<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, count) = (listener.local_addr().unwrap(), Rc::new(Cell::new(0)));
    let counted = count.clone();
    monoio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.set(counted.get() + 1);
            monoio::spawn(serve(stream));
        }
    });
    (addr, count)
}

fn request(word: &str, body: HttpBody) -> Request<HttpBody> {
    let request = Request::post("http://localhost/").header("host", "localhost").header("x-word", word);
    request.body(body).unwrap()
}

/// Asks three times, each time with the connection that the connector gives.
async fn ask<K, IO, C>(connector: &C, key: K, version: Version)
where
    K: Key,
    IO: AsyncReadRent + AsyncWriteRent,
    C: Connector<K, Connection = HttpConnection<K, IO>, Error: Debug>,
{
    for (word, len) in [("one", 5), ("two", 1000), ("three", 300_000)] {
        let mut connection = connector.connect(key.clone()).await.unwrap();
        let body = HttpBody::fixed_body(Some(bytes(len).into()));
        let (response, _) = connection.send_request(request(word, body)).await;
        let response = response.unwrap();
        assert_eq!((response.version(), &response.headers()["x-word"]), (version, &word.parse().unwrap()));
        assert_eq!(response.into_body().bytes().await.unwrap(), bytes(len));
    }
}

/// Red when a connection is not taken from the pool.
#[monoio::test_all]
async fn h1_by_tcp() {
    exchange(async {
        let (addr, count) = listen(h1::serve);
        ask(&HttpConnector::build_tcp_http1_only(), addr, Version::HTTP_11).await;
        assert_eq!(count.get(), 1);
    })
    .await;
}

/// Red when a connection is not taken from the pool.
#[monoio::test_all]
async fn h2_by_tcp() {
    exchange(async {
        let (addr, count) = listen(h2::serve);
        ask(&HttpConnector::build_tcp_http2_only(), addr, Version::HTTP_2).await;
        assert_eq!(count.get(), 1);
    })
    .await;
}

/// Red when the protocol is not the one that the handshake chose.
#[monoio::test_all]
async fn h1_and_h2_by_https() {
    exchange(async {
        for (protocol, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
            let (server, client) = tls::configs(&[protocol]);
            let acceptor = TlsAcceptor::from(server);
            let (addr, count) = listen(move |stream| {
                let acceptor = acceptor.clone();
                async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    match version {
                        Version::HTTP_2 => h2::serve(stream).await,
                        _ => h1::serve(stream).await,
                    }
                }
            });
            let connector = HttpConnector::new(TlsConnector::new(TcpConnector::default(), client.into()));
            let key = TcpTlsAddr { host: "127.0.0.1".into(), port: addr.port(), sn: "localhost".try_into().unwrap() };
            ask(&connector, key, version).await;
            assert_eq!(count.get(), 1);
        }
    })
    .await;
}

#[monoio::test_all]
async fn h1_by_a_path() {
    exchange(async {
        let path = std::env::temp_dir().join(format!("companions-{}-{:?}", process::id(), thread::current().id()));
        let listener = UnixListener::bind(&path).unwrap();
        let serving = monoio::spawn(async move { h1::serve(listener.accept().await.unwrap().0).await });
        let connector: HttpConnector<UnixConnector, _, _> = HttpConnector::default();
        ask(&connector, path.clone(), Version::HTTP_11).await;
        fs::remove_file(path).unwrap();
        drop(connector);
        serving.await;
    })
    .await;
}

/// Red when a connection is not taken from the pool.
#[monoio::test_all]
async fn hyper_by_h1_and_h2() {
    exchange(async {
        let (addr, count) = listen(|stream| async move {
            let stream = MonoioIo::new(stream.into_poll_io().unwrap());
            server::conn::http1::Builder::new().serve_connection(stream, service_fn(compat::answer)).await.unwrap();
        });
        let connector = HyperH1Connector::new(PollIo(TcpConnector::default()));
        for (word, len) in [("one", 5), ("two", 300_000)] {
            let mut connection = connector.connect(addr).await.unwrap();
            let response = connection.send_request(compat::request(word, bytes(len))).await.unwrap();
            compat::check(response, word, bytes(len)).await;
        }
        assert_eq!(count.get(), 1);

        let (addr, count) = listen(|stream| async move {
            let stream = MonoioIo::new(stream.into_poll_io().unwrap());
            let builder = server::conn::http2::Builder::new(MonoioExecutor);
            builder.serve_connection(stream, service_fn(compat::answer)).await.unwrap();
        });
        let connector = HyperH2Connector::new(PollIo(TcpConnector::default()));
        for (word, len) in [("one", 5), ("two", 300_000)] {
            let mut connection = connector.connect(addr).await.unwrap();
            let response = connection.send_request(compat::request(word, bytes(len))).await.unwrap();
            compat::check(response, word, bytes(len)).await;
        }
        assert_eq!(count.get(), 1);
    })
    .await;
}
