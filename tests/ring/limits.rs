//! What a ring may do, and as whom: restrictions, filters and credentials.

use crate::{child::in_child, common::*};
use annulus::{
    entry::Interest,
    ring::{Filter, Personality, Restrictions, Ring, SetupFlags, Sqe, SqeFlags, filter_thread, restrict_thread},
    sys,
};
use std::{
    fs,
    io::{self, Write},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
};

const EACCES: i32 = -libc::EACCES;

/// The results of these entries, one by one.
fn results<const N: usize>(ring: &mut Ring, entries: [Sqe; N]) -> [i32; N] {
    entries.map(|sqe| {
        push(ring, sqe).unwrap();
        ring.submit_and_wait(1).unwrap();
        ring.completions().next().unwrap().res
    })
}

/// A poll of what can always be read.
fn poll(file: &fs::File) -> Sqe {
    Sqe::poll_add(file.as_raw_fd(), Interest::Read)
}

/// A ring that is not enabled yet, with these restrictions.
fn restricted(name: &str, restrictions: &Restrictions) -> Option<Ring> {
    let ring = ring_or_skip(name, 4, SetupFlags::R_DISABLED)?;
    ring.restrict(restrictions).unwrap();
    Some(ring)
}

/// Red when an opcode, a registration or a flag is allowed that was not, or refused that was.
#[test]
fn a_restricted_ring_does_what_it_may() {
    let nop = sys::IORING_OP_NOP as u8;
    let may = Restrictions::new().opcode(nop).registration(sys::IORING_REGISTER_PROBE as u8).flags(SqeFlags::ASYNC);
    let Some(mut ring) = restricted("a_restricted_ring", &may) else { return };
    assert_eq!(os_error(ring.restrict(&may)), Some(libc::EBUSY), "once");
    ring.enable().unwrap();
    assert_eq!(os_error(ring.restrict(&may)), Some(libc::EACCES), "not allowed either");
    let file = fs::File::open("Cargo.toml").unwrap();
    let linked = Sqe::nop().link();
    assert_eq!(results(&mut ring, [Sqe::nop(), poll(&file), Sqe::nop().run_async(), linked]), [0, EACCES, 0, EACCES]);
    assert!(ring.probe().unwrap().supports(nop));
    assert_eq!(os_error(ring.register_personality()), Some(libc::EACCES));
}

/// Red when what is required is only allowed.
#[test]
fn a_restricted_ring_demands_flags() {
    let may = Restrictions::new().opcode(sys::IORING_OP_NOP as u8).required_flags(SqeFlags::ASYNC);
    let Some(mut ring) = restricted("a_restricted_ring_demands_flags", &may) else { return };
    ring.enable().unwrap();
    assert_eq!(results(&mut ring, [Sqe::nop(), Sqe::nop().run_async()]), [EACCES, 0]);
}

/// Red when a ring with no permissions has some.
#[test]
fn nothing_is_allowed_that_was_not_named() {
    let Some(mut ring) = restricted("nothing_is_allowed", &Restrictions::new()) else { return };
    ring.enable().unwrap();
    assert_eq!(results(&mut ring, [Sqe::nop()]), [EACCES]);
    assert_eq!(os_error(ring.probe()), Some(libc::EACCES));
}

/// Red when a ring that runs is restricted, or an opcode that is none is allowed.
#[test]
fn restrictions_come_before_all_else() {
    let ring = ring!("restrictions_come_before_all_else", 4);
    assert_eq!(os_error(ring.restrict(&Restrictions::new())), Some(libc::EBADFD));
    let ring = ring!("restrictions_come_before_all_else", 4, SetupFlags::R_DISABLED);
    assert_eq!(os_error(ring.restrict(&Restrictions::new().opcode(255))), Some(libc::EINVAL));
    ring.restrict(&Restrictions::new()).unwrap();
}

/// Makes the promise without which only the administrator may restrict a thread.
fn no_new_privileges() -> bool {
    // SAFETY: a promise of this process, which is a child of its own.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 }
}

/// Since Linux 7.0; before, it is refused. Red when it restricts nothing, or is refused in another way.
#[test]
fn a_threads_rings_do_what_they_may() {
    let _ = ring!("a_threads_rings_do_what_they_may", 1);
    assert!(in_child(|| {
        let nop = Restrictions::new().opcode(sys::IORING_OP_NOP as u8);
        if !no_new_privileges() {
            return false;
        }
        if let Err(e) = restrict_thread(&nop) {
            return matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EBADF)); // before Linux 7.0
        }
        let file = fs::File::open("Cargo.toml").unwrap();
        let mut ring = Ring::new(4).unwrap();
        results(&mut ring, [Sqe::nop(), poll(&file)]) == [0, EACCES]
            && os_error(ring.probe()) == Some(libc::EACCES)
            && os_error(restrict_thread(&nop)) == Some(libc::EPERM)
    }));
}

/// Since Linux 7.0; before, it is refused. Red when it filters nothing, or is refused in another way.
#[test]
fn a_filter_decides_of_entries() {
    let mut ring = ring!("a_filter_decides_of_entries", 4);
    let file = fs::File::open("Cargo.toml").unwrap();
    let refused = |e: io::Error| matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EBADF));
    match ring.register_filter(&Filter::deny(sys::IORING_OP_POLL_ADD as u8)) {
        Err(e) => assert!(refused(e)),
        Ok(()) => assert_eq!(results(&mut ring, [Sqe::nop(), poll(&file)]), [0, EACCES]),
    }
    let allow = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 1 }];
    assert!(in_child(|| {
        let only = Filter::new(sys::IORING_OP_NOP as u8, &allow).deny_rest();
        if let Err(e) = filter_thread(&only) {
            // Without the promise only for want of privileges, or of the kernel's knowledge.
            return refused(e);
        }
        let mut ring = Ring::new(4).unwrap();
        results(&mut ring, [Sqe::nop(), poll(&file)]) == [0, EACCES]
    }));
    let empty = Filter::new(sys::IORING_OP_NOP as u8, &[]);
    assert_eq!(os_error(ring.register_filter(&empty)), Some(libc::EINVAL));
}

/// Red when the id is not the kernel's.
#[test]
fn credentials_have_an_id() {
    let mut ring = ring!("credentials_have_an_id", 4, SetupFlags::SUBMIT_ALL);
    let [one, two] = [ring.register_personality().unwrap(), ring.register_personality().unwrap()];
    assert!(one != two && one.0 != 0 && two.0 != 0);
    ring.unregister_personality(one).unwrap();
    assert_eq!(os_error(ring.unregister_personality(one)), Some(libc::EINVAL));
    assert_eq!(os_error(ring.unregister_personality(Personality(0))), Some(libc::EINVAL));
    let both = [Sqe::nop().personality(two), Sqe::nop().personality(one)];
    assert_eq!(results(&mut ring, both), [0, -libc::EINVAL]);
}

/// What a ring was told by the administrator, it may do for somebody who is not. Red when an entry acts as its thread.
#[test]
fn an_entry_acts_with_registered_credentials() {
    let _ = ring!("an_entry_acts_with_registered_credentials", 1);
    let path = std::env::temp_dir().join(format!("annulus-credentials-{}", std::process::id()));
    fs::File::create(&path).unwrap().write_all(b"mine").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    let good = in_child(|| {
        let mut ring = Ring::new(4).unwrap();
        let mine = ring.register_personality().unwrap();
        // SAFETY: changes who this process is, which is a child of its own.
        if unsafe { libc::seteuid(65534) } != 0 {
            return true; // who is not the administrator cannot be somebody else
        }
        let open = Sqe::openat(libc::AT_FDCWD, name.as_ptr(), libc::O_RDONLY, 0);
        let [as_nobody, as_before] = results(&mut ring, [open, open.personality(mine)]);
        as_nobody == EACCES && as_before >= 0
    });
    fs::remove_file(&path).unwrap();
    assert!(good);
}
