//! Precompressed files, and which of them a client accepts (RFC 9110 §12.5.3).

use crate::http::h1::{Fields, tokens};

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Brotli, usually the smaller file.
    Brotli,
    /// gzip.
    Gzip,
}

impl Coding {
    /// Returns the suffix that the name of the compressed file has in addition.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Gzip => ".gz",
        }
    }

    /// Returns the name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// Returns whether a client calls this coding `name`.
    fn is(self, name: &[u8]) -> bool {
        // RFC 9110 §8.4.1.3
        let alias = self == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip");
        alias || name.eq_ignore_ascii_case(self.name().as_bytes())
    }
}

/// Returns the codings that a client wants at least as much as the plain file, the most wanted
/// first. If it wants two equally, Brotli comes first. Without the field there are none: the client
/// may not know any.
pub(super) fn preferred(fields: Fields<'_>) -> Vec<Coding> {
    let wish = |is: &dyn Fn(&[u8]) -> bool| {
        let mut members = fields.get_all("accept-encoding").flat_map(tokens);
        members.find_map(|member| {
            let (name, weight) = split(member);
            is(name).then_some(weight)
        })
    };
    let any = wish(&|name| name == b"*");
    let plain = wish(&|name| name.eq_ignore_ascii_case(b"identity")).or(any);
    let wanted = |coding: Coding| wish(&|name| coding.is(name)).or(any).unwrap_or(0);
    let mut codings = vec![Coding::Brotli, Coding::Gzip];
    codings.retain(|&coding| wanted(coding) >= plain.unwrap_or(0).max(1));
    codings.sort_by_key(|&coding| std::cmp::Reverse(wanted(coding)));
    codings
}

/// Returns a coding and its weight in thousandths.
fn split(member: &[u8]) -> (&[u8], u16) {
    match member.iter().position(|&byte| byte == b';') {
        None => (member, 1000),
        Some(mark) => {
            let (name, parameter) = member.split_at(mark);
            // If the weight is malformed, the client does not get this coding.
            (name.trim_ascii_end(), weight(parameter).unwrap_or(0))
        }
    }
}

// weight = OWS ";" OWS "q=" qvalue
// qvalue = ( "0" [ "." 0*3DIGIT ] )
//        / ( "1" [ "." 0*3("0") ] )
/// Parses a weight like `;q=0.5`, in thousandths (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let parameter = parameter.strip_prefix(b";")?.trim_ascii();
    let value = match parameter.split_first_chunk() {
        Some((b"q=" | b"Q=", value)) => value,
        _ => return None,
    };
    let (whole, rest) = value.split_first()?;
    let decimals = match rest {
        [] => rest,
        [b'.', decimals @ ..] if decimals.len() <= 3 => decimals,
        _ => return None,
    };
    let mut weight = 0;
    for place in 0..3 {
        let digit = decimals.get(place).unwrap_or(&b'0');
        weight = weight * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    match whole {
        b'0' => Some(weight),
        b'1' if weight == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::parse_fields;

    #[test]
    fn what_a_client_prefers() {
        use Coding::{Brotli, Gzip};
        let cases: [(&str, &[Coding]); 27] = [
            ("gzip, deflate, br, zstd", &[Brotli, Gzip]),
            ("gzip", &[Gzip]),
            ("x-gzip", &[Gzip]),
            ("GZip , BR", &[Brotli, Gzip]),
            ("br", &[Brotli]),
            ("*", &[Brotli, Gzip]),
            ("", &[]),
            ("identity", &[]),
            ("deflate", &[]),
            ("gzip;q=1.0, br;q=0.5", &[Gzip, Brotli]),
            ("gzip;q=0.5, br;q=0.501", &[Brotli, Gzip]),
            ("gzip;q=0", &[]),
            ("gzip;q=0.000, br", &[Brotli]),
            ("gzip;q=0.001", &[Gzip]),
            ("*;q=0.1, br;q=0", &[Gzip]),
            ("*;q=0, gzip", &[Gzip]),
            ("gzip;q=0.5, identity", &[]),
            ("gzip;q=0.5, identity;q=0.5", &[Gzip]),
            ("gzip;q=0.5, *", &[Brotli]),
            ("gzip;q=0.5, br, identity;q=0.8", &[Brotli]),
            ("gzip ; q=0.5", &[Gzip]),
            ("gzip;q=2", &[]),
            ("gzip;q=1.001", &[]),
            ("gzip;q=0.0001", &[]),
            ("gzip;q=x", &[]),
            ("gzip;q=", &[]),
            ("gzip;level=9", &[]),
        ];
        for (value, expected) in cases {
            let lines = format!("Accept-Encoding: {value}\r\n");
            let fields = parse_fields(lines.as_bytes(), 1).expect(value);
            assert_eq!(preferred(fields), expected, "{value:?}");
        }
        let lines = b"Accept-Encoding: br;q=0.2\r\naccept-encoding: gzip\r\n";
        let fields = parse_fields(lines, 2).expect("two fields");
        assert_eq!(preferred(fields), [Gzip, Brotli]);
        assert_eq!(preferred(Fields::default()), []);
    }
}
