//! Sends, and reads of what is in memory, that the ring's driver does by a call, at once, because nothing else is to be
//! done: when, when not, and that nobody can tell by what comes of them. The poll driver calls whenever it can.

#[path = "outside/again.rs"]
mod again;
#[cfg(target_os = "linux")]
#[path = "inline/cached.rs"]
mod cached;

use again::{again, passes, role};
use annulus::{
    Builder, Counters, DriverKind, Fd,
    buf::{Envelope, VecBuf},
    net::UdpSocket,
    op::{self, Submit},
    time,
};
use std::{
    cell::Cell,
    env,
    fs::File,
    future::{Future, poll_fn},
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

/// What the tests say of the number of calls holds where a send may be one.
fn may_call() -> bool {
    let hidden = env::var("ANNULUS_HIDE_OPS").unwrap_or_default();
    !hidden.split(',').any(|name| matches!(name, "INLINE" | "SEND"))
}

fn on_ring() -> bool {
    annulus::driver().kind() == DriverKind::Uring
}

fn counters() -> Counters {
    annulus::metrics().driver
}

/// Two ends of a TCP connection: ours, and one of std.
fn tcp_pair() -> (Fd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let b = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    b.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    b.set_nodelay(true).unwrap();
    (Fd::from(OwnedFd::from(listener.accept().unwrap().0)), b)
}

/// Two connected sockets, of which ours would block if it were not told otherwise.
fn unix_pair() -> (Fd, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    b.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    (Fd::from(OwnedFd::from(a)), b)
}

/// Polls once, and says what came of it.
async fn polled<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

async fn echo(fd: Fd) {
    let mut buf = Vec::with_capacity(64);
    loop {
        let (n, filled) = op::recv(&fd, buf).await;
        if n.unwrap() == 0 {
            return;
        }
        let (n, sent) = op::send(&fd, filled).await;
        assert_eq!(n.unwrap(), sent.len());
        buf = sent;
        buf.clear();
    }
}

/// Red when the ring's driver does not call, and when it calls but pushes the entry as well. Prints what an echo costs.
#[annulus::test]
async fn a_send_that_is_alone_is_a_call() {
    const ROUNDS: u64 = 1000;
    let (fd, mut peer) = tcp_pair();
    let server = annulus::spawn(echo(fd));
    annulus::yield_now().await;
    let before = counters();
    let asking = annulus::spawn_blocking(move || {
        for n in 0..ROUNDS {
            let mut answer = [0; 8];
            peer.write_all(&n.to_le_bytes()).unwrap();
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(u64::from_le_bytes(answer), n);
        }
    });
    asking.await.unwrap();
    server.await.unwrap();
    let after = counters();
    let each = |what: fn(&Counters) -> u64| (what(&after) - what(&before)) as f64 / ROUNDS as f64;
    let [inline, enters] = [each(|c| c.inline), each(|c| c.enters)];
    let [sends, entries] = [each(|c| c.sqes_of("SEND")), each(Counters::sqes_total)];
    println!("{}: an echo takes {enters:.3} enters, {entries:.3} entries, {inline:.3} calls", annulus::driver());
    if may_call() && on_ring() {
        assert!(inline > 0.99 && sends < 0.01 && enters < 1.2, "{after:?}");
    }
}

/// Has turns bring many completions.
async fn crowd() {
    for _ in 0..12 {
        let all: Vec<_> = (0..64).map(|_| annulus::spawn(op::nop())).collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
    }
}

/// Eight tasks send at once. How many of that were entries, and how many calls.
async fn send_by_eight_tasks() -> (u64, u64) {
    let before = counters();
    let (fds, mut peers): (Vec<_>, Vec<_>) = (0..8).map(|_| tcp_pair()).unzip();
    let sending: Vec<_> = fds.into_iter().map(|fd| annulus::spawn(async move { op::send(&fd, "x").await.0 })).collect();
    for task in sending {
        assert_eq!(task.await.unwrap().unwrap(), 1);
    }
    for peer in &mut peers {
        peer.read_exact(&mut [0]).unwrap();
    }
    let after = counters();
    (after.sqes_of("SEND") - before.sqes_of("SEND"), after.inline - before.inline)
}

/// Red when a send beside others is no call though turns bring few completions.
#[annulus::test]
async fn sends_are_calls_while_little_comes() {
    let sent = send_by_eight_tasks().await;
    assert!(!may_call() || !on_ring() || sent == (0, 8), "{sent:?}");
}

/// Red when nobody asks who else is about to run, or what is queued.
#[annulus::test]
async fn sends_of_several_tasks_are_entries_together() {
    crowd().await;
    let sent = send_by_eight_tasks().await;
    assert!(!may_call() || !on_ring() || sent == (8, 0), "{sent:?}");
}

/// One task may have many connections. Red when it is taken to be alone though much came for it.
#[annulus::test]
async fn sends_of_one_task_for_which_much_came_are_entries() {
    let (fds, mut peers): (Vec<_>, Vec<_>) = (0..8).map(|_| tcp_pair()).unzip();
    let mut receiving: Vec<_> = fds.iter().map(|fd| op::recv(fd, vec![0; 8])).collect();
    for receive in &mut receiving {
        assert!(polled(receive).await.is_pending());
    }
    crowd().await;
    for peer in &mut peers {
        peer.write_all(b"x").unwrap();
    }
    let before = counters();
    for (receive, fd) in receiving.into_iter().zip(&fds) {
        let (n, buf) = receive.await;
        assert_eq!(n.unwrap(), 1);
        let mut sending = op::send(fd, buf);
        // It is awaited by nobody else: what comes of it is told by the peer.
        if polled(&mut sending).await.is_pending() {
            annulus::spawn(sending);
        }
    }
    time::sleep(Duration::from_millis(2)).await;
    for peer in &mut peers {
        peer.read_exact(&mut [0]).unwrap();
    }
    let after = counters();
    if may_call() && on_ring() {
        assert!(after.sqes_of("SEND") - before.sqes_of("SEND") >= 7, "{after:?}");
    }
}

/// Sends until there is no more room, and gives the send that waits for some.
async fn crowded(fd: &Fd) -> Submit<op::Send<Vec<u8>>> {
    for _ in 0..10_000 {
        let mut sending = op::send(fd, vec![1; 1 << 16]);
        match polled(&mut sending).await {
            Poll::Ready((n, _)) => drop(n.unwrap()),
            Poll::Pending => {
                time::sleep(Duration::from_millis(2)).await;
                // An entry that was not alone has been sent by now.
                match polled(&mut sending).await {
                    Poll::Ready((n, _)) => drop(n.unwrap()),
                    Poll::Pending => return sending,
                }
            }
        }
    }
    panic!("the socket takes everything");
}

/// Leaves no room at all.
fn fill(fd: &Fd) {
    let mut stream = UnixStream::from(fd.duplicate().unwrap());
    stream.set_nonblocking(true).unwrap();
    for size in [1 << 16, 1] {
        while stream.write(&vec![0; size]).is_ok() {}
    }
    stream.set_nonblocking(false).unwrap();
}

/// Reads all that is there.
fn drain(peer: &mut UnixStream) -> usize {
    let (mut all, mut buf) = (0, vec![0; 1 << 16]);
    peer.set_nonblocking(true).unwrap();
    while let Ok(n) = peer.read(&mut buf) {
        all += n;
    }
    peer.set_nonblocking(false).unwrap();
    all
}

/// Red when nobody asks whether a send is in flight, or when its end is not noted.
#[annulus::test]
async fn a_send_does_not_overtake_one_that_waits() {
    // A call in vain would be remembered for the next send: so the last one is tried after one, and after two.
    for waiting in 1..3 {
        let (a, mut b) = unix_pair();
        let mut sending = vec![crowded(&a).await];
        for n in 0..waiting {
            let mut next = op::send(&a, vec![n]);
            assert!(polled(&mut next).await.is_pending());
            sending.push(next);
            time::sleep(Duration::from_millis(2)).await;
        }
        drain(&mut b);
        // The first has room by now, and does not know it.
        let before = counters().inline;
        let mut last = op::send(&a, vec![3]);
        assert!(polled(&mut last).await.is_pending(), "it is sent before the first");
        assert_eq!(counters().inline, before);
        sending.push(last);
        for sending in sending {
            assert!(sending.await.0.unwrap() > 0);
        }
        time::sleep(Duration::from_millis(2)).await;
        drain(&mut b);
        if may_call() && on_ring() {
            let before = counters().inline;
            assert_eq!(op::send(&a, vec![4]).await.0.unwrap(), 1);
            assert_eq!(counters().inline, before + 1, "nothing is in flight any more");
        }
    }
}

/// Dropped operations end, too. Red when the end of one that was dropped is not noted.
#[annulus::test(driver = "uring")]
async fn a_send_that_was_dropped_holds_nobody_back_for_ever() {
    let (a, mut b) = unix_pair();
    drop(crowded(&a).await);
    time::sleep(Duration::from_millis(5)).await;
    drain(&mut b);
    assert_eq!(op::send(&a, vec![2]).await.0.unwrap(), 1);
    let before = counters().inline;
    assert_eq!(op::send(&a, vec![3]).await.0.unwrap(), 1);
    assert!(!may_call() || counters().inline == before + 1);
}

/// Red when a call in vain is made for each send to a peer that reads slowly, and when there is never one again.
#[annulus::test(driver = "uring")]
async fn a_call_in_vain_is_followed_by_an_entry() {
    if !may_call() {
        return;
    }
    let (a, mut b) = unix_pair();
    for had_some_room in [true, false] {
        let start = counters();
        if had_some_room {
            assert!(op::send(&a, vec![1; 16 << 20]).await.0.unwrap() < 16 << 20);
            drain(&mut b);
        } else {
            fill(&a);
            let mut waiting = op::send(&a, vec![1]);
            assert!(polled(&mut waiting).await.is_pending());
            drain(&mut b);
            assert_eq!(waiting.await.0.unwrap(), 1);
        }
        let before = counters();
        assert_eq!(before.twins_ready - start.twins_ready, 1);
        assert_eq!(op::send(&a, vec![2]).await.0.unwrap(), 1);
        assert_eq!(counters().twins_ready, before.twins_ready, "there was no room the last time");
        assert_eq!(op::send(&a, vec![3]).await.0.unwrap(), 1);
        let after = counters();
        assert_eq!((after.twins_ready, after.inline), (before.twins_ready + 1, before.inline + 1));
    }
}

/// Red when calls are not counted: then whoever can always send keeps everybody else from running.
#[annulus::test]
async fn who_can_always_send_lets_others_through() {
    const SENDS: u64 = 20_000;
    // Nobody reads: what does not fit is dropped.
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(sink.local_addr().unwrap()).await.unwrap();
    let slept = Rc::new(Cell::new(false));
    let sleeper = slept.clone();
    annulus::spawn(async move {
        time::sleep(Duration::from_millis(1)).await;
        sleeper.set(true);
    });
    annulus::yield_now().await;
    let before = counters();
    let mut sent = 0;
    while !(slept.get() && sent >= 1000) && sent < SENDS {
        assert_eq!(socket.send("x").await.0.unwrap(), 1);
        sent += 1;
    }
    let after = counters();
    assert!(slept.get(), "{sent} were sent, and nobody came to his turn");
    assert!((after.turns - before.turns) * 129 + 129 >= sent, "{sent} in {} turns", after.turns - before.turns);
    if may_call() && on_ring() {
        assert!((after.inline - before.inline) * 10 > sent * 9, "{after:?}");
    }
}

/// A file may block, and a pipe cannot promise not to. Red when either is called.
#[annulus::test]
async fn what_may_block_is_not_called() {
    let path = env::temp_dir().join(format!("annulus-inline-{}-{}", std::process::id(), annulus::driver().kind()));
    let file = File::create_new(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let file = Fd::from(OwnedFd::from(file));
    let mut writing = op::writev(&file, VecBuf::from(vec![b"x".to_vec()]));
    assert!(polled(&mut writing).await.is_pending());
    assert_eq!(writing.await.0.unwrap(), 1);
    // A pipe may be one whose system knows no call that does not block.
    let (mut reader, writer) = io::pipe().unwrap();
    let (pipe, before) = (Fd::from(OwnedFd::from(writer)), counters().inline);
    assert_eq!(op::writev(&pipe, VecBuf::from(vec![b"x".to_vec()])).await.0.unwrap(), 1);
    reader.read_exact(&mut [0]).unwrap();
    assert!(!on_ring() || counters().inline == before);
}

/// What comes of sends of all kinds: results, errors, and the bytes at the other end.
async fn results() {
    let (a, mut b) = tcp_pair();
    let mut bytes = [0; 6];
    assert_eq!(op::send(&a, "one").await.0.unwrap(), 3);
    assert_eq!(op::send(&a, "").await.0.unwrap(), 0);
    assert_eq!(op::writev(&a, VecBuf::from(vec![b"t".to_vec(), b"wo".to_vec()])).await.0.unwrap(), 3);
    b.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"onetwo");
    assert_eq!(op::sendmsg(&a, "three", Envelope::new()).await.0.unwrap(), 5);
    b.read_exact(&mut bytes[..5]).unwrap();
    assert_eq!(&bytes[..5], b"three");
    let error = |res: io::Result<usize>| res.unwrap_err().raw_os_error();
    op::shutdown(&a, Shutdown::Write).await.unwrap();
    assert_eq!(error(op::send(&a, "x").await.0), Some(libc::EPIPE));
    assert_eq!(error(op::writev(&a, VecBuf::from(vec![b"x".to_vec()])).await.0), Some(libc::EPIPE));
    assert_eq!(error(op::sendmsg(&a, "x", Envelope::new()).await.0), Some(libc::EPIPE));
    let file = Fd::from(OwnedFd::from(File::open("Cargo.toml").unwrap()));
    assert_eq!(error(op::send(&file, "x").await.0), Some(libc::ENOTSOCK));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(error(socket.send("x").await.0), Some(libc::EDESTADDRREQ));
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(sink.local_addr().unwrap()).await.unwrap();
    assert_eq!(error(socket.send(vec![0; 66_000]).await.0), Some(libc::EMSGSIZE));
    assert_eq!(socket.send("").await.0.unwrap(), 0);
    assert_eq!(sink.recv(vec![7; 4]).await.0.unwrap(), 0, "an empty datagram");
    // What does not fit is left to the next send, and this socket would block.
    let (a, mut b) = unix_pair();
    let (n, buf) = op::send(&a, vec![5; 16 << 20]).await;
    let n = n.unwrap();
    assert!(n > 0 && n < buf.len());
    b.set_nonblocking(true).unwrap();
    assert_eq!(drain(&mut b), n);
    assert!(a.as_raw_fd() >= 0);
}

#[annulus::test]
async fn nobody_can_tell_a_call_from_an_entry() {
    let before = counters();
    results().await;
    let inline = counters().inline - before.inline;
    assert!(!may_call() || inline >= 8, "{inline}");
}

/// Red when `INLINE` hides nothing.
#[test]
fn without_calls_it_is_the_same() {
    const NAME: &str = "without_calls_it_is_the_same";
    let built = Builder::new().driver(DriverKind::Uring).build();
    match (role(), built) {
        (_, Err(e)) => drop(writeln!(io::stderr(), "SKIP {NAME}: {e}")),
        (None, Ok(_)) => drop(passes(again(NAME, "hidden").env("ANNULUS_HIDE_OPS", "INLINE"))),
        (Some(_), Ok(runtime)) => {
            runtime.block_on(results());
            let driver = runtime.metrics().driver;
            assert_eq!((driver.inline, driver.twins_ready), (0, 0));
        }
    }
}

/// A socket has no places, and the kernel says so. Red when a call writes wherever it is.
#[annulus::test(driver = "uring")]
async fn a_write_at_a_place_is_the_kernels() {
    let (fd, _peer) = tcp_pair();
    let before = counters().inline;
    let (res, _) = op::writev_at(&fd, VecBuf::from(vec![b"ab".to_vec()]), 5).await;
    assert_eq!((res.unwrap_err().raw_os_error(), counters().inline), (Some(libc::ESPIPE), before));
}
