//! Forms of the type `multipart/form-data`, as clients send them and as attackers do.
#![cfg(feature = "server")]

use serve_forever::http::h1::Error;
use serve_forever::http::{FormError, Multipart, MultipartEvent, MultipartLimits};

/// A part that was read: its name, the name of its file, its media type, its content.
type Found = (String, Option<String>, Option<String>, Vec<u8>);

/// Reads the pieces of a body. Parts without an end are not returned.
fn read<'a>(
    mut form: Multipart,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Found>, FormError> {
    let (mut found, mut open): (Vec<Found>, Option<Found>) = (Vec::new(), None);
    for mut piece in pieces {
        while let Some(event) = form.next_event(&mut piece)? {
            match event {
                MultipartEvent::Part(part) => {
                    let owned = |text: Option<&str>| text.map(str::to_owned);
                    let (filename, kind) = (owned(part.filename()), owned(part.content_type()));
                    open = Some((part.name().to_owned(), filename, kind, Vec::new()));
                }
                MultipartEvent::Data(data) => open.as_mut().expect("a part").3.extend(data),
                MultipartEvent::PartEnd => found.push(open.take().expect("a part")),
            }
        }
        assert!(piece.is_empty(), "input is left");
    }
    form.finish()?;
    Ok(found)
}

/// Reads a body whose boundary is `xyz`, whole.
fn parse(body: impl AsRef<[u8]>) -> Result<Vec<Found>, FormError> {
    let form = Multipart::new("multipart/form-data; boundary=xyz").expect("a boundary");
    read(form, [body.as_ref()])
}

/// A body of one part with this head and content, without its last delimiter.
fn part(head: &str, content: &str) -> String {
    format!("--xyz\r\n{head}\r\n\r\n{content}\r\n")
}

const NAMED: &str = "Content-Disposition: form-data; name=a";

fn disposition(value: &str) -> Result<Vec<Found>, FormError> {
    let head = format!("Content-Disposition: {value}");
    parse(part(&head, "") + "--xyz--")
}

/// What curl 7.88, Python's requests 2.34 and httpx 0.28, node 20, Go 1.19 and Chromium 148 have sent
/// for a file called `we"ird\name é.bin`.
const CLIENTS: [(&str, &str, &str); 5] = [
    (
        "curl",
        "------------------------48f82c01eb96bcf0",
        "we%22ird\\name \u{e9}.bin",
    ),
    (
        "requests",
        "862021a12ba17f0432fb5ba7990a859f",
        "we%22ird\\name \u{e9}.bin",
    ),
    (
        "httpx",
        "237aff94bbadd8cdf142a5759adb3e8f",
        "we%22ird\\\\name \u{e9}.bin",
    ),
    (
        "node, Chromium",
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "we%22ird\\name \u{e9}.bin",
    ),
    (
        "Go",
        "f0801f318ac9f6d0a3aa76b6b5349a404d4d49f8779765736f61478afb90",
        "we\\\"ird\\\\name \u{e9}.bin",
    ),
];

/// FORM-3, FORM-4: each client's form has the same parts, wherever it is cut.
#[test]
fn what_clients_send() {
    let content = b"a\0b\r\n--x\r\n\r\n-\xff".as_slice();
    for (client, boundary, filename) in CLIENTS {
        let form = Multipart::new(&format!("multipart/form-data; boundary={boundary}"));
        let form = form.expect(client);
        let fields = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n\
             hello; \"x\"\r\nline\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
             Content-Type: application/x-odd\r\n\r\n"
        );
        let rest = format!(
            "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n\r\n--{boundary}--\r\n"
        );
        let body = [fields.as_bytes(), content, rest.as_bytes()].concat();
        let some = |text: &str| Some(text.to_owned());
        let file = some("we\"ird\\name \u{e9}.bin");
        let expected: Vec<Found> = vec![
            ("note".into(), None, None, b"hello; \"x\"\r\nline".to_vec()),
            (
                "file".into(),
                file,
                some("application/x-odd"),
                content.to_vec(),
            ),
            (
                "none".into(),
                some(""),
                some("application/octet-stream"),
                Vec::new(),
            ),
        ];
        let expected = Ok(expected);
        for cut in 0..=body.len() {
            let (front, back) = body.split_at(cut);
            assert_eq!(
                read(form.clone(), [front, back]),
                expected,
                "{client}, {cut}"
            );
        }
        for size in [1, 2, 3, 7, 64] {
            assert_eq!(
                read(form.clone(), body.chunks(size)),
                expected,
                "{client}, {size}"
            );
        }
    }
}

/// FORM-3: text before and after the parts does not count, and a delimiter may have blanks behind it.
#[test]
fn what_else_rfc_2046_allows() {
    let one = |content: &str| Ok(vec![("a".to_owned(), None, None, content.into())]);
    let cases = [
        (part(NAMED, "1") + "--xyz--", "1"),
        (format!("\r\n{}--xyz--\r\n\r\n", part(NAMED, "1")), "1"),
        (
            format!(
                "before\r\n{}--xyz--\t \r\nafter\r\n--xyz\r\n",
                part(NAMED, "1")
            ),
            "1",
        ),
        (
            part(NAMED, "1").replace("--xyz", "--xyz \t") + "--xyz--\r",
            "1",
        ),
        // Nearly a delimiter.
        (
            part(NAMED, "\r\r\n--xy\r\n-\n--xyz\r--xyz") + "--xyz--",
            "\r\r\n--xy\r\n-\n--xyz\r--xyz",
        ),
        // A part without content may share the line end of the empty line.
        (format!("--xyz\r\n{NAMED}\r\n\r\n--xyz--"), ""),
        (format!("--xyz\r\n{NAMED}\r\n\r\n--xy\r\n--xyz--"), "--xy"),
        (part(NAMED, "") + "--xyz--", ""),
    ];
    for (body, content) in cases {
        assert_eq!(parse(&body), one(content), "{body:?}");
    }
    assert_eq!(parse("--xyz--"), Ok(Vec::new()));
    let head = format!("X: y\r\n{NAMED}\r\ncontent-transfer-encoding: Binary");
    assert_eq!(parse(part(&head, "1") + "--xyz--"), one("1"));
}

/// FORM-4: names, escaped as browsers and other clients do it.
#[test]
fn the_names_of_parts() {
    let cases = [
        ("form-data; name=a", "a", None),
        ("FORM-DATA ; NAME=\"\"", "", None),
        (
            "form-data; name=\"a%22b%0D%0Ac%20%0a%2522\"",
            "a\"b\r\nc%20%0a%2522",
            None,
        ),
        (
            "form-data; filename=\"../../etc/passwd\"; name=a",
            "a",
            Some("../../etc/passwd"),
        ),
        (
            "form-data; name=a; filename=\"C:\\new\\t.txt\"",
            "a",
            Some("C:\\new\\t.txt"),
        ),
        (
            "form-data; name=a; filename=\"a\\\"b\\\\c\"",
            "a",
            Some("a\"b\\c"),
        ),
        ("form-data; name=a; filename=\"a;b=c\"", "a", Some("a;b=c")),
        // RFC 7578 §4.2: it must not be used.
        (
            "form-data; name=a; filename*=UTF-8''evil; filename=b",
            "a",
            Some("b"),
        ),
        ("form-data; name=a; filename*=UTF-8''evil", "a", None),
    ];
    for (value, name, filename) in cases {
        let found = disposition(value);
        let expected = (
            name.to_owned(),
            filename.map(str::to_owned),
            None,
            Vec::new(),
        );
        assert_eq!(found, Ok(vec![expected]), "{value}");
    }
    let latin_1 = [
        b"--xyz\r\n",
        NAMED.as_bytes(),
        b"; filename=\"\xe9\"\r\n\r\n\r\n--xyz--",
    ]
    .concat();
    let found = parse(latin_1).expect("a form");
    assert_eq!(found[0].1.as_deref(), Some("\u{fffd}"));
}

/// FORM-3, FORM-4: what two programs could read in two ways is refused.
#[test]
fn malformed_forms() {
    let dispositions = [
        "",
        "attachment; name=a",
        "form-data",
        "form-data; filename=a",
        "form-data; name=a; name=a",
        "form-data; name=a; filename=b; FileName=c",
        "form-data; name=\"a",
        "form-data; name=\"a\" b",
        "form-data; name = a",
        "form-data; name=a b",
    ];
    for value in dispositions {
        assert_eq!(disposition(value), Err(FormError::Disposition), "{value}");
    }
    let twice = part(&format!("{NAMED}\r\n{NAMED}"), "1") + "--xyz--";
    let base64 = part(
        &format!("{NAMED}\r\nContent-Transfer-Encoding: base64"),
        "MQ==",
    );
    let cases = [
        ("".to_owned(), FormError::Truncated),
        ("--xyz".to_owned(), FormError::Truncated),
        ("--xyz-".to_owned(), FormError::Truncated),
        ("no delimiter".to_owned(), FormError::Truncated),
        (part(NAMED, "1"), FormError::Truncated),
        (part(NAMED, "1") + "--xyz-", FormError::Truncated),
        (format!("--xyz\r\n{NAMED}\r\n"), FormError::Truncated),
        (part(NAMED, "1") + "--xyzz--", FormError::Delimiter),
        (part(NAMED, "1") + "--xyz\n", FormError::Delimiter),
        (part(NAMED, "1") + "--xyz \r\r\n", FormError::Delimiter),
        (part(NAMED, "1") + "--xyz --", FormError::Delimiter),
        (part(NAMED, "1") + "--xyz-x", FormError::Delimiter),
        (part(NAMED, "1") + "--xyz--x", FormError::Delimiter),
        (part(NAMED, "1") + "--xyz--\r\r", FormError::Delimiter),
        (
            format!("--xyz\r\n{NAMED}\n\r\n1\r\n--xyz--"),
            FormError::Head(Error::BareLf),
        ),
        (
            part("Content-Disposition : form-data; name=a", "1"),
            FormError::Head(Error::FieldName),
        ),
        (
            part(&format!("{NAMED};\r\n filename=b"), "1"),
            FormError::Head(Error::FieldFold),
        ),
        (
            part(&format!("{NAMED}\r\nnothing"), "1"),
            FormError::Head(Error::FieldColon),
        ),
        (
            part(&format!("{NAMED}\0"), "1"),
            FormError::Head(Error::FieldValue),
        ),
        (
            "--xyz\r\n\r\n1\r\n--xyz--".to_owned(),
            FormError::Disposition,
        ),
        (
            part("Content-Type: text/plain", "1"),
            FormError::Disposition,
        ),
        (twice, FormError::Disposition),
        (base64, FormError::Encoding),
    ];
    for (body, error) in cases {
        assert_eq!(parse(&body), Err(error), "{body:?}");
        let form = Multipart::new("multipart/form-data; boundary=xyz").expect("a boundary");
        assert_eq!(
            read(form, body.as_bytes().chunks(1)),
            Err(error),
            "{body:?}, by bytes"
        );
    }
    let mut form = Multipart::new("multipart/form-data; boundary=xyz").expect("a boundary");
    let refused = form.next_event(&mut &b"--xyz?"[..]).map(|_| ());
    assert_eq!(refused, Err(FormError::Delimiter));
    let again = form.next_event(&mut &b"--xyz--"[..]).map(|_| ());
    assert_eq!(
        (again, form.finish()),
        (refused, refused),
        "it stays refused"
    );
}

/// FORM-3: the boundary is that of RFC 2046, quoted or not.
#[test]
fn boundaries() {
    let new = |content_type: &str| Multipart::new(content_type).map(|_| ());
    let longest = format!("multipart/form-data; boundary={}", "b".repeat(70));
    let good = [
        "multipart/form-data; boundary=b",
        "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b:c\"",
        "multipart/form-data; boundary===='()+_,-./:=?",
        &longest,
    ];
    for content_type in good {
        assert_eq!(new(content_type), Ok(()), "{content_type}");
    }
    let bad = [
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=\"a\\\"b\"",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=a; boundary=a",
        "multipart/form-data; boundary=a b",
        &format!("{longest}b"),
    ];
    for content_type in bad {
        assert_eq!(
            new(content_type),
            Err(FormError::Boundary),
            "{content_type}"
        );
    }
    for other in [
        "",
        "multipart/mixed; boundary=a",
        "application/x-www-form-urlencoded",
    ] {
        assert_eq!(new(other), Err(FormError::MediaType), "{other}");
    }
}

/// FORM-5: each limit, and the status beyond it.
#[test]
fn limits_of_a_form() {
    let check = |set: fn(&mut MultipartLimits), body: &str| {
        let mut limits = MultipartLimits::default();
        set(&mut limits);
        let form = Multipart::new("multipart/form-data; boundary=xyz").expect("a boundary");
        let form = form.limits(limits);
        let whole = read(form.clone(), [body.as_bytes()]);
        let split = read(form, body.as_bytes().chunks(1));
        assert_eq!(whole, split);
        whole.map(|found| found.len())
    };
    let three = part(NAMED, "123").repeat(3) + "--xyz--";
    assert_eq!(check(|limits| limits.parts = 3, &three), Ok(3));
    let many = check(|limits| limits.parts = 2, &three);
    assert_eq!(many, Err(FormError::TooManyFields));
    assert_eq!(check(|limits| limits.part = 3, &three), Ok(3));
    let large = check(|limits| limits.part = 2, &three);
    assert_eq!(large, Err(FormError::TooLarge));
    assert_eq!(check(|limits| limits.total = 9, &three), Ok(3));
    assert_eq!(
        check(|limits| limits.total = 8, &three),
        Err(FormError::TooLarge)
    );
    let length = NAMED.len() + 2;
    assert_eq!(length, 40);
    assert_eq!(check(|limits| limits.head = 40, &three), Ok(3));
    let head = check(|limits| limits.head = 39, &three);
    assert_eq!(head, Err(FormError::HeadTooLarge));
    let fields = part(&format!("{NAMED}\r\nX: 1\r\nY: 2"), "1") + "--xyz--";
    assert_eq!(check(|limits| limits.fields = 3, &fields), Ok(1));
    let too_many = check(|limits| limits.fields = 2, &fields);
    assert_eq!(too_many, Err(FormError::Head(Error::TooManyFields)));
    for body in [
        format!("{}\r\n{three}", "x".repeat(8193)),
        format!("{three}\r\n{}", "x".repeat(8193)),
        part(NAMED, "1") + "--xyz" + &" ".repeat(8193) + "\r\n",
        "x".repeat(8193),
    ] {
        assert_eq!(check(|_| (), &body), Err(FormError::HeadTooLarge));
    }
    let default = check(|_| (), &(part(NAMED, "").repeat(1001) + "--xyz--"));
    assert_eq!(default, Err(FormError::TooManyFields));
    let statuses = [many, large, head, too_many].map(|error| error.map_err(FormError::status));
    assert_eq!(statuses, [Err(413), Err(413), Err(431), Err(431)]);
}
