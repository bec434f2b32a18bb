use std::io;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let (mut inbox, mut out) = (Vec::<u8>::with_capacity(net::BUF), Vec::with_capacity(net::BUF));
    loop {
        let filled = inbox.len();
        let (count, slice) = stream.read(inbox.slice_mut(filled..)).await;
        inbox = slice.into_inner();
        if count? == 0 {
            return Ok(());
        }
        let Some(done) = net::http::answer(&inbox, &mut out) else { return Ok(()) };
        drop(inbox.drain(..done));
        let (written, sent) = stream.write_all(out).await;
        written?;
        out = sent;
        out.clear();
    }
}
