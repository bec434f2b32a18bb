//! What is done with open files, with memory, and with nothing.

use crate::frame::{Rig, Row, answer};
use annulus::ring::{BufIndex, FixedFile, Sqe};
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd},
    ptr,
};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "NOP", twin: true, run: nop },
    Row { op: "FSYNC", twin: true, run: fsync },
    Row { op: "SYNC_FILE_RANGE", twin: false, run: sync_file_range },
    Row { op: "FALLOCATE", twin: false, run: fallocate },
    Row { op: "CLOSE", twin: true, run: close },
    Row { op: "FADVISE", twin: false, run: fadvise },
    Row { op: "MADVISE", twin: false, run: madvise },
    Row { op: "FIXED_FD_INSTALL", twin: false, run: fixed_fd_install },
    Row { op: "FTRUNCATE", twin: true, run: ftruncate },
];

/// A place where nothing stands.
const NOWHERE: FixedFile = FixedFile(3);

fn nop(rig: &mut Rig) -> Result<(), i32> {
    assert_eq!(rig.run(Sqe::nop()), 0);
    // Older kernels do not look.
    if rig.has("SOCKET") {
        assert_eq!(rig.run(Sqe { ioprio: 1, ..Sqe::nop() }), -libc::EINVAL);
    }
    // Each flag came with a kernel that has the opcode of its time, or one that came a little later.
    if rig.has("BIND") {
        assert_eq!(rig.run(Sqe::nop_result(7)), 7);
        assert_eq!(rig.run(Sqe::nop_result(-libc::EDOM)), -libc::EDOM);
        assert_eq!(rig.run(Sqe { op_flags: 1 << 20, ..Sqe::nop() }), -libc::EINVAL);
    }
    if rig.has("EPOLL_WAIT") {
        let (file, table) = (rig.file("nop", b""), FixedFile(1));
        rig.put(table, file.as_raw_fd());
        assert_eq!((rig.run(Sqe::nop_file(file.as_raw_fd())), rig.run(Sqe::nop_file(table))), (0, 0));
        rig.put(table, -1);
        assert_eq!((rig.run(Sqe::nop_file(-1)), rig.run(Sqe::nop_file(NOWHERE))), (-libc::EBADF, -libc::EBADF));
        assert_eq!(rig.run(Sqe::nop_buffer(BufIndex(0))), 0);
        assert_eq!(rig.run(Sqe::nop_buffer(BufIndex(9))), -libc::EFAULT);
    }
    if rig.has("PIPE") {
        assert_eq!(rig.run(Sqe::nop_deferred()), 0);
        assert_eq!(rig.run(Sqe::nop_big([1, 2])), -libc::EINVAL, "on a ring of small completions");
    }
    Ok(())
}

fn fsync(rig: &mut Rig) -> Result<(), i32> {
    let file = rig.file("fsync", b"abc");
    let (pipe, _writer) = io::pipe().unwrap();
    for data_only in [false, true] {
        assert_eq!(rig.run(Sqe::fsync(file.as_raw_fd(), data_only)), 0);
        // SAFETY: Plain call: no memory is named.
        let theirs = answer(unsafe { libc::fsync(pipe.as_raw_fd()) });
        assert_eq!((rig.run(Sqe::fsync(pipe.as_raw_fd(), data_only)), theirs), (-libc::EINVAL, -libc::EINVAL));
    }
    assert_eq!(rig.run(Sqe::fsync(NOWHERE, false)), -libc::EBADF);
    Ok(())
}

/// A file and the reading end of a pipe, which most of these are not for.
fn file_and_pipe(rig: &Rig) -> (File, io::PipeReader) {
    (rig.file("file", b"0123456789"), io::pipe().unwrap().0)
}

fn sync_file_range(rig: &mut Rig) -> Result<(), i32> {
    let (file, pipe) = file_and_pipe(rig);
    let cases = [
        (file.as_raw_fd(), libc::SYNC_FILE_RANGE_WRITE, 0),
        (file.as_raw_fd(), 1 << 20, -libc::EINVAL),
        (pipe.as_raw_fd(), libc::SYNC_FILE_RANGE_WRITE, -libc::ESPIPE),
    ];
    for (fd, flags, expected) in cases {
        // SAFETY: Plain call: no memory is named.
        assert_eq!(answer(unsafe { libc::sync_file_range(fd, 2, 4, flags) }), expected);
        assert_eq!(rig.run(Sqe::sync_file_range(fd, 2, 4, flags)), expected);
    }
    Ok(())
}

fn fallocate(rig: &mut Rig) -> Result<(), i32> {
    let (ours, pipe) = file_and_pipe(rig);
    let theirs = rig.file("theirs", b"0123456789");
    // Red when the length and the mode change places.
    let keep = libc::FALLOC_FL_KEEP_SIZE;
    for (mode, offset, len, expected) in [(0, 100, 9000, 0), (keep, 0, 20_000, 0), (0, 0, 0, -libc::EINVAL)] {
        // SAFETY: Plain call: no memory is named.
        let call = answer(unsafe { libc::fallocate(theirs.as_raw_fd(), mode, offset, len) });
        assert_eq!(call, expected);
        assert_eq!(rig.run(Sqe::fallocate(ours.as_raw_fd(), mode, offset as u64, len as u64)), expected);
        assert_eq!(ours.metadata().unwrap().len(), theirs.metadata().unwrap().len());
    }
    assert_eq!(ours.metadata().unwrap().len(), 9100);
    assert_eq!(rig.run(Sqe::fallocate(pipe.as_raw_fd(), 0, 0, 1)), -libc::EBADF, "not open for writing");
    Ok(())
}

fn ftruncate(rig: &mut Rig) -> Result<(), i32> {
    let (ours, pipe) = file_and_pipe(rig);
    let theirs = rig.file("theirs", b"0123456789");
    for (len, expected) in [(4, 0), (9000, 0), (u64::MAX, -libc::EINVAL)] {
        // SAFETY: Plain call: no memory is named.
        assert_eq!(answer(unsafe { libc::ftruncate(theirs.as_raw_fd(), len as libc::off_t) }), expected);
        assert_eq!(rig.run(Sqe::ftruncate(ours.as_raw_fd(), len)), expected);
        assert_eq!(ours.metadata().unwrap().len(), theirs.metadata().unwrap().len());
    }
    assert_eq!(rig.run(Sqe::ftruncate(pipe.as_raw_fd(), 1)), -libc::EINVAL);
    Ok(())
}

fn fadvise(rig: &mut Rig) -> Result<(), i32> {
    let (file, pipe) = file_and_pipe(rig);
    let (file, pipe) = (file.as_raw_fd(), pipe.as_raw_fd());
    for (fd, advice) in [(file, libc::POSIX_FADV_SEQUENTIAL), (file, libc::POSIX_FADV_DONTNEED), (file, 99), (pipe, 0)]
    {
        // It returns its error.
        // SAFETY: Plain call: no memory is named.
        let theirs = -unsafe { libc::posix_fadvise(fd, 0, 10, advice) };
        assert_eq!(rig.run(Sqe::fadvise(fd, 0, 10, advice)), theirs, "{advice}");
        assert_eq!(theirs, if fd == pipe { -libc::ESPIPE } else { -libc::EINVAL * i32::from(advice == 99) });
    }
    let long = rig.run(Sqe::fadvise(file, 0, 1 << 40, libc::POSIX_FADV_DONTNEED));
    assert!(long == 0 || long == -libc::EINVAL && !rig.has("BIND"), "{long}");
    Ok(())
}

fn madvise(rig: &mut Rig) -> Result<(), i32> {
    const LEN: usize = 1 << 16;
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, wherever the system likes.
    let memory = unsafe { libc::mmap(ptr::null_mut(), LEN, access, kind, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    let byte = memory.cast::<u8>();
    // SAFETY: the first byte of that memory.
    unsafe { byte.write_volatile(7) };
    assert_eq!(rig.run(Sqe::madvise(memory, LEN as u64, libc::MADV_DONTNEED)), 0);
    // SAFETY: the same byte, which is mapped still.
    assert_eq!(unsafe { byte.read_volatile() }, 0, "it was taken away");
    // SAFETY: the bytes are there, and nobody has them.
    let theirs = answer(unsafe { libc::madvise(memory, LEN, 9999) });
    assert_eq!((rig.run(Sqe::madvise(memory, LEN as u64, 9999)), theirs), (-libc::EINVAL, -libc::EINVAL));
    // SAFETY: nobody has this memory.
    assert_eq!(unsafe { libc::munmap(memory, LEN) }, 0);
    let nothing = 4096 as *mut libc::c_void;
    // SAFETY: advice on what is not there.
    let theirs = answer(unsafe { libc::madvise(nothing, 4096, libc::MADV_WILLNEED) });
    assert_eq!((rig.run(Sqe::madvise(nothing, 4096, libc::MADV_WILLNEED)), theirs), (-libc::ENOMEM, -libc::ENOMEM));
    Ok(())
}

/// The flags of a descriptor, or `-EBADF`.
fn descriptor(fd: RawFd) -> i32 {
    // SAFETY: Plain call: no memory is named.
    answer(unsafe { libc::fcntl(fd, libc::F_GETFD) })
}

fn close(rig: &mut Rig) -> Result<(), i32> {
    let fd = rig.file("closed", b"").into_raw_fd();
    assert_eq!((rig.run(Sqe::close(fd)), descriptor(fd)), (0, -libc::EBADF));
    // SAFETY: Plain call: nobody has the number.
    let theirs = answer(unsafe { libc::close(fd) });
    assert_eq!((rig.run(Sqe::close(fd)), theirs), (-libc::EBADF, -libc::EBADF));
    // Direct descriptors are as old as this opcode.
    if rig.has("MKDIRAT") {
        let (reader, writer) = io::pipe().unwrap();
        rig.put(FixedFile(2), writer.as_raw_fd());
        drop(writer);
        let read = Sqe::read(reader.as_raw_fd(), rig.at, 1, u64::MAX);
        assert_eq!(rig.run(Sqe::close_direct(FixedFile(2))), 0);
        assert_eq!(rig.run(read), 0, "the last of it was there");
        assert_eq!(rig.run(Sqe::close_direct(FixedFile(2))), -libc::EBADF);
        // Red when the last number is taken for no place: then descriptor 0 is closed.
        for none in [crate::frame::PLACES, u32::MAX - 1, u32::MAX] {
            assert_eq!(rig.run(Sqe::close_direct(FixedFile(none))), -libc::EINVAL, "{none}");
        }
        assert!(descriptor(0) >= 0);
    }
    Ok(())
}

fn fixed_fd_install(rig: &mut Rig) -> Result<(), i32> {
    let file = rig.file("installed", b"abc");
    rig.put(FixedFile(4), file.as_raw_fd());
    drop(file);
    for (flags, inherited) in [(0, false), (annulus::sys::IORING_FIXED_FD_NO_CLOEXEC, true)] {
        let fd = rig.run(Sqe::fixed_fd_install(FixedFile(4), flags));
        assert_eq!(descriptor(fd), if inherited { 0 } else { libc::FD_CLOEXEC });
        // SAFETY: the kernel has just made the number, and nobody else has it.
        let file = unsafe { File::from_raw_fd(fd) };
        assert_eq!(file.metadata().unwrap().len(), 3);
    }
    rig.put(FixedFile(4), -1);
    assert_eq!(rig.run(Sqe::fixed_fd_install(FixedFile(4), 0)), -libc::EBADF);
    Ok(())
}
