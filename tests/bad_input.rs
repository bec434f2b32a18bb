//! What callers, the environment and a machine short of everything may do: each is a clear error, none is a panic, and
//! the runtime goes on.

#[path = "outside/again.rs"]
mod again;
#[path = "outside/example.rs"]
mod example;
#[path = "outside/limits.rs"]
mod limits;

use again::{again, passes, role};
use annulus::{
    Builder, DriverKind, Fd, Runtime,
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::{TcpListener, TcpStream},
    op,
};
use example::{Server, echo};
use std::{
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
};

const DRIVERS: [DriverKind; 2] = [DriverKind::Uring, DriverKind::Poll];

fn skip(name: &str, reason: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "SKIP {name}: {reason}");
}

/// A runtime on each driver that there is.
fn runtimes(name: &str) -> Vec<Runtime> {
    let mut all = vec![Builder::new().driver(DriverKind::Poll).build().unwrap()];
    match Builder::new().driver(DriverKind::Uring).build() {
        Ok(runtime) => all.push(runtime),
        Err(e) => skip(name, e),
    }
    all
}

/// Over TCP, there and back.
async fn echo_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all("there").await.0.unwrap();
    let (n, buf) = server.read(Vec::with_capacity(64)).await;
    assert_eq!((n.unwrap(), &buf[..]), (5, &b"there"[..]));
    server.write_all(buf).await.0.unwrap();
    assert_eq!(client.read(Vec::with_capacity(64)).await.1, b"there");
}

#[test]
fn absurd_numbers_of_entries_are_refused() {
    for entries in [0, 1 << 20, u32::MAX] {
        let builder = Builder::new().entries(entries);
        for builder in [builder.clone(), builder.clone().driver(DRIVERS[0]), builder.driver(DRIVERS[1])] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("ask for 1 to 32768"), "{error}");
        }
    }
    for entries in [1, 32768] {
        Builder::new().entries(entries).build().unwrap().block_on(echo_once());
    }
    let error = Builder::new().max_blocking_threads(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Closes a number that somebody else owns.
fn close_behind_its_back(fd: RawFd) {
    // SAFETY: Plain call: no memory is named.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

/// Alone in its process: a number that two close would be somebody else's by the second time.
#[test]
fn a_number_closed_behind_its_back_is_ebadf() {
    const NAME: &str = "a_number_closed_behind_its_back_is_ebadf";
    if role().is_none() {
        passes(&mut again(NAME, "alone"));
        return;
    }
    for runtime in runtimes(NAME) {
        runtime.block_on(async {
            all_operations_say_ebadf().await;
            settle().await;
            a_waiting_receive_can_be_cancelled().await;
            settle().await;
            echo_once().await;
        });
    }
}

/// Until the closes of numbers that are closed already are done: the next that is opened may have their number.
async fn settle() {
    for _ in 0..1000 {
        if annulus::metrics().driver.slots == 0 {
            return;
        }
        annulus::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("the driver does not come to rest: {:?}", annulus::metrics().driver);
}

async fn all_operations_say_ebadf() {
    // What the driver opens when it first waits must not get a number that is closed behind its back.
    let (nobody, _peer) = UnixStream::pair().unwrap();
    let nothing = op::poll(&Fd::new(nobody.into()), annulus::entry::Interest::Read);
    annulus::time::timeout(std::time::Duration::from_millis(1), nothing).await.unwrap_err();
    annulus::time::sleep(std::time::Duration::from_millis(100)).await;
    settle().await;
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (socket, file) = (Fd::new(socket.into()), Fd::new(std::fs::File::open("Cargo.toml").unwrap().into()));
    close_behind_its_back(socket.as_raw_fd());
    close_behind_its_back(file.as_raw_fd());
    let answers = [
        op::recv(&socket, vec![0; 8]).await.0.map(drop),
        op::send(&socket, vec![0; 8]).await.0.map(drop),
        op::read(&socket, vec![0; 8]).await.0.map(drop),
        op::read_at(&file, vec![0; 8], 0).await.0.map(drop),
        op::write_at(&file, vec![0; 8], 0).await.0.map(drop),
        op::fsync(&file).await,
        op::accept(&socket).await.0.map(drop),
        op::shutdown(&socket, std::net::Shutdown::Both).await,
        op::connect(&socket, "127.0.0.1:1".parse().unwrap()).await,
        op::poll(&socket, annulus::entry::Interest::Read).await,
        op::listen(&socket, 1).await,
        op::close(file).unwrap().await,
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::EBADF), "operation {n}");
    }
}

async fn a_waiting_receive_can_be_cancelled() {
    let (socket, _peer) = UnixStream::pair().unwrap();
    let socket = Fd::new(socket.into());
    let mut receiving = op::recv(&socket, vec![7; 8]);
    let waits = annulus::time::timeout(std::time::Duration::from_millis(5), &mut receiving).await.is_err();
    assert!(waits);
    close_behind_its_back(socket.as_raw_fd());
    receiving.cancel();
    let (res, buf) = receiving.await;
    assert_eq!((res.unwrap_err().raw_os_error(), buf), (Some(libc::ECANCELED), vec![7; 8]));
}

#[annulus::test]
async fn a_port_that_is_taken_is_an_error() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = TcpListener::bind(other.local_addr().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    echo_once().await;
}

/// Makes this process one of a user without privileges, who may lock so much memory.
#[cfg(not(annulus_kqueue))]
fn give_up_privileges(user: u32, lock: u64) {
    limits::set_soft(libc::RLIMIT_MEMLOCK, lock);
    // SAFETY: Plain call: no memory is named.
    if unsafe { libc::geteuid() } == 0 {
        // SAFETY: Plain call: likewise, and it holds for all threads of this process.
        assert_eq!(unsafe { libc::setresuid(user, user, user) }, 0);
    }
}

/// Rings count against the limit of their user since Linux 6.14 (and did before 5.12), so that either driver is right
/// on an unknown kernel; a panic or a silent change is not. Each child is a user of its own: the kernel credits closed
/// rings late.
#[cfg(not(annulus_kqueue))]
#[test]
fn who_may_lock_no_memory_gets_the_poll_driver_and_the_reason() {
    const NAME: &str = "who_may_lock_no_memory_gets_the_poll_driver_and_the_reason";
    let Some(role) = role() else {
        if let Err(e) = annulus::probe().ring() {
            return skip(NAME, e);
        }
        passes(&mut again(NAME, "nothing"));
        passes(&mut again(NAME, "little"));
        passes(again(NAME, "insist").env("ANNULUS_DRIVER", "uring"));
        return;
    };
    let (user, lock) = if role == "little" { (65_534, 64 << 10) } else { (65_533, 0) };
    give_up_privileges(user, lock);
    match Runtime::new() {
        Err(error) => {
            assert_eq!(role, "insist", "{error}");
            assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "{error}");
        }
        Ok(runtime) => {
            let driver = runtime.driver();
            match driver.kind() {
                DriverKind::Uring => {}
                DriverKind::Poll => assert!(driver.reason().unwrap().contains("RLIMIT_MEMLOCK"), "{driver}"),
            }
            assert!(role != "insist" || driver.kind() == DriverKind::Uring, "{driver}");
            runtime.block_on(echo_once());
            println!("{role}: {driver}");
        }
    }
}

/// The lowest number that is free: with a limit of that, no descriptor can be made.
fn lowest_free() -> u64 {
    std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64
}

#[test]
fn without_descriptors_a_runtime_is_an_error() {
    const NAME: &str = "without_descriptors_a_runtime_is_an_error";
    if role().is_none() {
        passes(&mut again(NAME, "alone"));
        return;
    }
    for kind in DRIVERS {
        let Ok(first) = Builder::new().driver(kind).build() else {
            skip(NAME, kind);
            continue;
        };
        drop(first);
        let free = lowest_free();
        let mut failed = 0;
        for spare in 0..6 {
            let before = limits::set_soft(libc::RLIMIT_NOFILE, free + spare);
            let built = Builder::new().driver(kind).build();
            failed += u32::from(built.is_err());
            if let Err(error) = &built {
                let text = error.to_string();
                assert!(error.raw_os_error() == Some(libc::EMFILE) || text.contains("RLIMIT_NOFILE"), "{text}");
            }
            drop(built);
            limits::set_soft(libc::RLIMIT_NOFILE, before);
            assert_eq!(lowest_free(), free, "{kind} with {spare} to spare left something open");
        }
        // What epoll needs is made when there is something to wait for.
        let needed = if kind == DriverKind::Poll && !cfg!(annulus_kqueue) { 0..1 } else { 1..5 };
        assert!(needed.contains(&failed), "{kind} failed {failed} times: a runtime is so many descriptors: {needed:?}");
        Builder::new().driver(kind).build().unwrap().block_on(echo_once());
    }
}

/// Red when the poll driver fails for good because there was no descriptor once, or lets somebody wait for ever.
#[test]
fn without_descriptors_who_has_to_wait_is_told_so() {
    const NAME: &str = "without_descriptors_who_has_to_wait_is_told_so";
    if role().is_none() {
        passes(&mut again(NAME, "alone"));
        return;
    }
    if cfg!(annulus_kqueue) {
        return skip(NAME, "a kqueue is made with its runtime");
    }
    let (a, mut b) = UnixStream::pair().unwrap();
    let before = limits::set_soft(libc::RLIMIT_NOFILE, lowest_free());
    let runtime = Builder::new().driver(DriverKind::Poll).build().unwrap();
    runtime.block_on(async {
        let a = Fd::new(a.into());
        annulus::time::sleep(std::time::Duration::from_millis(25)).await;
        let (refused, buf) = op::recv(&a, Vec::with_capacity(8)).await;
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EMFILE));
        b.write_all(b"there").unwrap();
        assert_eq!(op::recv(&a, buf).await.1, b"there", "what need not wait needs no descriptor");
        limits::set_soft(libc::RLIMIT_NOFILE, before);
        let waiting = annulus::spawn(async move { op::recv(&a, Vec::with_capacity(8)).await });
        annulus::yield_now().await;
        b.write_all(b"later").unwrap();
        assert_eq!(waiting.await.unwrap().1, b"later");
        echo_once().await;
    });
}

#[test]
fn without_descriptors_an_accept_is_an_error_and_the_connection_waits() {
    const NAME: &str = "without_descriptors_an_accept_is_an_error_and_the_connection_waits";
    if role().is_none() {
        passes(&mut again(NAME, "alone"));
        return;
    }
    for runtime in runtimes(NAME) {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all("patience").await.0.unwrap();
            let before = limits::set_soft(libc::RLIMIT_NOFILE, lowest_free());
            for _ in 0..3 {
                assert_eq!(listener.accept().await.unwrap_err().raw_os_error(), Some(libc::EMFILE));
            }
            let refused = TcpStream::connect_addr(addr).await.unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
            limits::set_soft(libc::RLIMIT_NOFILE, before);
            let (mut server, _) = listener.accept().await.unwrap();
            assert_eq!(server.read(Vec::with_capacity(64)).await.1, b"patience");
            echo_once().await;
        });
    }
}

/// A value that names nothing ends the program with a sentence that names it, whatever the others say.
#[test]
fn the_environment_is_taken_at_its_word() {
    for (variables, words) in [
        (vec![("ANNULUS_DRIVER", "kqueue")], ["ANNULUS_DRIVER is `kqueue`", "`uring` or `poll`"]),
        (vec![("ANNULUS_SETUP", "best")], ["ANNULUS_SETUP is", "`defer`, `coop` or `plain`"]),
        (vec![("ANNULUS_SETUP", "best"), ("ANNULUS_DRIVER", "uring")], ["ANNULUS_SETUP is", "`plain`"]),
        (vec![("ANNULUS_HIDE_OPS", "RECV,NOSUCH")], ["ANNULUS_HIDE_OPS names `NOSUCH`", "no opcode"]),
        (vec![("ANNULUS_HIDE_OPS", "recv"), ("ANNULUS_DRIVER", "uring")], ["names `recv`", "RECV is one"]),
    ] {
        // Who hides operations hides them from the ring, and without io_uring nobody sets a ring up.
        let is_of_ring =
            variables[0].0 != "ANNULUS_DRIVER" && (cfg!(annulus_kqueue) || variables[0].0 != "ANNULUS_SETUP");
        if let (Err(e), true) = (annulus::probe().ring(), is_of_ring) {
            skip("the_environment_is_taken_at_its_word", e);
            continue;
        }
        // An address that cannot be had: a program that goes on in spite of all ends, too, but with other words.
        let output = echo().arg("192.0.2.1:1").envs(variables.iter().copied()).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{variables:?}: {complaint}");
        assert!(words.iter().all(|word| complaint.contains(word)), "{variables:?}: {complaint}");
        assert!(complaint.lines().count() == 1 && !complaint.contains("panicked"), "{variables:?}: {complaint}");
    }
}

#[test]
fn each_setup_echoes() {
    const NAME: &str = "each_setup_echoes";
    if let Err(e) = Builder::new().driver(DriverKind::Uring).build() {
        return skip(NAME, e);
    }
    for setup in ["plain", "coop", "defer"] {
        let mut command = echo();
        let server =
            Server::start(command.arg("127.0.0.1:0").env("ANNULUS_SETUP", setup).env("ANNULUS_DRIVER", "uring"));
        assert_eq!(server.driver, "uring", "with ANNULUS_SETUP={setup}");
        let (address, client) = (server.address.clone(), Builder::new().driver(DriverKind::Poll).build().unwrap());
        client.block_on(async {
            let mut streams = Vec::new();
            for _ in 0..100 {
                streams.push(TcpStream::connect(&address).await.unwrap());
            }
            for (n, stream) in streams.iter_mut().enumerate() {
                stream.write_all(vec![n as u8; 100]).await.0.unwrap();
                assert_eq!(stream.read(Vec::with_capacity(200)).await.1, vec![n as u8; 100]);
            }
        });
    }
}
