//! Compares the reader of forms, fed in pieces, with a literal reading of the whole body.

use serve_forever::http::{Multipart, MultipartEvent, MultipartLimits};

use super::literal_form::{self, Form, FormSizes, Found};
use super::pieces::cuts;

/// The input is a `Content-Type`, a line feed, and the body.
pub fn multipart(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n');
    let (content_type, body) = data.split_at(end.unwrap_or(data.len()));
    let content_type = String::from_utf8_lossy(content_type);
    let body = body.get(1..).unwrap_or_default();
    let boundary = literal_form::boundary(content_type.as_bytes());
    let form = Multipart::new(&content_type);
    let found = form.as_ref().map(|_| ()).map_err(|error| error.status());
    assert_eq!(
        found,
        boundary.as_ref().map(|_| ()).map_err(|&status| status)
    );
    let (Ok(form), Ok(boundary)) = (form, boundary) else {
        return;
    };
    let mut small = MultipartLimits::default();
    (small.parts, small.head, small.fields) = (2, 60, 2);
    (small.part, small.total) = (8, 12);
    for limits in [MultipartLimits::default(), small] {
        let sizes = FormSizes {
            parts: limits.parts,
            head: limits.head,
            fields: limits.fields,
            part: limits.part as usize,
            total: limits.total as usize,
        };
        let expected = literal_form::form(body, &boundary, sizes);
        let form = form.clone().limits(limits);
        for cuts in cuts(body) {
            assert_eq!(read(form.clone(), body, &cuts), expected, "{cuts:?}");
        }
    }
}

/// Reads `body` in pieces that end at `cuts`.
fn read(mut form: Multipart, body: &[u8], cuts: &[usize]) -> Form {
    let (mut found, mut open, mut start) = (Vec::new(), None, 0);
    for &cut in cuts {
        let mut rest = &body[start..cut];
        loop {
            match form.next_event(&mut rest) {
                Ok(None) => break,
                Ok(Some(event)) => take(event, &mut found, &mut open),
                Err(error) => {
                    let again = form.next_event(&mut &b"x"[..]).map(|_| ());
                    assert_eq!(again, Err(error), "a refused form stays refused");
                    assert_eq!(form.finish(), Err(error));
                    return (found, Err(error.status()));
                }
            }
        }
        assert!(rest.is_empty(), "input is left");
        start = cut;
    }
    let verdict = form.finish();
    assert!(open.is_none() || verdict.is_err(), "a part without an end");
    (found, verdict.map_err(|error| error.status()))
}

fn take(event: MultipartEvent<'_>, found: &mut Vec<Found>, open: &mut Option<Found>) {
    match event {
        MultipartEvent::Part(part) => {
            let begun = open.replace(Found {
                name: part.name().to_owned(),
                filename: part.filename().map(str::to_owned),
                content: Vec::new(),
            });
            assert!(begun.is_none(), "a part in a part");
        }
        MultipartEvent::Data(data) => {
            assert!(!data.is_empty(), "no data");
            let part = open.as_mut().expect("data outside of a part");
            part.content.extend_from_slice(data);
        }
        MultipartEvent::PartEnd => found.push(open.take().expect("the end of a part")),
    }
}
