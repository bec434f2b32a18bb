//! monoio-native-tls: TLS by OpenSSL, with a certificate that was made a moment ago.

use crate::{bytes, exchange, pair};
use monoio::io::{AsyncReadRentExt, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio_native_tls::{TlsAcceptor, TlsConnector};
use native_tls::{Certificate, Identity};

#[monoio::test_all]
async fn halves_say_and_hear() {
    exchange(async {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let cert = made.cert.pem();
        let identity = Identity::from_pkcs8(cert.as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).unwrap());
        let mut client = native_tls::TlsConnector::builder();
        client.add_root_certificate(Certificate::from_pem(cert.as_bytes()).unwrap());
        let connector = TlsConnector::from(client.build().unwrap());

        let (a, b) = pair().await;
        let serving = monoio::spawn(async move {
            let mut server = acceptor.accept(b).await.unwrap();
            let (read, body) = server.read_exact(vec![0; 100_000]).await;
            read.unwrap();
            server.write_all(body).await.0.unwrap();
            server.flush().await.unwrap();
        });
        let (mut reader, mut writer) = connector.connect("localhost", a).await.unwrap().into_split();
        writer.write_all(bytes(100_000)).await.0.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(reader.read_exact(vec![0; 100_000]).await.1, bytes(100_000));
        serving.await;
    })
    .await;
}
