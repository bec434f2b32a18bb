//! A storm of operations that end early, on sockets that are being written: nothing is lost, nothing leaks, nothing
//! hangs.

#[path = "sound/mod.rs"]
mod sound;

use annulus::{
    Builder, DriverKind,
    buf::VecBuf,
    io::{
        AsyncReadRent, AsyncReadRentExt, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller,
        EarlyEnd, Splitable, WithDeadline,
    },
    net::{
        TcpListener, TcpStream,
        tcp::{TcpOwnedReadHalf, TcpOwnedWriteHalf},
    },
    spawn,
    time::{sleep, timeout},
};
use std::{cell::Cell, io, rc::Rc, sync::LazyLock, time::Duration};

const CONNECTIONS: u64 = 16;
/// For each direction of a connection.
const OPERATIONS: usize = 400;
const MINUTE: Duration = Duration::from_secs(60);

/// Numbers without a pattern, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }

    /// Nothing, or up to two milliseconds: about as long as an operation takes here.
    fn moment(&mut self) -> Duration {
        Duration::from_micros([0, 100, 2000][self.roll(3) as usize] * self.roll(1000) / 1000)
    }
}

/// The `len` bytes from place `n` on of all that is sent: they come again after 251.
fn text(n: usize, len: usize) -> &'static [u8] {
    static ALL: LazyLock<Vec<u8>> = LazyLock::new(|| (0..251).cycle().take(251 + (1 << 20)).collect());
    &ALL[n % 251..][..len]
}

/// How the operations ended.
#[derive(Default)]
struct Ends {
    done: Cell<usize>,
    early: Cell<usize>,
}

impl Ends {
    fn note(&self, early: bool) {
        let count = if early { &self.early } else { &self.done };
        count.set(count.get() + 1);
    }
}

fn is_early(error: &io::Error) -> bool {
    let wanted = [Some(libc::ECANCELED), Some(libc::ETIMEDOUT)];
    assert!(wanted.contains(&error.raw_os_error()), "{error}");
    true
}

/// A canceller that somebody calls after a moment.
fn cancelled_after(moment: Duration) -> annulus::io::CancelHandle {
    let canceller = Canceller::new();
    let handle = canceller.handle();
    spawn(async move {
        sleep(moment).await;
        drop(canceller.cancel());
    });
    handle
}

/// Sends bytes in their order, by operations that end early; returns how many were sent by what they say.
async fn talk(mut writer: TcpOwnedWriteHalf, mut dice: Dice, ends: Rc<Ends>) -> usize {
    let mut sent = 0;
    for _ in 0..OPERATIONS {
        let size = [10, 1000, 200_000][dice.roll(3) as usize];
        let text = text(sent, 1 + dice.roll(size) as usize).to_vec();
        let moment = dice.moment();
        let res = match dice.roll(4) {
            0 => writer.write(text).time_limit(moment).await.0,
            1 => writer.cancelable_write(text, cancelled_after(moment)).await.0,
            2 => {
                let half = text.len() / 2;
                let parts = VecBuf::from(vec![text[..half].to_vec(), text[half..].to_vec()]);
                writer.writev(parts).time_limit(moment).await.0
            }
            _ => writer.write(text).await.0,
        };
        ends.note(res.as_ref().is_err_and(is_early));
        sent += res.unwrap_or(0);
    }
    sent
}

/// Receives by operations that end early; returns how many bytes there were, all of them in their order.
async fn listen(reader: TcpOwnedReadHalf, mut dice: Dice, ends: Rc<Ends>) -> usize {
    let (mut reader, mut got) = (WithDeadline::new(reader), 0);
    loop {
        let (room, moment) = ([10, 1000, 200_000][dice.roll(3) as usize], dice.moment());
        let buf = Vec::with_capacity(1 + dice.roll(room) as usize);
        reader.set_read_timeout(None);
        let (res, buf) = match dice.roll(5) {
            0 => reader.read(buf).time_limit(moment).await,
            1 => reader.get_mut().cancelable_read(buf, cancelled_after(moment)).await,
            2 => {
                reader.set_read_timeout(Some(moment));
                reader.read_exact(buf).await
            }
            3 => {
                let parts = VecBuf::from(vec![vec![0; buf.capacity()], vec![0; 9]]);
                let (res, parts) = reader.readv(parts).time_limit(moment).await;
                let mut read = Vec::from(parts).concat();
                read.truncate(res.as_ref().map_or(0, |&n| n));
                (res, read)
            }
            _ => reader.read_exact(buf).time_limit(moment).await,
        };
        assert!(buf == text(got, buf.len()), "after {got}: something else came");
        got += buf.len();
        match res {
            Ok(0) => return got,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return got,
            res => ends.note(res.is_err_and(|e| is_early(&e))),
        }
    }
}

async fn storm() -> Rc<Ends> {
    let (listener, ends) = (TcpListener::bind("127.0.0.1:0").unwrap(), Rc::<Ends>::default());
    let mut tasks = Vec::new();
    for n in 0..CONNECTIONS {
        let a = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let b = listener.accept().await.unwrap().0;
        // Little room, so that writes have to wait as well.
        for stream in [&a, &b] {
            stream.set_send_buffer_size(128 << 10).unwrap();
            stream.set_recv_buffer_size(128 << 10).unwrap();
        }
        let ((a_reads, a_writes), (b_reads, b_writes)) = (a.into_split(), b.into_split());
        for (reader, writer, seed) in [(b_reads, a_writes, 2 * n), (a_reads, b_writes, 2 * n + 1)] {
            let sent = spawn(talk(writer, Dice(seed), ends.clone()));
            tasks.push((spawn(listen(reader, Dice(1000 + seed), ends.clone())), sent));
        }
    }
    for (got, sent) in tasks {
        let sent = timeout(MINUTE, sent).await.expect("a write hangs").unwrap();
        assert_eq!(timeout(MINUTE, got).await.expect("a read hangs").unwrap(), sent, "bytes were lost or doubled");
    }
    ends
}

/// Red when the bytes of an operation that ended early are lost or come twice, one hangs, or a descriptor or a slot is
/// left over.
#[test]
fn a_storm_of_early_ends_loses_nothing() {
    sound::on_both("a_storm_of_early_ends_loses_nothing", |kind: DriverKind| {
        let before = sound::descriptors();
        let runtime = Builder::new().driver(kind).build().unwrap();
        runtime.block_on(async {
            let ends = storm().await;
            let (done, early) = (ends.done.get(), ends.early.get());
            assert!(done + early > 10_000 && done > 2000 && early > 2000, "{done} done, {early} ended early");
            for _ in 0..1000 {
                if annulus::metrics().driver.slots == 0 {
                    break;
                }
                sleep(Duration::from_millis(1)).await;
            }
            let driver = annulus::metrics().driver;
            assert_eq!((driver.slots, driver.strays), (0, 0), "{driver:?}");
        });
        sound::end(runtime, "the storm");
        sound::no_more_than(&before, "the storm");
    });
}
