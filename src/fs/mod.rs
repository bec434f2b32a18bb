//! Files. Each method is one line over an operation of [`op`](crate::op).

mod file;
mod options;

pub use file::File;
pub use options::OpenOptions;
