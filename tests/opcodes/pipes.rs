//! Pipes, what is moved through them, and who waits for them.

use crate::frame::{GIVEN_UP, Rig, Row, answer};
use annulus::ring::{BufGroup, CqeFlags, FixedFile, Sqe};
use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::{Command, Stdio},
    ptr,
};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "EPOLL_CTL", twin: false, run: epoll_ctl },
    Row { op: "SPLICE", twin: true, run: splice },
    Row { op: "TEE", twin: false, run: tee },
    Row { op: "READ_MULTISHOT", twin: false, run: read_multishot },
    Row { op: "WAITID", twin: true, run: waitid },
    Row { op: "EPOLL_WAIT", twin: false, run: epoll_wait },
    Row { op: "PIPE", twin: false, run: pipe },
];

const HERE: u64 = u64::MAX;

/// What is in a pipe, which has to be something.
fn drain(reader: &mut PipeReader) -> Vec<u8> {
    let mut buf = [0; 64];
    let n = reader.read(&mut buf).unwrap();
    buf[..n].to_vec()
}

fn splice(rig: &mut Rig) -> Result<(), i32> {
    let file = rig.file("spliced", b"0123456789");
    let (mut reader, writer) = io::pipe().unwrap();
    let (from, to) = (file.as_raw_fd(), writer.as_raw_fd());
    let mut at = 2;
    // SAFETY: an offset, which is only in this frame.
    let theirs = answer(unsafe { libc::splice(from, &raw mut at, to, ptr::null_mut(), 4, 0) });
    let expected = drain(&mut reader);
    assert_eq!((theirs, &expected[..]), (4, &b"2345"[..]));
    rig.put(FixedFile(1), from);
    rig.put(FixedFile(2), to);
    // Red when a place is taken for a number, at either end.
    let ends = [
        Sqe::splice((from, 2), (to, HERE), 4, 0),
        Sqe::splice((FixedFile(1), 2), (to, HERE), 4, 0),
        Sqe::splice((from, 2), (FixedFile(2), HERE), 4, 0),
        Sqe::splice((FixedFile(1), 2), (FixedFile(2), HERE), 4, 0),
    ];
    for sqe in ends {
        assert_eq!(rig.run(sqe), 4, "{sqe:?}");
        assert_eq!(drain(&mut reader), expected);
    }
    rig.put(FixedFile(1), -1);
    rig.put(FixedFile(2), -1);
    assert_eq!(rig.run(Sqe::splice((FixedFile(1), 2), (to, HERE), 4, 0)), -libc::EBADF);
    // SAFETY: Plain call: no memory is named.
    let theirs = answer(unsafe { libc::splice(from, ptr::null_mut(), from, ptr::null_mut(), 4, 0) });
    assert_eq!((rig.run(Sqe::splice((from, HERE), (from, HERE), 4, 0)), theirs), (-libc::EINVAL, -libc::EINVAL));
    Ok(())
}

fn tee(rig: &mut Rig) -> Result<(), i32> {
    let ((mut first, mut source), (mut second, sink)) = (io::pipe().unwrap(), io::pipe().unwrap());
    source.write_all(b"abcdef").unwrap();
    // SAFETY: Plain call: no memory is named.
    let theirs = answer(unsafe { libc::tee(first.as_raw_fd(), sink.as_raw_fd(), 4, 0) });
    assert_eq!(theirs, 4);
    assert_eq!(drain(&mut second), b"abcd");
    rig.put(FixedFile(1), first.as_raw_fd());
    for sqe in [Sqe::tee(first.as_raw_fd(), sink.as_raw_fd(), 4, 0), Sqe::tee(FixedFile(1), sink.as_raw_fd(), 4, 0)] {
        assert_eq!(rig.run(sqe), 4);
        assert_eq!(drain(&mut second), b"abcd");
    }
    rig.put(FixedFile(1), -1);
    assert_eq!(drain(&mut first), b"abcdef", "it keeps them");
    // It waits in a worker, which is not cancelled but woken.
    let (cancel, end) = rig.given_up(Sqe::tee(first.as_raw_fd(), sink.as_raw_fd(), 4, 0));
    assert_eq!(cancel, -libc::EALREADY);
    assert!([-libc::EINTR, -512].contains(&end), "{end}");
    let file = rig.file("no pipe", b"abc");
    // SAFETY: as above.
    let theirs = answer(unsafe { libc::tee(file.as_raw_fd(), sink.as_raw_fd(), 4, 0) });
    let ours = rig.run(Sqe::tee(file.as_raw_fd(), sink.as_raw_fd(), 4, 0));
    assert_eq!((ours, theirs), (-libc::EINVAL, -libc::EINVAL));
    Ok(())
}

fn pipe(rig: &mut Rig) -> Result<(), i32> {
    let fds: &'static mut [i32; 2] = Box::leak(Box::new([-1; 2]));
    assert_eq!(rig.run(Sqe::pipe(fds, libc::O_CLOEXEC)), 0);
    // SAFETY: the kernel has just made the numbers, and nobody else has them.
    let [reader, writer] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    PipeWriter::from(writer).write_all(b"abc").unwrap();
    assert_eq!(io::read_to_string(PipeReader::from(reader)).unwrap(), "abc");
    // SAFETY: room for two numbers.
    let theirs = answer(unsafe { libc::pipe2(fds.as_mut_ptr(), 1 << 28) });
    assert_eq!((rig.run(Sqe::pipe(fds, 1 << 28)), theirs), (-libc::EINVAL, -libc::EINVAL));
    // Into the table: two places in a row, or two that are free.
    assert_eq!(rig.run(Sqe::pipe(fds, libc::O_CLOEXEC).direct_any()), -libc::EINVAL);
    assert_eq!(rig.run(Sqe::pipe(fds, 0).direct(FixedFile(6))), 0);
    passes_through(rig, 6, 7);
    assert_eq!(rig.run(Sqe::pipe(fds, 0).direct_any()), 0);
    passes_through(rig, fds[0] as u32, fds[1] as u32);
    Ok(())
}

/// A pipe at two places of the table: something comes through, and then it is closed.
fn passes_through(rig: &mut Rig, reader: u32, writer: u32) {
    rig.memory()[..6].copy_from_slice(b"abc...");
    let at = rig.at;
    assert_eq!(rig.run(Sqe::write(FixedFile(writer), at, 3, HERE)), 3);
    assert_eq!(rig.run(Sqe::read(FixedFile(reader), at.wrapping_add(3), 3, HERE)), 3);
    assert_eq!(&rig.memory()[..6], b"abcabc");
    for place in [reader, writer] {
        assert_eq!(rig.run(Sqe::close_direct(FixedFile(place))), 0);
    }
}

fn read_multishot(rig: &mut Rig) -> Result<(), i32> {
    const GROUP: BufGroup = BufGroup(9);
    let offered = Sqe::provide_buffers(GROUP, rig.at, 16, 2, 0);
    assert_eq!(rig.run(offered), 0);
    let (reader, mut writer) = io::pipe().unwrap();
    rig.push(Sqe::read_multishot(reader.as_raw_fd(), HERE, GROUP));
    for text in [&b"first"[..], b"the second"] {
        writer.write_all(text).unwrap();
        let cqe = rig.answers(1)[0];
        assert_eq!((cqe.res, cqe.is_final()), (text.len() as i32, false), "{cqe:?}");
        let at = usize::from(cqe.buffer().unwrap()) * 16;
        assert_eq!(&rig.memory()[at..at + text.len()], text);
    }
    // There is no third buffer.
    writer.write_all(b"third").unwrap();
    let cqe = rig.answers(1)[0];
    assert_eq!((cqe.res, cqe.flags), (-libc::ENOBUFS, CqeFlags::empty()));
    assert_eq!(rig.run(offered), 0);
    rig.push(Sqe::read_multishot(reader.as_raw_fd(), HERE, GROUP));
    assert_eq!(rig.answers(1)[0].res, 5, "nothing is lost");
    drop(writer);
    let cqe = rig.answers(1)[0];
    assert_eq!((cqe.res, cqe.is_final()), (0, true), "the end");
    let (empty, _writer) = io::pipe().unwrap();
    assert_eq!(rig.given_up(Sqe::read_multishot(empty.as_raw_fd(), HERE, GROUP)), GIVEN_UP);
    let file = rig.file("not polled", b"abc");
    assert_eq!(rig.run(Sqe::read_multishot(file.as_raw_fd(), 0, GROUP)), -libc::EBADFD);
    Ok(())
}

/// An epoll.
fn epoll() -> OwnedFd {
    // SAFETY: Plain call: no memory is named.
    let fd = answer(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) });
    assert!(fd >= 0, "{fd}");
    // SAFETY: the kernel has just made the number, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn epoll_ctl(rig: &mut Rig) -> Result<(), i32> {
    let (ours, theirs) = (epoll(), epoll());
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let fd = reader.as_raw_fd();
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 77 };
    let steps = [
        (libc::EPOLL_CTL_MOD, fd, -libc::ENOENT),
        (libc::EPOLL_CTL_ADD, fd, 0),
        (libc::EPOLL_CTL_ADD, fd, -libc::EEXIST),
        (libc::EPOLL_CTL_ADD, -1, -libc::EBADF),
        (libc::EPOLL_CTL_DEL, fd, 0),
        (libc::EPOLL_CTL_DEL, fd, -libc::ENOENT),
    ];
    for (op, fd, expected) in steps {
        assert_eq!(rig.run(Sqe::epoll_ctl(ours.as_raw_fd(), op, fd, &raw const event)), expected);
        // SAFETY: an event, which is read.
        assert_eq!(answer(unsafe { libc::epoll_ctl(theirs.as_raw_fd(), op, fd, &raw mut event) }), expected);
        let ready = [&ours, &theirs].map(|epoll| {
            let mut found = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: room for one event.
            let n = answer(unsafe { libc::epoll_wait(epoll.as_raw_fd(), &raw mut found, 1, 0) });
            (n, { found.u64 })
        });
        assert_eq!(ready[0], ready[1], "{op}");
    }
    Ok(())
}

fn epoll_wait(rig: &mut Rig) -> Result<(), i32> {
    let epoll = epoll();
    let (reader, mut writer) = io::pipe().unwrap();
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 77 };
    let (fd, add) = (reader.as_raw_fd(), libc::EPOLL_CTL_ADD);
    // SAFETY: an event, which is read.
    assert_eq!(answer(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), add, fd, &raw mut event) }), 0);
    let found: &'static mut [libc::epoll_event; 4] = Box::leak(Box::new([libc::epoll_event { events: 0, u64: 0 }; 4]));
    rig.push(Sqe::epoll_wait(epoll.as_raw_fd(), found.as_mut_ptr(), 4));
    assert_eq!(rig.ring.submit().unwrap(), 1);
    assert_eq!(rig.ring.ready(), 0, "it waits");
    writer.write_all(b"x").unwrap();
    assert_eq!(rig.answers(1)[0].res, 1);
    assert_eq!(({ found[0].u64 }, { found[0].events }), (77, libc::EPOLLIN as u32));
    io::Read::read_exact(&mut &reader, &mut [0]).unwrap();
    assert_eq!(rig.given_up(Sqe::epoll_wait(epoll.as_raw_fd(), found.as_mut_ptr(), 4)), GIVEN_UP);
    // SAFETY: room for four events.
    let theirs = answer(unsafe { libc::epoll_wait(fd, found.as_mut_ptr(), 4, 0) });
    assert_eq!((rig.run(Sqe::epoll_wait(fd, found.as_mut_ptr(), 4)), theirs), (-libc::EINVAL, -libc::EINVAL));
    Ok(())
}

fn waitid(rig: &mut Rig) -> Result<(), i32> {
    let mut child = Command::new("sh").args(["-c", "read x; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
    let info: &'static mut libc::siginfo_t = Box::leak(Box::new(
        // SAFETY: Plain bytes: integers, for which zeros are fine.
        unsafe { std::mem::zeroed() },
    ));
    let (id, options) = (child.id() as i32, (libc::WEXITED | libc::WNOWAIT) as u32);
    // The cancel of this one counts, and says 1.
    let (cancel, end) = rig.given_up(Sqe::waitid(libc::P_PID, id, info, options));
    assert_eq!((cancel == 0 || cancel == 1, end), (true, GIVEN_UP.1), "{cancel}");
    rig.push(Sqe::waitid(libc::P_PID, id, info, options));
    assert_eq!(rig.ring.submit().unwrap(), 1);
    assert_eq!(rig.ring.ready(), 0, "it waits");
    drop(child.stdin.take());
    assert_eq!(rig.answers(1)[0].res, 0);
    // SAFETY: a child has ended, so its part of the structure was filled in.
    assert_eq!(unsafe { info.si_pid() }, id);
    // SAFETY: as above.
    assert_eq!(unsafe { info.si_status() }, 7);
    assert_eq!(child.wait().unwrap().code(), Some(7), "it was not reaped");
    // SAFETY: room for what is told.
    let theirs = answer(unsafe { libc::waitid(libc::P_PID, id as u32, info, libc::WEXITED) });
    let ours = rig.run(Sqe::waitid(libc::P_PID, id, info, libc::WEXITED as u32));
    assert_eq!((ours, theirs), (-libc::ECHILD, -libc::ECHILD));
    Ok(())
}
