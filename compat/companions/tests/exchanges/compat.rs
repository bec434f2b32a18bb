//! monoio-compat: hyper, and tokio's traits.

use crate::{bytes, exchange, pair, tls};
use ::bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client, rt, server, service::service_fn};
use monoio::{
    BufResult,
    buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut},
    io::{AsyncReadRent, AsyncWriteRent, IntoPollIo, Split, Splitable},
    net::TcpStream,
    time::{Duration, timeout},
};
use monoio_compat::{
    AsyncReadExt, AsyncWriteExt, StreamWrapper, TcpStreamCompat, UnixStreamCompat,
    hyper::{MonoioExecutor, MonoioIo, MonoioTimer},
};
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::Future,
    io, mem,
    rc::Rc,
};

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

/// A connection that notes for each of its futures, when it goes, whether the connection is still there.
struct Watched {
    stream: TcpStream,
    there: Rc<Cell<bool>>,
    notes: Rc<RefCell<Vec<bool>>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.there.set(false);
    }
}

struct Witness(Rc<Cell<bool>>, Rc<RefCell<Vec<bool>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0.get());
    }
}

impl Watched {
    fn watch<F: Future>(witness: Witness, future: F) -> impl Future<Output = F::Output> {
        async move {
            let _witness = witness;
            future.await
        }
    }

    fn witness(&self) -> Witness {
        Witness(self.there.clone(), self.notes.clone())
    }
}

impl AsyncReadRent for Watched {
    fn read<T: IoBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        Watched::watch(self.witness(), self.stream.read(buf))
    }

    fn readv<T: IoVecBufMut>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        self.stream.readv(buf)
    }
}

impl AsyncWriteRent for Watched {
    fn write<T: IoBuf>(&mut self, buf: T) -> impl Future<Output = BufResult<usize, T>> {
        Watched::watch(self.witness(), self.stream.write(buf))
    }

    fn writev<T: IoVecBuf>(&mut self, buf_vec: T) -> impl Future<Output = BufResult<usize, T>> {
        self.stream.writev(buf_vec)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        self.stream.flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> {
        self.stream.shutdown()
    }
}

// SAFETY: no future of the methods refers to it.
unsafe impl Split for Watched {}

/// A wrapper drops its stream before the futures that refer to it. Red when those of halves write into what is gone.
#[monoio::test_all]
async fn halves_go_while_they_wait() {
    exchange(async {
        let (client, _server) = pair().await;
        let notes = Rc::new(RefCell::new(Vec::new()));
        let client = Watched { stream: client, there: Rc::new(Cell::new(true)), notes: notes.clone() };
        let (reader, writer) = client.into_split();
        let (mut reader, mut writer) = (StreamWrapper::new(reader), StreamWrapper::new(writer));
        let mut byte = [0];
        let moment = Duration::from_millis(20);
        assert!(timeout(moment, reader.read(&mut byte)).await.is_err(), "nothing was sent");
        while let Ok(written) = timeout(moment, writer.write(&[0; 8192])).await {
            written.unwrap();
        }
        notes.borrow_mut().clear();
        drop((reader, writer));
        assert_eq!(mem::take(&mut *notes.borrow_mut()), [true, true], "the connection went before its futures");
    })
    .await;
}
