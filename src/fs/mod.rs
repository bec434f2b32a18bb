//! Files and directories. Each method is one line over an operation of [`op`](crate::op), or a few.
//!
//! On the ring they are the kernel's work as far as it has the opcode; for the rest, and on the poll driver, a thread
//! of the pool makes the system call, as it does where the kernel cannot make one of its own. What that means is the
//! same, and so are the errors: `EAGAIN` where the pool has no thread either, and gets none (`RLIMIT_NPROC`,
//! `pids.max`).
//!
//! ```
//! use annulus::fs;
//!
//! annulus::run(async {
//!     let dir = std::env::temp_dir().join(format!("annulus-fs-{}", std::process::id()));
//!     fs::create_dir_all(&dir).await?;
//!     let path = dir.join("greeting");
//!     fs::write(&path, "hello").await.0?;
//!     assert_eq!(fs::metadata(&path).await?.len(), 5);
//!     assert_eq!(fs::read_to_string(&path).await?, "hello");
//!     fs::remove_file(&path).await?;
//!     fs::remove_dir(&dir).await
//! })?;
//! # std::io::Result::Ok(())
//! ```

mod dir;
mod file;
mod file_type;
mod metadata;
mod names;
mod options;
mod whole;

pub use dir::{DirBuilder, create_dir, create_dir_all};
pub use file::File;
pub use file_type::FileType;
pub use metadata::{Metadata, metadata, symlink_metadata};
pub use names::{hard_link, remove_dir, remove_file, rename, symlink};
pub use options::OpenOptions;
pub use std::fs::Permissions;
pub use whole::{read, read_to_string, write};
