//! A block of output: bytes that are owned, or that something else lends.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::budget::complain;
use super::failure::catch;

/// A block of bytes on its way to a client: a part of a body, or all of it.
///
/// A block owns a [`Vec`], or is static, or [lends](Block::lend) bytes that something else owns: a
/// page in a cache, a memory map, an object of another language. A large block is sent from where
/// its bytes are, without a copy. All kinds convert by `into`, and a block derefs to `[u8]`.
///
/// A clone of a static or lent block shares its bytes and allocates nothing.
///
/// ```
/// use serve_forever::http::{Block, HttpServer, Request, Response};
///
/// let page = Block::lend(vec![b'x'; 1 << 20]); // once, when the program starts
/// let server = HttpServer::bind("127.0.0.1:0", move |_: &Request<'_>, response: Response<'_>| {
///     response.send_response(200).body_block(page.clone())
/// })?;
/// # let _ = server;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Block {
    /// Where the bytes are.
    storage: Storage,
    /// Where the block begins in the storage.
    start: usize,
    /// Where it ends.
    end: usize,
}

#[derive(Clone)]
enum Storage {
    Owned(Vec<u8>),
    Static(&'static [u8]),
    Lent(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

/// What lends bytes. It may panic when it is dropped ([design law 10]). What if it did, while a panic
/// unwinds? Then the process would end.
///
/// [design law 10]: crate::spec#law-10
struct Owner<O>(Option<O>);

impl<O: AsRef<[u8]>> AsRef<[u8]> for Owner<O> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], O::as_ref)
    }
}

impl<O> Drop for Owner<O> {
    fn drop(&mut self) {
        let owner = self.0.take();
        if let Err(panic) = catch(|| drop(owner)) {
            complain("an owner of lent bytes panicked when it was dropped", panic);
        }
    }
}

impl Block {
    /// Lends the bytes of `owner`, which is dropped when the block and its clones have been sent.
    ///
    /// The loop's thread may be the one that drops it, and that reads its bytes, so neither may
    /// wait. The bytes must stay the same. If they become fewer, reading the block panics. Such a panic,
    /// or one of the owner, breaks the connection off, or becomes a 500 if nothing of the response is
    /// sent. A panic when the owner is dropped is only logged.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use serve_forever::http::Block;
    ///
    /// let page: Arc<str> = Arc::from("<h1>Hello</h1>");
    /// let block = Block::lend(StaticPage(Arc::clone(&page)));
    /// assert_eq!(&*block, b"<h1>Hello</h1>");
    ///
    /// struct StaticPage(Arc<str>);
    ///
    /// impl AsRef<[u8]> for StaticPage {
    ///     fn as_ref(&self) -> &[u8] {
    ///         self.0.as_bytes()
    ///     }
    /// }
    /// ```
    pub fn lend(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Block {
        Block::of(Storage::Lent(Arc::new(Owner(Some(owner)))))
    }

    /// Returns a block of all bytes in `storage`.
    fn of(storage: Storage) -> Block {
        let end = storage.bytes().len();
        Block {
            storage,
            start: 0,
            end,
        }
    }

    /// Drops `count` bytes from the front, or all bytes if there are fewer.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count.min(self.count());
    }

    /// Keeps only the first `count` bytes.
    #[inline]
    pub(crate) fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start + count);
    }

    /// Returns how many bytes there are, even if what lent them has fewer now.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.end - self.start
    }
}

impl Storage {
    fn bytes(&self) -> &[u8] {
        match self {
            Storage::Owned(bytes) => bytes,
            Storage::Static(bytes) => bytes,
            Storage::Lent(owner) => (**owner).as_ref(),
        }
    }
}

impl Deref for Block {
    type Target = [u8];

    /// Returns the bytes.
    ///
    /// # Panics
    ///
    /// Panics if what lends the bytes has fewer now. Their number is announced already, so whatever
    /// follows them would stand in their place.
    fn deref(&self) -> &[u8] {
        &self.storage.bytes()[self.start..self.end]
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Compares the bytes.
impl PartialEq for Block {
    fn eq(&self, other: &Block) -> bool {
        **self == **other
    }
}

impl Eq for Block {}

impl Default for Block {
    /// Returns a block without bytes.
    fn default() -> Block {
        Block::from(b"")
    }
}

impl From<Vec<u8>> for Block {
    fn from(bytes: Vec<u8>) -> Block {
        Block::of(Storage::Owned(bytes))
    }
}

impl From<String> for Block {
    fn from(text: String) -> Block {
        text.into_bytes().into()
    }
}

impl From<Box<[u8]>> for Block {
    fn from(bytes: Box<[u8]>) -> Block {
        bytes.into_vec().into()
    }
}

impl<const N: usize> From<[u8; N]> for Block {
    fn from(bytes: [u8; N]) -> Block {
        Vec::from(bytes).into()
    }
}

impl From<&'static [u8]> for Block {
    fn from(bytes: &'static [u8]) -> Block {
        Block::of(Storage::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Block {
    fn from(bytes: &'static [u8; N]) -> Block {
        bytes.as_slice().into()
    }
}

impl From<&'static str> for Block {
    fn from(text: &'static str) -> Block {
        text.as_bytes().into()
    }
}

impl From<Cow<'static, [u8]>> for Block {
    fn from(bytes: Cow<'static, [u8]>) -> Block {
        match bytes {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

impl From<Cow<'static, str>> for Block {
    fn from(text: Cow<'static, str>) -> Block {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

/// Lends the bytes; see [`Block::lend`].
impl From<Arc<[u8]>> for Block {
    fn from(bytes: Arc<[u8]>) -> Block {
        Block::lend(bytes)
    }
}

/// Returns the bytes. They are copied, unless the block owns them.
impl From<Block> for Vec<u8> {
    fn from(block: Block) -> Vec<u8> {
        match block {
            Block {
                storage: Storage::Owned(mut bytes),
                start: 0,
                end,
            } => {
                bytes.truncate(end);
                bytes
            }
            block => block.to_vec(),
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.storage {
            Storage::Owned(_) => "owned",
            Storage::Static(_) => "static",
            Storage::Lent(_) => "lent",
        };
        write!(f, "Block({} bytes, {kind})", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_bytes_becomes_a_block() {
        let blocks: [Block; 12] = [
            "abc".into(),
            b"abc".into(),
            (*b"abc").into(),
            b"abc".as_slice().into(),
            String::from("abc").into(),
            vec![b'a', b'b', b'c'].into(),
            Box::<[u8]>::from(*b"abc").into(),
            Cow::Borrowed("abc").into(),
            Cow::<'static, [u8]>::Owned(b"abc".to_vec()).into(),
            Arc::<[u8]>::from(*b"abc").into(),
            Block::lend("abc"),
            Block::lend(b"abc".to_vec()).clone(),
        ];
        for mut block in blocks {
            assert_eq!(&*block, b"abc", "{block:?}");
            block.truncate(2);
            assert_eq!(Vec::from(block.clone()), b"ab", "{block:?}");
            block.consume(1);
            assert_eq!(&*block, b"b", "{block:?}");
            assert_eq!(Vec::from(block.clone()), b"b", "{block:?}");
            block.consume(9);
            assert_eq!(&*block, b"", "{block:?}");
        }
        assert!(Block::default().is_empty());
    }

    #[test]
    fn a_clone_of_a_lent_block_shares_its_bytes() {
        let block = Block::lend(vec![b'x'; 100]);
        assert_eq!(block.as_ptr(), block.clone().as_ptr());
    }
}
