//! picohttpparser, called as its README shows.

use std::hint::black_box;
use std::mem::{MaybeUninit, zeroed};
use std::ptr;

use picohttpparser_sys::{
    phr_chunked_decoder, phr_decode_chunked, phr_header, phr_parse_request, phr_parse_response,
};

use crate::corpus::{Kind, Seen};
use crate::parsers::{MAX_FIELDS, Parser};

pub struct Pico;

type PicoFields = [MaybeUninit<phr_header>; MAX_FIELDS];

fn pico_request(bytes: &[u8], seen: &mut Seen) -> usize {
    let mut fields: PicoFields = [MaybeUninit::uninit(); MAX_FIELDS];
    let (mut method, mut target) = ((ptr::null(), 0), (ptr::null(), 0));
    let (mut version, mut count) = (0, MAX_FIELDS);
    // SAFETY: the pointers lead to `bytes` and to variables of this function, with their lengths.
    let end = unsafe {
        phr_parse_request(
            bytes.as_ptr().cast(),
            bytes.len(),
            &mut method.0,
            &mut method.1,
            &mut target.0,
            &mut target.1,
            &mut version,
            fields.as_mut_ptr().cast(),
            &mut count,
            0,
        )
    };
    black_box((method, target, version, &fields));
    seen.heads += 1;
    seen.fields += count;
    usize::try_from(end).expect("no defect")
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
                let rest = &mut bytes[end..];
                let mut length = rest.len();
                // SAFETY: the decoder is zeroed, as its documentation asks; the length is that of `rest`.
                let left = unsafe {
                    let mut decoder: phr_chunked_decoder = zeroed();
                    decoder.consume_trailer = 1;
                    phr_decode_chunked(&mut decoder, rest.as_mut_ptr().cast(), &mut length)
                };
                assert_eq!(left, 0);
                seen.content = length;
            }
            Kind::Response => {
                let mut fields: PicoFields = [MaybeUninit::uninit(); MAX_FIELDS];
                let mut reason = (ptr::null(), 0);
                let (mut version, mut status, mut count) = (0, 0, MAX_FIELDS);
                // SAFETY: as above.
                let end = unsafe {
                    phr_parse_response(
                        bytes.as_ptr().cast(),
                        bytes.len(),
                        &mut version,
                        &mut status,
                        &mut reason.0,
                        &mut reason.1,
                        fields.as_mut_ptr().cast(),
                        &mut count,
                        0,
                    )
                };
                black_box((reason, version, status, &fields));
                assert!(end > 0);
                (seen.heads, seen.fields) = (1, count);
            }
        }
        seen
    }
}
