//! A value with parameters, such as a media type (RFC 9110 sections 5.6.6 and 8.3.1).

use std::borrow::Cow;

/// Returns the parameters of a value, from the first semicolon on, if the value is `expected`, in any
/// case.
pub(super) fn parameters_of<'a>(value: &'a [u8], expected: &str) -> Option<Parameters<'a>> {
    let end = value.iter().position(|&byte| byte == b';');
    let (value, rest) = value.split_at(end.unwrap_or(value.len()));
    let mut found = trim_start(value);
    while let [start @ .., b' ' | b'\t'] = found {
        found = start;
    }
    let is_expected = found.eq_ignore_ascii_case(expected.as_bytes());
    is_expected.then_some(Parameters(rest))
}

/// The parameters of a value, each with its name.
#[derive(Debug, Clone)]
pub(super) struct Parameters<'a>(&'a [u8]);

/// The name of a parameter, and its value.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>);

/// The parameters are outside their grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Parameters<'a> {
    /// Returns the value of the parameter called `name`, in any case, if there is one.
    ///
    /// A parameter that is there twice is malformed: two programs could choose different ones.
    pub(super) fn get(&self, name: &str) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        let (mut rest, mut found) = (self.clone(), None);
        while let Some((other, value)) = rest.next()? {
            if other.eq_ignore_ascii_case(name.as_bytes()) && found.replace(value).is_some() {
                return Err(Malformed);
            }
        }
        Ok(found)
    }

    /// Takes the next parameter off.
    fn next(&mut self) -> Result<Option<Parameter<'a>>, Malformed> {
        loop {
            self.0 = match trim_start(self.0) {
                [] => return Ok(None),
                [b';', rest @ ..] => trim_start(rest),
                _ => return Err(Malformed),
            };
            // Empty parameters are allowed: `a; ; b=c;`.
            if !matches!(self.0, [] | [b';', ..]) {
                break;
            }
        }
        let mut halves = self.0.splitn(2, |&byte| byte == b'=');
        let name = halves.next().unwrap_or_default();
        let rest = halves.next().ok_or(Malformed)?;
        if name.is_empty() || !name.iter().all(|&byte| is_plain(byte)) {
            return Err(Malformed);
        }
        let (value, rest) = match rest {
            [b'"', quoted @ ..] => unquote(quoted)?,
            _ => {
                let end = rest.iter().position(|&byte| !is_plain(byte));
                let (value, rest) = rest.split_at(end.unwrap_or(rest.len()));
                (Cow::Borrowed(value), rest)
            }
        };
        self.0 = rest;
        Ok(Some((name, value)))
    }
}

/// Returns whether a byte may stand in a value without quotation marks. These are more than RFC 9110
/// allows: programs write `boundary===1==`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b";\"\\".contains(&byte)
}

/// Reads a quoted string whose first quotation mark is behind us. Returns it, and what follows it.
///
/// Browsers do not escape a backslash: `C:\new` is sent as it is. Other clients write `\"` and `\\`. So
/// a backslash escapes only these two.
fn unquote(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    let (mut unescaped, mut at, mut copied) = (Vec::new(), 0, 0);
    loop {
        match text.get(at..).unwrap_or_default() {
            [] => return Err(Malformed),
            [b'"', rest @ ..] => {
                let last = &text[copied..at];
                let value = match copied {
                    0 => Cow::Borrowed(last),
                    _ => Cow::Owned([&unescaped[..], last].concat()),
                };
                return Ok((value, rest));
            }
            [b'\\', b'"' | b'\\', ..] => {
                unescaped.extend_from_slice(&text[copied..at]);
                unescaped.push(text[at + 1]);
                (at, copied) = (at + 2, at + 2);
            }
            _ => at += 1,
        }
    }
}

/// Removes the whitespace at the beginning.
fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FORM-4: what clients send, and what is refused.
    #[test]
    fn parameters_as_clients_write_them() {
        let get = |value: &'static str| {
            let parameters = parameters_of(value.as_bytes(), "form-data").expect("form-data");
            let found = parameters.get("name")?;
            Ok(found.map(|value| String::from_utf8_lossy(&value).into_owned()))
        };
        let cases = [
            ("form-data", None),
            ("form-data ;", None),
            ("\tForm-Data\t; x=y", None),
            ("form-data; name=a", Some("a")),
            ("form-data;NAME=a;", Some("a")),
            ("form-data; ; x=name=b; name=a", Some("a")),
            ("form-data; name=\"a b;c\"", Some("a b;c")),
            ("form-data; name=\"\"", Some("")),
            ("form-data; name=", Some("")),
            ("form-data; name===a=", Some("==a=")),
            ("form-data; x=\"name=b\" ; name=\"a\"", Some("a")),
            (r#"form-data; name="a\"b\\c\d""#, Some(r#"a"b\c\d"#)),
            (r#"form-data; name="C:\new\file""#, Some(r"C:\new\file")),
            (r#"form-data; name="\\""#, Some(r"\")),
            ("form-data; name*=utf-8''a; name=b", Some("b")),
            ("form-data; name=\"\u{e9}\"", Some("\u{e9}")),
        ];
        for (value, expected) in cases {
            assert_eq!(get(value), Ok(expected.map(str::to_owned)), "{value}");
        }
        let malformed = [
            "form-data; name",
            "form-data; =a",
            "form-data; name =a",
            "form-data; name= a",
            "form-data; name=\"a",
            "form-data; name=\"a\\\"",
            "form-data; name=\"a\"b",
            "form-data; name=a\"b\"",
            "form-data; name=a b",
            "form-data; name=a, name=b",
            "form-data; name=a; name=a",
            "form-data; name=a; Name=b",
            "form-data; name=\u{e9}",
        ];
        for value in malformed {
            assert_eq!(get(value), Err(Malformed), "{value}");
        }
        for other in [
            "",
            "form",
            "form-data2",
            "form-data x; name=a",
            "a, form-data",
        ] {
            assert!(parameters_of(other.as_bytes(), "form-data").is_none());
        }
    }
}
