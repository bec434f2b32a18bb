//! Files: [`annulus::fs`].

pub use annulus::fs::*;
