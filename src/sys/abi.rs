//! `linux/io_uring.h`, as bindgen wrote it: `sys/bindings.rs`, or the file made by the feature `bindgen`.
#![allow(missing_docs, missing_debug_implementations, reason = "the documentation of these is the kernel's")]
#![allow(non_camel_case_types, non_snake_case, reason = "the kernel's names")]
#![allow(unsafe_op_in_unsafe_fn, clippy::all, reason = "generated")]
#![allow(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block, reason = "generated")]
#![allow(unreachable_pub, reason = "generated")]

include!(env!("ANNULUS_BINDINGS"));
