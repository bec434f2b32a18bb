//! hyper on annulus: what it needs of a runtime is [`io`] and [`timer`].

mod io;
mod timer;

use annulus::net::TcpStream;
use annulus::pool::RecvPool;
use hyper::server::conn::http1;
use hyper::service::service_fn;

pub async fn serve(stream: TcpStream, pool: Option<&RecvPool>) -> std::io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(timer::Timer).pipeline_flush(true);
    let connection = http.serve_connection(io::Io::new(stream, pool), service_fn(net::service::answer));
    connection.await.map_err(std::io::Error::other)
}
