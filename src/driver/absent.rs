//! The kernel's ring, where there is none: nobody can make one, so nothing here ever runs.

use crate::{
    buf::Group,
    driver::{
        Call, Config, Counters, Wait, WakeHandle,
        slots::{Key, Slot},
        source::SourceId,
        survey::{Attempt, RingInfo},
    },
    entry::{Cqe, Interest, Sqe},
};
use std::{io, ops::Range, os::fd::RawFd};

/// The uring backend that there is not. The field is private to make it a type like any other outside of this file.
pub(super) struct Uring(Never);

enum Never {}

impl Uring {
    pub(super) fn new(_config: &Config, _bell: &WakeHandle) -> io::Result<Uring> {
        Err(absent())
    }

    pub(super) fn knows(&self, _opcode: u8) -> bool {
        match self.0 {}
    }

    pub(super) fn push_plain(&mut self, _sqe: &mut Sqe, _counters: &mut Counters) {
        match self.0 {}
    }

    pub(super) fn spelled(&self, _slot: &mut Slot, _size: u32) -> Sqe {
        match self.0 {}
    }

    pub(super) fn refuses_to_wait(&mut self, _sqe: &Sqe, _cqe: Cqe) -> bool {
        match self.0 {}
    }

    pub(super) fn learns_from(&self, _sqe: &Sqe) -> bool {
        match self.0 {}
    }

    pub(super) fn reports_usage(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn lacks(&mut self, _flag: &'static str) {
        match self.0 {}
    }

    pub(super) fn provide(&mut self, _group: &Group, _id: u16) -> io::Result<bool> {
        match self.0 {}
    }

    pub(super) fn withdraw(&mut self, _id: u16) {
        match self.0 {}
    }

    pub(super) fn leave_table(&mut self) {
        match self.0 {}
    }

    pub(super) fn has_table(&mut self) -> bool {
        match self.0 {}
    }

    /// # Safety
    /// None: nobody can call it.
    pub(super) unsafe fn register(&mut self, _memory: Range<*mut u8>) -> io::Result<u16> {
        match self.0 {}
    }

    pub(super) fn unregister(&mut self, _index: u16) {
        match self.0 {}
    }

    pub(super) fn is_idle(&mut self) -> bool {
        match self.0 {}
    }

    pub(super) fn may_call_first(&mut self) -> bool {
        match self.0 {}
    }

    pub(super) fn may_call(&mut self) -> bool {
        match self.0 {}
    }

    pub(super) fn watch(&mut self, _slot: &mut Slot, _wanted: bool, _counters: &mut Counters) -> Option<SourceId> {
        match self.0 {}
    }

    pub(super) fn leave_watch(&mut self, _id: SourceId, _key: Key) {
        match self.0 {}
    }

    pub(super) fn next_left(&mut self, _id: SourceId) -> Option<Key> {
        match self.0 {}
    }

    pub(super) fn next_served(&mut self, _id: SourceId, _counters: &mut Counters) -> Option<Key> {
        match self.0 {}
    }

    pub(super) fn answered(&mut self, _id: SourceId, _res: i32, _sqe: &Sqe) -> bool {
        match self.0 {}
    }

    pub(super) fn next_told(&mut self) -> Option<SourceId> {
        match self.0 {}
    }

    pub(super) fn forget_watch(&mut self, _id: SourceId, _counters: &mut Counters) {
        match self.0 {}
    }

    pub(super) fn end_watches(&mut self, _counters: &mut Counters) {
        match self.0 {}
    }

    pub(super) fn has_watches(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn flush(&mut self, _counters: &mut Counters) {
        match self.0 {}
    }

    pub(super) fn push(&mut self, _sqe: &Sqe, _counters: &mut Counters) {
        match self.0 {}
    }

    pub(super) fn wait_for(&mut self, _key: Key, _fd: RawFd, _interest: Interest, _counters: &mut Counters) {
        match self.0 {}
    }

    pub(super) fn cancel(&mut self, _key: Key, _counters: &mut Counters) -> bool {
        match self.0 {}
    }

    pub(super) fn cancel_all(&mut self, _counters: &mut Counters) -> bool {
        match self.0 {}
    }

    pub(super) fn counted(&self, _counters: Counters) -> Counters {
        match self.0 {}
    }

    pub(super) fn rests(&mut self, _counters: &mut Counters) -> Option<Wait> {
        match self.0 {}
    }

    pub(super) fn descriptor(&self) -> io::Result<RawFd> {
        match self.0 {}
    }

    pub(super) fn turn(&mut self, _wait: Wait, _done: &mut Vec<Cqe>, _counters: &mut Counters) -> io::Result<()> {
        match self.0 {}
    }
}

/// Nobody has it.
pub(super) const REPORT_USAGE: &str = "";

/// Nothing is asked for, so nothing is noted.
pub(super) fn look(_config: &Config, _tried: &mut Vec<Attempt>) -> io::Result<RingInfo> {
    Err(absent())
}

/// There are no calls of io_uring to ask about.
pub(super) fn ask() -> Vec<Call> {
    Vec::new()
}

fn absent() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this system has no io_uring: that is Linux's")
}
