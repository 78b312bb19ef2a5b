//! picohttpparser for safe code, called as its README shows. `fuzz/differential` uses this file, too.

use std::ffi::{c_char, c_int};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, zeroed};
use std::{ptr, slice};

use picohttpparser_sys::{
    phr_chunked_decoder, phr_decode_chunked, phr_header, phr_parse_request, phr_parse_response,
};

/// It refuses the bytes. It does not say why.
pub struct Invalid;

pub struct Request<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    pub minor: c_int,
    pub fields: &'a [Field<'a>],
}

pub struct Response<'a> {
    pub status: c_int,
    pub minor: c_int,
    pub fields: &'a [Field<'a>],
}

/// A field line in the bytes that were parsed.
#[repr(transparent)]
pub struct Field<'a> {
    line: phr_header,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Field<'a> {
    /// `None`: the line goes on with the value of the line before.
    pub fn name(&self) -> Option<&'a [u8]> {
        let name = (self.line.name, self.line.name_len);
        // SAFETY: picohttpparser made it from bytes that live for 'a.
        (!name.0.is_null()).then(|| unsafe { text(name) })
    }

    /// With the whitespace behind it.
    pub fn value(&self) -> &'a [u8] {
        // SAFETY: picohttpparser made it from bytes that live for 'a.
        unsafe { text((self.line.value, self.line.value_len)) }
    }
}

/// Room for `N` fields.
pub type Room<'a, const N: usize> = [MaybeUninit<Field<'a>>; N];

pub fn room<'a, const N: usize>() -> Room<'a, N> {
    [const { MaybeUninit::uninit() }; N]
}

/// Parses the head of a request. `looked` is how many of the bytes it has seen before. Returns the length of
/// the head and what is in it, or `None` if it is not complete.
pub fn request<'a, const N: usize>(
    bytes: &'a [u8],
    looked: usize,
    room: &'a mut Room<'a, N>,
) -> Result<Option<(usize, Request<'a>)>, Invalid> {
    let (mut method, mut target) = ((ptr::null(), 0), (ptr::null(), 0));
    let (mut minor, mut count) = (0, N);
    // SAFETY: the pointers lead to `bytes`, to `room` and to variables of this function, with their lengths.
    let length = unsafe {
        phr_parse_request(
            bytes.as_ptr().cast(),
            bytes.len(),
            &mut method.0,
            &mut method.1,
            &mut target.0,
            &mut target.1,
            &mut minor,
            room.as_mut_ptr().cast(),
            &mut count,
            looked,
        )
    };
    let Some(length) = complete(length)? else {
        return Ok(None);
    };
    // SAFETY: the head is complete. So the pointers lead to `bytes`, and `count` fields were written.
    let request = unsafe {
        Request {
            method: text(method),
            target: text(target),
            minor,
            fields: slice::from_raw_parts(room.as_ptr().cast(), count),
        }
    };
    Ok(Some((length, request)))
}

/// Parses the head of a response, as [`request`] does for requests.
pub fn response<'a, const N: usize>(
    bytes: &'a [u8],
    looked: usize,
    room: &'a mut Room<'a, N>,
) -> Result<Option<(usize, Response<'a>)>, Invalid> {
    let mut reason = (ptr::null(), 0);
    let (mut minor, mut status, mut count) = (0, 0, N);
    // SAFETY: the pointers lead to `bytes`, to `room` and to variables of this function, with their lengths.
    let length = unsafe {
        phr_parse_response(
            bytes.as_ptr().cast(),
            bytes.len(),
            &mut minor,
            &mut status,
            &mut reason.0,
            &mut reason.1,
            room.as_mut_ptr().cast(),
            &mut count,
            looked,
        )
    };
    let Some(length) = complete(length)? else {
        return Ok(None);
    };
    let response = Response {
        status,
        minor,
        // SAFETY: the head is complete. So `count` fields were written.
        fields: unsafe { slice::from_raw_parts(room.as_ptr().cast(), count) },
    };
    Ok(Some((length, response)))
}

/// The decoder of chunked content, which passes over trailers.
pub struct Chunks(phr_chunked_decoder);

/// What was in a piece of chunked content.
pub struct Decoded {
    /// How many bytes of content are now at the front.
    pub content: usize,
    /// How many bytes behind them follow the message. `None`: the message goes on.
    pub rest: Option<usize>,
}

impl Chunks {
    pub fn new() -> Chunks {
        // SAFETY: it consists of numbers, and its documentation asks for zeros.
        let mut decoder: phr_chunked_decoder = unsafe { zeroed() };
        decoder.consume_trailer = 1;
        Chunks(decoder)
    }

    /// Decodes the next piece in place.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Invalid> {
        let mut content = bytes.len();
        // SAFETY: the pointer leads to `content` bytes.
        let rest =
            unsafe { phr_decode_chunked(&mut self.0, bytes.as_mut_ptr().cast(), &mut content) };
        match rest {
            -1 => Err(Invalid),
            rest => Ok(Decoded {
                content,
                rest: usize::try_from(rest).ok(),
            }),
        }
    }
}

/// Returns the length of the head, or `None` if it is not complete.
fn complete(length: c_int) -> Result<Option<usize>, Invalid> {
    match length {
        -1 => Err(Invalid),
        length => Ok(usize::try_from(length).ok()),
    }
}

/// # Safety
///
/// `start` leads to `length` bytes, which live for `'a`.
unsafe fn text<'a>((start, length): (*const c_char, usize)) -> &'a [u8] {
    // SAFETY: the caller says so.
    unsafe { slice::from_raw_parts(start.cast(), length) }
}
