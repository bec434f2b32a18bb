//! Reads a file with the ring alone: `cargo run --example ring -- README.md`.

#[cfg(not(annulus_kqueue))]
fn main() -> std::io::Result<()> {
    use annulus::ring::{Ring, Sqe};
    use std::{env, fs::File, io::Write, os::fd::AsRawFd};

    let file = File::open(env::args_os().nth(1).unwrap_or("Cargo.toml".into()))?;
    let mut ring = Ring::new(1)?;
    let (mut buf, mut offset) = (vec![0; 64 * 1024], 0);
    loop {
        let read = Sqe::read(file.as_raw_fd(), buf.as_mut_ptr(), buf.len() as u32, offset);
        // SAFETY: Lent: the buffer and the file stay as they are until the completion, or the process ends.
        unsafe { ring.push(&read) }?;
        let cqe = loop {
            match ring.submit_and_wait(1) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => std::process::abort(),
                _ => {}
            }
            if let Some(cqe) = ring.completions().next() {
                break cqe;
            }
        };
        match cqe.result()? {
            0 => return Ok(()),
            n => std::io::stdout().write_all(&buf[..n as usize])?,
        }
        offset += u64::from(cqe.res as u32);
    }
}

#[cfg(annulus_kqueue)]
fn main() {
    eprintln!("io_uring is Linux's own");
}
