//! The guarded operations.
//!
//! Whoever plays the other side (a client, a thread that wakes) does so while nothing is counted, and knows when the
//! runtime sleeps. So each count is that of the runtime's thread alone, and the same each time.

use crate::{
    counting::{ALLOCATIONS, Counts},
    steps::Stepper,
};
use annulus::{
    Builder, DriverKind, Metrics,
    fs::File,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    op, spawn, time, yield_now,
};
use std::{
    cell::{Cell, RefCell},
    fs,
    future::poll_fn,
    io::{self, Read, Write},
    mem, net,
    rc::Rc,
    sync::{Arc, Mutex, mpsc},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

/// What is guarded, and what one operation of it is.
pub const WORK: &[(&str, &str)] = &[
    ("echo-1", "64 bytes received and sent back, one connection: the server's side"),
    ("echo-50", "the same, 50 connections that are all asked at once"),
    ("nop", "an operation that does nothing"),
    ("spawn", "a task made and awaited"),
    ("yield", "a task lets others go first, and there are none"),
    ("timeout", "a timer set and given up: a timeout around a task's yield"),
    ("sleep", "one of 50 tasks that sleep until the same moment"),
    ("woken", "a task that another thread wakes while the runtime sleeps"),
    ("wake", "the other thread's side of it"),
    ("read-1", "4 KiB of a file read, one at a time"),
    ("read-32", "the same, 32 at a time"),
    ("start", "a runtime made, for a future that is ready, and ended"),
];

/// Samples of each.
const SAMPLES: usize = 2;

/// Does the work of this name on this driver. Gives the samples.
pub fn work(name: &str, kind: DriverKind, meter: &mut Meter) -> io::Result<()> {
    match name {
        "wake" => return wake(kind, meter),
        "start" => return start(kind, meter),
        _ => {}
    }
    let runtime = Builder::new().driver(kind).build()?;
    runtime.block_on(async {
        meter.in_runtime = true;
        match name {
            "echo-1" => echo(1, 10, meter).await,
            "echo-50" => echo(50, 1, meter).await,
            "nop" => one_by_one(20, meter, async || op::nop().await.unwrap()).await,
            "spawn" => one_by_one(50, meter, async || spawn(async {}).await.unwrap()).await,
            "yield" => one_by_one(50, meter, yield_now).await,
            "timeout" => {
                let op = async || time::timeout(Duration::from_secs(1), yield_now()).await.unwrap();
                one_by_one(20, meter, op).await;
            }
            "sleep" => sleep(meter).await,
            "woken" => woken(meter).await,
            "read-1" => read(1, 20, meter).await,
            // So often that the driver has seen how many they are: until then they are calls.
            "read-32" => read(32, 8, meter).await,
            _ => return Err(io::Error::other(format!("{name}: no such work"))),
        }
        meter.in_runtime = false;
        Ok(())
    })
}

/// What a sample found.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub ops: u64,
    pub counts: Counts,
    pub allocations: u64,
    pub enters: u64,
    pub entries: u64,
}

/// Counts between `go_on` and `stop`, but nothing as long as all warms up.
pub struct Meter {
    pub stepper: Stepper,
    pub samples: Vec<Sample>,
    in_runtime: bool,
    warm: bool,
    now: Sample,
    before: (u64, Option<Metrics>),
}

impl Meter {
    pub fn new(stepper: Stepper) -> Meter {
        Meter {
            stepper,
            samples: Vec::new(),
            in_runtime: false,
            warm: false,
            now: Sample::default(),
            before: (0, None),
        }
    }

    fn go_on(&mut self) {
        if self.warm {
            self.before = (ALLOCATIONS.get(), self.in_runtime.then(annulus::metrics));
            self.stepper.go_on();
        }
    }

    fn stop(&mut self) {
        if self.warm {
            self.stepper.stop();
            self.now.allocations += ALLOCATIONS.get() - self.before.0;
            if let Some(before) = self.before.1.take() {
                let (before, after) = (before.driver, annulus::metrics().driver);
                self.now.enters += after.enters - before.enters;
                self.now.entries += after.sqes_total() - before.sqes_total();
            }
        }
    }

    /// Ends a sample of so many operations; the first one was to warm up.
    fn sample(&mut self, ops: u32) {
        if mem::replace(&mut self.warm, true) {
            let counts = self.stepper.take();
            self.samples.push(Sample { ops: ops.into(), counts, ..mem::take(&mut self.now) });
        }
    }
}

/// Samples of so many operations, one after the other.
async fn one_by_one(ops: u32, meter: &mut Meter, op: impl AsyncFn()) {
    for _ in 0..=SAMPLES {
        meter.go_on();
        for _ in 0..ops {
            op().await;
        }
        meter.stop();
        meter.sample(ops);
    }
}

/// Who has still to do something, and who waits until nobody has.
#[derive(Default)]
struct Crowd {
    busy: Cell<u32>,
    waits: RefCell<Option<Waker>>,
}

impl Crowd {
    fn one_is_done(&self) {
        self.busy.set(self.busy.get() - 1);
        if self.busy.get() == 0 {
            self.waits.take().into_iter().for_each(Waker::wake);
        }
    }

    async fn all_are_done(&self) {
        poll_fn(|cx| {
            if self.busy.get() == 0 {
                return Poll::Ready(());
            }
            self.waits.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

const MESSAGE: usize = 64;

/// A server's task, which says when it has answered.
async fn serve(mut stream: TcpStream, crowd: Rc<Crowd>) {
    let mut buf: Vec<u8> = Vec::with_capacity(4096);
    let mut res;
    loop {
        buf.clear();
        (res, buf) = stream.read(buf).await;
        if !matches!(res, Ok(n) if n > 0) {
            return;
        }
        (res, buf) = stream.write_all(buf).await;
        res.unwrap();
        crowd.one_is_done();
    }
}

/// The clients are plain sockets: all ask, and all have their answers, while the server does not run.
async fn echo(connections: u32, rounds: u32, meter: &mut Meter) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let crowd = Rc::new(Crowd::default());
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        drop(spawn(serve(listener.accept().await.unwrap().0, crowd.clone())));
    }
    for _ in 0..=SAMPLES {
        for _ in 0..if meter.warm { rounds } else { 20 } {
            crowd.busy.set(connections);
            clients.iter_mut().for_each(|client| client.write_all(&[7; MESSAGE]).unwrap());
            meter.go_on();
            crowd.all_are_done().await;
            meter.stop();
            clients.iter_mut().for_each(|client| client.read_exact(&mut [0; MESSAGE]).unwrap());
        }
        meter.sample(rounds * connections);
    }
}

async fn sleep(meter: &mut Meter) {
    const TASKS: u32 = 50;
    for _ in 0..=SAMPLES {
        // Steps are slow, and all have to lie down before the moment.
        let moment = time::Instant::now() + Duration::from_millis(1500);
        let mut tasks = Vec::with_capacity(TASKS as usize);
        meter.go_on();
        tasks.extend((0..TASKS).map(|_| spawn(time::sleep_until(moment))));
        yield_now().await;
        meter.stop();
        assert!(time::Instant::now() < moment, "they did not sleep: this machine is too slow for the moment");
        meter.go_on();
        for task in tasks {
            task.await.unwrap();
        }
        meter.stop();
        meter.sample(TASKS);
    }
}

/// Waits until this thread of this process sleeps in the kernel.
fn until_it_sleeps(thread: i32) {
    let path = format!("/proc/self/task/{thread}/stat");
    // "ID (NAME) STATE ..", and T or t is a stop.
    while !fs::read_to_string(&path)
        .is_ok_and(|text| text.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")))
    {
        thread::yield_now();
    }
}

fn thread_number() -> i32 {
    // SAFETY: passes no pointers.
    unsafe { libc::gettid() }
}

const WAKES: u32 = 10;

/// What a task and a thread share: the task says to whom it listens, and the thread counts up.
#[derive(Default)]
struct Bell(Mutex<(u32, Option<Waker>)>);

impl Bell {
    async fn rung(&self, times: u32) {
        poll_fn(|cx| {
            let mut bell = self.0.lock().unwrap();
            if bell.0 >= times {
                return Poll::Ready(());
            }
            bell.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn ring(&self) {
        let waker = {
            let mut bell = self.0.lock().unwrap();
            bell.0 += 1;
            bell.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

async fn woken(meter: &mut Meter) {
    let (bell, there) = (Arc::new(Bell::default()), thread_number());
    let (ask, asked) = mpsc::channel();
    let other = bell.clone();
    let thread = thread::spawn(move || {
        while asked.recv().is_ok() {
            until_it_sleeps(there);
            other.ring();
        }
    });
    let mut times = 0;
    for _ in 0..=SAMPLES {
        for _ in 0..WAKES {
            times += 1;
            ask.send(()).unwrap();
            meter.go_on();
            bell.rung(times).await;
            meter.stop();
        }
        meter.sample(WAKES);
    }
    drop(ask);
    thread.join().unwrap();
}

/// Here the runtime is on the other thread.
fn wake(kind: DriverKind, meter: &mut Meter) -> io::Result<()> {
    let bell = Arc::new(Bell::default());
    let (tell, told) = mpsc::channel();
    let other = bell.clone();
    let thread = thread::spawn(move || {
        let runtime = Builder::new().driver(kind).build()?;
        runtime.block_on(async {
            for times in 1.. {
                if tell.send(thread_number()).is_err() {
                    return;
                }
                other.rung(times).await;
            }
        });
        Ok(())
    });
    for _ in 0..=SAMPLES {
        for _ in 0..WAKES {
            let Ok(there) = told.recv() else { return thread.join().unwrap() };
            until_it_sleeps(there);
            meter.go_on();
            bell.ring();
            meter.stop();
        }
        meter.sample(WAKES);
    }
    let last = told.recv();
    drop((told, last));
    bell.ring();
    thread.join().unwrap()
}

/// So many tasks that read the first pages of a file, each so often.
async fn read(depth: u32, times: u32, meter: &mut Meter) {
    const PAGE: usize = 4096;
    // Beside the program, which is on a disk: what is temporary may lie in memory, which reads differently.
    let path = std::env::current_exe().unwrap().with_file_name(format!("read-{}", std::process::id()));
    fs::write(&path, vec![7; PAGE * depth as usize]).unwrap();
    let file = Rc::new(File::open(&path).await.unwrap());
    fs::remove_file(&path).unwrap();
    let crowd = Rc::new(Crowd::default());
    let rounds = Rc::new(Cell::new(0));
    let start = Rc::new(annulus::sync::Notify::new());
    for place in 0..u64::from(depth) {
        let (file, crowd, start, rounds) = (file.clone(), crowd.clone(), start.clone(), rounds.clone());
        drop(spawn(async move {
            let mut buf = Vec::with_capacity(PAGE);
            let mut res;
            loop {
                start.notified().await;
                for _ in 0..rounds.get() {
                    (res, buf) = file.read_at(buf, place * PAGE as u64).await;
                    assert_eq!(res.unwrap(), PAGE);
                }
                crowd.one_is_done();
            }
        }));
    }
    yield_now().await;
    for _ in 0..=SAMPLES {
        rounds.set(times);
        crowd.busy.set(depth);
        start.notify_waiters();
        meter.go_on();
        crowd.all_are_done().await;
        meter.stop();
        meter.sample(depth * times);
    }
}

fn start(kind: DriverKind, meter: &mut Meter) -> io::Result<()> {
    const STARTS: u32 = 5;
    for _ in 0..=SAMPLES {
        meter.go_on();
        for _ in 0..STARTS {
            Builder::new().driver(kind).build()?.block_on(async {});
        }
        meter.stop();
        meter.sample(STARTS);
    }
    Ok(())
}
