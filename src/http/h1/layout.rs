//! Where the parts of a head are in its bytes, so that it can be kept and moved.

use alloc::boxed::Box;
use core::ops::Range;

use super::fields::{FieldPlace, Fields};
use super::framing::Framing;
use super::head::Head;
use super::request_line::TargetForm;
use super::start_line::Version;
use super::survey::{Expect, offset};

/// What a parsed [`Head`] says, without its bytes (RFC 9112 section 2.1).
///
/// A `Head` borrows the bytes it was parsed from. To keep one, or to send it to another thread, keep its
/// bytes and its layout. [`view`](Self::view) puts the two together and parses nothing.
///
/// ```
/// use serve_forever::http::h1::{FieldStorage, Head, HeadLayout, HeadLimits};
///
/// let bytes = b"GET /index HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// let mut storage = FieldStorage::new();
/// let head = Head::parse(bytes, &mut storage, &HeadLimits::default())?;
/// let layout = HeadLayout::new(&head, bytes);
/// let kept = (bytes.to_vec(), layout);
///
/// let head = kept.1.view(&kept.0);
/// assert_eq!(head.target, "/index");
/// assert_eq!(head.fields.get("host"), Some(&b"localhost"[..]));
/// # Ok::<(), serve_forever::http::h1::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HeadLayout {
    /// Where the method is.
    method: Range<usize>,
    /// Where the target is.
    target: Range<usize>,
    /// Which of the four forms the target has.
    target_form: TargetForm,
    /// The version.
    version: Version,
    /// Where the names and values of the fields are.
    fields: Box<[FieldPlace]>,
    /// How the content ends.
    framing: Framing,
    /// Whether the client may send another request on this connection.
    keep_alive: bool,
    /// The response that the client expects before it sends its content.
    expect: Expect,
}

impl HeadLayout {
    /// Notes where the parts of `head` are in `bytes`, from which it was parsed.
    #[must_use]
    pub fn new(head: &Head<'_>, bytes: &[u8]) -> HeadLayout {
        let place = |part: &[u8]| {
            let start = offset(bytes, part);
            start..start.wrapping_add(part.len())
        };
        let fields = head.fields.iter().map(|(name, value)| FieldPlace {
            name: place(name.as_bytes()),
            value: place(value),
        });
        HeadLayout {
            method: place(head.method.as_bytes()),
            target: place(head.target.as_bytes()),
            target_form: head.target_form,
            version: head.version,
            fields: fields.collect(),
            framing: head.framing,
            keep_alive: head.keep_alive,
            expect: head.expect,
        }
    }

    /// Returns the head as a view of `bytes`: those it was parsed from, or a copy of them.
    ///
    /// With other bytes, the parts that are not there or not text are empty.
    #[must_use]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> Head<'a> {
        let text = |place: &Range<usize>| {
            let part = bytes.get(place.clone()).unwrap_or_default();
            core::str::from_utf8(part).unwrap_or_default()
        };
        Head {
            method: text(&self.method),
            target: text(&self.target),
            target_form: self.target_form,
            version: self.version,
            fields: Fields::from_places(bytes, &self.fields),
            framing: self.framing,
            keep_alive: self.keep_alive,
            expect: self.expect,
        }
    }
}
