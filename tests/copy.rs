//! Bytes that are passed on without being read: between sockets, pipes and files, to the byte, however they come.
//! What goes around the copies is done by threads of their own, with calls of `std`.

use annulus::{
    DriverKind, Fd,
    io::{AsReadFd, AsWriteFd, send_file, zero_copy},
    net::{Copied, CopyCounter, CopyError, Side, TcpStream, copy_bidirectional, copy_bidirectional_counted},
    time::{sleep, timeout},
};
use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream as Std},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    thread,
    time::Duration,
};

const SOON: Duration = Duration::from_secs(30);

/// The byte at `n`.
fn byte(n: usize) -> u8 {
    (n % 251) as u8
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(byte).collect()
}

/// A connection: the outer end, and the one that is given to a copy.
fn pair() -> (Std, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let outer = Std::connect(listener.local_addr().unwrap()).unwrap();
    outer.set_read_timeout(Some(SOON)).unwrap();
    (outer, TcpStream::from_std(listener.accept().unwrap().0).unwrap())
}

/// Writes `total` bytes that can be told apart, in pieces.
fn write(to: &mut impl Write, total: usize, piece: usize) {
    let pattern = text(251 * 4096 + piece);
    let mut done = 0;
    while done < total {
        let start = done % 251;
        let n = to.write(&pattern[start..start + piece.min(total - done)]).unwrap();
        done += n;
    }
}

/// Reads to the end, and checks what comes. Gives how much that was.
fn read(from: &mut impl Read) -> usize {
    let (mut buf, mut done) = (vec![0; 1 << 18], 0);
    let pattern = text(251 + buf.len());
    loop {
        match from.read(&mut buf).unwrap() {
            0 => return done,
            n => {
                assert!(buf[..n] == pattern[done % 251..][..n], "other bytes at {done}");
                done += n;
            }
        }
    }
}

/// Lets descriptors go. The closes are the driver's to do, and nobody may block its thread before.
async fn close<T>(what: T) {
    drop(what);
    sleep(Duration::from_millis(20)).await;
}

async fn both_ways<A, B>(a: &mut A, b: &mut B) -> Result<Copied, CopyError>
where
    A: AsReadFd + AsWriteFd,
    B: AsReadFd + AsWriteFd,
{
    timeout(SOON, copy_bidirectional(a, b)).await.expect("the copy hangs")
}

/// Red when a byte is lost, doubled or changed, and when bytes between sockets go by a buffer.
#[annulus::test]
async fn a_hundred_megabytes_there_and_some_back() {
    const THERE: usize = 100 << 20;
    const BACK: usize = 10_000_001;
    let ((mut client, mut a), (mut server, mut b)) = (pair(), pair());
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let threads = [
        thread::spawn(move || {
            write(&mut client, THERE, 300_000);
            client.shutdown(Shutdown::Write).unwrap();
            0
        }),
        thread::spawn(move || {
            write(&mut server, BACK, 7001);
            server.shutdown(Shutdown::Write).unwrap();
            0
        }),
        thread::spawn(move || read(&mut from_server)),
        thread::spawn(move || read(&mut to_client)),
    ];
    let copied = both_ways(&mut a, &mut b).await.unwrap();
    assert_eq!(copied, Copied { a_to_b: THERE as u64, b_to_a: BACK as u64 });
    let read = threads.map(|thread| thread.join().unwrap());
    assert_eq!(read, [0, 0, THERE, BACK]);
    let counters = annulus::metrics().driver;
    if annulus::driver().kind() == DriverKind::Uring {
        assert_eq!((counters.sqes_of("RECV"), counters.sqes_of("SEND"), counters.sqes_of("SPLICE")), (0, 0, 0));
    }
    assert_eq!(counters.twins_pool, 0, "sockets have nothing to do with the pool");
}

/// Red when the end of one direction is the end of both, and when it is not passed on.
#[annulus::test]
async fn either_side_may_end_first_and_the_other_goes_on() {
    for a_first in [true, false] {
        let ((first, mut a), (second, mut b)) = (pair(), pair());
        let (mut early, mut late) = if a_first { (first, second) } else { (second, first) };
        let peers = thread::spawn(move || {
            early.write_all(&text(1000)).unwrap();
            early.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read(&mut late), 1000, "the end is passed on while the other direction is open");
            thread::sleep(Duration::from_millis(20));
            write(&mut late, 300_000, 1000);
            drop(late);
            assert_eq!(read(&mut early), 300_000);
        });
        let copied = both_ways(&mut a, &mut b).await.unwrap();
        let (there, back) = if a_first { (1000, 300_000) } else { (300_000, 1000) };
        assert_eq!(copied, Copied { a_to_b: there, b_to_a: back });
        peers.join().unwrap();
    }
}

#[annulus::test]
async fn byte_by_byte_and_nothing_at_all() {
    let ((mut client, mut a), (mut server, mut b)) = (pair(), pair());
    let peers = thread::spawn(move || {
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        for n in 0..500 {
            let mut back = [0];
            client.write_all(&[byte(n)]).unwrap();
            server.read_exact(&mut back).unwrap();
            server.write_all(&back).unwrap();
            client.read_exact(&mut back).unwrap();
            assert_eq!(back, [byte(n)]);
        }
    });
    assert_eq!(both_ways(&mut a, &mut b).await.unwrap(), Copied { a_to_b: 500, b_to_a: 500 });
    peers.join().unwrap();
    let ((client, mut a), (server, mut b)) = (pair(), pair());
    drop((client, server));
    assert_eq!(both_ways(&mut a, &mut b).await.unwrap(), Copied::default());
}

/// Red when a full socket blocks the thread, or when bytes wait for ever in a pipe.
#[annulus::test]
async fn a_slow_reader_is_waited_for_and_keeps_nobody() {
    const TOTAL: usize = 20 << 20;
    let ((mut client, mut a), (mut server, mut b)) = (pair(), pair());
    let writer = thread::spawn(move || write(&mut client, TOTAL, 1 << 20));
    let copy = annulus::spawn(async move { both_ways(&mut a, &mut b).await });
    for _ in 0..10 {
        let start = std::time::Instant::now();
        sleep(Duration::from_millis(10)).await;
        assert!(start.elapsed() < Duration::from_secs(5), "somebody blocked the thread");
    }
    let reader = thread::spawn(move || read(&mut server));
    assert_eq!(copy.await.unwrap().unwrap(), Copied { a_to_b: TOTAL as u64, b_to_a: 0 });
    writer.join().unwrap();
    assert_eq!(reader.join().unwrap(), TOTAL);
}

/// Closes a connection so that the peer gets an error, and not an end.
fn reset(stream: Std) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let len = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the option's value is readable and as long as is said.
    let set = unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), len)
    };
    assert_eq!(set, 0);
}

/// Red when the error does not end both directions, or names the wrong side.
#[annulus::test]
async fn a_reset_ends_both_and_says_whose_it_was() {
    for side in [Side::A, Side::B] {
        let ((client, mut a), (server, mut b)) = (pair(), pair());
        let (mut broken, mut whole) = if side == Side::A { (client, server) } else { (server, client) };
        let peers = thread::spawn(move || {
            broken.write_all(&text(1234)).unwrap();
            whole.read_exact(&mut [0; 1234]).unwrap();
            whole.write_all(&text(99)).unwrap();
            broken.read_exact(&mut [0; 99]).unwrap();
            reset(broken);
            whole
        });
        let failed = both_ways(&mut a, &mut b).await.unwrap_err();
        assert_eq!((failed.side, failed.error.kind()), (side, ErrorKind::ConnectionReset));
        let (there, back) = if side == Side::A { (1234, 99) } else { (99, 1234) };
        assert_eq!(failed.copied, Copied { a_to_b: there, b_to_a: back });
        assert!(failed.to_string().contains("1234"), "{failed}");
        assert_eq!(io::Error::from(failed).raw_os_error(), Some(libc::ECONNRESET));
        peers.join().unwrap();
    }
}

/// Writing fails, while the writer's own direction is quiet.
#[annulus::test]
async fn who_cannot_be_written_to_is_the_side_that_failed() {
    let ((mut client, mut a), (server, mut b)) = (pair(), pair());
    server.shutdown(Shutdown::Both).unwrap();
    drop(server);
    let peer = thread::spawn(move || {
        // The first bytes make the peer answer that nobody is there.
        while client.write_all(&[7; 1000]).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let failed = both_ways(&mut a, &mut b).await.unwrap_err();
    assert_eq!(failed.side, Side::B, "{failed}");
    assert!(matches!(failed.error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{failed}");
    close((a, b)).await;
    peer.join().unwrap();
}

/// Red when the bytes are counted at the end only.
#[annulus::test]
async fn what_passes_is_counted_while_it_does() {
    let ((mut left, mut a), (mut right, mut b)) = (pair(), pair());
    let counter = CopyCounter::new();
    {
        let copying = copy_bidirectional_counted(&mut a, &mut b, &counter);
        annulus::pin!(copying);
        for (n, want) in [(5, Copied { a_to_b: 5, b_to_a: 0 }), (7, Copied { a_to_b: 12, b_to_a: 0 })] {
            left.write_all(&text(n)).unwrap();
            let _ = timeout(Duration::from_millis(50), copying.as_mut()).await;
            right.read_exact(&mut vec![0; n]).unwrap();
            assert_eq!(counter.copied(), want);
        }
        right.write_all(&text(3)).unwrap();
        let _ = timeout(Duration::from_millis(50), copying).await;
    }
    left.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(counter.copied(), Copied { a_to_b: 12, b_to_a: 3 });
}

/// Red when a pipe that is not empty is used again.
#[annulus::test]
async fn a_copy_that_was_dropped_leaves_no_byte_to_the_next() {
    for _ in 0..3 {
        let ((mut client, mut a), (server, mut b)) = (pair(), pair());
        client.set_nonblocking(true).unwrap();
        let early = timeout(Duration::from_millis(100), async {
            let filling = annulus::spawn(async move {
                while !matches!(client.write(&[255; 1 << 16]), Err(e) if e.kind() != ErrorKind::WouldBlock) {
                    sleep(Duration::from_millis(1)).await;
                }
            });
            let copied = copy_bidirectional(&mut a, &mut b).await;
            drop(filling);
            copied
        });
        assert!(early.await.is_err(), "nobody reads");
        drop((a, b, server));
        let ((mut client, mut a), (mut server, mut b)) = (pair(), pair());
        let peers = thread::spawn(move || {
            client.write_all(&text(5000)).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let got = read(&mut server);
            server.shutdown(Shutdown::Write).unwrap();
            got
        });
        assert_eq!(both_ways(&mut a, &mut b).await.unwrap(), Copied { a_to_b: 5000, b_to_a: 0 });
        assert_eq!(peers.join().unwrap(), 5000);
    }
}

#[annulus::test]
async fn unix_sockets_are_sockets() {
    let (mut client, a) = UnixStream::pair().unwrap();
    let (mut server, b) = UnixStream::pair().unwrap();
    let (mut a, mut b) = (Fd::new(OwnedFd::from(a)), Fd::new(OwnedFd::from(b)));
    let peers = thread::spawn(move || {
        let mut writing = client.try_clone().unwrap();
        let writer = thread::spawn(move || {
            write(&mut writing, 3_000_000, 100_000);
            writing.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(read(&mut server), 3_000_000);
        write(&mut server, 10, 3);
        drop(server);
        writer.join().unwrap();
        assert_eq!(read(&mut client), 10);
    });
    assert_eq!(both_ways(&mut a, &mut b).await.unwrap(), Copied { a_to_b: 3_000_000, b_to_a: 10 });
    peers.join().unwrap();
}

/// A file that is removed with this.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str, content: &[u8]) -> Temp {
        let path = format!("annulus-copy-{}-{name}-{}", std::process::id(), annulus::driver().kind());
        let temp = Temp(std::env::temp_dir().join(path));
        fs::write(&temp.0, content).unwrap();
        temp
    }

    fn open(&self, append: bool) -> annulus::fs::File {
        let file = fs::OpenOptions::new().read(true).write(!append).append(append).open(&self.0).unwrap();
        annulus::fs::File::from_std(file).unwrap()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[annulus::test]
async fn a_file_is_sent_from_any_place_to_its_end() {
    const LEN: usize = 1_000_003;
    let temp = Temp::new("sent", &text(LEN));
    for (offset, len, expected) in [
        (0, u64::MAX, LEN),
        (251 * 7, 100_000, 100_000),
        (251 * 3980, 1 << 40, LEN - 251 * 3980),
        (1 << 40, 5, 0),
        (0, 0, 0),
    ] {
        let (mut client, mut a) = pair();
        let reader = thread::spawn(move || read(&mut client));
        let (res, n) = timeout(SOON, send_file(&mut temp.open(false), offset, len, &mut a)).await.expect("it hangs");
        res.unwrap();
        close(a).await;
        assert_eq!((n, reader.join().unwrap()), (expected as u64, expected), "{len} from {offset}");
    }
    let (client, mut a) = pair();
    reset(client);
    let (res, n) = timeout(SOON, send_file(&mut temp.open(false), 0, u64::MAX, &mut a)).await.expect("it hangs");
    assert!(res.is_err() && n < LEN as u64, "{n} {res:?}");
}

/// A file that appends refuses to be spliced to when the bytes have left the socket already. Red when they are lost.
#[annulus::test]
async fn a_socket_into_a_file_that_splices_and_one_that_appends() {
    const LEN: usize = 700_001;
    for append in [false, true] {
        let temp = Temp::new("received", b"");
        let (mut client, mut a) = pair();
        let writer = thread::spawn(move || write(&mut client, LEN, 50_000));
        let n = timeout(SOON, zero_copy(&mut a, &mut temp.open(append))).await.expect("it hangs").unwrap();
        writer.join().unwrap();
        assert_eq!(n, LEN as u64);
        assert!(fs::read(&temp.0).unwrap() == text(LEN), "other bytes, appending: {append}");
    }
}

#[annulus::test]
async fn from_file_to_file_and_through_pipes() {
    const LEN: usize = 600_000;
    let (from, to) = (Temp::new("from", &text(LEN)), Temp::new("to", b""));
    assert_eq!(zero_copy(&mut from.open(false), &mut to.open(false)).await.unwrap(), LEN as u64);
    assert!(fs::read(&to.0).unwrap() == text(LEN));
    let ((mut outer, target), (source, mut last)) = (io::pipe().unwrap(), io::pipe().unwrap());
    let reader_thread = thread::spawn(move || read(&mut outer));
    let writer_thread = thread::spawn(move || write(&mut last, LEN, 10_000));
    let (mut source, mut target) = (Fd::new(source.into()), Fd::new(target.into()));
    let n = timeout(SOON, zero_copy(&mut source, &mut target)).await.expect("it hangs").unwrap();
    close((source, target)).await;
    assert_eq!(n, LEN as u64);
    writer_thread.join().unwrap();
    assert_eq!(reader_thread.join().unwrap(), LEN);
}

/// What has no number cannot be spliced. Red when it is tried.
#[annulus::test]
async fn direct_descriptors_are_copied_too() {
    let listener = annulus::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Std::connect(listener.local_addr().unwrap()).unwrap();
    let mut a = annulus::op::accept_direct(listener.fd()).await.0.unwrap();
    let (mut server, mut b) = pair();
    let peers = thread::spawn(move || {
        client.write_all(&text(5000)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&mut server), 5000);
        server.write_all(&text(70)).unwrap();
        drop(server);
        assert_eq!(read(&mut client), 70);
    });
    assert_eq!(both_ways(&mut a, &mut b).await.unwrap(), Copied { a_to_b: 5000, b_to_a: 70 });
    peers.join().unwrap();
}

/// While the kernel reads from a terminal it has the pipe locked. Red when a copy that is given up closes an end of it:
/// the thread waits for whoever types, then.
#[annulus::test]
async fn a_copy_that_is_given_up_keeps_nobody_waiting() {
    let Ok(terminal) = fs::File::options().read(true).write(true).open("/dev/ptmx") else { return };
    let mut keys = terminal.try_clone().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let types = thread::spawn(move || {
        let in_time = receiver.recv_timeout(Duration::from_secs(5)).is_ok();
        keys.write_all(b"\n").map(|()| in_time)
    });
    let (there, _other) = UnixStream::pair().unwrap();
    let (mut terminal, mut there) = (Fd::new(terminal.into()), Fd::new(there.into()));
    assert!(timeout(Duration::from_millis(20), zero_copy(&mut terminal, &mut there)).await.is_err());
    sender.send(()).unwrap();
    assert!(types.join().unwrap().unwrap(), "the thread was kept");
}
