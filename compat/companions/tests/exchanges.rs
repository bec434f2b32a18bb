//! One exchange by each crate, on both drivers.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use monoio::{
    io::{
        AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt, IntoPollIo, Split, Splitable,
        sink::{Sink, SinkExt},
        stream::Stream,
    },
    net::{TcpListener, TcpStream, UnixStream},
};
use monoio_compat::hyper::MonoioIo;
use std::{convert::Infallible, sync::Arc};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[monoio::test_all(enable_timer = true)]
async fn hyper_asks_and_answers() {
    let (client, server) = pair().await;
    let answer = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(http::Response::new(Full::new(body)))
    });
    let server = MonoioIo::new(server.into_poll_io().unwrap());
    let serving = monoio::spawn(async move {
        hyper::server::conn::http1::Builder::new().serve_connection(server, answer).await.unwrap();
    });
    let client = MonoioIo::new(client.into_poll_io().unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(client).await.unwrap();
    let connection = monoio::spawn(connection);
    for text in ["one", "two"] {
        let request = http::Request::post("/").header("host", "x").body(Full::new(Bytes::from(text))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), text);
    }
    drop(sender);
    connection.await.unwrap();
    serving.await;
}

/// Lines.
struct Lines;

impl monoio_codec::Decoder for Lines {
    type Item = String;
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<monoio_codec::Decoded<String>, std::io::Error> {
        match src.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = src.split_to(end + 1);
                Ok(monoio_codec::Decoded::Some(String::from_utf8_lossy(&line[..end]).into_owned()))
            }
            None => Ok(monoio_codec::Decoded::Insufficient),
        }
    }
}

impl monoio_codec::Encoder<&'static str> for Lines {
    type Error = std::io::Error;

    fn encode(&mut self, item: &'static str, dst: &mut BytesMut) -> Result<(), std::io::Error> {
        dst.extend_from_slice(item.as_bytes());
        dst.extend_from_slice(b"\n");
        Ok(())
    }
}

#[monoio::test_all]
async fn a_codec_cuts_lines() {
    let (a, b) = UnixStream::pair().unwrap();
    let (mut a, mut b) = (monoio_codec::Framed::new(a, Lines), monoio_codec::Framed::new(b, Lines));
    a.send_and_flush("first").await.unwrap();
    Sink::send(&mut a, "second").await.unwrap();
    Sink::<&'static str>::flush(&mut a).await.unwrap();
    assert_eq!(b.next().await.unwrap().unwrap(), "first");
    assert_eq!(b.next().await.unwrap().unwrap(), "second");
}

#[monoio::test_all]
async fn tls_shakes_hands() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let cert = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![cert.clone()], key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let client = client.with_no_client_auth();

    let (a, b) = pair().await;
    let serving = monoio::spawn(async move {
        let mut tls = monoio_rustls::TlsAcceptor::from(Arc::new(server)).accept(b).await.unwrap();
        let (_, buf) = tls.read_exact(vec![0; 4]).await;
        tls.write_all(buf).await.0.unwrap();
        tls.flush().await.unwrap();
    });
    let name = "localhost".try_into().unwrap();
    let tls = monoio_rustls::TlsConnector::from(Arc::new(client)).connect(name, a).await.unwrap();
    fn can_be_split<T: Split>(_: &T) {}
    can_be_split(&tls);
    let (mut reader, mut writer) = tls.into_split();
    writer.write_all("ping").await.0.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(reader.read_exact(vec![0; 4]).await.1, b"ping");
    serving.await;
}

#[monoio::test_all]
async fn local_channels_pass_items() {
    let (sender, mut receiver) = local_sync::mpsc::unbounded::channel();
    let sending = monoio::spawn(async move {
        for n in 0..3 {
            sender.send(n).unwrap();
            monoio::time::sleep(monoio::time::Duration::from_millis(1)).await;
        }
    });
    for n in 0..3 {
        assert_eq!(receiver.recv().await, Some(n));
    }
    sending.await;
}
