//! picohttpparser, with room for as many fields as ours.

use std::hint::black_box;

use crate::corpus::{Kind, Seen};
use crate::parsers::{MAX_FIELDS, Parser};
use crate::picohttpparser::{Chunks, request, response, room};

pub struct Pico;

fn pico_request(bytes: &[u8], seen: &mut Seen) -> usize {
    let mut room = room::<MAX_FIELDS>();
    let Ok(Some((end, head))) = request(bytes, 0, &mut room) else {
        panic!("it is complete, and has no defect")
    };
    seen.heads += 1;
    black_box((head.method, head.target, head.minor, head.fields.as_ptr()));
    seen.fields += head.fields.len();
    end
}

impl Parser for Pico {
    fn name(&self) -> &'static str {
        "picohttpparser"
    }

    fn read(&mut self, kind: Kind, bytes: &mut [u8]) -> Seen {
        let mut seen = Seen::default();
        match kind {
            Kind::Requests => {
                let mut at = 0;
                while at < bytes.len() {
                    at += pico_request(&bytes[at..], &mut seen);
                }
            }
            Kind::Chunked => {
                let end = pico_request(bytes, &mut seen);
                let Ok(decoded) = Chunks::new().decode(&mut bytes[end..]) else {
                    panic!("it has no defect")
                };
                assert_eq!(decoded.rest, Some(0));
                seen.content = decoded.content;
            }
            Kind::Response => {
                let mut room = room::<MAX_FIELDS>();
                let Ok(Some((_, head))) = response(bytes, 0, &mut room) else {
                    panic!("it is complete, and has no defect")
                };
                (seen.heads, seen.fields) = (1, black_box(&head).fields.len());
            }
        }
        seen
    }
}
