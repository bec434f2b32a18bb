//! Streams that are a descriptor and nothing else, so that the kernel can move their bytes by itself.

use crate::driver::Fd;

/// A stream whose bytes come as they are from one descriptor: nothing is kept back or changed on the way.
pub trait AsReadFd {
    /// What is read from. Whoever has it reads behind the stream's back, so the stream is borrowed as if to read.
    fn as_reader_fd(&mut self) -> &Fd;
}

/// A stream whose bytes go as they are to one descriptor: nothing is kept back or changed on the way.
pub trait AsWriteFd {
    /// What is written to. Whoever has it writes behind the stream's back, so the stream is borrowed as if to write.
    fn as_writer_fd(&mut self) -> &Fd;
}

impl AsReadFd for Fd {
    fn as_reader_fd(&mut self) -> &Fd {
        self
    }
}

impl AsWriteFd for Fd {
    fn as_writer_fd(&mut self) -> &Fd {
        self
    }
}

impl<T: AsReadFd + ?Sized> AsReadFd for &mut T {
    fn as_reader_fd(&mut self) -> &Fd {
        (**self).as_reader_fd()
    }
}

impl<T: AsWriteFd + ?Sized> AsWriteFd for &mut T {
    fn as_writer_fd(&mut self) -> &Fd {
        (**self).as_writer_fd()
    }
}
