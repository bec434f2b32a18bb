//! What registrations take whose structures have members that bindgen had to name, made and read here.

use super::abi::{
    ZCRX_CTRL_ARM_EVENT, ZCRX_CTRL_EXPORT, ZCRX_CTRL_FLUSH_RQ, io_uring_bpf, io_uring_bpf__bindgen_ty_1,
    io_uring_bpf_filter, io_uring_restriction, io_uring_restriction__bindgen_ty_1, zcrx_ctrl, zcrx_ctrl__bindgen_ty_1,
    zcrx_ctrl_arm_event, zcrx_ctrl_export, zcrx_ctrl_flush_rq,
};

/// One rule: `kind` is an `IORING_RESTRICTION_*`, and `value` what it is about, an opcode or flags.
pub(crate) fn restriction(kind: u32, value: u8) -> io_uring_restriction {
    let about = io_uring_restriction__bindgen_ty_1 { sqe_op: value };
    io_uring_restriction { opcode: kind as u16, __bindgen_anon_1: about, ..io_uring_restriction::default() }
}

/// A command about filters.
pub(crate) fn filter_command(command: u32, filter: io_uring_bpf_filter) -> io_uring_bpf {
    let about = io_uring_bpf__bindgen_ty_1 { filter };
    io_uring_bpf { cmd_type: command as u16, __bindgen_anon_1: about, ..io_uring_bpf::default() }
}

fn control(id: u32, op: u32, about: zcrx_ctrl__bindgen_ty_1) -> zcrx_ctrl {
    zcrx_ctrl { zcrx_id: id, op, __bindgen_anon_1: about, ..zcrx_ctrl::default() }
}

/// Take what stands in the refill ring of the instance `id`.
pub(crate) fn zcrx_flush(id: u32) -> zcrx_ctrl {
    control(id, ZCRX_CTRL_FLUSH_RQ, zcrx_ctrl__bindgen_ty_1 { zc_flush: zcrx_ctrl_flush_rq::default() })
}

/// Make a descriptor of the instance `id`; [`zcrx_exported`] reads it.
pub(crate) fn zcrx_export(id: u32) -> zcrx_ctrl {
    control(id, ZCRX_CTRL_EXPORT, zcrx_ctrl__bindgen_ty_1 { zc_export: zcrx_ctrl_export::default() })
}

/// Tell of the next event of a kind, an `ZCRX_EVENT_*`.
pub(crate) fn zcrx_arm(id: u32, event: u32) -> zcrx_ctrl {
    let about = zcrx_ctrl_arm_event { event_type: event, ..zcrx_ctrl_arm_event::default() };
    control(id, ZCRX_CTRL_ARM_EVENT, zcrx_ctrl__bindgen_ty_1 { zc_arm_event: about })
}

/// What the kernel wrote in answer to [`zcrx_export`].
pub(crate) fn zcrx_exported(answer: &zcrx_ctrl) -> i32 {
    // SAFETY: Plain bytes: every member of the union is integers, and all of it was written.
    let about = unsafe { answer.__bindgen_anon_1.zc_export };
    about.zcrx_fd as i32
}
