//! Reads and writes of files, in all their forms.

use crate::frame::{GIVEN_UP, Rig, Row, answer};
use annulus::ring::{BufIndex, FixedFile, Sqe, Target};
use std::{
    fs::{self, File},
    io::{Seek, SeekFrom},
    os::fd::{AsRawFd, RawFd},
};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "READV", twin: true, run: readv },
    Row { op: "WRITEV", twin: true, run: writev },
    Row { op: "READ_FIXED", twin: true, run: read_fixed },
    Row { op: "WRITE_FIXED", twin: true, run: write_fixed },
    Row { op: "READ", twin: true, run: read },
    Row { op: "WRITE", twin: true, run: write },
    Row { op: "READV_FIXED", twin: false, run: readv_fixed },
    Row { op: "WRITEV_FIXED", twin: false, run: writev_fixed },
];

const TEXT: &[u8] = b"0123456789abcdef";
const HERE: u64 = u64::MAX;
const BUFFER: BufIndex = BufIndex(0);
/// Where nothing is registered.
const NO_BUFFER: BufIndex = BufIndex(7);

/// An entry that reads or writes a number of bytes, from their first on, at an offset.
type Entry = fn(RawFd, *mut u8, u32, u64) -> Sqe;

/// Two buffers that make one, in an array that is never freed.
fn halves(buf: *mut u8, len: u32) -> *const libc::iovec {
    let (first, second) = (len as usize / 2, len as usize - len as usize / 2);
    let vecs = [(buf, first), (buf.wrapping_add(first), second)];
    Box::leak(Box::new(vecs.map(|(base, iov_len)| libc::iovec { iov_base: base.cast(), iov_len }))).as_ptr()
}

/// What `pread(2)` or `read(2)` answers and gives.
fn system_reads(fd: RawFd, len: u32, offset: u64) -> (i32, Vec<u8>) {
    let mut buf = vec![0; len as usize];
    let (at, n) = (buf.as_mut_ptr().cast(), buf.len());
    let res = match offset {
        // SAFETY: a buffer and its length.
        HERE => answer(unsafe { libc::read(fd, at, n) }),
        // SAFETY: the same.
        offset => answer(unsafe { libc::pread(fd, at, n, offset as libc::off_t) }),
    };
    (res, buf)
}

/// What the entry answers and gives, of `fd` as what it is aimed at or of its place in the table.
fn ring_reads(rig: &mut Rig, entry: Entry, by_place: bool, (fd, len, offset): (RawFd, u32, u64)) -> (i32, Vec<u8>) {
    rig.memory().fill(0);
    let mut sqe = entry(fd, rig.at, len, offset);
    if by_place {
        rig.put(FixedFile(1), fd);
        sqe = FixedFile(1).aim(sqe);
    }
    let res = rig.run(sqe);
    if by_place {
        rig.put(FixedFile(1), -1);
    }
    (res, rig.memory()[..len as usize].to_vec())
}

fn reads_alike(rig: &mut Rig, entry: Entry) {
    let mut file = rig.file("read", TEXT);
    let fd = file.as_raw_fd();
    for (len, offset) in [(4, 0), (10, 3), (32, 10), (8, 100), (4, u64::MAX - 1), (4, 1 << 63)] {
        let theirs = system_reads(fd, len, offset);
        for by_place in [false, true] {
            assert_eq!(ring_reads(rig, entry, by_place, (fd, len, offset)), theirs, "{len} bytes at {offset}");
        }
    }
    file.seek(SeekFrom::Start(5)).unwrap();
    let ours = ring_reads(rig, entry, false, (fd, 4, HERE));
    assert_eq!((ours, file.stream_position().unwrap()), ((4, TEXT[5..9].to_vec()), 9));
    let (empty, _writer) = std::io::pipe().unwrap();
    assert_eq!(rig.given_up(entry(empty.as_raw_fd(), rig.at, 4, HERE)), GIVEN_UP);
    let (folder, write_only) = (File::open(".").unwrap(), fs::File::options().write(true).open("/dev/null").unwrap());
    for (fd, errno) in [(folder.as_raw_fd(), libc::EISDIR), (write_only.as_raw_fd(), libc::EBADF), (-1, libc::EBADF)] {
        assert_eq!(system_reads(fd, 4, 0).0, -errno);
        assert_eq!(rig.run(entry(fd, rig.at, 4, 0)), -errno);
    }
    assert_eq!(rig.run(FixedFile(1).aim(entry(0, rig.at, 4, 0))), -libc::EBADF, "nothing there");
}

fn writes_alike(rig: &mut Rig, entry: Entry) {
    let (ours, theirs) = (rig.file("ours", TEXT), rig.file("theirs", TEXT));
    rig.memory()[..6].copy_from_slice(b"UVWXYZ");
    for (by_place, offset) in [(false, 2), (true, 40), (false, u64::MAX - 1), (true, 1 << 63)] {
        let mut sqe = entry(ours.as_raw_fd(), rig.at, 6, offset);
        if by_place {
            rig.put(FixedFile(2), ours.as_raw_fd());
            sqe = FixedFile(2).aim(sqe);
        }
        // SAFETY: six bytes.
        let call = unsafe { libc::pwrite(theirs.as_raw_fd(), rig.at.cast(), 6, offset as libc::off_t) };
        let theirs = answer(call);
        assert_eq!(rig.run(sqe), theirs, "at {offset}");
        assert_eq!(theirs, if offset < 100 { 6 } else { -libc::EINVAL });
    }
    rig.put(FixedFile(2), -1);
    let texts = ["ours", "theirs"].map(|name| fs::read(rig.path(name).to_str().unwrap()).unwrap());
    assert_eq!((&texts[0], texts[0].len()), (&texts[1], 46));
    (&ours).seek(SeekFrom::Start(1)).unwrap();
    assert_eq!(rig.run(entry(ours.as_raw_fd(), rig.at, 6, HERE)), 6);
    assert_eq!((&ours).stream_position().unwrap(), 7);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let read_only = File::open("/dev/null").unwrap();
    for (fd, errno) in [(writer.as_raw_fd(), libc::EPIPE), (read_only.as_raw_fd(), libc::EBADF)] {
        // SAFETY: six bytes.
        assert_eq!(answer(unsafe { libc::write(fd, rig.at.cast(), 6) }), -errno);
        assert_eq!(rig.run(entry(fd, rig.at, 6, HERE)), -errno);
    }
}

fn read(rig: &mut Rig) -> Result<(), i32> {
    reads_alike(rig, Sqe::read);
    // With a flag: there is nothing to read yet, and nobody waits.
    let (reader, _writer) = std::io::pipe().unwrap();
    let sqe = Sqe::read(reader.as_raw_fd(), rig.at, 4, HERE);
    let nothing = rig.run(sqe.rw_flags(libc::RWF_NOWAIT));
    assert!([-libc::EAGAIN, -libc::EOPNOTSUPP].contains(&nothing), "{nothing}; older kernels cannot with a pipe");
    Ok(())
}

fn write(rig: &mut Rig) -> Result<(), i32> {
    writes_alike(rig, |fd, buf, len, offset| Sqe::write(fd, buf, len, offset));
    let file = rig.file("appended", TEXT);
    let sqe = Sqe::write(file.as_raw_fd(), rig.at, 6, 0);
    assert_eq!(rig.run(sqe.rw_flags(libc::RWF_APPEND)), 6);
    assert_eq!(file.metadata().unwrap().len(), TEXT.len() as u64 + 6);
    assert_eq!(rig.run(sqe.rw_flags(1 << 30)), -libc::EOPNOTSUPP);
    Ok(())
}

fn readv(rig: &mut Rig) -> Result<(), i32> {
    reads_alike(rig, |fd, buf, len, offset| Sqe::readv(fd, halves(buf, len), 2, offset));
    let file = rig.file("read", TEXT);
    let vecs = vec![libc::iovec { iov_base: rig.at.cast(), iov_len: 1 }; 1025];
    assert_eq!(rig.run(Sqe::readv(file.as_raw_fd(), vecs.as_ptr(), 1025, 0)), -libc::EINVAL);
    assert_eq!(rig.run(Sqe::readv(file.as_raw_fd(), vecs.as_ptr(), 1024, 0)), TEXT.len() as i32);
    Ok(())
}

fn writev(rig: &mut Rig) -> Result<(), i32> {
    writes_alike(rig, |fd, buf, len, offset| Sqe::writev(fd, halves(buf, len), 2, offset));
    Ok(())
}

/// What lies outside of the buffer, or in none, is refused.
fn stays_inside(rig: &mut Rig, entry: fn(RawFd, *mut u8, BufIndex) -> Sqe) {
    let file = rig.file("fixed", TEXT);
    let (fd, begin) = (file.as_raw_fd(), rig.at);
    assert_eq!(rig.run(entry(fd, begin, BUFFER)), 4);
    assert_eq!(rig.run(entry(fd, begin.wrapping_add(4092), BUFFER)), 4);
    assert_eq!(rig.run(entry(fd, begin.wrapping_add(4093), BUFFER)), -libc::EFAULT);
    assert_eq!(rig.run(entry(fd, begin.wrapping_sub(1), BUFFER)), -libc::EFAULT);
    assert_eq!(rig.run(entry(fd, begin, NO_BUFFER)), -libc::EFAULT);
}

fn read_fixed(rig: &mut Rig) -> Result<(), i32> {
    reads_alike(rig, |fd, buf, len, offset| Sqe::read_fixed(fd, buf, len, offset, BUFFER));
    stays_inside(rig, |fd, buf, index| Sqe::read_fixed(fd, buf, 4, 0, index));
    Ok(())
}

fn write_fixed(rig: &mut Rig) -> Result<(), i32> {
    writes_alike(rig, |fd, buf, len, offset| Sqe::write_fixed(fd, buf, len, offset, BUFFER));
    stays_inside(rig, |fd, buf, index| Sqe::write_fixed(fd, buf, 4, 0, index));
    Ok(())
}

fn readv_fixed(rig: &mut Rig) -> Result<(), i32> {
    reads_alike(rig, |fd, buf, len, offset| Sqe::readv_fixed(fd, halves(buf, len), 2, offset, BUFFER));
    stays_inside(rig, |fd, buf, index| Sqe::readv_fixed(fd, halves(buf, 4), 2, 0, index));
    Ok(())
}

fn writev_fixed(rig: &mut Rig) -> Result<(), i32> {
    writes_alike(rig, |fd, buf, len, offset| Sqe::writev_fixed(fd, halves(buf, len), 2, offset, BUFFER));
    stays_inside(rig, |fd, buf, index| Sqe::writev_fixed(fd, halves(buf, 4), 2, 0, index));
    // One of the array is empty.
    let file = rig.file("fixed", TEXT);
    let empty = Sqe::writev_fixed(file.as_raw_fd(), halves(rig.at, 1), 2, 0, BUFFER);
    assert_eq!(rig.run(empty), -libc::EFAULT);
    Ok(())
}
