//! What is done to files by their paths, and to their attributes.

use crate::frame::{Rig, Row, answer};
use annulus::{
    ring::{FixedFile, Sqe},
    sys::open_how,
};
use std::{
    ffi::{CStr, CString, c_char},
    fs::File,
    io::Read,
    mem::zeroed,
    os::fd::{AsRawFd, FromRawFd},
    ptr,
};

pub(crate) const ROWS: &[Row] = &[
    Row { op: "OPENAT", twin: true, run: openat },
    Row { op: "STATX", twin: true, run: statx },
    Row { op: "OPENAT2", twin: false, run: openat2 },
    Row { op: "RENAMEAT", twin: true, run: renameat },
    Row { op: "UNLINKAT", twin: true, run: unlinkat },
    Row { op: "MKDIRAT", twin: true, run: mkdirat },
    Row { op: "SYMLINKAT", twin: true, run: symlinkat },
    Row { op: "LINKAT", twin: true, run: linkat },
    Row { op: "FSETXATTR", twin: false, run: fsetxattr },
    Row { op: "SETXATTR", twin: false, run: setxattr },
    Row { op: "FGETXATTR", twin: false, run: fgetxattr },
    Row { op: "GETXATTR", twin: false, run: getxattr },
];

const HERE: i32 = libc::AT_FDCWD;

/// The text of a file that an entry has opened.
fn text(fd: i32) -> String {
    assert!(fd >= 0, "{fd}");
    // SAFETY: the kernel has just made the number, and nobody else has it.
    let mut file = unsafe { File::from_raw_fd(fd) };
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Opens into the table, one place by number and one that is free, and reads and closes what is there.
fn opens_into_the_table(rig: &mut Rig, entry: Sqe) {
    // Direct descriptors are as old as this opcode, and a place that is free as that one.
    if rig.has("MKDIRAT") {
        assert_eq!(rig.run(entry.direct(FixedFile(5))), 0);
        assert_eq!(rig.run(Sqe::read(FixedFile(5), rig.at, 3, 0)), 3);
        assert_eq!(&rig.memory()[..3], b"abc");
        assert_eq!(rig.run(Sqe::close_direct(FixedFile(5))), 0);
        for none in [crate::frame::PLACES, u32::MAX - 1, u32::MAX] {
            assert_eq!(rig.run(entry.direct(FixedFile(none))), -libc::EINVAL, "{none} is not in the table");
        }
    }
    if rig.has("SOCKET") {
        let place = rig.run(entry.direct_any());
        assert!((0..crate::frame::PLACES as i32).contains(&place), "{place}");
        assert_eq!(rig.run(Sqe::close_direct(FixedFile(place as u32))), 0);
    }
}

fn openat(rig: &mut Rig) -> Result<(), i32> {
    drop(rig.file("open", b"abc"));
    let (path, nowhere) = (rig.path("open"), rig.path("nowhere"));
    assert_eq!(text(rig.run(Sqe::openat(HERE, path.as_ptr(), libc::O_RDONLY, 0))), "abc");
    let exclusive = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
    for (path, flags) in [(&nowhere, 0), (&path, exclusive), (&path, libc::O_DIRECTORY)] {
        // SAFETY: a path that ends.
        let theirs = answer(unsafe { libc::openat(HERE, path.as_ptr(), flags, 0o600) });
        assert!(theirs < 0);
        assert_eq!(rig.run(Sqe::openat(HERE, path.as_ptr(), flags, 0o600)), theirs);
    }
    assert_eq!(text(rig.run(Sqe::openat(HERE, nowhere.as_ptr(), exclusive, 0o600))), "");
    let dir = File::open(rig.path("").to_str().unwrap()).unwrap();
    assert_eq!(text(rig.run(Sqe::openat(dir.as_raw_fd(), c"open".as_ptr(), 0, 0))), "abc", "from a directory on");
    opens_into_the_table(rig, Sqe::openat_direct(HERE, path.as_ptr(), 0, 0));
    Ok(())
}

fn openat2(rig: &mut Rig) -> Result<(), i32> {
    drop(rig.file("open2", b"abc"));
    let (path, nowhere) = (rig.path("open2"), rig.path("nowhere2"));
    let how = |flags: i32, resolve| open_how { flags: flags as u64, mode: 0, resolve };
    let (plain, closing) = (how(0, 0), how(libc::O_CLOEXEC, 0));
    assert_eq!(text(rig.run(Sqe::openat2(HERE, path.as_ptr(), &raw const closing))), "abc");
    let cases = [(&nowhere, plain), (&path, how(0, libc::RESOLVE_BENEATH)), (&path, how(0, 1 << 40))];
    for (path, how) in cases {
        let (at, size) = ((&raw const how).cast::<libc::c_void>(), size_of::<open_how>());
        // SAFETY: a path that ends, and a structure with its size.
        let theirs = answer(unsafe { libc::syscall(libc::SYS_openat2, HERE, path.as_ptr(), at, size) });
        assert!(theirs < 0);
        assert_eq!(rig.run(Sqe::openat2(HERE, path.as_ptr(), &raw const how)), theirs);
    }
    opens_into_the_table(rig, Sqe::openat2(HERE, path.as_ptr(), &raw const plain));
    if rig.has("MKDIRAT") {
        let direct = Sqe::openat2(HERE, path.as_ptr(), &raw const closing).direct(FixedFile(5));
        assert_eq!(rig.run(direct), -libc::EINVAL, "there is nothing to inherit");
    }
    Ok(())
}

fn statx(rig: &mut Rig) -> Result<(), i32> {
    let _file = rig.file("statx", b"12345");
    for (name, expected) in [("statx", 0), ("nowhere", -libc::ENOENT)] {
        let path = rig.path(name);
        // SAFETY: Plain bytes: integers, for which zeros are fine.
        let [mut ours, mut theirs]: [libc::statx; 2] = unsafe { zeroed() };
        let mask = libc::STATX_BASIC_STATS;
        assert_eq!(rig.run(Sqe::statx(HERE, path.as_ptr(), 0, mask, (&raw mut ours).cast())), expected);
        // SAFETY: a path that ends and room for the answer.
        let call = unsafe { libc::statx(HERE, path.as_ptr(), 0, mask, &raw mut theirs) };
        assert_eq!(answer(call), expected);
        assert_eq!((ours.stx_size, ours.stx_ino, ours.stx_mask), (theirs.stx_size, theirs.stx_ino, theirs.stx_mask));
        assert_eq!(ours.stx_size, if expected == 0 { 5 } else { 0 });
    }
    let path = rig.path("statx");
    assert_eq!(rig.run(Sqe::statx(HERE, path.as_ptr(), 0, 0, ptr::null_mut())), -libc::EFAULT);
    Ok(())
}

/// The same done by the ring to `ours/…` and by the system to `theirs/…`, as often as it is said, with the same
/// answers; and then the same files are in both folders. Gives the answers.
fn alike(rig: &mut Rig, times: usize, entry: impl Fn(&Names) -> Sqe, call: impl Fn(&Names) -> i32) -> Vec<i32> {
    let folders = ["ours", "theirs"].map(|name| {
        let path = rig.path(name).into_string().unwrap();
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(format!("{path}/a"), "a").unwrap();
        path
    });
    let [ours, theirs] = folders.each_ref().map(|folder| Names::new(folder));
    let answers = (0..times).map(|_| {
        let (ours, theirs) = (rig.run(entry(&ours)), call(&theirs));
        assert_eq!(ours, theirs);
        ours
    });
    let answers = answers.collect();
    let [ours, theirs] = folders.map(|folder| {
        let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
        found.sort_by_key(|entry| entry.file_name());
        let facts = |entry: &std::fs::DirEntry| {
            let data = std::fs::symlink_metadata(entry.path()).unwrap();
            (entry.file_name(), data.file_type(), std::os::unix::fs::MetadataExt::mode(&data))
        };
        found.iter().map(facts).collect::<Vec<_>>()
    });
    assert_eq!(ours, theirs);
    answers
}

/// Two paths: of a file that is there, and of none.
struct Names {
    a: CString,
    b: CString,
}

impl Names {
    fn new(folder: &str) -> Names {
        let path = |name: &str| CString::new(format!("{folder}/{name}")).unwrap();
        Names { a: path("a"), b: path("b") }
    }

    fn a(&self) -> (i32, *const c_char) {
        (HERE, self.a.as_ptr())
    }

    fn b(&self) -> (i32, *const c_char) {
        (HERE, self.b.as_ptr())
    }
}

fn renameat(rig: &mut Rig) -> Result<(), i32> {
    let call = |(from, to): (&CStr, &CStr), flags: u32| {
        // SAFETY: paths that end.
        answer(unsafe { libc::syscall(libc::SYS_renameat2, HERE, from.as_ptr(), HERE, to.as_ptr(), flags) })
    };
    let answers = alike(rig, 2, |names| Sqe::renameat(names.a(), names.b(), 0), |names| call((&names.a, &names.b), 0));
    assert_eq!(answers, [0, -libc::ENOENT]);
    let flags = libc::RENAME_NOREPLACE;
    let same = |names: &Names| call((&names.a, &names.a), flags);
    let answers = alike(rig, 1, |names| Sqe::renameat(names.a(), names.a(), flags), same);
    assert_eq!(answers, [-libc::EEXIST]);
    Ok(())
}

fn unlinkat(rig: &mut Rig) -> Result<(), i32> {
    // SAFETY: a path that ends.
    let call = |path: &CStr, flags| answer(unsafe { libc::unlinkat(HERE, path.as_ptr(), flags) });
    let dir = libc::AT_REMOVEDIR;
    let not = alike(rig, 1, |names| Sqe::unlinkat(HERE, names.a.as_ptr(), dir), |names| call(&names.a, dir));
    assert_eq!(not, [-libc::ENOTDIR]);
    let answers = alike(rig, 2, |names| Sqe::unlinkat(HERE, names.a.as_ptr(), 0), |names| call(&names.a, 0));
    assert_eq!(answers, [0, -libc::ENOENT]);
    Ok(())
}

fn mkdirat(rig: &mut Rig) -> Result<(), i32> {
    // SAFETY: a path that ends.
    let call = |names: &Names| answer(unsafe { libc::mkdirat(HERE, names.b.as_ptr(), 0o700) });
    let answers = alike(rig, 2, |names| Sqe::mkdirat(HERE, names.b.as_ptr(), 0o700), call);
    assert_eq!(answers, [0, -libc::EEXIST]);
    Ok(())
}

fn symlinkat(rig: &mut Rig) -> Result<(), i32> {
    // SAFETY: paths that end.
    let call = |names: &Names| answer(unsafe { libc::symlinkat(c"a".as_ptr(), HERE, names.b.as_ptr()) });
    let answers = alike(rig, 2, |names| Sqe::symlinkat(c"a".as_ptr(), HERE, names.b.as_ptr()), call);
    assert_eq!(answers, [0, -libc::EEXIST]);
    assert_eq!(std::fs::read(rig.path("ours/b").to_str().unwrap()).unwrap(), b"a");
    Ok(())
}

fn linkat(rig: &mut Rig) -> Result<(), i32> {
    let call = |names: &Names, flags| {
        // SAFETY: paths that end.
        answer(unsafe { libc::linkat(HERE, names.a.as_ptr(), HERE, names.b.as_ptr(), flags) })
    };
    let answers = alike(rig, 2, |names| Sqe::linkat(names.a(), names.b(), 0), |names| call(names, 0));
    assert_eq!(answers, [0, -libc::EEXIST]);
    let unknown = alike(rig, 1, |names| Sqe::linkat(names.a(), names.b(), 1), |names| call(names, 1));
    assert_eq!(unknown, [-libc::EINVAL]);
    Ok(())
}

const NAME: &CStr = c"user.annulus";
const VALUE: &[u8] = b"value";

/// Whether the file system of the temporary folder has such attributes: set by the system, and found there as `VALUE`.
fn system_sets(file: &File) -> i32 {
    let (at, len) = (VALUE.as_ptr().cast(), VALUE.len());
    // SAFETY: a name that ends, and bytes with their length.
    answer(unsafe { libc::fsetxattr(file.as_raw_fd(), NAME.as_ptr(), at, len, 0) })
}

fn system_gets(file: &File) -> (i32, [u8; 8]) {
    let mut value = [0; 8];
    // SAFETY: a name that ends, and room with its length.
    let n = answer(unsafe { libc::fgetxattr(file.as_raw_fd(), NAME.as_ptr(), value.as_mut_ptr().cast(), 8) });
    (n, value)
}

fn sets_alike(rig: &mut Rig, entry: impl Fn(&Rig, &File, i32) -> Sqe) {
    let (ours, theirs) = (rig.file("attribute", b""), rig.file("other", b""));
    assert_eq!(rig.run(entry(rig, &ours, 0)), system_sets(&theirs), "what the file system says");
    assert_eq!(system_gets(&ours), system_gets(&theirs));
    let again = rig.run(entry(rig, &ours, libc::XATTR_CREATE));
    let (at, len) = (VALUE.as_ptr().cast(), VALUE.len());
    // SAFETY: a name that ends, and bytes with their length.
    let call = unsafe { libc::fsetxattr(theirs.as_raw_fd(), NAME.as_ptr(), at, len, libc::XATTR_CREATE) };
    assert_eq!(again, answer(call));
    assert!([-libc::EEXIST, -libc::EOPNOTSUPP].contains(&again), "{again}");
    assert_eq!(rig.run(entry(rig, &ours, 1 << 10)), -libc::EINVAL);
}

fn fsetxattr(rig: &mut Rig) -> Result<(), i32> {
    sets_alike(rig, |_, file, flags| {
        Sqe::fsetxattr(file.as_raw_fd(), NAME.as_ptr(), VALUE.as_ptr(), VALUE.len() as u32, flags)
    });
    let (at, len) = (VALUE.as_ptr(), VALUE.len() as u32);
    assert_eq!(rig.run(Sqe::fsetxattr(FixedFile(3), NAME.as_ptr(), at, len, 0)), -libc::EBADF);
    Ok(())
}

fn setxattr(rig: &mut Rig) -> Result<(), i32> {
    let path = rig.path("attribute");
    sets_alike(rig, |_, _, flags| {
        Sqe::setxattr(path.as_ptr(), NAME.as_ptr(), VALUE.as_ptr(), VALUE.len() as u32, flags)
    });
    let (nowhere, at, len) = (rig.path("nowhere"), VALUE.as_ptr(), VALUE.len() as u32);
    assert_eq!(rig.run(Sqe::setxattr(nowhere.as_ptr(), NAME.as_ptr(), at, len, 0)), -libc::ENOENT);
    Ok(())
}

fn gets_alike(rig: &mut Rig, entry: impl Fn(&File, *mut u8, u32) -> Sqe) {
    let file = rig.file("attribute", b"");
    for set in [false, true] {
        let expected = if set { system_sets(&file) } else { -libc::ENODATA };
        let (n, value) = system_gets(&file);
        assert!(n == expected || n == VALUE.len() as i32 || n == -libc::EOPNOTSUPP, "{n}");
        rig.memory()[..8].fill(0);
        let sqe = entry(&file, rig.at, 8);
        assert_eq!((rig.run(sqe), &rig.memory()[..8]), (n, &value[..]));
        let too_short = rig.run(entry(&file, rig.at, 2));
        assert_eq!(too_short, if n > 0 { -libc::ERANGE } else { n });
        assert_eq!(rig.run(entry(&file, ptr::null_mut(), 0)), n, "the size alone");
    }
}

fn fgetxattr(rig: &mut Rig) -> Result<(), i32> {
    gets_alike(rig, |file, value, len| Sqe::fgetxattr(file.as_raw_fd(), NAME.as_ptr(), value, len));
    Ok(())
}

fn getxattr(rig: &mut Rig) -> Result<(), i32> {
    let path = rig.path("attribute");
    gets_alike(rig, |_, value, len| Sqe::getxattr(path.as_ptr(), NAME.as_ptr(), value, len));
    Ok(())
}
