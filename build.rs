//! Three jobs: say where the kernel's ABI is (committed, or generated with the feature `bindgen`), derive the table of
//! opcode names from it, and say whether this is a system of kqueue (`cfg(annulus_kqueue)`) instead of epoll and
//! io_uring.

use std::{env, fmt::Write, fs, path::PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let bindings = bindings(&root, &out);
    println!("cargo:rustc-env=ANNULUS_BINDINGS={}", bindings.display());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", bindings.display());
    let text = fs::read_to_string(&bindings).unwrap_or_else(|e| panic!("{}: {e}", bindings.display()));
    fs::write(out.join("opcodes.rs"), opcode_table(&text)).expect("OUT_DIR is writable");
    if has_kqueue() {
        println!("cargo:rustc-cfg=annulus_kqueue");
    }
}

/// Whether the target has kqueue. On Linux, `--cfg annulus_kqueue="emulated"` or `"external"` (libkqueue) gives it one,
/// for tests; then it has neither epoll nor io_uring.
fn has_kqueue() -> bool {
    let system = env::var("CARGO_CFG_TARGET_OS").expect("cargo sets it");
    matches!(system.as_str(), "macos" | "freebsd" | "netbsd" | "openbsd")
        || env::var_os("CARGO_CFG_ANNULUS_KQUEUE").is_some()
}

/// The committed bindings: nobody needs libclang to build annulus. What they assert is so everywhere, but on 32-bit x86
/// numbers of 64 bits are aligned to 4. Sizes and offsets are the same there, and stay asserted.
#[cfg(not(feature = "bindgen"))]
fn bindings(root: &std::path::Path, out: &std::path::Path) -> PathBuf {
    let file = root.join("sys/bindings.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it") != "x86" {
        return file;
    }
    println!("cargo:rerun-if-changed={}", file.display());
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut parts = text.split("::align_of::<");
    let mut here = parts.next().expect("always a first").to_owned();
    for part in parts {
        let (type_, rest) = part.split_once('>').expect("the end of a type");
        let (_asserted, rest) = rest.split_once(']').expect("the end of an assertion");
        write!(here, "::align_of::<{type_}>() * 0]{rest}").expect("writing to a String");
    }
    let file = out.join("bindings.rs");
    fs::write(&file, here).expect("OUT_DIR is writable");
    file
}

/// Bindings made now, from `ANNULUS_KERNEL_HEADERS` (a folder that holds `linux/io_uring.h`) or the system's.
#[cfg(feature = "bindgen")]
fn bindings(root: &std::path::Path, out: &std::path::Path) -> PathBuf {
    println!("cargo:rerun-if-env-changed=ANNULUS_KERNEL_HEADERS");
    println!("cargo:rerun-if-changed=sys/kernel.h");
    let include = env::var("ANNULUS_KERNEL_HEADERS").unwrap_or_else(|_| "/usr/include".into());
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let file = out.join("bindings.rs");
    bindgen::Builder::default()
        .header(root.join("sys/kernel.h").to_str().expect("a UTF-8 path"))
        .clang_args([format!("-isystem{include}"), format!("-isystem{include}/{arch}-linux-gnu")])
        .allowlist_type("io_uring.*|io_sqring.*|io_cqring.*|io_wq.*|__kernel_timespec|open_how|futex_waitv|statx|zcrx.*")
        .allowlist_var("IORING_.*|IOSQE_.*|IOU_.*|IO_URING.*|IO_WQ.*|SPLICE_F_FD_IN_FIXED|ZCRX.*|SOCKET_URING.*|RESOLVE_.*|FUTEX2.*|STATX_.*")
        .allowlist_function("^$")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .derive_debug(false)
        .layout_tests(true)
        .use_core()
        .generate_comments(false)
        .clang_macro_fallback()
        .clang_macro_fallback_build_dir(out)
        .formatter(bindgen::Formatter::Rustfmt)
        .generate()
        .unwrap_or_else(|e| panic!("bindgen over {include}/linux/io_uring.h: {e}"))
        .write_to_file(&file)
        .expect("OUT_DIR is writable");
    file
}

/// `pub const OPCODES: [&str; LAST] = ["NOP", …]`, in the kernel's order.
fn opcode_table(bindings: &str) -> String {
    let mut names: Vec<(u32, &str)> = bindings
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix("pub const IORING_OP_")?.split_once(':')?;
            let value = rest.split_once('=')?.1.trim().trim_end_matches(';');
            Some((value.parse().ok()?, name))
        })
        .filter(|&(_, name)| name != "LAST")
        .collect();
    names.sort_unstable();
    let mut table = format!("/// Opcode names by number.\npub const OPCODES: [&str; {}] = [", names.len());
    for (i, (value, name)) in names.iter().enumerate() {
        assert_eq!(i as u32, *value, "opcode {name} leaves a hole in the table");
        write!(table, "{name:?}, ").expect("writing to a String");
    }
    table + "];\n"
}
