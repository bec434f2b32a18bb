//! Counts the instructions and the system calls of this thread, by letting it run step by step.
//!
//! With the trap flag set, the processor stops after each instruction and the kernel sends SIGTRAP, whose handler looks
//! at what comes next. That needs no privileges, no hardware counters and no second process, and whatever the machine
//! does meanwhile, the count is the same. It takes some microseconds for each instruction. What the kernel executes is
//! not in it.

use crate::counting::Counts;
use std::{
    cell::UnsafeCell,
    fs, io, mem,
    ops::Range,
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

/// System calls have smaller numbers.
const NUMBERS: usize = 512;

/// What the handler writes to.
struct Tally {
    last: usize,
    own: u64,
    libc: u64,
    calls: [u64; NUMBERS],
    text: Range<usize>,
    vdso: Range<usize>,
    /// For each byte of the text, how often an instruction was executed that begins there. Empty if nobody asked.
    places: Vec<u32>,
}

struct Shared(UnsafeCell<Tally>);

// SAFETY: `Stepper` is there once, and its thread is the only one whose trap flag is ever set.
unsafe impl Sync for Shared {}

static TALLY: Shared = Shared(UnsafeCell::new(Tally {
    last: 0,
    own: 0,
    libc: 0,
    calls: [0; NUMBERS],
    text: 0..0,
    vdso: 0..0,
    places: Vec::new(),
}));

/// The one that counts. It stays on the thread that made it.
pub struct Stepper {
    /// What a stretch costs that has nothing in it.
    empty: (u64, u64),
    stretches: u64,
    /// Not to be sent.
    _here: *const (),
}

impl Stepper {
    /// `places` asks where the instructions are.
    ///
    /// # Errors
    /// When the program's memory cannot be found.
    ///
    /// # Panics
    /// The second time.
    pub fn new(places: bool) -> io::Result<Stepper> {
        static MADE: AtomicBool = AtomicBool::new(false);
        assert!(!MADE.swap(true, Ordering::Relaxed), "there is one stepper");
        let (text, vdso) = (mapped(&fs::read_link("/proc/self/exe")?.to_string_lossy())?, mapped("[vdso]")?);
        // SAFETY: nothing is counted yet, so nobody else looks at it.
        let tally = unsafe { &mut *TALLY.0.get() };
        tally.places = if places { vec![0; text.len()] } else { Vec::new() };
        (tally.text, tally.vdso) = (text, vdso);
        // SAFETY: all zero is an action without flags.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = on_step as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the handler only touches the tally, and the memory that the kernel gives it.
        if unsafe { libc::sigaction(libc::SIGTRAP, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut stepper = Stepper { empty: (0, 0), stretches: 0, _here: ptr::null() };
        stepper.go_on();
        stepper.stop();
        let counts = stepper.take();
        stepper.empty = (counts.own, counts.libc);
        Ok(stepper)
    }

    /// Counts from here.
    pub fn go_on(&mut self) {
        self.stretches += 1;
        // SAFETY: sets the trap flag, and SIGTRAP has a handler.
        unsafe { std::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    }

    /// Counts until here.
    #[expect(clippy::unused_self, reason = "who counts can stop")]
    pub fn stop(&self) {
        // SAFETY: clears the trap flag.
        unsafe { std::arch::asm!("pushfq", "and qword ptr [rsp], -0x101", "popfq") };
    }

    /// What was counted since this was last called, less what counting cost.
    pub fn take(&mut self) -> Counts {
        // SAFETY: nothing is counted now.
        let tally = unsafe { &mut *TALLY.0.get() };
        let (calls, stretches) = (mem::replace(&mut tally.calls, [0; NUMBERS]), mem::take(&mut self.stretches));
        Counts {
            own: mem::take(&mut tally.own).saturating_sub(stretches * self.empty.0),
            libc: mem::take(&mut tally.libc).saturating_sub(stretches * self.empty.1),
            calls: (0..).zip(calls).filter(|&(_, count)| count > 0).collect(),
        }
    }

    /// How often each instruction was executed since this was last called, by its address in the program's file.
    #[expect(clippy::unused_self, reason = "who counts knows where")]
    pub fn take_places(&mut self) -> Vec<(u64, u32)> {
        // SAFETY: nothing is counted now.
        let tally = unsafe { &mut *TALLY.0.get() };
        let places = tally.places.iter_mut().zip(0..).filter(|(count, _)| **count > 0);
        places.map(|(count, place)| (place, mem::take(count))).collect()
    }
}

/// From where to where this is mapped.
fn mapped(name: &str) -> io::Result<Range<usize>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let lines =
        maps.lines().filter(|line| line.ends_with(name)).filter_map(|line| line.split(' ').next()?.split_once('-'));
    let number = |text| usize::from_str_radix(text, 16).ok();
    let all = lines.filter_map(|(start, end)| Some(number(start)?..number(end)?));
    let whole = all.reduce(|all, next| all.start.min(next.start)..all.end.max(next.end));
    whole.ok_or_else(|| io::Error::other(format!("{name} is not mapped")))
}

/// Counts the instruction that is executed next.
extern "C" fn on_step(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a handler with SA_SIGINFO this, for the time of the call.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    // SAFETY: the thread that is stepped is here, and nobody else.
    let tally = unsafe { &mut *TALLY.0.get() };
    let at = registers[libc::REG_RIP as usize] as usize;
    // A string instruction stops after each round.
    if mem::replace(&mut tally.last, at) == at || tally.vdso.contains(&at) {
        return;
    }
    if tally.text.contains(&at) {
        tally.own += 1;
        if let Some(count) = tally.places.get_mut(at - tally.text.start) {
            *count += 1;
        }
    } else {
        tally.libc += 1;
    }
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    // SAFETY: this is executed next, so its first byte can be read, and no instruction of one byte ends a mapping here.
    if unsafe { (at as *const [u8; 2]).read_unaligned() } == SYSCALL {
        let number = registers[libc::REG_RAX as usize] as usize;
        tally.calls[number.min(NUMBERS - 1)] += 1;
    }
}
