//! What does not compile: the claims of `annulus::ring` about lifetimes, threads and `unsafe`.
//!
//! Each claim is a pair of snippets for one function. The first is right and has to compile; the second breaks the
//! claim, and the compiler has to refuse it with that error and no other.
#![cfg(not(annulus_kqueue))] // there is no ring

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

/// Red when the claim does not hold; `error` is the compiler's code for it.
struct Claim {
    name: &'static str,
    error: &'static str,
    good: &'static str,
    bad: &'static str,
}

const fn claim(name: &'static str, error: &'static str, good: &'static str, bad: &'static str) -> Claim {
    Claim { name, error, good, bad }
}

/// What the snippets stand in.
const FRAME: &str = "
    #![allow(unused)]
    use annulus::{entry::*, ring::*};
    use std::{io, mem, os::fd::*, thread, time::Duration};
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    fn ring() -> Ring { Ring::new(4).unwrap() }
";

const LIFETIMES: &[Claim] = &[
    claim(
        "nothing_is_pushed_while_completions_are_read",
        "E0499",
        "let mut ring = ring(); let all = ring.completions(); drop(all); unsafe { ring.push(&Sqe::nop()) };",
        "let mut ring = ring(); let all = ring.completions(); unsafe { ring.push(&Sqe::nop()) }; drop(all);",
    ),
    claim(
        "nothing_is_submitted_while_completions_are_read",
        "E0499",
        "let mut ring = ring(); for cqe in ring.completions() {} ring.submit();",
        "let mut ring = ring(); for cqe in ring.completions() { ring.submit(); }",
    ),
    claim(
        "completions_are_read_by_one_at_a_time",
        "E0499",
        "let mut ring = ring(); ring.completions().next(); ring.completions().next();",
        "let mut ring = ring(); let mut first = ring.completions(); ring.completions().next(); first.next();",
    ),
    claim(
        "a_ring_stays_while_its_completions_are_read",
        "E0505",
        "let mut ring = ring(); let all = ring.completions(); drop(all); drop(ring);",
        "let mut ring = ring(); let all = ring.completions(); drop(ring); drop(all);",
    ),
    claim(
        "completions_do_not_outlive_their_ring",
        "E0597",
        "let mut ring = ring(); let all = { ring.completions() }; drop(all);",
        "let all = { let mut ring = ring(); ring.completions() }; drop(all);",
    ),
    claim(
        "a_signal_mask_outlives_the_wait",
        "E0597",
        "let mask = unsafe { mem::zeroed() }; let enter = { Enter { sigmask: Some(&mask), ..Enter::default() } };
         ring().enter(&enter);",
        "let enter = { let mask = unsafe { mem::zeroed() }; Enter { sigmask: Some(&mask), ..Enter::default() } };
         ring().enter(&enter);",
    ),
];

const THREADS: &[Claim] = &[
    claim("a_ring_is_not_shared", "E0277", "is_send::<Ring>();", "is_sync::<Ring>();"),
    claim(
        "a_ring_has_one_writer",
        "E0277",
        "let mut ring = ring(); thread::spawn(move || ring.submit());",
        "let ring = ring(); thread::scope(|scope| { scope.spawn(|| ring.features()); });",
    ),
    claim("a_reference_to_a_ring_is_not_sent", "E0277", "is_send::<Builder>();", "is_send::<&Ring>();"),
    claim(
        "completions_stay_on_their_thread",
        "E0277",
        "is_send::<Cqe>(); is_sync::<Cqe>(); is_send::<Sqe>(); is_sync::<Sqe>();",
        "is_send::<Completions<'static>>();",
    ),
    claim("completions_are_not_shared", "E0277", "is_sync::<Probe>();", "is_sync::<Completions<'static>>();"),
    claim("nobody_has_a_ring_twice", "E0599", "ring().setup_flags().clone();", "ring().clone();"),
];

const UNSAFE: &[Claim] = &[
    claim(
        "a_push_lends_memory",
        "E0133",
        "let mut byte = 0; unsafe { ring().push(&Sqe::read(0, &raw mut byte, 1, 0)) };",
        "let mut byte = 0; ring().push(&Sqe::read(0, &raw mut byte, 1, 0));",
    ),
    claim(
        "any_registration_may_lend",
        "E0133",
        "unsafe { ring().register(0, std::ptr::null_mut(), 0) };",
        "ring().register(0, std::ptr::null_mut(), 0);",
    ),
    claim(
        "registered_memory_is_lent",
        "E0133",
        "let mut page = [0; 9]; unsafe { ring().register_buffers(&[IoVec::new(page.as_mut_ptr(), 9)], &[]) };",
        "let mut page = [0; 9]; ring().register_buffers(&[IoVec::new(page.as_mut_ptr(), 9)], &[]);",
    ),
];

/// The numbers that an entry names things by.
const NAMES: &[Claim] = &[
    claim(
        "a_buffer_is_no_group",
        "E0308",
        "Sqe::read_fixed(0, std::ptr::null_mut(), 0, 0, BufIndex(1)); Sqe::nop().buffer_select(BufGroup(1));",
        "Sqe::read_fixed(0, std::ptr::null_mut(), 0, 0, BufGroup(1));",
    ),
    claim("a_group_is_no_number", "E0308", "Sqe::nop().buffer_select(BufGroup(1));", "Sqe::nop().buffer_select(1);"),
    claim("a_place_is_no_descriptor", "E0308", "Sqe::nop().direct(FixedFile(1));", "Sqe::nop().direct(1);"),
    claim("a_buffer_is_no_file", "E0277", "Sqe::fsync(FixedFile(1), true);", "Sqe::fsync(BufIndex(1), true);"),
    claim("a_number_without_a_kind_is_no_file", "E0277", "Sqe::fsync(1_i32, true);", "Sqe::fsync(1_u32, true);"),
    claim(
        "nobody_adds_a_kind_of_target",
        "E0277",
        "#[derive(Clone, Copy)] struct Mine; fn aims<T: Target>(target: T) -> Sqe { target.aim(Sqe::nop()) }",
        "#[derive(Clone, Copy)] struct Mine; impl Target for Mine { fn aim(self, sqe: Sqe) -> Sqe { sqe } }",
    ),
    claim(
        "a_borrowed_descriptor_is_open",
        "E0505",
        "let file = io::stdin(); let file = file.as_fd().try_clone_to_owned().unwrap();
         let fd = file.as_fd(); Sqe::fsync(fd, true); drop(file);",
        "let file = io::stdin(); let file = file.as_fd().try_clone_to_owned().unwrap();
         let fd = file.as_fd(); drop(file); Sqe::fsync(fd, true);",
    ),
];

/// What a ring has registered.
const REGISTERED: &[Claim] = &[
    claim(
        "a_file_is_open_while_it_is_registered",
        "E0505",
        "let file = io::stdin().as_fd().try_clone_to_owned().unwrap();
         let slots = [FileSlot::of(&file)]; ring().register_files(&slots, &[]); drop(file);",
        "let file = io::stdin().as_fd().try_clone_to_owned().unwrap();
         let slots = [FileSlot::of(&file)]; drop(file); ring().register_files(&slots, &[]);",
    ),
    claim(
        "a_buffer_of_a_group_is_lent",
        "E0133",
        "let mut group = BufRing::builder(BufGroup(0), 1).register(&ring()).unwrap();
         let mut page = [0; 9]; unsafe { group.add(0, page.as_mut_ptr(), 9) };",
        "let mut group = BufRing::builder(BufGroup(0), 1).register(&ring()).unwrap();
         let mut page = [0; 9]; group.add(0, page.as_mut_ptr(), 9);",
    ),
    claim(
        "bytes_are_looked_at_before_they_are_given_back",
        "E0502",
        "fn f(arena: &mut BufArena, part: Part) { let b = arena.bytes(&part); drop(b); arena.give(0); }",
        "fn f(arena: &mut BufArena, part: Part) { let b = arena.bytes(&part); arena.give(0); drop(b); }",
    ),
    claim(
        "a_bundle_is_looked_at_before_the_next",
        "E0499",
        "fn f(group: &mut BufRing, cqe: Cqe) { let all = group.take_bundle(&cqe); drop(all); group.take(&cqe); }",
        "fn f(group: &mut BufRing, cqe: Cqe) { let all = group.take_bundle(&cqe); group.take(&cqe); drop(all); }",
    ),
    claim(
        "a_group_is_taken_away_once",
        "E0382",
        "fn f(group: BufRing) { group.unregister(&ring()); }",
        "fn f(group: BufRing) { group.unregister(&ring()); group.unregister(&ring()); }",
    ),
];

/// The operations above the ring take their memory along, so that no program can lend what it does not own.
const OWNED: &[Claim] = &[
    claim(
        "an_operation_takes_no_borrowed_memory",
        "E0597",
        "async fn f(fd: annulus::Fd) { annulus::op::recv(&fd, vec![0; 9]).await; }",
        "async fn f(fd: annulus::Fd) { let mut b = [0; 9]; annulus::op::recv(&fd, &mut b[..]).await; }",
    ),
    claim(
        "memory_in_flight_is_not_looked_at",
        "E0382",
        "async fn f(fd: annulus::Fd, b: Vec<u8>) { let (n, b) = annulus::op::recv(&fd, b).await; drop(b); }",
        "async fn f(fd: annulus::Fd, b: Vec<u8>) { let reading = annulus::op::recv(&fd, b); drop(b); reading.await; }",
    ),
];

/// The compiler that made this test, and what it has to know of the library.
struct Compiler {
    rustc: PathBuf,
    rlib: PathBuf,
    /// Where it writes what nobody reads.
    place: PathBuf,
}

impl Compiler {
    /// The newest build of the library that this compiler can read: there may be others with other features.
    fn new(name: &str) -> Compiler {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compile_{name}"));
        fs::create_dir_all(&place).unwrap();
        let cargo = PathBuf::from(env::var_os("CARGO").unwrap_or_default());
        let rustc = cargo.with_file_name("rustc");
        let rustc = env::var_os("RUSTC").map_or(if rustc.exists() { rustc } else { "rustc".into() }, PathBuf::from);
        let age = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let files = fs::read_dir(deps()).unwrap().map(|file| file.unwrap().path());
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("libannulus-") && name.ends_with(".rlib")
        };
        let mut rlibs: Vec<_> = files.filter(ours).collect();
        rlibs.sort_by_key(|path| age(path));
        let this = |rlib| Compiler { rustc: rustc.clone(), rlib, place: place.clone() };
        rlibs
            .into_iter()
            .rev()
            .map(this)
            .find(|it| it.errors("").is_ok())
            .expect("a library that an empty program compiles with")
    }

    /// Compiles a function with `body`: nothing, or what the compiler says.
    fn errors(&self, body: &str) -> Result<(), String> {
        let mut library = std::ffi::OsString::from("annulus=");
        library.push(&self.rlib);
        let mut command = Command::new(&self.rustc);
        command.args(["--edition", "2024", "--crate-name", "claim", "--crate-type", "lib", "--emit", "metadata", "-"]);
        command.arg("--extern").arg(library).arg("-L").arg(deps()).arg("-o").arg(self.place.join("claim.rmeta"));
        command.env_remove("RUSTC_LOG").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a compiler");
        let program = format!("{FRAME} fn claim() {{ {body} }}");
        child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

/// The folder of this test, which is that of all libraries.
fn deps() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

/// The codes in what the compiler said.
fn codes(said: &str) -> Vec<&str> {
    let coded = said.lines().filter_map(|line| line.strip_prefix("error["));
    coded.map(|rest| rest.split(']').next().unwrap_or("")).collect()
}

fn hold(claims: &[Claim]) {
    let compiler = Compiler::new(claims[0].name);
    let mut faults = String::new();
    for Claim { name, error, good, bad } in claims {
        if let Err(said) = compiler.errors(good) {
            faults += &format!("{name}: what is right does not compile:\n{said}\n");
        }
        match compiler.errors(bad) {
            Ok(()) => faults += &format!("{name}: what is wrong compiles\n"),
            Err(said) if codes(&said).is_empty() || codes(&said).iter().any(|code| code != error) => {
                faults += &format!("{name}: refused, but not with {error} alone:\n{said}\n");
            }
            Err(_) => {}
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// Red when an iterator over completions does not hold its ring.
#[test]
fn lifetimes_of_the_ring() {
    hold(LIFETIMES);
}

/// T16. Red when a ring, or what borrows it, can be used by two threads.
#[test]
fn t16_threads_and_the_ring() {
    hold(THREADS);
}

/// Red when memory can be lent by a safe call.
#[test]
fn what_lends_is_unsafe() {
    hold(UNSAFE);
}

/// Red when one kind of number is taken for another.
#[test]
fn numbers_have_kinds() {
    hold(NAMES);
}

/// T28. Red when what is registered can be freed, looked at or lent by a safe call too early.
#[test]
fn what_is_registered_is_held() {
    hold(REGISTERED);
}

/// T6, T25. Red when an operation takes memory that its caller still has.
#[test]
fn operations_own_their_memory() {
    hold(OWNED);
}

/// The harness can fail: it sees what compiles and should not, and another error than the one that is named.
#[test]
fn a_claim_that_does_not_hold_is_told() {
    let wrong = [
        claim("compiles", "E0277", "is_send::<Ring>();", "is_send::<Ring>();"),
        claim("another_error", "E0277", "is_send::<Ring>();", "ring().clone();"),
        claim("the_control_fails", "E0599", "ring().copy();", "ring().clone();"),
    ];
    for claim in wrong {
        let name = claim.name;
        assert!(std::panic::catch_unwind(|| hold(&[claim])).is_err(), "{name}");
    }
}
