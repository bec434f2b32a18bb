//! Reads of a file into memory that the ring knows, and into the same memory where it does not; from the page cache,
//! and past it.

use crate::Bench;
use annulus::{Builder, DriverKind, fs::File, pool::FixedPool};
use std::{cell::Cell, fs, os::unix::fs::OpenOptionsExt, path::PathBuf};

const SIZES: [(usize, &str); 2] = [(4096, "4k"), (65536, "64k")];

pub(crate) fn all(bench: &mut Bench<'_>) {
    if bench.kind != DriverKind::Uring {
        return;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("micro-{}", std::process::id()));
    fs::write(&path, vec![7; 1 << 20]).unwrap();
    fs::File::open(&path).and_then(|file| file.sync_all()).unwrap();
    for (place, flags) in [("cached", 0), ("direct", libc::O_DIRECT)] {
        let Ok(file) = fs::File::options().read(true).custom_flags(flags).open(&path) else { continue };
        let file = File::from_std(file).unwrap();
        for (size, name) in SIZES {
            // What another runtime has made is plain memory here.
            let elsewhere = Builder::new().driver(DriverKind::Poll).build().unwrap();
            let plain = elsewhere.block_on(pool(size));
            let fixed = bench.runtime.block_on(pool(size));
            read(bench, &format!("read {place}/{name} plain"), &file, &plain);
            if fixed.is_registered() {
                read(bench, &format!("read {place}/{name} fixed"), &file, &fixed);
            }
        }
    }
    fs::remove_file(&path).unwrap();
}

async fn pool(size: usize) -> FixedPool {
    FixedPool::builder().class(size, 1).build().unwrap()
}

fn read(bench: &mut Bench<'_>, name: &str, file: &File, pool: &FixedPool) {
    let place = Cell::new(pool.try_take(1));
    bench.each(name, async || {
        let buf = place.take().unwrap();
        let size = buf.capacity();
        let (n, buf) = file.read_at(buf, 0).await;
        assert_eq!(n.unwrap(), size);
        place.set(Some(buf));
    });
}
