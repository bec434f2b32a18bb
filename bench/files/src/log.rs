//! The log that is written: records of one size behind each other, from the start again when its end is reached. A
//! record begins and ends with its number, and afterwards the file is read to see that each is where it belongs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::store::dir;

/// Bytes of the log. They are there from the start, so that no write changes the file's size or its map of blocks.
const SIZE: u64 = 16 << 20;

/// A log of this process's own.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    record: u64,
}

impl Log {
    /// Makes one for records of so many bytes, a power of two.
    ///
    /// # Errors
    /// Those of writing it.
    pub fn new(record: usize) -> io::Result<Log> {
        let path = dir()?.join(format!("log-{}", std::process::id()));
        fs::write(&path, vec![0xa5; SIZE as usize])?;
        File::open(&path)?.sync_all()?;
        Ok(Log { path, record: record as u64 })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the record of this number is.
    #[must_use]
    pub fn place(&self, number: u64) -> u64 {
        number * self.record % SIZE
    }

    /// How many records, from this one on, are behind each other.
    #[must_use]
    pub fn room(&self, number: u64) -> usize {
        ((SIZE - self.place(number)) / self.record) as usize
    }

    /// Makes a record of these bytes.
    pub fn stamp(record: &mut [u8], number: u64) {
        let (name, end) = (number.to_le_bytes(), record.len() - 8);
        record[..8].copy_from_slice(&name);
        record[end..].copy_from_slice(&name);
    }

    /// Reads what `written` records have left.
    ///
    /// # Errors
    /// Those of reading; one of its own for a record that is not what it should be.
    pub fn verify(&self, written: u64) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let mut record = vec![0; self.record as usize];
        for number in written.saturating_sub(SIZE / self.record)..written {
            file.read_exact_at(&mut record, self.place(number))?;
            let mut wanted = record.clone();
            Log::stamp(&mut wanted, number);
            if wanted != record {
                return Err(io::Error::other(format!("record {number} was not written")));
            }
        }
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Beside build products nobody misses the space that a failure leaves in use.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::{Log, SIZE};
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_record_that_is_missing_is_noticed_and_the_start_follows_the_end() {
        let log = Log::new(4096).unwrap();
        let file = File::options().write(true).open(log.path()).unwrap();
        let all = SIZE / 4096;
        let mut record = vec![7; 4096];
        for number in 0..=all {
            Log::stamp(&mut record, number);
            file.write_all_at(&record, log.place(number)).unwrap();
        }
        log.verify(all + 1).unwrap();
        assert!(log.verify(all + 2).unwrap_err().to_string().contains(&format!("record {} ", all + 1)));
        assert_eq!((log.room(all - 1), log.room(all)), (1, all as usize));
    }
}
