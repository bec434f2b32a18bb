//! What Unix sockets do, and what becomes of descriptors that they carry.

use super::*;
use crate::{
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable},
    net::ListenerOpts,
    testing::{poll_once, settle, temp_path},
    time::{sleep, timeout},
};
use std::{
    io::{PipeReader, Read, Write, pipe},
    time::Duration,
};

const SOON: Duration = Duration::from_secs(5);

/// The reading end of a pipe, and the writing end as a descriptor to be sent.
fn tracked() -> (PipeReader, OwnedFd) {
    let (reader, writer) = pipe().unwrap();
    (reader, writer.into())
}

/// Whether nobody has the writing end any more. Waits a moment for one that is being closed.
fn is_closed(reader: &mut PipeReader) -> bool {
    unix::set_nonblocking(reader.as_raw_fd(), true).unwrap();
    for _ in 0..20 {
        match reader.read(&mut [0]) {
            Ok(0) => return true,
            Ok(_) => panic!("nobody has written"),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Red when an accept waits on after it was cancelled, or takes a connection then.
#[crate::test]
async fn an_accept_is_cancelled_and_another_takes_the_connection() {
    let path = temp_path();
    let listener = UnixListener::bind(&path).unwrap();
    let canceller = crate::io::Canceller::new();
    let accepting = timeout(SOON, listener.cancelable_accept(canceller.handle()));
    let (res, canceller) = crate::join!(accepting, async { canceller.cancel() });
    assert_eq!(res.expect("it waits on").unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    let mut client = UnixStream::connect(&path).await.unwrap();
    let (server, _) = listener.cancelable_accept(canceller.handle()).await.unwrap();
    let cred = server.peer_cred().unwrap();
    assert_eq!((cred.uid(), cred.gid(), cred.pid()), (cred.uid, cred.gid, cred.pid));
    drop(server);
    assert_eq!(client.read(vec![0; 4]).await.0.unwrap(), 0);
    std::fs::remove_file(path).unwrap();
}

#[crate::test]
async fn a_name_in_the_file_system_is_connected_to() {
    let path = temp_path();
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
    assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let mut client = UnixStream::connect(&path).await.unwrap();
    let (mut server, peer) = listener.accept().await.unwrap();
    assert!(peer.is_unnamed() && client.local_addr().unwrap().is_unnamed(), "{peer:?}");
    assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
    client.write_all("ping").await.0.unwrap();
    assert_eq!(server.read(Vec::with_capacity(8)).await.1, b"ping");
    client.shutdown().await.unwrap();
    assert_eq!(server.read(Vec::with_capacity(8)).await.0.unwrap(), 0);
    let cred = server.peer_cred().unwrap();
    // SAFETY: Plain call: it asks who we are.
    assert_eq!(cred.uid, unsafe { libc::geteuid() });
    assert!(cred.pid.is_none_or(|pid| pid as u32 == std::process::id()), "{cred:?}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(UnixStream::connect(&path).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(UnixStream::connect("").await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[crate::test]
async fn an_abstract_name_is_no_file() {
    let name = format!("annulus\0{}", temp_path().display());
    let addr = match SocketAddr::unix_abstract(name.as_bytes()) {
        Ok(addr) => addr,
        Err(e) => return assert_eq!(e.kind(), io::ErrorKind::Unsupported),
    };
    let listener = UnixListener::bind_addr(&addr, &ListenerOpts::new()).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_abstract_namespace(), Some(name.as_bytes()));
    let client = UnixStream::connect_addr(addr).await.unwrap();
    let mut incoming = listener.incoming();
    let _server = timeout(SOON, incoming.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(client.peer_addr().unwrap().as_abstract_namespace(), Some(name.as_bytes()));
    drop((incoming, listener));
    settle().await;
    assert_eq!(UnixStream::connect_addr(addr).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[crate::test]
async fn halves_go_their_own_ways_and_meet_again() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (mut reader, mut writer) = here.into_split();
    let reading = crate::spawn(async move {
        let got = reader.read(Vec::with_capacity(8)).await;
        (got, reader)
    });
    writer.write_all("there").await.0.unwrap();
    assert_eq!(there.read(Vec::with_capacity(8)).await.1, b"there");
    there.write_all("back").await.0.unwrap();
    let (got, reader) = timeout(SOON, reading).await.unwrap().unwrap();
    assert_eq!(got.1, b"back");
    drop(reader.reunite(writer).expect("they are of one stream"));
}

#[crate::test]
async fn connections_come_in_one_after_the_other() {
    let path = temp_path();
    let listener = UnixListener::from_std(std::os::unix::net::UnixListener::bind(&path).unwrap()).unwrap();
    let mut incoming = listener.incoming();
    for n in 0..20u8 {
        let mut client = UnixStream::connect(&path).await.unwrap();
        let mut server = timeout(SOON, incoming.next()).await.unwrap().unwrap().unwrap();
        client.write_all(vec![n]).await.0.unwrap();
        assert_eq!(server.read(Vec::with_capacity(8)).await.1, [n]);
    }
    std::fs::remove_file(&path).unwrap();
}

#[crate::test]
async fn datagrams_keep_their_bounds_and_know_their_sender() {
    let (here, there) = (temp_path(), temp_path());
    let [a, b] = [&here, &there].map(|path| UnixDatagram::bind(path).unwrap());
    a.send_to("one", &there).await.0.unwrap();
    UnixDatagram::unbound().unwrap().send_to("two", &there).await.0.unwrap();
    let (res, buf) = b.recv_from(Vec::with_capacity(8)).await;
    let (n, from) = res.unwrap();
    assert_eq!((n, &buf[..], from.as_pathname()), (3, &b"one"[..], Some(&*here)));
    let (res, buf) = b.recv_from(Vec::with_capacity(8)).await;
    assert!(res.unwrap().1.is_unnamed() && buf == b"two");
    let c = UnixDatagram::connect(&there).await.unwrap();
    c.send("three").await.0.unwrap();
    assert_eq!(b.recv(Vec::with_capacity(8)).await.1, b"three");
    [here, there].iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert!(a.send_to("x", "").await.0.is_err());
}

/// Red when a full receiver is waited for as if it were readiness: who has sent nothing counts as writable all the
/// while, and tries without a pause.
#[crate::test]
async fn a_receiver_that_others_have_filled_is_waited_for() {
    let path = temp_path();
    let receiver = UnixDatagram::bind(&path).unwrap();
    let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    let filled = (0..10_000).take_while(|_| other.send_to(b"full", &path).is_ok()).count();
    let (sender, there) = (UnixDatagram::unbound().unwrap(), path.clone());
    let sending = crate::spawn(async move { sender.send_to("at last", &there).await.0 });
    let before = crate::metrics().driver.turns;
    sleep(Duration::from_millis(40)).await;
    assert!(!sending.is_finished(), "{filled} are not enough");
    let turns = crate::metrics().driver.turns - before;
    assert!(turns < 60, "{turns} turns in 40 ms");
    for _ in 0..filled {
        assert_eq!(receiver.recv(Vec::with_capacity(8)).await.1, b"full");
    }
    assert_eq!(timeout(SOON, sending).await.expect("the sender hangs").unwrap().unwrap(), 7);
    assert_eq!(receiver.recv(Vec::with_capacity(8)).await.1, b"at last");
    std::fs::remove_file(&path).unwrap();
}

/// Red when the ring does the waiting, and an empty datagram arrives.
#[crate::test]
async fn a_full_receiver_of_datagrams_is_waited_for() {
    let path = temp_path();
    let receiver = UnixDatagram::bind(&path).unwrap();
    let (sender, there) = (UnixDatagram::unbound().unwrap(), path.clone());
    let connected = UnixDatagram::connect(&path).await.unwrap();
    let sending = crate::spawn(async move {
        for n in 0..2000u32 {
            let bytes = n.to_ne_bytes().to_vec();
            let sent = if n % 2 == 0 { connected.send(bytes).await } else { sender.send_to(bytes, &there).await };
            assert_eq!(sent.0.unwrap(), 4);
        }
    });
    for n in 0..2000u32 {
        let received = timeout(SOON, receiver.recv(Vec::with_capacity(4))).await.expect("the sender hangs");
        assert_eq!(received.1, n.to_ne_bytes());
        if n < 3 {
            sleep(Duration::from_millis(20)).await;
        }
    }
    sending.await.unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[crate::test]
async fn packets_in_sequence_keep_their_bounds() {
    let (a, b) = match UnixSeqpacket::pair() {
        Ok(pair) => pair,
        Err(e) => {
            let _ = writeln!(io::stderr(), "SKIP packets_in_sequence_keep_their_bounds: {e}");
            return;
        }
    };
    a.send("one").await.0.unwrap();
    a.send("two").await.0.unwrap();
    for text in ["one", "two"] {
        assert_eq!(b.recv(Vec::with_capacity(64)).await.1, text.as_bytes());
    }
    a.shutdown(std::net::Shutdown::Write).await.unwrap();
    assert_eq!(b.recv(Vec::with_capacity(64)).await.0.unwrap(), 0);
    let path = temp_path();
    let listener = UnixSeqpacketListener::bind(&path).unwrap();
    let client = UnixSeqpacket::connect(&path).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    client.send("a packet").await.0.unwrap();
    assert_eq!(server.recv(Vec::with_capacity(3)).await.1, b"a p");
    assert_eq!(server.peer_cred().unwrap(), client.peer_cred().unwrap());
    server.send_to("back", "/where/nobody/is").await.0.unwrap();
    let (res, buf) = client.recv_from(Vec::with_capacity(64)).await;
    assert_eq!((res.unwrap().0, &buf[..]), (4, &b"back"[..]));
    assert_eq!(client.send_to("x", "x".repeat(200)).await.0.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    std::fs::remove_file(&path).unwrap();
}

#[crate::test]
async fn descriptors_arrive_and_are_kept_from_children() {
    let (a, b) = UnixStream::pair().unwrap();
    let (mut reader, writer) = tracked();
    let (res, (_, fds)) = a.send_fds("take", vec![writer, std::fs::File::open("/dev/null").unwrap().into()]).await;
    assert_eq!((res.unwrap(), fds.len()), (4, 2), "ours come back");
    drop(fds);
    let (res, buf) = b.recv_fds(Vec::with_capacity(8), 8).await;
    let (n, came) = res.unwrap();
    assert_eq!((n, &buf[..], came.fds.len(), came.truncated), (4, &b"take"[..], 2, false));
    for fd in &came.fds {
        // SAFETY: Plain call: it asks for the flags of the number.
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC, "children must not inherit it");
    }
    assert!(!is_closed(&mut reader));
    let mut writer = std::fs::File::from(came.fds.into_iter().next().unwrap());
    writer.write_all(b"!").unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 1);
    drop(writer);
    assert!(is_closed(&mut reader));
    // Without descriptors it is an ordinary send, and an ordinary receive.
    assert!(a.send_fds("none", Vec::new()).await.0.is_ok());
    let (res, _) = b.recv_fds(Vec::with_capacity(8), 8).await;
    assert!(res.unwrap().1.fds.is_empty());
    let many = (0..MAX_FDS + 1).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect();
    let (res, (_, back)) = a.send_fds("many", many).await;
    assert!(res.is_err() && back.len() == MAX_FDS + 1);
}

/// Red when the room is larger than what was asked for, or the truncation is not told.
#[crate::test]
async fn descriptors_that_find_no_room_are_closed_and_told_of() {
    let (a, b) = UnixDatagram::pair().unwrap();
    for room in 0..3 {
        let (mut readers, writers): (Vec<_>, Vec<_>) = (0..3).map(|_| tracked()).unzip();
        drop(a.send_fds("x", writers).await);
        let (res, _) = b.recv_fds(Vec::with_capacity(8), room).await;
        let (_, came) = res.unwrap();
        assert_eq!((came.fds.len(), came.truncated), (room, true));
        let closed: Vec<_> = readers.iter_mut().map(is_closed).collect();
        assert_eq!(closed, (0..3).map(|n| n >= room).collect::<Vec<_>>());
    }
}

/// Red when a message that nobody wants is forgotten together with what came along.
#[crate::test]
async fn descriptors_of_a_dropped_receive_are_closed() {
    let (a, b) = UnixStream::pair().unwrap();
    let (mut reader, writer) = tracked();
    let mut receiving = Box::pin(b.recv_fds(Vec::with_capacity(8), 4));
    poll_once(&mut receiving).await;
    drop(a.send_fds("x", vec![writer]).await);
    // The driver has received it by then, and nobody has asked.
    sleep(Duration::from_millis(10)).await;
    drop(receiving);
    settle().await;
    assert!(is_closed(&mut reader));
    // What nobody takes from the socket goes with it.
    let (mut reader, writer) = tracked();
    drop(a.send_fds("y", vec![writer]).await);
    drop(b);
    settle().await;
    assert!(is_closed(&mut reader));
}

/// Red when an envelope that is used again keeps what came before, or sends it.
#[crate::test]
async fn an_envelope_that_is_used_again_drops_what_nobody_took() {
    let (a, b) = UnixDatagram::pair().unwrap();
    let (mut reader, writer) = tracked();
    let mut out = Envelope::new();
    out.send_fds(vec![writer]);
    let (res, (_, mut out)) = a.send_msg("x", out).await;
    res.unwrap();
    drop(out.clear());
    a.send_msg("y", out).await.0.unwrap();
    let mut envelope = Envelope::new();
    envelope.set_room(Envelope::space(16));
    let (res, (buf, envelope)) = b.recv_msg(Vec::with_capacity(8), envelope).await;
    assert_eq!((res.unwrap(), envelope.control().count()), (1, 0), "descriptors are no bytes");
    let (res, (_, mut envelope)) = b.recv_msg(buf, envelope).await;
    assert!(res.is_ok() && envelope.take_fds().is_empty());
    assert!(is_closed(&mut reader));
    a.send("z").await.0.unwrap();
    let (_, (_, envelope)) = b.send_msg("w", envelope).await;
    let (_, (_, mut envelope)) = a.recv_msg(Vec::with_capacity(8), envelope).await;
    assert!(envelope.take_fds().is_empty());
}

/// Red when a send does not keep its descriptors: they are closed before there is room for the message.
#[crate::test]
async fn a_send_that_waits_keeps_its_descriptors() {
    let (a, b) = UnixStream::pair().unwrap();
    let (mut reader, writer) = tracked();
    // Fills the socket.
    while crate::time::timeout(Duration::from_millis(5), op::send(&a.fd, vec![0; 1 << 16])).await.is_ok() {}
    settle().await;
    let mut sending = Box::pin(a.send_fds("with it", vec![writer]));
    poll_once(&mut sending).await;
    let mut came = Vec::new();
    let receiving = async {
        while came.is_empty() {
            let (res, _) = b.recv_fds(Vec::with_capacity(1 << 16), 4).await;
            came = res.unwrap().1.fds;
        }
    };
    let sent = timeout(SOON, async { crate::join!(receiving, &mut sending).1 }).await.expect("no descriptor comes");
    sent.0.unwrap();
    drop(sent.1);
    assert!(!is_closed(&mut reader), "the peer has it");
    came.clear();
    assert!(is_closed(&mut reader));
}
