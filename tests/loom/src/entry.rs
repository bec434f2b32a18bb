//! As much of an entry, its twin and its answer as the pool looks at.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sqe {
    pub(crate) user_data: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cqe {
    pub(crate) user_data: u64,
    pub(crate) res: i32,
}

impl Cqe {
    pub(crate) fn new(user_data: u64, res: i32) -> Cqe {
        Cqe { user_data, res }
    }
}

pub(crate) struct Twin(pub(crate) fn(&Sqe) -> i32);
