//! Bytes into a buffer, and out of it, without a copy in between: each method does one read or one
//! write.

use std::io::{self, Read, Write};

use super::Buffer;

impl Buffer {
    /// Appends what one `read` returns. It reads at most as much as there is room for, so
    /// [`reserve`](Self::reserve) room first: without any, it returns 0.
    ///
    /// # Errors
    ///
    /// Returns the error of `read`; the buffer is then unchanged.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let count = source.read(&mut self.storage[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Appends what one `read` returns: at most `most` bytes, behind a prefix. `prefix` appends the
    /// prefix of so many bytes. If nothing is read, there is no prefix either.
    ///
    /// It makes room first. What if `read` returns fewer than `most` bytes? Then they move to the end of
    /// their shorter prefix. All others are where they belong, without a copy.
    ///
    /// # Errors
    ///
    /// Returns the error of `read`; the buffer is then unchanged.
    pub(crate) fn read_behind(
        &mut self,
        source: &mut (impl Read + ?Sized),
        most: usize,
        prefix: impl Fn(&mut Buffer, usize),
    ) -> io::Result<usize> {
        let before = self.own();
        prefix(self, most);
        let length = self.own() - before;
        self.reserve(most);
        let place = self.end;
        self.end -= length; // also if `read` panics
        let room = &mut self.storage[place..place + most];
        let count = source.read(room)?.min(most);
        if count > 0 {
            prefix(self, count);
            if self.end < place {
                self.storage.copy_within(place..place + count, self.end);
            }
            self.end += count;
        }
        Ok(count)
    }

    /// Passes all bytes to one `write`, and drops those that it took. If there are kept blocks, it
    /// is one [`write_vectored`](Write::write_vectored) of the first few pieces.
    ///
    /// # Errors
    ///
    /// Returns the error of `write`, or `WriteZero` if it took nothing. The buffer is then
    /// unchanged.
    pub fn write_to(&mut self, sink: &mut impl Write) -> io::Result<usize> {
        let count = match &self.kept {
            Some(kept) if !kept.is_empty() => kept.write_to(self, sink)?,
            _ => sink.write(self)?,
        };
        if count == 0 && !self.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.consume(count);
        Ok(count)
    }

    /// Makes room for `more` bytes, and appends as many as `write` says that it has written there.
    ///
    /// # Errors
    ///
    /// Returns the error of `write`; the buffer is then unchanged.
    #[cfg(feature = "tls")]
    pub(crate) fn write_with<E>(
        &mut self,
        more: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.reserve(more);
        self.end += write(&mut self.storage[self.end..])?;
        Ok(())
    }

    /// Returns the first bytes that lie together: all of them, unless there are kept blocks.
    #[cfg(feature = "tls")]
    pub(crate) fn first_piece(&self) -> &[u8] {
        match &self.kept {
            Some(kept) if !kept.is_empty() => kept.first_piece(self),
            _ => self,
        }
    }
}
