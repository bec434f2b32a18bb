//! monoio-rustls: TLS with a certificate that was made a moment ago.

use crate::{bytes, exchange};
use monoio::{
    io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt, Split, Splitable},
    net::TcpStream,
};
use monoio_rustls::{ClientTlsStream, ServerTlsStream, TlsAcceptor, TlsConnector};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring::default_provider, pki_types::PrivateKeyDer};
use std::sync::Arc;

/// A server that is `localhost`, and a client that trusts it; both speak `protocols`.
pub(crate) fn configs(protocols: &[&str]) -> (ServerConfig, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let cert = made.cert.der().clone();
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut server = server.with_single_cert(vec![cert.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut client = client.with_no_client_auth();
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    client.alpn_protocols = server.alpn_protocols.clone();
    (server, client)
}

/// Both ends of a connection, after the handshake.
pub(crate) async fn pair(protocols: &[&str]) -> (ClientTlsStream<TcpStream>, ServerTlsStream<TcpStream>) {
    let ((server, client), (a, b)) = (configs(protocols), crate::pair().await);
    let accepting = monoio::spawn(async move { TlsAcceptor::from(server).accept(b).await.unwrap() });
    let name = "localhost".try_into().unwrap();
    let client = TlsConnector::from(client).connect(name, a).await.unwrap();
    (client, accepting.await)
}

/// Red when the halves do not read and write what the whole does, or the end is not told.
#[monoio::test_all]
async fn halves_say_and_hear() {
    exchange(async {
        let (client, mut server) = pair(&["echo"]).await;
        assert_eq!(server.alpn_protocol().as_deref(), Some(&b"echo"[..]));
        let serving = monoio::spawn(async move {
            let (read, body) = server.read_exact(vec![0; 300_000]).await;
            read.unwrap();
            server.write_all(body).await.0.unwrap();
            server.shutdown().await.unwrap();
        });
        fn can_be_split<T: Split>(_: &T) {}
        can_be_split(&client);
        let (mut reader, mut writer) = client.into_split();
        writer.write_all(bytes(300_000)).await.0.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(reader.read_exact(vec![0; 300_000]).await.1, bytes(300_000));
        assert_eq!(reader.read(vec![0; 16]).await.0.unwrap(), 0);
        serving.await;
    })
    .await;
}

/// Red when a client is content with a name that is not the certificate's.
#[monoio::test_all]
async fn another_name_is_refused() {
    exchange(async {
        let ((server, client), (a, b)) = (configs(&[]), crate::pair().await);
        let accepting = monoio::spawn(async move { TlsAcceptor::from(server).accept(b).await.map(drop) });
        let name = "example.com".try_into().unwrap();
        assert!(TlsConnector::from(client).connect(name, a).await.is_err());
        assert!(accepting.await.is_err());
    })
    .await;
}
