//! `multipart/form-data` read literally, from a whole buffer (RFC 7578, RFC 2046 section 5.1).

use super::literal::{all, field, is_token, trimmed};

/// The limits that count here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormSizes {
    pub(crate) parts: usize,
    pub(crate) head: usize,
    pub(crate) fields: usize,
    pub(crate) part: usize,
    pub(crate) total: usize,
}

/// A part that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) content: Vec<u8>,
}

/// The parts that are whole, and the verdict: the status with which the form is refused.
pub(crate) type Form = (Vec<Found>, Result<(), u16>);

/// The boundary in a `Content-Type`, or the status.
pub(crate) fn boundary(content_type: &[u8]) -> Result<Vec<u8>, u16> {
    let mut pieces = pieces(content_type).into_iter();
    let media_type = pieces.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case(b"multipart/form-data") {
        return Err(415);
    }
    let boundary = only(pieces, "boundary").ok().flatten().ok_or(400_u16)?;
    let allowed = b"'()+_,-./:=? ";
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || allowed.contains(byte);
    let fits = (1..=70).contains(&boundary.len());
    match fits && boundary.iter().all(good) && boundary.last() != Some(&b' ') {
        true => Ok(boundary),
        false => Err(400),
    }
}

/// Reads the body of a form.
pub(crate) fn form(body: &[u8], boundary: &[u8], sizes: FormSizes) -> Form {
    let delimiter = [b"\r\n--", boundary].concat();
    let (mut found, mut outside, mut total) = (Vec::new(), 0, 0);
    let (length, mut end) = until(body, &delimiter);
    outside += length;
    if outside > sizes.head {
        return (found, Err(431));
    }
    let mut rest = body;
    loop {
        let Some(at) = end else {
            return (found, Err(400));
        };
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(b"--") {
            let verdict = last_line(after, outside, sizes);
            return (found, verdict);
        }
        let blanks = blanks(rest);
        outside += blanks;
        if outside > sizes.head {
            return (found, Err(431));
        }
        rest = match rest[blanks..].strip_prefix(b"\r\n") {
            Some(rest) if found.len() < sizes.parts => rest,
            Some(_) => return (found, Err(413)),
            None => return (found, Err(400)),
        };
        let (name, filename, length) = match head(rest, sizes) {
            Ok(head) => head,
            Err(status) => return (found, Err(status)),
        };
        rest = &rest[length..];
        let (length, next) = until(rest, &delimiter);
        total += length;
        if length > sizes.part || total > sizes.total {
            return (found, Err(413));
        }
        if next.is_some() {
            let content = rest[..length].to_vec();
            found.push(Found {
                name,
                filename,
                content,
            });
        }
        end = next;
    }
}

/// How many bytes of `text` come before the delimiter, and where what follows it begins. The line end of
/// a delimiter at the very beginning may be missing. Without a delimiter, bytes at the end that may be
/// the beginning of one do not count.
fn until(text: &[u8], delimiter: &[u8]) -> (usize, Option<usize>) {
    let whole = [b"\r\n", text].concat();
    for at in 0..whole.len() {
        if whole[at..].starts_with(delimiter) {
            return (at.saturating_sub(2), Some(at + delimiter.len() - 2));
        }
    }
    let held = (0..delimiter.len()).rev();
    let mut held = held.filter(|&length| whole.ends_with(&delimiter[..length]));
    let held = held.next().unwrap_or(0);
    (text.len().saturating_sub(held), None)
}

fn blanks(text: &[u8]) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    text.iter().take_while(blank).count()
}

/// What follows the two hyphens of the last delimiter.
fn last_line(text: &[u8], outside: usize, sizes: FormSizes) -> Result<(), u16> {
    let blanks = blanks(text);
    if outside + blanks > sizes.head {
        return Err(431);
    }
    match &text[blanks..] {
        [] | [b'\r'] => Ok(()),
        [b'\r', b'\n', after @ ..] if outside + blanks + after.len() > sizes.head => Err(431),
        [b'\r', b'\n', ..] => Ok(()),
        _ => Err(400),
    }
}

/// The names of a part, and the length of its head with the empty line.
fn head(text: &[u8], sizes: FormSizes) -> Result<(String, Option<String>, usize), u16> {
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut length = 0;
    loop {
        let end = text[length..].iter().position(|&byte| byte == b'\n');
        let stop = end.map_or(text.len(), |end| length + end + 1);
        if stop > sizes.head + 2 {
            return Err(431);
        }
        let line = &text[length..stop];
        length = stop;
        match line.strip_suffix(b"\r\n") {
            Some(b"") => break,
            Some(line) => lines.push(line),
            None => return Err(400), // a bare LF, or not complete
        }
    }
    let mut fields = Vec::new();
    for line in lines {
        if fields.len() == sizes.fields {
            return Err(431);
        }
        fields.push(field(line).ok_or(400_u16)?);
    }
    let (name, filename) = disposition(&all(&fields, "Content-Disposition")).ok_or(400_u16)?;
    for encoding in all(&fields, "Content-Transfer-Encoding") {
        let known: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
        if !known.contains(&&*encoding.to_ascii_lowercase()) {
            return Err(415);
        }
    }
    Ok((name, filename, length))
}

fn disposition(values: &[&[u8]]) -> Option<(String, Option<String>)> {
    let [value] = values else {
        return None;
    };
    let pieces = pieces(value);
    let (kind, parameters) = pieces.split_first()?;
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let name = only(parameters.iter().copied(), "name").ok()??;
    let filename = only(parameters.iter().copied(), "filename").ok()?;
    Some((text(&name), filename.map(|name| text(&name))))
}

fn text(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let text = text.replace("%22", "\"").replace("%0D", "\r");
    text.replace("%0A", "\n")
}

/// What stands between the semicolons that are not quoted, without blanks around it.
fn pieces(text: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut start, mut quoted, mut at) = (Vec::new(), 0, false, 0);
    while at < text.len() {
        let escaped = quoted && matches!(text[at..], [b'\\', b'"' | b'\\', ..]);
        match text[at] {
            _ if escaped => at += 1,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(trimmed(&text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(trimmed(&text[start..]));
    pieces
}

/// The value of the only parameter called `name`. An error if there are two, or if any parameter is
/// malformed.
fn only<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, name: &str) -> Result<Option<Vec<u8>>, ()> {
    let mut found = Vec::new();
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        let equals = piece.iter().position(|&byte| byte == b'=').ok_or(())?;
        let (other, value) = (&piece[..equals], &piece[equals + 1..]);
        let value = value_of(value).ok_or(())?;
        if !is_plain(other) || other.is_empty() {
            return Err(());
        }
        if other.eq_ignore_ascii_case(name.as_bytes()) {
            found.push(value);
        }
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(()),
    }
}

fn is_plain(text: &[u8]) -> bool {
    let extra = b"(),/:<=>?@[]{}";
    let plain = |&byte: &u8| is_token(&[byte]) || extra.contains(&byte);
    text.iter().all(plain)
}

/// What a value says, quoted or not.
fn value_of(value: &[u8]) -> Option<Vec<u8>> {
    let [b'"', rest @ ..] = value else {
        return is_plain(value).then(|| value.to_vec());
    };
    let (mut said, mut rest) = (Vec::new(), rest);
    loop {
        match rest {
            [b'"'] => return Some(said),
            [b'\\', byte @ (b'"' | b'\\'), after @ ..] => {
                said.push(*byte);
                rest = after;
            }
            [] | [b'"', ..] => return None,
            [byte, after @ ..] => {
                said.push(*byte);
                rest = after;
            }
        }
    }
}
