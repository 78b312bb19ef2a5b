//! `Headers`: Python's `HeaderTests`, and a test for each clause.
#![cfg(feature = "server")]

use serve_forever::wsgi::{AppError, Headers};

fn list(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    Headers::over(list(pairs)).expect("fields without line ends")
}

/// HDR-1: without an argument it is empty; a list of the caller's own is changed in place.
#[test]
fn over_the_callers_list() {
    assert_eq!(Headers::new().items(), []);
    assert!(Headers::new().is_empty());

    let mut own = list(&[("x", "y")]);
    let mut over = Headers::over(&mut own).expect("a field");
    over.set("Z", "1").expect("a field");
    over.remove("X");
    assert_eq!(over.into_inner(), &list(&[("Z", "1")]));
    assert_eq!(own, list(&[("Z", "1")]));
}

/// HDR-2: lookups whatever the case; the first, all in order, or none; snapshots in order.
#[test]
fn lookups() {
    let headers = headers(&[("Foo", "1"), ("Bar", "2"), ("fOO", "3")]);
    for name in ["foo", "FOO", "Foo"] {
        assert_eq!(headers.get(name), Some("1"), "{name}");
        assert_eq!(headers.get_all(name), ["1", "3"], "{name}");
        assert!(headers.contains(name), "{name}");
    }
    assert_eq!(headers.get("baz"), None);
    assert_eq!(headers.get("baz").unwrap_or("default"), "default");
    assert_eq!(headers.get_all("baz"), [""; 0]);
    assert!(!headers.contains("baz") && !headers.is_empty());
    assert_eq!(headers.len(), 3);
    assert_eq!(headers.keys(), ["Foo", "Bar", "fOO"]);
    assert_eq!(headers.values(), ["1", "2", "3"]);
    assert_eq!(headers.items(), [("Foo", "1"), ("Bar", "2"), ("fOO", "3")]);
}

/// HDR-3: set replaces all, at the end and in the new spelling; remove; setdefault.
#[test]
fn changes() {
    let mut headers = headers(&[("Foo", "1"), ("Bar", "2"), ("fOO", "3")]);
    headers.set("FOO", "4").expect("a field");
    assert_eq!(headers.items(), [("Bar", "2"), ("FOO", "4")]);
    headers.remove("baz");
    headers.remove("bar");
    assert_eq!(headers.items(), [("FOO", "4")]);
    assert_eq!(headers.setdefault("foo", "5"), Ok("4"));
    assert_eq!(headers.setdefault("New", "6"), Ok("6"));
    assert_eq!(headers.items(), [("FOO", "4"), ("New", "6")]);
    headers.set("Empty", "").expect("a field");
    assert_eq!(headers.setdefault("empty", "7"), Ok(""));
    assert_eq!(headers.get_all("Empty"), [""]);
}

/// HDR-4: parameters: hyphens for underscores, always quoted and escaped, or the bare name.
#[test]
fn add_header() {
    type Params = &'static [(&'static str, Option<&'static str>)];
    let cases: [(Option<&str>, Params, &str); 8] = [
        (Some("bar"), &[], "bar"),
        (Some("bar"), &[("cheese", None)], "bar; cheese"),
        (Some("bar"), &[("cheese", Some(""))], "bar; cheese"),
        (
            Some("attachment"),
            &[("filename", Some("bud.gif"))],
            "attachment; filename=\"bud.gif\"",
        ),
        (
            Some("bar"),
            &[("a_b", Some("c_d")), ("e", Some("f"))],
            "bar; a-b=\"c_d\"; e=\"f\"",
        ),
        (
            Some("bar"),
            &[("q", Some(r#"a"b\c"#))],
            r#"bar; q="a\"b\\c""#,
        ),
        (
            None,
            &[("max_age", Some("0")), ("only", None)],
            "max-age=\"0\"; only",
        ),
        (None, &[], ""),
    ];
    for (value, params, expected) in cases {
        let mut headers = headers(&[("foo", "before")]);
        headers.add_header("Foo", value, params).expect(expected);
        assert_eq!(headers.get_all("foo"), ["before", expected]);
    }
}

/// HDR-5: as text and as bytes; Latin-1 or nothing.
#[test]
fn text_and_bytes() {
    assert_eq!(Headers::new().to_string(), "\r\n");
    assert_eq!(Headers::new().to_bytes(), Ok(b"\r\n".to_vec()));
    let both = headers(&[("Foo", "1"), ("Bar", "caf\u{e9}")]);
    assert_eq!(both.to_string(), "Foo: 1\r\nBar: caf\u{e9}\r\n\r\n");
    let bytes = b"Foo: 1\r\nBar: caf\xe9\r\n\r\n".to_vec();
    assert_eq!(both.to_bytes(), Ok(bytes));
    let value = AppError::HeaderValue("Foo".into());
    assert_eq!(headers(&[("Foo", "\u{20ac}")]).to_bytes(), Err(value));
    let name = AppError::HeaderName("\u{20ac}".into());
    assert_eq!(headers(&[("\u{20ac}", "1")]).to_bytes(), Err(name));
}

/// HDR-5 *Better*: what would end the line is refused, wherever it comes in, and changes nothing.
#[test]
fn line_ends_are_refused() {
    for text in ["a\rb", "a\nb", "a\0b", "a\r\nSet-Cookie: b"] {
        let name = Err(AppError::HeaderName(text.into()));
        let value = Err(AppError::HeaderValue("X".into()));
        let mut headers = headers(&[("x", "1")]);
        assert_eq!(headers.set(text, "1"), name, "{text:?}");
        assert_eq!(headers.set("X", text), value, "{text:?}");
        assert_eq!(headers.add_header(text, None, &[]), name, "{text:?}");
        assert_eq!(headers.add_header("X", Some(text), &[]), value, "{text:?}");
        let params = &[("p", Some(text))];
        assert_eq!(headers.add_header("X", None, params), value, "{text:?}");
        let setdefault = headers.setdefault("Y", text).map(|_| ());
        assert_eq!(
            setdefault,
            Err(AppError::HeaderValue("Y".into())),
            "{text:?}"
        );
        assert_eq!(headers.items(), [("x", "1")], "{text:?}");
        let over = Headers::over(list(&[("a", "b"), ("X", text)])).map(|_| ());
        assert_eq!(over, value, "{text:?}");
        let over = Headers::over(list(&[(text, "b")])).map(|_| ());
        assert_eq!(over, name, "{text:?}");
    }
}
