//! llhttp, through `llhttp_callbacks.c`.

use std::ffi::c_int;

use crate::corpus::{Kind, Seen};
use crate::parsers::Parser;

#[repr(C)]
struct Spans {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn spans_new(responses: c_int, callbacks: c_int) -> *mut Spans;
    fn spans_read(
        spans: *mut Spans,
        bytes: *const u8,
        length: usize,
        seen: *mut [usize; 3],
    ) -> c_int;
}

/// llhttp, in its default strict mode, as a connection that is kept open.
pub struct Llhttp {
    name: &'static str,
    requests: *mut Spans,
    responses: *mut Spans,
}

impl Llhttp {
    /// With callbacks that keep where everything is, as any user of it needs them.
    pub fn new() -> Llhttp {
        Llhttp::with("llhttp", 1)
    }

    /// Without callbacks: it checks the messages, and says nothing about them.
    pub fn silent() -> Llhttp {
        Llhttp::with("llhttp, silent", 0)
    }

    fn with(name: &'static str, callbacks: c_int) -> Llhttp {
        // SAFETY: two numbers. The program uses both to its end, and does not free them.
        let new = |responses| unsafe { spans_new(responses, callbacks) };
        Llhttp {
            name,
            requests: new(0),
            responses: new(1),
        }
    }
}

impl Parser for Llhttp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&mut self, kind: Kind, bytes: &mut [u8]) -> Seen {
        let spans = match kind {
            Kind::Requests | Kind::Chunked => self.requests,
            Kind::Response => self.responses,
        };
        let mut seen = [0; 3];
        // SAFETY: `spans` is one of `spans_new`, and the length is that of `bytes`.
        let error = unsafe { spans_read(spans, bytes.as_ptr(), bytes.len(), &mut seen) };
        assert_eq!(error, 0, "llhttp's error");
        let [heads, fields, content] = seen;
        Seen {
            heads,
            fields,
            content,
        }
    }
}
