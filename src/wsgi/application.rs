//! What a program brings: the application, and the body it answers with.

use std::fmt;
use std::mem;
use std::sync::Arc;

use super::environ::Environ;
use super::start_response::StartResponse;
use crate::socketserver::{Failure, HandlerResult};

/// What an application returns: the body of the answer, or why there is none.
pub type AppResult = Result<Body, Failure>;

/// A WSGI application: called once for each request (PEP 3333).
///
/// Any closure or function of this shape is one, and so is a type of one's own, which is Python's
/// instance with a `__call__`:
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
/// Middleware is an application that calls another (`Application::call(&inner, environ,
/// start_response)`; of a closure, `inner.call` is a method that the language has reserved). For
/// one that is chosen at run time there is `Arc<dyn Application>`.
pub trait Application: Send + Sync {
    /// Answers one request: calls `start_response`, and returns the body (WSGI-5).
    ///
    /// # Errors
    ///
    /// Any error, by `?`: the client gets 500, the server a report (WSGI-19). How an error that is
    /// boxed already becomes one is said at [`Failure`]. [`Failure::Stop`] stops the server besides.
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

/// The body of an answer: Python's iterable of byte strings.
///
/// Text and bytes convert into it, as a list of one block does in Python; such an answer gets a
/// `Content-Length` by itself (WSGI-13).
///
/// A file converts into it, too, and is read as the client takes it; so does anything else that can
/// be read, in a
/// [`FileWrapper`](super::FileWrapper). How long these are the application has to say, or the answer goes
/// without (WSGI-24).
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
/// Middleware that looks into a body pulls from it: it is an [`Iterable`] itself, and whoever has
/// taken one on has to [close](Iterable::close) it.
pub struct Body(Blocks);

enum Blocks {
    /// The only block.
    Static(&'static [u8]),
    /// The only block.
    Owned(Vec<u8>),
    Iterable(Box<dyn Iterable>),
}

impl Body {
    /// A body of several blocks, which are pulled one by one as the client reads them.
    ///
    /// An iterator that knows it has exactly one block is Python's list of one: its answer gets a
    /// `Content-Length` (WSGI-13).
    pub fn blocks<I>(blocks: I) -> Body
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Into<Vec<u8>>>,
    {
        Body::from_iterable(Iterated(blocks.into_iter()))
    }

    /// A body that wants more than an iterator has: `start_response` within reach, failures, or
    /// a `close()`.
    pub fn from_iterable(iterable: impl Iterable + 'static) -> Body {
        Body(Blocks::Iterable(Box::new(iterable)))
    }
}

/// A body that is made block by block.
///
/// ```
/// use serve_forever::socketserver::{Failure, HandlerResult};
/// use serve_forever::wsgi::{Iterable, StartResponse};
///
/// /// Says what it is only when it is asked for the first block, which is late but legal.
/// struct Countdown(u8);
///
/// impl Iterable for Countdown {
///     fn next_block(
///         &mut self,
///         start_response: &mut dyn StartResponse,
///     ) -> Result<Option<Vec<u8>>, Failure> {
///         if self.0 == 3 {
///             start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///         }
///         let block = (self.0 > 0).then(|| format!("{}\n", self.0).into_bytes());
///         self.0 = self.0.saturating_sub(1);
///         Ok(block)
///     }
///
///     fn close(&mut self) -> HandlerResult {
///         println!("done, or the client is gone");
///         Ok(())
///     }
/// }
/// # let _ = serve_forever::wsgi::Body::from_iterable(Countdown(3));
/// ```
pub trait Iterable: Send {
    /// The next block; `None` at the end. An empty one is not the end, and sends nothing.
    ///
    /// `start_response` may be called as late as in the first of these calls (WSGI-11), and its
    /// `write()` in any: what it wrote goes out before the block.
    ///
    /// # Errors
    ///
    /// While nothing was sent the client gets 500; later the connection breaks off, and it sees
    /// that the answer is incomplete (WSGI-19).
    fn next_block(
        &mut self,
        start_response: &mut dyn StartResponse,
    ) -> Result<Option<Vec<u8>>, Failure>;

    /// How many blocks there are in all, if that is known: Python's `len()` (WSGI-13).
    fn block_count(&self) -> Option<usize> {
        None
    }

    /// Called exactly once, whatever became of the answer: it was sent, it failed, or the client
    /// is gone (WSGI-18).
    ///
    /// # Errors
    ///
    /// A failure is logged; the client does not learn of it.
    fn close(&mut self) -> HandlerResult {
        Ok(())
    }
}

impl Iterable for Body {
    fn next_block(
        &mut self,
        start_response: &mut dyn StartResponse,
    ) -> Result<Option<Vec<u8>>, Failure> {
        match &mut self.0 {
            Blocks::Static(bytes) => Ok(only_block(mem::take(bytes).to_vec())),
            Blocks::Owned(bytes) => Ok(only_block(mem::take(bytes))),
            Blocks::Iterable(iterable) => iterable.next_block(start_response),
        }
    }

    fn block_count(&self) -> Option<usize> {
        match &self.0 {
            Blocks::Static(_) | Blocks::Owned(_) => Some(1),
            Blocks::Iterable(iterable) => iterable.block_count(),
        }
    }

    fn close(&mut self) -> HandlerResult {
        match &mut self.0 {
            Blocks::Static(_) | Blocks::Owned(_) => Ok(()),
            Blocks::Iterable(iterable) => iterable.close(),
        }
    }
}

/// The only block of a body; when it has been taken, the end.
fn only_block(bytes: Vec<u8>) -> Option<Vec<u8>> {
    (!bytes.is_empty()).then_some(bytes)
}

/// An iterator as a body.
struct Iterated<I>(I);

impl<I> Iterable for Iterated<I>
where
    I: Iterator<Item: Into<Vec<u8>>> + Send,
{
    fn next_block(&mut self, _: &mut dyn StartResponse) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.0.next().map(Into::into))
    }

    fn block_count(&self) -> Option<usize> {
        match self.0.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        }
    }
}

impl Iterable for Box<dyn Iterable> {
    fn next_block(
        &mut self,
        start_response: &mut dyn StartResponse,
    ) -> Result<Option<Vec<u8>>, Failure> {
        (**self).next_block(start_response)
    }

    fn block_count(&self) -> Option<usize> {
        (**self).block_count()
    }

    fn close(&mut self) -> HandlerResult {
        (**self).close()
    }
}

/// A body whose kind is chosen at run time.
impl From<Box<dyn Iterable>> for Body {
    fn from(iterable: Box<dyn Iterable>) -> Body {
        Body(Blocks::Iterable(iterable))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body(Blocks::Static(text.as_bytes()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body(Blocks::Owned(text.into_bytes()))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body(Blocks::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Body {
        Body(Blocks::Static(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body(Blocks::Owned(bytes))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Blocks::Static(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Blocks::Owned(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Blocks::Iterable(_) => f.write_str("Body(..)"),
        }
    }
}
