//! Streams.

use crate::call;
use monoio::{
    buf::{IoBuf, VecBuf},
    fs::File,
    io::{
        AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt, CancelableAsyncReadRent, CancelableAsyncReadRentExt,
        Canceller, OwnedReadHalf, Splitable, splice::SpliceSource,
    },
    net::{UnixStream, unix::new_pipe},
};
use std::io::Cursor;

fn parts(lens: &[usize]) -> VecBuf {
    lens.iter().map(|len| vec![0; *len]).collect::<Vec<_>>().into()
}

pub(crate) async fn all() {
    plain().await;
    numbers().await;
    cancelable().await;
    halves().await;
    copies().await;
    #[cfg(feature = "poll-io")]
    polled().await;
    buffered().await;
    items().await;
}

async fn plain() {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    assert_eq!(call!(io::AsyncWriteRent::write)(&mut a, "abc").await.0.unwrap(), 3);
    let vector: VecBuf = vec![b"de".to_vec(), b"f".to_vec()].into();
    assert_eq!(call!(io::AsyncWriteRent::writev)(&mut a, vector).await.0.unwrap(), 3);
    call!(io::AsyncWriteRent::flush)(&mut a).await.unwrap();
    assert_eq!(call!(io::AsyncReadRent::read)(&mut b, Vec::with_capacity(2)).await.1, b"ab");
    let (n, vector) = call!(io::AsyncReadRent::readv)(&mut b, parts(&[1, 3])).await;
    assert_eq!((n.unwrap(), Vec::from(vector)), (4, vec![b"c".to_vec(), b"def".to_vec()]));
    assert_eq!(call!(io::AsyncWriteRentExt::write_all)(&mut a, "ghi").await.0.unwrap(), 3);
    let vector: VecBuf = vec![b"j".to_vec(), b"kl".to_vec()].into();
    assert_eq!(call!(io::AsyncWriteRentExt::write_vectored_all)(&mut a, vector).await.0.unwrap(), 3);
    assert_eq!(call!(io::AsyncReadRentExt::read_exact)(&mut b, vec![0; 3]).await.1, b"ghi");
    let (n, _) = call!(io::AsyncReadRentExt::read_vectored_exact)(&mut b, parts(&[2, 1])).await;
    assert_eq!(n.unwrap(), 3);
    call!(io::AsyncWriteRent::shutdown)(&mut a).await.unwrap();
    assert_eq!(b.read(vec![0; 1]).await.0.unwrap(), 0);

    let mut file = File::from_std(tempfile::tempfile().unwrap()).unwrap();
    assert_eq!(call!(io::AsyncWriteRentAt::write_at)(&mut file, "xyz", 2).await.0.unwrap(), 3);
    assert_eq!(call!(io::AsyncReadRentAt::read_at)(&mut file, vec![0; 2], 3).await.1, b"yz");
}

/// Each number, in both orders, from 255 down to 0 and from a stream that was cancelled.
macro_rules! numbers {
    ($($number:ident: $be:ident $le:ident $cbe:ident $cle:ident;)*) => {$(
        let bytes: Vec<u8> = (1..=size_of::<$number>() as u8).collect();
        let array = bytes.clone().try_into().unwrap();
        let (be, le) = ($number::from_be_bytes(array), $number::from_le_bytes(array));
        let mut stream = &bytes[..];
        assert_eq!(call!(io::AsyncReadRentExt::$be)(&mut stream).await.unwrap(), be);
        let mut stream = &bytes[..];
        assert_eq!(call!(io::AsyncReadRentExt::$le)(&mut stream).await.unwrap(), le);
        let canceller = Canceller::new();
        let (mut a, mut b) = UnixStream::pair().unwrap();
        a.write_all2(bytes.clone()).await;
        let n = call!(io::CancelableAsyncReadRentExt::$cbe)(&mut b, canceller.handle()).await;
        assert_eq!(n.unwrap(), be);
        a.write_all2(bytes).await;
        let n = call!(io::CancelableAsyncReadRentExt::$cle)(&mut b, canceller.handle()).await;
        assert_eq!(n.unwrap(), le);
        canceller.cancel();
    )*};
}

/// `write_all` of one trait, where both have the name.
trait WriteAll {
    async fn write_all2(&mut self, bytes: Vec<u8>);
}

impl WriteAll for UnixStream {
    async fn write_all2(&mut self, bytes: Vec<u8>) {
        AsyncWriteRentExt::write_all(self, bytes).await.0.unwrap();
    }
}

async fn numbers() {
    numbers! {
        u8: read_u8 read_u8_le cancelable_read_u8 cancelable_read_u8_le;
        u16: read_u16 read_u16_le cancelable_read_u16 cancelable_read_u16_le;
        u32: read_u32 read_u32_le cancelable_read_u32 cancelable_read_u32_le;
        u64: read_u64 read_u64_le cancelable_read_u64 cancelable_read_u64_le;
        u128: read_u128 read_u128_le cancelable_read_u128 cancelable_read_u128_le;
        i8: read_i8 read_i8_le cancelable_read_i8 cancelable_read_i8_le;
        i16: read_i16 read_i16_le cancelable_read_i16 cancelable_read_i16_le;
        i32: read_i32 read_i32_le cancelable_read_i32 cancelable_read_i32_le;
        i64: read_i64 read_i64_le cancelable_read_i64 cancelable_read_i64_le;
        i128: read_i128 read_i128_le cancelable_read_i128 cancelable_read_i128_le;
        f32: read_f32 read_f32_le cancelable_read_f32 cancelable_read_f32_le;
        f64: read_f64 read_f64_le cancelable_read_f64 cancelable_read_f64_le;
    }
}

/// A cancelled operation answers error 125 on Linux, with its buffer; the same one does its work when it is not.
async fn cancelable() {
    let (mut a, mut b) = UnixStream::pair().unwrap();
    let canceller = call!(io::Canceller::new)();
    let handle = call!(io::Canceller::handle)(&canceller);
    let canceller = call!(io::Canceller::cancel)(canceller);
    let (res, buf) = call!(io::CancelableAsyncReadRent::cancelable_read)(&mut b, vec![0; 4], handle.clone()).await;
    assert_eq!((res.unwrap_err().raw_os_error(), buf.len()), (Some(libc::ECANCELED), 4));
    let (res, _) = call!(io::CancelableAsyncReadRent::cancelable_readv)(&mut b, parts(&[1]), handle.clone()).await;
    assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    let (res, _) = b.cancelable_read_exact(vec![0; 4], handle).await;
    assert_eq!(res.unwrap_err().raw_os_error(), Some(libc::ECANCELED));

    let c = || canceller.handle();
    assert_eq!(call!(io::CancelableAsyncWriteRent::cancelable_write)(&mut a, "abc", c()).await.0.unwrap(), 3);
    let vector: VecBuf = vec![b"de".to_vec()].into();
    assert_eq!(call!(io::CancelableAsyncWriteRent::cancelable_writev)(&mut a, vector, c()).await.0.unwrap(), 2);
    let all = call!(io::CancelableAsyncWriteRentExt::write_all)(&mut a, "fgh", c()).await;
    assert_eq!(all.0.unwrap(), 3);
    let vector: VecBuf = vec![b"i".to_vec()].into();
    let all = call!(io::CancelableAsyncWriteRentExt::write_vectored_all)(&mut a, vector, c()).await;
    assert_eq!(all.0.unwrap(), 1);
    call!(io::CancelableAsyncWriteRent::cancelable_flush)(&mut a, c()).await.unwrap();
    let (res, buf) = call!(io::CancelableAsyncReadRentExt::cancelable_read_exact)(&mut b, vec![0; 5], c()).await;
    assert_eq!((res.unwrap(), &buf[..]), (5, &b"abcde"[..]));
    let read = call!(io::CancelableAsyncReadRentExt::cancelable_read_vectored_exact)(&mut b, parts(&[1, 3]), c()).await;
    assert_eq!(read.0.unwrap(), 4);
    call!(io::CancelableAsyncWriteRent::cancelable_shutdown)(&mut a, c()).await.unwrap();
    assert_eq!(b.cancelable_read(vec![0; 1], c()).await.0.unwrap(), 0);
}

async fn halves() {
    let (a, mut b) = UnixStream::pair().unwrap();
    let (mut reader, mut writer) = call!(io::Splitable::into_split)(a);
    // A half that waits keeps nobody.
    let (read, ()) = monoio::join!(reader.read_exact(vec![0; 4]), async {
        AsyncWriteRentExt::write_all(&mut writer, "ping").await.0.unwrap();
        let (_, buf) = b.read_exact(vec![0; 4]).await;
        AsyncWriteRentExt::write_all(&mut b, buf).await.0.unwrap();
    });
    assert_eq!(read.1, b"ping");
    // As programs do that take halves apart.
    let OwnedReadHalf(shared) = reader;
    let both = call!(io::OwnedReadHalf::reunite)(OwnedReadHalf(shared), writer).map_err(drop).unwrap();
    let (reader, writer) = both.into_split();
    let mut both = call!(io::OwnedWriteHalf::reunite)(writer, reader).map_err(drop).unwrap();
    both.write_all2(b"more".to_vec()).await;
    assert_eq!(b.read_exact(vec![0; 4]).await.1, b"more");
    // A writer that goes hangs up, and the reader reads on.
    let (mut reader, writer) = both.into_split();
    drop(writer);
    assert_eq!(b.read(vec![0; 1]).await.0.unwrap(), 0);
    b.write_all2(b"on".to_vec()).await;
    assert_eq!(reader.read_exact(vec![0; 2]).await.1, b"on");
}

async fn copies() {
    let mut copied = Vec::new();
    assert_eq!(call!(io::copy)(&mut Cursor::new(b"abc"), &mut copied).await.unwrap(), 3);
    assert_eq!(copied, b"abc");
    let (mut reader, mut writer) = new_pipe().unwrap();
    let _ =
        (call!(io::as_fd::AsReadFd::as_reader_fd)(&mut reader), call!(io::as_fd::AsWriteFd::as_writer_fd)(&mut writer));
    let (mut a, mut b) = UnixStream::pair().unwrap();
    a.write_all2(b"spliced".to_vec()).await;
    assert_eq!(call!(io::splice::SpliceSource::splice_to_pipe)(&mut b, &mut writer, 64).await.unwrap(), 7);
    assert_eq!(call!(io::splice::SpliceDestination::splice_from_pipe)(&mut b, &mut reader, 64).await.unwrap(), 7);
    assert_eq!(a.read_exact(vec![0; 7]).await.1, b"spliced");
    // What is not there yet is waited for.
    let (moved, ()) = monoio::join!(b.splice_to_pipe(&mut writer, 64), async {
        monoio::time::sleep(monoio::time::Duration::from_millis(2)).await;
        a.write_all2(b"late".to_vec()).await;
    });
    assert_eq!(moved.unwrap(), 4);
    drop((reader, writer));

    let mut file = File::from_std(tempfile::tempfile().unwrap()).unwrap();
    file.write_at("of a file".slice(..), 0).await.0.unwrap();
    assert_eq!(call!(io::zero_copy)(&mut file, &mut b).await.unwrap(), 9);
    assert_eq!(a.read_exact(vec![0; 9]).await.1, b"of a file");
}

#[cfg(feature = "poll-io")]
async fn polled() {
    use monoio::io::poll_io::{AsyncReadExt, AsyncWriteExt};
    let (a, mut b) = UnixStream::pair().unwrap();
    let a = call!(io::IntoPollIo::try_into_poll_io)(a).map_err(|(error, _)| error).unwrap();
    let a = call!(io::IntoCompIo::into_comp_io)(a).unwrap();
    let mut a = call!(io::IntoPollIo::into_poll_io)(a).unwrap();
    // Each way waits for the other.
    let mut buf = [0; 4];
    let (read, ()) = monoio::join!(AsyncReadExt::read_exact(&mut a, &mut buf), async {
        monoio::time::sleep(monoio::time::Duration::from_millis(2)).await;
        b.write_all2(b"ping".to_vec()).await;
    });
    read.unwrap();
    let big = vec![7; 1 << 20];
    let (sent, (res, got)) = monoio::join!(
        async {
            AsyncWriteExt::write_all(&mut a, &big).await?;
            AsyncWriteExt::shutdown(&mut a).await
        },
        b.read_exact(vec![0; 1 << 20])
    );
    sent.unwrap();
    assert!(res.unwrap() == big.len() && got == big);
    assert_eq!(b.read(vec![0; 1]).await.0.unwrap(), 0);
    call!(io::IntoCompIo::try_into_comp_io)(a).map_err(|(error, _)| error).unwrap();
}

async fn buffered() {
    let (a, b) = UnixStream::pair().unwrap();
    let mut writer = call!(io::BufWriter::with_capacity)(64, a);
    AsyncWriteRentExt::write_all(&mut writer, "one\ntwo;rest").await.0.unwrap();
    assert_eq!(call!(io::BufWriter::buffer)(&writer), b"one\ntwo;rest");
    let _ = call!(io::BufWriter::get_ref)(&writer);
    call!(io::BufWriter::get_mut)(&mut writer);
    monoio::io::AsyncWriteRent::flush(&mut writer).await.unwrap();
    drop(call!(io::BufWriter::into_inner)(writer));
    drop(call!(io::BufWriter::new)(Vec::<u8>::new()));

    let mut reader = call!(io::BufReader::with_capacity)(64, b);
    let _ = call!(io::BufReader::get_ref)(&reader);
    call!(io::BufReader::get_mut)(&mut reader);
    let (mut line, mut part) = (String::new(), Vec::new());
    assert_eq!(call!(io::AsyncBufReadExt::read_line)(&mut reader, &mut line).await.unwrap(), 4);
    assert_eq!(call!(io::AsyncBufReadExt::read_until)(&mut reader, b';', &mut part).await.unwrap(), 4);
    assert_eq!((&line[..], &part[..], call!(io::BufReader::buffer)(&reader)), ("one\n", &b"two;"[..], &b"rest"[..]));
    assert_eq!(call!(io::AsyncBufRead::fill_buf)(&mut reader).await.unwrap(), b"rest");
    call!(io::AsyncBufRead::consume)(&mut reader, 4);
    assert_eq!(reader.read(vec![0; 1]).await.0.unwrap(), 0);
    let b = call!(io::BufReader::into_inner)(call!(io::BufReader::new)(call!(io::BufReader::into_inner)(reader)));

    let (mut a, c) = UnixStream::pair().unwrap();
    a.write_all2(b" after".to_vec()).await;
    let mut prefixed = call!(io::PrefixedReadIo::new)(c, Cursor::new(b"before"));
    assert!(!call!(io::PrefixedReadIo::prefix_finished)(&prefixed));
    assert_eq!(prefixed.read_exact(vec![0; 12]).await.1, b"before after");
    let (mut reader, writer) = prefixed.into_split();
    a.write_all2(b"split".to_vec()).await;
    assert_eq!(reader.read_exact(vec![0; 5]).await.1, b"split");
    let prefixed = reader.reunite(writer).map_err(drop).unwrap();
    drop((call!(io::PrefixedReadIo::into_inner)(prefixed), b));
}

async fn items() {
    let mut numbers = call!(io::stream::iter)([1, 2, 3]);
    assert_eq!(call!(io::stream::Stream::size_hint)(&numbers), (3, Some(3)));
    assert_eq!(call!(io::stream::Stream::next)(&mut numbers).await, Some(1));
    let doubled = call!(io::stream::StreamExt::map)(numbers, |n| n * 2);
    let later = call!(io::stream::StreamExt::then)(doubled, |n| std::future::ready(n + 1));
    let mut seen = Vec::new();
    call!(io::stream::StreamExt::for_each)(later, |n| {
        seen.push(n);
        std::future::ready(())
    })
    .await;
    assert_eq!(seen, [5, 7]);

    /// Keeps what it is sent, once it is flushed.
    #[derive(Default)]
    struct Kept(Vec<u8>, Vec<u8>);
    impl monoio::io::sink::Sink<u8> for Kept {
        type Error = std::convert::Infallible;

        async fn send(&mut self, item: u8) -> Result<(), Self::Error> {
            self.0.push(item);
            Ok(())
        }

        async fn flush(&mut self) -> Result<(), Self::Error> {
            self.1.append(&mut self.0);
            Ok(())
        }

        async fn close(&mut self) -> Result<(), Self::Error> {
            monoio::io::sink::Sink::flush(self).await
        }
    }
    let mut kept = Kept::default();
    call!(io::sink::Sink::send)(&mut kept, 1).await.unwrap();
    call!(io::sink::Sink::flush)(&mut kept).await.unwrap();
    call!(io::sink::SinkExt::send_and_flush)(&mut kept, 2).await.unwrap();
    kept.0.push(3);
    call!(io::sink::Sink::close)(&mut kept).await.unwrap();
    assert_eq!(kept.1, [1, 2, 3]);

    // A listener gives connections.
    let listener = monoio::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let client = monoio::spawn(monoio::net::TcpStream::connect_addr(addr));
    let mut listener = listener;
    let (_, peer) = monoio::io::stream::Stream::next(&mut listener).await.unwrap().unwrap();
    assert_eq!(peer, client.await.unwrap().local_addr().unwrap());
}
