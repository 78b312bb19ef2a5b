//! The program's part: the application, and the body of its response.

use std::fmt;
use std::io::Read;
use std::mem;
use std::sync::Arc;

use super::environ::Environ;
use super::start_response::StartResponse;
use crate::socketserver::{Block, Failure, HandlerResult};

/// The result of an application: the body of the response, or a failure.
pub type AppResult = Result<Body, Failure>;

/// A WSGI application: called once for each request (PEP 3333).
///
/// Any function or closure of this shape is an application. You can also implement the trait for
/// your own type, like a class with a `__call__` method in Python:
///
/// ```
/// use serve_forever::wsgi::{AppResult, Application, Environ, StartResponse};
///
/// struct Greeter {
///     greeting: String,
/// }
///
/// impl Application for Greeter {
///     fn call(
///         &self,
///         environ: &mut Environ<'_>,
///         start_response: &mut dyn StartResponse,
///     ) -> AppResult {
///         let path = environ.get("PATH_INFO").unwrap_or_default();
///         start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///         Ok(format!("{}, {path}!\n", self.greeting).into())
///     }
/// }
/// # fn assert_application(_: impl Application) {}
/// # assert_application(Greeter { greeting: "Hello".into() });
/// ```
///
/// Middleware is an application that calls another one, by `Application::call(&inner, environ,
/// start_response)`. (If `inner` is a closure, `inner.call(..)` means a method that the language
/// reserves.) To choose an application at run time, use `Arc<dyn Application>`.
pub trait Application: Send + Sync {
    /// Handles one request: calls `start_response` and returns the body ([WSGI-5]).
    ///
    /// # Errors
    ///
    /// May return any error by `?`. The client then gets a 500, and the error is reported to the
    /// server ([WSGI-19]). [`Failure`] explains how to return an error that is boxed already.
    /// [`Failure::Stop`] also stops the server.
    ///
    /// [WSGI-5]: crate::spec#wsgi-5
    /// [WSGI-19]: crate::spec#wsgi-19
    fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult;
}

impl<F> Application for F
where
    F: Fn(&mut Environ<'_>, &mut dyn StartResponse) -> AppResult + Send + Sync,
{
    fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        self(environ, start_response)
    }
}

impl<A: Application + ?Sized> Application for Arc<A> {
    fn call(&self, environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        (**self).call(environ, start_response)
    }
}

/// The body of a response: Python's iterable of byte strings.
///
/// Text and bytes, and everything else that converts into a [`Block`], are a body of one block, which
/// is Python's list with one element. The server adds a `Content-Length` for it ([WSGI-13]). A
/// large block is sent without being copied, also if it is [lent](Block::lend).
///
/// A file converts into a body that is read as the client takes it. Anything else that can be read
/// converts in the same way, inside a [`FileWrapper`](super::FileWrapper). The server does not know
/// their length, so the response has a `Content-Length` only if the application sets it
/// ([WSGI-24]).
///
/// ```
/// use std::fs::File;
/// use serve_forever::wsgi::Body;
///
/// let bodies: [Body; 4] = [
///     "Hello, world!\n".into(),
///     vec![0x89, b'P', b'N', b'G'].into(),
///     Body::blocks((1..=3).map(|number| format!("{number}\n"))),
///     File::open("Cargo.toml")?.into(),
/// ];
/// # let _ = bodies;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A body is an [`Iterable`] itself, so middleware can pull blocks from it. Middleware that does
/// so must also [close](Iterable::close) the body.
///
/// [WSGI-13]: crate::spec#wsgi-13
/// [WSGI-24]: crate::spec#wsgi-24
pub struct Body(Blocks);

enum Blocks {
    /// A single block.
    Single(Block),
    /// Any number of blocks.
    Iterable(Box<dyn Iterable>),
}

impl Body {
    /// Makes a body of several blocks. They are pulled one by one as the client reads them.
    ///
    /// If the iterator knows that it has exactly one block, the response gets a `Content-Length`,
    /// as it does for Python's list with one element ([WSGI-13]).
    ///
    /// [WSGI-13]: crate::spec#wsgi-13
    pub fn blocks<I>(blocks: I) -> Body
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Into<Block>>,
    {
        Body::from_iterable(Iterated(blocks.into_iter()))
    }

    /// Makes a body of an [`Iterable`], which can do more than an iterator: it can call
    /// `start_response`, fail, and be closed.
    pub fn from_iterable(iterable: impl Iterable + 'static) -> Body {
        Body(Blocks::Iterable(Box::new(iterable)))
    }
}

/// A body that is made block by block, while it is sent.
///
/// ```
/// use serve_forever::http::Block;
/// use serve_forever::socketserver::{Failure, HandlerResult};
/// use serve_forever::wsgi::{Iterable, StartResponse};
///
/// /// Calls `start_response` only when its first block is pulled, which is late but legal.
/// struct Countdown(u8);
///
/// impl Iterable for Countdown {
///     fn next_block(
///         &mut self,
///         start_response: &mut dyn StartResponse,
///     ) -> Result<Option<Block>, Failure> {
///         if self.0 == 3 {
///             start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///         }
///         let block = (self.0 > 0).then(|| format!("{}\n", self.0).into());
///         self.0 = self.0.saturating_sub(1);
///         Ok(block)
///     }
///
///     fn close(&mut self) -> HandlerResult {
///         println!("done, or the client has disconnected");
///         Ok(())
///     }
/// }
/// # let _ = serve_forever::wsgi::Body::from_iterable(Countdown(3));
/// ```
pub trait Iterable: Send {
    /// Returns the next block, or `None` at the end. An empty block sends nothing and is not the
    /// end.
    ///
    /// The first of these calls may still call `start_response` ([WSGI-11]). Every call may use its
    /// `write()`; what was written is sent before the block.
    ///
    /// # Errors
    ///
    /// May return any error. If nothing has been sent, the client gets a 500. Later the connection
    /// is broken off, so that the client sees that the response is incomplete ([WSGI-19]).
    ///
    /// [WSGI-11]: crate::spec#wsgi-11
    /// [WSGI-19]: crate::spec#wsgi-19
    fn next_block(
        &mut self,
        start_response: &mut dyn StartResponse,
    ) -> Result<Option<Block>, Failure>;

    /// Returns how many blocks there are in all, if that is known. Python's `len()` ([WSGI-13]).
    ///
    /// [WSGI-13]: crate::spec#wsgi-13
    fn block_count(&self) -> Option<usize> {
        None
    }

    /// Returns what the rest of the body is read from, if it can be read, as a file can; by default
    /// `None`.
    ///
    /// If there is a reader, the server reads from it and does not call
    /// [`next_block`](Self::next_block), and it chooses how much it reads at a time. It is
    /// [`BodySource::reader`](crate::http::BodySource::reader) for a WSGI body. Middleware that changes
    /// or watches the blocks of another body has no reader.
    fn reader(&mut self) -> Option<&mut dyn Read> {
        None
    }

    /// Called exactly once, whether the response was sent, failed, or the client has disconnected
    /// ([WSGI-18]). It is called on the thread that called the application. By default does
    /// nothing.
    ///
    /// # Errors
    ///
    /// May return any error. It is logged; the client does not see it.
    ///
    /// [WSGI-18]: crate::spec#wsgi-18
    fn close(&mut self) -> HandlerResult {
        Ok(())
    }
}

impl Iterable for Body {
    fn next_block(
        &mut self,
        start_response: &mut dyn StartResponse,
    ) -> Result<Option<Block>, Failure> {
        match &mut self.0 {
            // An empty block is the end. Taking the block leaves an empty one behind.
            Blocks::Single(bytes) if bytes.is_empty() => Ok(None),
            Blocks::Single(bytes) => Ok(Some(mem::take(bytes))),
            Blocks::Iterable(iterable) => iterable.next_block(start_response),
        }
    }

    fn block_count(&self) -> Option<usize> {
        match &self.0 {
            Blocks::Single(_) => Some(1),
            Blocks::Iterable(iterable) => iterable.block_count(),
        }
    }

    fn reader(&mut self) -> Option<&mut dyn Read> {
        match &mut self.0 {
            Blocks::Single(_) => None,
            Blocks::Iterable(iterable) => iterable.reader(),
        }
    }

    fn close(&mut self) -> HandlerResult {
        match &mut self.0 {
            Blocks::Single(_) => Ok(()),
            Blocks::Iterable(iterable) => iterable.close(),
        }
    }
}

/// The blocks of an iterator.
struct Iterated<I>(I);

impl<I> Iterable for Iterated<I>
where
    I: Iterator<Item: Into<Block>> + Send,
{
    fn next_block(&mut self, _: &mut dyn StartResponse) -> Result<Option<Block>, Failure> {
        Ok(self.0.next().map(Into::into))
    }

    fn block_count(&self) -> Option<usize> {
        match self.0.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        }
    }
}

/// A body whose type is chosen at run time.
impl From<Box<dyn Iterable>> for Body {
    fn from(iterable: Box<dyn Iterable>) -> Body {
        Body(Blocks::Iterable(iterable))
    }
}

/// A body of one block.
impl<B: Into<Block>> From<B> for Body {
    fn from(block: B) -> Body {
        Body(Blocks::Single(block.into()))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Blocks::Single(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Blocks::Iterable(_) => f.write_str("Body(..)"),
        }
    }
}
