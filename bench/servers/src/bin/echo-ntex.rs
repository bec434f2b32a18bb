//! Echo on ntex, its own io_uring runtime. Its buffers are its own too, and come from a pool.

use ntex::codec::BytesCodec;
use ntex::io::Io;
use ntex::service::fn_service;

async fn echo(io: Io) -> Result<(), std::io::Error> {
    while let Ok(Some(bytes)) = io.recv(&BytesCodec).await {
        // Waits only while too much is unsent.
        if io.encode(bytes, &BytesCodec).is_err() || io.flush(false).await.is_err() {
            break;
        }
    }
    Ok(())
}

#[ntex::main]
async fn main() -> std::io::Result<()> {
    let listener = std::net::TcpListener::bind(servers::addr())?;
    servers::announce(listener.local_addr()?);
    ntex::server::build().workers(1).listen("echo", listener, async |_| fn_service(echo))?.run().await
}
