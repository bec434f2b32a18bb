use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let (mut inbox, mut filled, mut out) = (vec![0; net::BUF], 0, Vec::with_capacity(net::BUF));
    loop {
        let count = stream.read(&mut inbox[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        out.clear();
        let Some(done) = net::http::answer(&inbox[..filled], &mut out) else { return Ok(()) };
        inbox.copy_within(done..filled, 0);
        filled -= done;
        stream.write_all(&out).await?;
    }
}
