//! Each operation on the uring driver, on a kernel that seems to lack it: its twin does it, and the counters say so.
#![cfg(not(annulus_kqueue))] // there is no ring

#[path = "outside/again.rs"]
mod again;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind, Fd,
    buf::VecBuf,
    entry::Interest,
    net::UdpSocket,
    op::{self, OpenHow},
    pool::{FixedPool, RecvPool},
    time::timeout,
};
use std::{
    env,
    io::{self, Write},
    net::{Shutdown, SocketAddr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::Path,
    time::Duration,
};

/// Every opcode that an operation has.
const OPCODES: [&str; 33] = [
    "ACCEPT",
    "BIND",
    "CLOSE",
    "CONNECT",
    "FSYNC",
    "FTRUNCATE",
    "LINKAT",
    "LISTEN",
    "MKDIRAT",
    "NOP",
    "OPENAT",
    "POLL_ADD",
    "READ",
    "READV",
    "READ_FIXED",
    "RECV",
    "RECVMSG",
    "RENAMEAT",
    "SEND",
    "SENDMSG",
    "SENDMSG_ZC",
    "SEND_ZC",
    "SHUTDOWN",
    "SOCKET",
    "SPLICE",
    "STATX",
    "SYMLINKAT",
    "TIMEOUT",
    "UNLINKAT",
    "WAITID",
    "WRITE",
    "WRITEV",
    "WRITE_FIXED",
];

/// What came later than the opcode it belongs to.
const ABILITIES: [&str; 10] = [
    "SEND_ZC_REPORT_USAGE",
    "ACCEPT_MULTISHOT",
    "POLL_ADD_MULTI",
    "RECV_MULTISHOT",
    "RECVMSG_MULTISHOT",
    "RECVSEND_BUNDLE",
    "RECVSEND_POLL_FIRST",
    "BUFFERS2",
    "PBUF_RING",
    "SEND_MSG_RING",
];

/// The opcodes whose twin runs on the pool.
const ON_POOL: [&str; 15] = [
    "OPENAT",
    "READ",
    "READV",
    "WRITE",
    "WRITEV",
    "FSYNC",
    "CLOSE",
    "SPLICE",
    "FTRUNCATE",
    "LINKAT",
    "MKDIRAT",
    "RENAMEAT",
    "STATX",
    "SYMLINKAT",
    "UNLINKAT",
];

#[test]
fn every_operation_has_a_twin_that_does_it() {
    const NAME: &str = "every_operation_has_a_twin_that_does_it";
    match role() {
        Some(hidden) => all_operations_without(&hidden),
        None => {
            if let Err(e) = Builder::new().driver(DriverKind::Uring).build() {
                let _ = writeln!(io::stderr(), "SKIP {NAME}: {e}");
                return;
            }
            let (all, abilities) = (OPCODES.join(","), ABILITIES.join(","));
            let sets = [&"", &all.as_str(), &abilities.as_str()];
            for hidden in OPCODES.iter().chain(&ABILITIES).chain(sets) {
                // What is done by a call instead of an entry has a test of its own.
                passes(again(NAME, hidden).env("ANNULUS_HIDE_OPS", format!("INLINE,{hidden}")));
            }
        }
    }
}

/// The role of the second process: `hidden` are the opcodes that this driver does not have.
fn all_operations_without(hidden: &str) {
    let runtime = Builder::new().driver(DriverKind::Uring).build().unwrap();
    let registered = runtime.block_on(async {
        op::nop().await.unwrap();
        files().await;
        names().await;
        sockets().await;
        messages().await;
        waiting_ends().await;
        streams().await;
        children().await;
        fixed().await
    });
    let driver = runtime.metrics().driver;
    let is_hidden = |name: &str| hidden.split(',').any(|h| h == name);
    // Without a table, a kernel that has the opcode does not get it.
    assert!(!(registered && is_hidden("BUFFERS2")), "what is hidden was used");
    let is_hidden = |name: &str| is_hidden(name) || (name.ends_with("_FIXED") && !registered);
    for name in OPCODES {
        let sqes = driver.sqes_of(name);
        // The driver itself waits by POLL_ADD, whatever is hidden from operations.
        assert!(if is_hidden(name) && name != "POLL_ADD" { sqes == 0 } else { sqes > 0 }, "{name}: {driver:?}");
    }
    let any = |names: &[&str]| names.iter().any(|name| is_hidden(name));
    let (here, ready, pool) = (driver.twins_here, driver.twins_ready, driver.twins_pool);
    assert_eq!(pool > 0, any(&ON_POOL), "{driver:?}");
    // Who has to choose a buffer for the kernel receives by the twin.
    let waiting = [
        "ACCEPT",
        "CONNECT",
        "POLL_ADD",
        "READ",
        "READV",
        "RECV",
        "RECVMSG",
        "SEND",
        "SENDMSG",
        "SENDMSG_ZC",
        "SEND_ZC",
        "WAITID",
        "WRITE",
        "WRITEV",
        "PBUF_RING",
        "RECVMSG_MULTISHOT",
    ];
    assert_eq!(ready > 0, any(&waiting), "{driver:?}");
    if !any(&["READ", "READV"]) {
        // What of a file is in memory may be read here as well.
        assert_eq!(here > 0, any(&["BIND", "LISTEN", "NOP", "SHUTDOWN", "SOCKET", "TIMEOUT"]), "{driver:?}");
    }
}

async fn files() {
    let path = env::temp_dir().join(format!("annulus-hidden-{}", std::process::id()));
    let file = open(&path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL).await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(op::write_at(&file, b"hello", 0).await.0.unwrap(), 5);
    let parts = VecBuf::from(vec![b" wor".to_vec(), b"ld".to_vec()]);
    assert_eq!(op::writev_at(&file, parts, 5).await.0.unwrap(), 6);
    op::fsync(&file).await.unwrap();
    op::fdatasync(&file).await.unwrap();
    assert_eq!(op::read_at(&file, Vec::with_capacity(64), 0).await.1, b"hello world");
    let room = VecBuf::from(vec![vec![0; 2], vec![0; 64]]);
    let (n, parts) = op::readv_at(&file, room, 1).await;
    assert_eq!((n.unwrap(), Vec::from(parts).concat()), (10, b"ello world".to_vec()));
    // What is in memory needs neither an entry nor a thread, but for who reads at the file's own position.
    let (n, parts) = op::readv(&file, VecBuf::from(vec![vec![0; 2], vec![0; 4]])).await;
    assert_eq!((n.unwrap(), Vec::from(parts).concat()), (6, b"hello ".to_vec()));
    assert_eq!(op::read(&file, Vec::with_capacity(64)).await.1, b"world");
    let [_reader, writer] = pipe();
    assert_eq!(op::splice(&file, Some(6), &writer, None, 100).await.unwrap(), 5);
    op::close(file).unwrap().await.unwrap();
    let error = op::openat(&path, OpenHow { flags: libc::O_RDONLY, mode: 0 }).unwrap().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

async fn names() {
    let top = env::temp_dir().join(format!("annulus-names-{}", std::process::id()));
    let [a, b, c] = ["a", "b", "c"].map(|name| top.join(name));
    op::mkdirat(&top, 0o700).unwrap().await.unwrap();
    let file = open(&a, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL).await;
    op::ftruncate(&file, 5).await.unwrap();
    assert_eq!(op::fstatx(&file).await.unwrap().size(), Some(5));
    op::linkat(&a, &b).unwrap().await.unwrap();
    op::renameat(&b, &c).unwrap().await.unwrap();
    op::symlinkat(Path::new("c"), &b).unwrap().await.unwrap();
    assert_eq!(op::statx(&b, true).unwrap().await.unwrap().links(), Some(2));
    for path in [a, b, c] {
        op::unlinkat(&path).unwrap().await.unwrap();
    }
    op::rmdir(&top).unwrap().await.unwrap();
}

fn pipe() -> [Fd; 2] {
    let mut ends = [0; 2];
    // SAFETY: Kernel's word: there is room for the two numbers.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: Fresh descriptor: each end was just made.
    ends.map(|end| Fd::new(unsafe { OwnedFd::from_raw_fd(end) }))
}

async fn open(path: &Path, flags: i32) -> Fd {
    Fd::new(op::openat(path, OpenHow { flags, mode: 0o600 }).unwrap().await.unwrap())
}

async fn messages() {
    let [a, b] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let to = b.local_addr().unwrap();
    let receiving = annulus::spawn(async move { b.recv_from(Vec::with_capacity(16)).await });
    annulus::yield_now().await;
    assert_eq!(a.send_to("by hand", to).await.0.unwrap(), 7);
    let (res, buf) = receiving.await.unwrap();
    assert_eq!((res.unwrap(), &buf[..]), ((7, a.local_addr().unwrap()), &b"by hand"[..]));
    let (pool, c) = (RecvPool::new(4, 1024).unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut stream = op::recvmsg_multi(c.fd(), &pool, 28, 0).unwrap();
    for n in 0..20u8 {
        a.send_to(vec![n], c.local_addr().unwrap()).await.0.unwrap();
        let came = timeout(Duration::from_secs(5), stream.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((came.addr().to_std().unwrap(), &came[..]), (a.local_addr().unwrap(), &[n][..]));
    }
}

/// Gives whether the pool's memory is registered.
async fn fixed() -> bool {
    let pool = FixedPool::builder().class(64, 1).build().unwrap();
    let path = env::temp_dir().join(format!("annulus-fixed-{}", std::process::id()));
    let file = open(&path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL).await;
    std::fs::remove_file(&path).unwrap();
    let mut buf = pool.take(5).await.unwrap();
    buf.extend_from_slice(b"fixed");
    let (n, buf) = op::write_at(&file, buf, 0).await;
    assert_eq!(n.unwrap(), 5);
    let (n, buf) = op::read_at(&file, buf, 1).await;
    assert_eq!((n.unwrap(), &buf[..]), (4, &b"ixed"[..]));
    pool.is_registered()
}

async fn sockets() {
    let tcp = async || Fd::new(op::socket(libc::AF_INET, libc::SOCK_STREAM, 0).await.unwrap());
    let listener = tcp().await;
    op::bind(&listener, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    op::listen(&listener, 16).await.unwrap();
    // The ring's sockets block, and accept's twin wants one that does not.
    // SAFETY: Plain call: no memory is named.
    assert_eq!(unsafe { libc::fcntl(listener.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
    // The accept comes first and has to wait; so do the receive and the poll below.
    let accepting = annulus::spawn(op::accept(&listener));
    annulus::yield_now().await;
    let client = tcp().await;
    op::connect(&client, local_addr(&listener)).await.unwrap();
    let server = Fd::new(accepting.await.unwrap().0.unwrap());
    let receiving = annulus::spawn(op::recv(&server, Vec::with_capacity(64)));
    annulus::yield_now().await;
    op::poll(&client, Interest::Write).await.unwrap();
    assert_eq!(op::send(&client, b"there").await.0.unwrap(), 5);
    assert_eq!(receiving.await.unwrap().1, b"there");
    let polling = annulus::spawn(op::poll(&client, Interest::Read));
    annulus::yield_now().await;
    assert_eq!(op::write(&server, b"and ").await.0.unwrap(), 4);
    polling.await.unwrap().unwrap();
    let parts = VecBuf::from(vec![b"ba".to_vec(), b"ck".to_vec()]);
    assert_eq!(op::writev(&server, parts).await.0.unwrap(), 4);
    assert_eq!(op::send_zc(&client, "never copied").from_bytes(0).await.0.unwrap(), 12);
    let parts = VecBuf::from(vec![b"nor".to_vec(), b" this".to_vec()]);
    assert_eq!(op::send_vectored_zc(&client, parts).from_bytes(0).await.0.unwrap(), 8);
    op::shutdown(&server, Shutdown::Write).await.unwrap();
    assert_eq!(op::read(&client, Vec::with_capacity(4)).await.1, b"and ");
    let (n, parts) = op::readv(&client, VecBuf::from(vec![vec![0; 2], vec![0; 64]])).await;
    assert_eq!((n.unwrap(), Vec::from(parts).concat()), (4, b"back".to_vec()));
    assert_eq!(op::recv(&client, Vec::with_capacity(4)).await.0.unwrap(), 0, "the server has shut down");
}

async fn children() {
    let mut command = annulus::process::Command::new("sh");
    assert_eq!(command.args(["-c", "exit 5"]).status().await.unwrap().code(), Some(5));
}

/// Streams give the same, whether one request does it, or one for each item, or a twin.
async fn streams() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (addr, listener) = (listener.local_addr().unwrap(), Fd::new(listener.into()));
    let mut accepting = op::accept_multi(&listener);
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        clients.push(std::net::TcpStream::connect(addr).unwrap());
        servers.push(Fd::new(accepting.next().await.unwrap().unwrap()));
    }
    let bufs = RecvPool::new(2, 4).unwrap();
    let mut changes = op::poll_multi(&servers[0], Interest::Read);
    let mut receiving = op::recv_multi(&servers[0], &bufs);
    clients[0].write_all(b"0123456789").unwrap();
    changes.next().await.unwrap().unwrap();
    drop(changes);
    let mut got = Vec::new();
    while got.len() < 10 {
        got.extend_from_slice(&receiving.next().await.unwrap().unwrap());
    }
    assert_eq!(got, b"0123456789");
    drop(clients);
    assert!(receiving.next().await.is_none());
    let mut ticks = op::timeout_multi(Duration::from_millis(1));
    for _ in 0..3 {
        ticks.next().await.unwrap().unwrap();
    }
    op::timeout(Duration::from_millis(1)).await.unwrap();
}

/// What waits by a twin can be given up or ended early, as on the ring.
async fn waiting_ends() {
    let (socket, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = Fd::new(socket.into());
    let mut receiving = op::recv(&socket, Vec::with_capacity(8));
    assert!(timeout(Duration::from_millis(2), &mut receiving).await.is_err());
    receiving.cancel();
    assert_eq!(receiving.await.0.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    drop(timeout(Duration::from_millis(2), op::recv(&socket, Vec::with_capacity(8))).await);
    peer.write_all(b"late").unwrap();
    // The abandoned receive may have taken it only if it came before its cancellation; it did not.
    assert_eq!(op::recv(&socket, Vec::with_capacity(8)).await.1, b"late");
}

fn local_addr(listener: &Fd) -> SocketAddr {
    // SAFETY: Plain call: it makes a number of its own, or fails.
    let copy = unsafe { libc::dup(listener.as_raw_fd()) };
    assert!(copy >= 0);
    // SAFETY: Fresh descriptor: nobody else has it.
    std::net::TcpListener::from(unsafe { OwnedFd::from_raw_fd(copy) }).local_addr().unwrap()
}
