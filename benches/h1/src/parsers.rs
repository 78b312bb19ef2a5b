//! The parsers, each called as its documentation says.

use std::hint::black_box;
use std::mem::MaybeUninit;

use httparse::Status;
use serve_forever::http::h1::{
    ChunkLimits, ContentDecoder, FieldStorage, Framing, HeadLimits, Scanner,
};

use crate::corpus::{Kind, Seen};

/// At most so many fields, for each parser that asks for a limit. It is the default of ours.
pub const MAX_FIELDS: usize = 100;

pub trait Parser {
    fn name(&self) -> &'static str;

    /// Reads all of `bytes`. They are a fresh copy: some parsers decode in place.
    fn read(&mut self, kind: Kind, bytes: &mut [u8]) -> Seen;

    /// Reads the same bytes so many times. The copy is part of it, for each parser the same.
    fn repeat(&mut self, kind: Kind, bytes: &[u8], scratch: &mut [u8], times: usize) {
        for _ in 0..times {
            scratch.copy_from_slice(black_box(bytes));
            black_box(self.read(kind, scratch));
        }
    }
}

/// Ours, with all its checks.
#[derive(Default)]
pub struct Ours {
    scanner: Scanner,
    limits: HeadLimits,
    chunks: ChunkLimits,
}

impl Ours {
    fn request(&mut self, bytes: &[u8], seen: &mut Seen) -> (usize, Framing) {
        let mut storage = FieldStorage::new();
        let found = self.scanner.head(bytes, &mut storage, &self.limits);
        let (range, head) = found.expect("no defect").expect("complete");
        let head = black_box(&head);
        seen.heads += 1;
        seen.fields += head.fields.len();
        (range.end, head.framing)
    }
}

impl Parser for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn read(&mut self, kind: Kind, bytes: &mut [u8]) -> Seen {
        let mut seen = Seen::default();
        match kind {
            Kind::Requests => {
                let mut at = 0;
                while at < bytes.len() {
                    at += self.request(&bytes[at..], &mut seen).0;
                }
            }
            Kind::Chunked => {
                let (end, framing) = self.request(bytes, &mut seen);
                let mut decoder = ContentDecoder::from(framing);
                let progress = decoder.decode(&mut bytes[end..], &self.chunks);
                let progress = progress.expect("no defect");
                assert!(progress.complete);
                seen.content = progress.content;
            }
            Kind::Response => {
                let mut storage = FieldStorage::new();
                let found = self
                    .scanner
                    .response_head(bytes, &mut storage, &self.limits, "GET");
                let (_, head) = found.expect("no defect").expect("complete");
                let head = black_box(&head);
                (seen.heads, seen.fields) = (1, head.fields.len());
            }
        }
        seen
    }
}

/// httparse alone, called as ours calls it: into fields that are not initialised.
pub struct Httparse;

fn httparse_request(bytes: &[u8], seen: &mut Seen) -> usize {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, &mut fields);
    let Ok(Status::Complete(end)) = parsed else {
        panic!("{parsed:?}")
    };
    seen.heads += 1;
    seen.fields += black_box(&request).headers.len();
    end
}

impl Parser for Httparse {
    fn name(&self) -> &'static str {
        "httparse"
    }

    fn read(&mut self, kind: Kind, bytes: &mut [u8]) -> Seen {
        let mut seen = Seen::default();
        let mut at = 0;
        match kind {
            Kind::Requests => {
                while at < bytes.len() {
                    at += httparse_request(&bytes[at..], &mut seen);
                }
            }
            Kind::Chunked => {
                at += httparse_request(bytes, &mut seen);
                loop {
                    // It reads chunk sizes alone. The rest is the least that a caller can do.
                    let parsed = httparse::parse_chunk_size(&bytes[at..]);
                    let Ok(Status::Complete((line, size))) = parsed else {
                        panic!("{parsed:?}")
                    };
                    let size = size as usize;
                    black_box(&bytes[at + line..at + line + size]);
                    at += line + size + 2;
                    seen.content += size;
                    if size == 0 {
                        break;
                    }
                }
            }
            Kind::Response => {
                let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
                let mut response = httparse::Response::new(&mut []);
                let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
                    &mut response,
                    bytes,
                    &mut fields,
                );
                assert!(matches!(parsed, Ok(Status::Complete(_))));
                (seen.heads, seen.fields) = (1, black_box(&response).headers.len());
            }
        }
        seen
    }
}
