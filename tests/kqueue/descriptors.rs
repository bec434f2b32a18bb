//! Reading and writing: what is ready, how much of it, and the ends.

use crate::{forgiving, system::*, things::*};
use std::{
    fs::File,
    io::{Read, Seek, Write},
    net::{Shutdown, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, IntoRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    thread,
};

#[test]
fn reading_and_writing_are_two_knotes() {
    let kq = Kqueue::new();
    let (a, _b) = ready_pair();
    let fd = a.as_raw_fd();
    kq.change(&[Event::on(fd, READ, ADD), Event::on(fd, WRITE, ADD)]);
    let mut filters: Vec<_> = kq.events().iter().map(|event| event.filter).collect();
    filters.sort_unstable();
    assert_eq!(filters, [WRITE, READ]);
    kq.change(&[Event::on(fd, WRITE, DELETE)]);
    assert_eq!(kq.event().filter, READ);
    assert_eq!(kq.error(Event::on(fd, WRITE, DELETE)), libc::ENOENT);
}

#[test]
fn news_of_one_filter_are_none_of_the_other() {
    let kq = Kqueue::new();
    let (a, mut b) = pair();
    let fd = a.as_raw_fd();
    kq.change(&[Event::on(fd, READ, ADD | CLEAR), Event::on(fd, WRITE, ADD | CLEAR)]);
    assert_eq!(kq.event().filter, WRITE);
    for data in 1..4 {
        b.write_all(b"x").unwrap();
        let event = kq.event();
        assert_eq!((event.filter, event.data), (READ, data));
        kq.quiet();
    }
}

#[test]
fn the_end_is_told_with_what_is_left() {
    forgiving("the_end_is_told_with_what_is_left", || {
        let streams = [pair().map_ends(), UnixStream::pair().unwrap().map_ends()];
        for (a, b) in streams {
            let kq = Kqueue::new();
            kq.change(&[Event::on(a.as_raw_fd(), READ, ADD), Event::on(a.as_raw_fd(), WRITE, ADD | DISABLE)]);
            (&b).write_all(b"bye").unwrap();
            drop(b);
            settle();
            let event = kq.event();
            assert_eq!((event.filter, event.is(EOF), event.data), (READ, true, 3));
            let mut rest = [0; 8];
            assert_eq!((&a).read(&mut rest).unwrap(), 3);
            let event = kq.event();
            assert_eq!((event.is(EOF), event.data, event.fflags), (true, 0, 0));
        }
    });
}

/// Both ends of a connection as files, so that one test does for all kinds.
trait MapEnds {
    fn map_ends(self) -> (File, File);
}

impl<T: Into<OwnedFd>> MapEnds for (T, T) {
    fn map_ends(self) -> (File, File) {
        (File::from(self.0.into()), File::from(self.1.into()))
    }
}

#[test]
fn a_half_closed_connection_can_still_be_written() {
    forgiving("a_half_closed_connection_can_still_be_written", || {
        let kq = Kqueue::new();
        let (a, b) = pair();
        let fd = a.as_raw_fd();
        kq.change(&[Event::on(fd, READ, ADD | CLEAR), Event::on(fd, WRITE, ADD)]);
        b.shutdown(Shutdown::Write).unwrap();
        settle();
        let events = kq.events();
        let of = |filter| events.iter().find(|event| event.filter == filter).expect("an event");
        assert!(of(READ).is(EOF), "{events:?}");
        assert!(!of(WRITE).is(EOF), "{events:?}");
    });
}

#[test]
fn writing_ends_where_it_was_shut_down() {
    for (tcp, unix) in [(Some(pair()), None), (None, Some(UnixStream::pair().unwrap()))] {
        let kq = Kqueue::new();
        let fd = tcp.as_ref().map(|(a, _)| a.as_raw_fd());
        let fd = fd.or(unix.as_ref().map(|(a, _)| a.as_raw_fd())).unwrap();
        kq.change(&[Event::on(fd, WRITE, ADD)]);
        assert!(!kq.event().is(EOF));
        if let Some((a, _)) = &tcp {
            a.shutdown(Shutdown::Write).unwrap();
        }
        if let Some((a, _)) = &unix {
            a.shutdown(Shutdown::Write).unwrap();
        }
        assert!(kq.event().is(EOF));
    }
}

#[test]
fn a_reset_ends_both_and_tells_why_without_taking_it() {
    let kq = Kqueue::new();
    let (a, b) = pair();
    let fd = a.as_raw_fd();
    kq.change(&[Event::on(fd, READ, ADD | CLEAR), Event::on(fd, WRITE, ADD | DISABLE)]);
    reset(b);
    let event = kq.event();
    assert_eq!((event.is(EOF), event.fflags as i32), (true, libc::ECONNRESET));
    kq.change(&[Event::on(fd, WRITE, ENABLE)]);
    let event = kq.event();
    assert_eq!((event.filter, event.is(EOF), event.fflags as i32), (WRITE, true, libc::ECONNRESET));
    assert_eq!(a.take_error().unwrap().and_then(|e| e.raw_os_error()), Some(libc::ECONNRESET));
}

/// Red when whoever asks what there is takes the error of a reset that comes meanwhile.
#[test]
fn a_reset_that_comes_while_it_is_looked_for_is_not_taken() {
    for _ in 0..500 {
        let kq = Kqueue::new();
        let (mut a, b) = pair();
        kq.change(&[Event::on(a.as_raw_fd(), WRITE, ADD)]);
        let other = thread::spawn(|| reset(b));
        while !kq.event().is(EOF) {}
        other.join().unwrap();
        assert_eq!(a.read(&mut [0]).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
    }
}

#[test]
fn a_refused_connection_is_an_end_and_tells_why_without_taking_it() {
    let dead = port_of(&loopback());
    let kq = Kqueue::new();
    let stream = fresh();
    let outcome = connect(&stream, dead).unwrap_err().raw_os_error();
    if outcome == Some(libc::ECONNREFUSED) {
        return; // At once: there is nothing to wait for.
    }
    assert_eq!(outcome, Some(libc::EINPROGRESS));
    kq.change(&[Event::on(stream.as_raw_fd(), WRITE, ADD | ONESHOT)]);
    let event = kq.event();
    assert_eq!((event.is(EOF), event.fflags as i32), (true, libc::ECONNREFUSED));
    assert_eq!(stream.take_error().unwrap().and_then(|e| e.raw_os_error()), Some(libc::ECONNREFUSED));
}

#[test]
fn a_socket_is_ready_when_connected_and_not_before() {
    let kq = Kqueue::new();
    let listener = loopback();
    let stream = fresh();
    let fd = stream.as_raw_fd();
    kq.change(&[Event::on(fd, READ, ADD | CLEAR), Event::on(fd, WRITE, ADD | CLEAR)]);
    kq.quiet();
    let _ = connect(&stream, port_of(&listener));
    let event = kq.event();
    assert_eq!((event.filter, event.is(EOF)), (WRITE, false));
    assert!(stream.take_error().unwrap().is_none());
}

#[test]
fn a_listener_counts_its_backlog() {
    forgiving("a_listener_counts_its_backlog", || {
        let kq = Kqueue::new();
        let listener = loopback();
        kq.change(&[Event::on(listener.as_raw_fd(), READ, ADD)]);
        kq.quiet();
        let _clients: Vec<_> = (0..2).map(|_| TcpStream::connect(port_of(&listener)).unwrap()).collect();
        settle();
        for data in [2, 1] {
            assert_eq!(kq.event().data, data);
            listener.accept().unwrap();
        }
        kq.quiet();
    });
}

#[test]
fn each_connection_is_news_of_a_listener() {
    let path = std::env::temp_dir().join(format!("annulus-kqueue-{}", std::process::id()));
    let (tcp, unix) = (loopback(), UnixListener::bind(&path).unwrap());
    std::fs::remove_file(&path).unwrap_or_default();
    let kq = Kqueue::new();
    kq.change(&[Event::on(tcp.as_raw_fd(), READ, ADD | CLEAR), Event::on(unix.as_raw_fd(), READ, ADD | CLEAR)]);
    for _ in 0..3 {
        let _client = TcpStream::connect(port_of(&tcp)).unwrap();
        assert_eq!(kq.event().ident, tcp.as_raw_fd() as usize);
        kq.quiet();
    }
}

#[test]
fn a_pipe_counts_and_ends_on_either_side() {
    let kq = Kqueue::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    kq.change(&[Event::on(reader.as_raw_fd(), READ, ADD), Event::on(writer.as_raw_fd(), WRITE, ADD | ONESHOT)]);
    let event = kq.event();
    assert_eq!((event.filter, event.is(EOF)), (WRITE, false));
    assert!(event.data >= libc::PIPE_BUF as i64, "{event:?}");
    writer.write_all(b"ab").unwrap();
    let event = kq.event();
    assert_eq!((event.data, event.is(EOF)), (2, false));
    drop(writer);
    let event = kq.event();
    assert_eq!((event.data, event.is(EOF)), (2, true));
    assert_eq!(drain(&reader), 2);
    let event = kq.event();
    assert_eq!((event.data, event.is(EOF)), (0, true));

    let (reader, writer) = std::io::pipe().unwrap();
    let kq = Kqueue::new();
    kq.change(&[Event::on(writer.as_raw_fd(), WRITE, ADD | CLEAR)]);
    assert!(!kq.event().is(EOF));
    drop(reader);
    assert!(kq.event().is(EOF));
}

#[test]
fn a_full_pipe_is_ready_when_it_was_read() {
    for flags in [0, CLEAR] {
        let kq = Kqueue::new();
        let (reader, writer) = std::io::pipe().unwrap();
        set_nonblocking(writer.as_raw_fd());
        set_nonblocking(reader.as_raw_fd());
        let total = fill(&writer);
        kq.change(&[Event::on(writer.as_raw_fd(), WRITE, ADD | flags)]);
        kq.quiet();
        assert_eq!(drain(&reader), total);
        assert!(kq.event().data >= libc::PIPE_BUF as i64);
    }
}

#[test]
fn room_to_write_is_counted_and_waited_for() {
    forgiving("room_to_write_is_counted_and_waited_for", || {
        for flags in [0, CLEAR] {
            let kq = Kqueue::new();
            let (a, b) = pair();
            kq.change(&[Event::on(a.as_raw_fd(), WRITE, ADD | DISPATCH | flags)]);
            let empty = kq.event().data;
            let total = fill(&a);
            kq.change(&[Event::on(a.as_raw_fd(), WRITE, ENABLE)]);
            kq.quiet();
            let mut left = total;
            while left > 0 {
                left -= drain(&b);
            }
            let event = kq.event();
            assert!(event.data > 0 && empty > 0, "{event:?}, {empty} when empty");
        }
    });
}

#[test]
fn datagrams_are_read_and_written() {
    let kq = Kqueue::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(socket.local_addr().unwrap()).unwrap();
    let fd = socket.as_raw_fd();
    kq.change(&[Event::on(fd, READ, ADD), Event::on(fd, WRITE, ADD | ONESHOT)]);
    let event = kq.event();
    assert!(event.filter == WRITE && event.data >= 3 && !event.is(EOF), "{event:?}");
    socket.send(b"abc").unwrap();
    let event = kq.event();
    assert_eq!((event.filter, event.data, event.is(EOF)), (READ, 3, false));
}

#[test]
fn a_file_is_ready_until_its_end() {
    let path = std::env::temp_dir().join(format!("annulus-kqueue-file-{}", std::process::id()));
    std::fs::write(&path, [0; 1000]).unwrap();
    let mut file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let kq = Kqueue::new();
    kq.change(&[Event::on(file.as_raw_fd(), READ, ADD)]);
    assert_eq!(kq.event().data, 1000);
    file.read_exact(&mut [0; 300]).unwrap();
    assert_eq!(kq.event().data, 700);
    file.seek(std::io::SeekFrom::End(0)).unwrap();
    kq.quiet();
}

#[test]
fn close_takes_the_knotes_with_it() {
    forgiving("close_takes_the_knotes_with_it", || {
        for flags in [0, CLEAR] {
            let kq = Kqueue::new();
            let (a, mut b) = pair();
            let fd = a.as_raw_fd();
            // A duplicate keeps the open file, and its readiness, but not the knotes of the number.
            let duplicate = a.try_clone().unwrap();
            kq.change(&[Event::on(fd, READ, ADD | flags), Event::on(fd, WRITE, ADD | flags)]);
            drop(a);
            b.write_all(b"x").unwrap();
            kq.quiet();
            let error = kq.error(Event::on(fd, READ, DELETE));
            assert!([libc::ENOENT, libc::EBADF].contains(&error), "{error}");
            drop(duplicate);
            kq.quiet();
        }
    });
}

#[test]
fn a_number_that_came_back_has_no_knotes() {
    forgiving("a_number_that_came_back_has_no_knotes", || {
        for (flags, keep) in [(0, false), (CLEAR, false), (0, true), (CLEAR, true), (DISABLE, false), (DISABLE, true)] {
            let kq = Kqueue::new();
            let (old, mut old_peer) = pair();
            let (new, mut new_peer) = pair();
            let duplicate = keep.then(|| old.try_clone().unwrap());
            kq.change(&[Event::on(old.as_raw_fd(), READ, ADD | flags).udata(1)]);
            // dup2 closes the old file of the number.
            let number = old.into_raw_fd();
            let back = put_at(&new, number);
            new_peer.write_all(b"new").unwrap();
            if keep {
                old_peer.write_all(b"old!").unwrap();
            }
            kq.quiet();
            for flags in [ENABLE, DELETE] {
                assert_eq!(kq.error(Event::on(number, READ, flags)), libc::ENOENT, "{flags}");
            }
            kq.change(&[Event::on(number, READ, ADD | CLEAR).udata(2)]);
            let event = kq.event();
            assert_eq!((event.ident, event.data, event.udata), (number as usize, 3, 2));
            if let Some(duplicate) = &duplicate {
                old_peer.write_all(b"old!").unwrap();
                kq.quiet();
                // And the old file comes back to the number. It has nothing of what it had.
                let back = put_at(duplicate, back.into_raw_fd());
                kq.quiet();
                assert_eq!(kq.error(Event::on(number, READ, DELETE)), libc::ENOENT);
                kq.change(&[Event::on(number, READ, ADD | ONESHOT).udata(3)]);
                let event = kq.event();
                assert_eq!((event.data, event.udata), (8, 3));
                drop(back);
            } else {
                drop(back);
            }
            // What was known by the number has no news any more.
            reset(new_peer);
            kq.quiet();
        }
    });
}

#[test]
fn a_number_that_is_another_of_its_kind_has_no_knotes() {
    let path = std::env::temp_dir().join(format!("annulus-kqueue-kind-{}", std::process::id()));
    std::fs::write(&path, "old").unwrap();
    let files = [File::open(&path).unwrap(), File::open("Cargo.toml").unwrap()].map(OwnedFd::from);
    std::fs::remove_file(&path).unwrap();
    let ((old, _old_writer), (new, _new_writer)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let pipes = [old, new].map(OwnedFd::from);
    let queues = [Kqueue::new(), Kqueue::new()].map(Kqueue::into_fd);
    for [old, new] in [files, pipes, queues] {
        let kq = Kqueue::new();
        let number = old.into_raw_fd();
        kq.change(&[Event::on(number, READ, ADD)]);
        let _back = put_at(&new, number);
        kq.quiet();
        assert_eq!(kq.error(Event::on(number, READ, DELETE)), libc::ENOENT);
    }
}

/// Where the BSDs differ, or have what Linux has not, this is what the emulation says.
#[test]
fn what_has_no_readiness_is_refused() {
    if !EMULATED {
        return;
    }
    let kq = Kqueue::new();
    for path in ["/dev/null", "/"] {
        let file = File::open(path).unwrap();
        assert_eq!(kq.error(Event::on(file.as_raw_fd(), READ, ADD)), libc::EINVAL, "{path}");
    }
    assert_eq!(kq.error(Event::on(9999, READ, DELETE)), libc::ENOENT);
    assert_eq!(kq.error(Event::new(usize::MAX, READ, ADD)), libc::EBADF);
}
