//! The access log: what a line says, what of a client reaches it, and when it is written.
#![cfg(feature = "server")]

mod support;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serve_forever::http::{
    AccessLog, Block, BodyPolicy, BodySource, Deferred, Http, HttpConnection, HttpRequestHandler,
    HttpResult, HttpSettings, LogEntry, LogFormat, Pooled, Request, Response,
};
use serve_forever::reactor::Now;
use serve_forever::socketserver::{Buffer, Evented, Failure, Mailbox, Pool, Protocol};
use serve_forever::wsgi::{AppResult, Body, Environ, StartResponse, WsgiHandler};
use support::client::read_through;
use support::patience::PATIENCE;
use support::server::{Serving, serve};
use support::wire::{GET, Wire, status};

const FORMATS: [LogFormat; 4] = [
    LogFormat::Python,
    LogFormat::Common,
    LogFormat::Combined,
    LogFormat::Json,
];

/// What each line of a connection by hand begins with.
const PYTHON: &str = "192.0.2.1 - - [06/Nov/1994 08:49:37] ";
const COMMON: &str = "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] ";
const JSON: &str = "{\"time\":\"1994-11-06T08:49:37.000000Z\",\"client\":\"192.0.2.1\",";

/// The lines that a log has taken.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn sink(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let lines = self.clone();
        move |line: &str| lines.0.lock().expect("no panic in here").push(line.into())
    }

    /// The lines since the last time this was asked, without their ends.
    fn take(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.0.lock().expect("no panic in here"));
        let whole = |line: String| {
            let line = line.strip_suffix('\n').expect("a whole line").to_owned();
            assert!(!line.contains('\n'), "two lines in one: {line:?}");
            line
        };
        lines.into_iter().map(whole).collect()
    }
}

/// A connection whose requests are logged.
fn logged(format: LogFormat, handler: impl HttpRequestHandler + 'static) -> (Wire, Lines) {
    let lines = Lines::default();
    let wire = Wire::new(AccessLog::new(handler, format, lines.sink()));
    (wire, lines)
}

/// The lines for what `input` is answered with.
fn lines(
    format: LogFormat,
    handler: impl HttpRequestHandler + 'static,
    input: impl AsRef<[u8]>,
) -> Vec<String> {
    let (mut wire, lines) = logged(format, handler);
    wire.receive(input);
    lines.take()
}

fn hello(request: &Request<'_>, response: Response<'_>) -> HttpResult {
    match request.path() {
        "/missing" => response.send_error(404),
        "/empty" => response.send_response(204).body(""),
        "/fail" => Err(io::Error::other("scripted").into()),
        "/stream" => response
            .send_response(200)
            .stream(["he", "", "llo"].into_iter()),
        _ => response.send_response(200).body("hello"),
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// How many microseconds a line says that the request took.
fn duration(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("\"duration_us\":")?;
    rest.split(',').next()?.parse().ok()
}

// What a line says.

/// LOG-1, LOG-2, LOG-6: every format, to the byte.
#[test]
fn a_line_in_each_format() {
    let request = "GET /a?b HTTP/1.1\r\nHost: h\r\nReferer: http://h/from\r\n\
                   User-Agent: curl/8.0\r\n\r\n";
    let common = format!("{COMMON}\"GET /a?b HTTP/1.1\" 200 5");
    let json = format!(
        "{JSON}\"request\":\"GET /a?b HTTP/1.1\",\"status\":200,\"size\":5,\"complete\":true,\
         \"duration_us\":0,\"referer\":\"http://h/from\",\"user_agent\":\"curl/8.0\"}}"
    );
    let cases = [
        (
            LogFormat::Python,
            format!("{PYTHON}\"GET /a?b HTTP/1.1\" 200 5"),
        ),
        (LogFormat::Common, common.clone()),
        (
            LogFormat::Combined,
            format!("{common} \"http://h/from\" \"curl/8.0\""),
        ),
        (LogFormat::Json, json),
    ];
    for (format, expected) in cases {
        let found = lines(format, hello, request).concat();
        // The one thing that the test does not know.
        let took = format!("\"duration_us\":{},", duration(&found).unwrap_or(0));
        let found = found.replace(&took, "\"duration_us\":0,");
        assert_eq!(found, expected, "{format:?}");
    }
    // Without them.
    let bare = lines(LogFormat::Combined, hello, GET);
    assert_eq!(
        bare,
        [format!("{COMMON}\"GET / HTTP/1.1\" 200 5 \"-\" \"-\"")]
    );
    let bare = lines(LogFormat::Json, hello, GET);
    assert!(
        bare[0].ends_with("\"referer\":null,\"user_agent\":null}"),
        "{bare:?}"
    );
}

/// A size of nothing is `-` where Apache has it so, and 0 where wsgiref does.
#[test]
fn a_size_of_nothing() {
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (request, begin) in [
        (get("/empty"), "GET /empty HTTP/1.1\" 204"),
        (head.to_owned(), "HEAD / HTTP/1.1\" 200"),
    ] {
        let line = |format| lines(format, hello, &request);
        assert_eq!(line(LogFormat::Python), [format!("{PYTHON}\"{begin} 0")]);
        assert_eq!(line(LogFormat::Common), [format!("{COMMON}\"{begin} -")]);
        assert!(line(LogFormat::Json)[0].contains("\"size\":0,"));
    }
}

/// The zone is what the program says it is.
#[test]
fn the_time_is_utc_unless_told_otherwise() {
    let cases = [
        (
            0,
            "06/Nov/1994:08:49:37 +0000",
            "1994-11-06T08:49:37.000000Z",
        ),
        (
            60,
            "06/Nov/1994:09:49:37 +0100",
            "1994-11-06T09:49:37.000000+01:00",
        ),
        (
            345,
            "06/Nov/1994:14:34:37 +0545",
            "1994-11-06T14:34:37.000000+05:45",
        ),
        (
            -210,
            "06/Nov/1994:05:19:37 -0330",
            "1994-11-06T05:19:37.000000-03:30",
        ),
        (
            -30,
            "06/Nov/1994:08:19:37 -0030",
            "1994-11-06T08:19:37.000000-00:30",
        ),
        (
            -530,
            "05/Nov/1994:23:59:37 -0850",
            "1994-11-05T23:59:37.000000-08:50",
        ),
        (
            i16::MAX,
            "07/Nov/1994:08:48:37 +2359",
            "1994-11-07T08:48:37.000000+23:59",
        ),
        (
            i16::MIN,
            "05/Nov/1994:08:50:37 -2359",
            "1994-11-05T08:50:37.000000-23:59",
        ),
    ];
    for (offset, common, json) in cases {
        let line = |format| {
            let lines = Lines::default();
            let log = AccessLog::new(hello, format, lines.sink()).utc_offset(offset);
            Wire::new(log).receive(GET);
            lines.take().concat()
        };
        let python = common
            .split(' ')
            .next()
            .unwrap_or_default()
            .replacen(':', " ", 1);
        assert!(
            line(LogFormat::Common).contains(&format!(" - - [{common}] \"GET")),
            "{offset}"
        );
        assert!(
            line(LogFormat::Python).contains(&format!(" - - [{python}] \"GET")),
            "{offset}"
        );
        assert!(
            line(LogFormat::Json).starts_with(&format!("{{\"time\":\"{json}\",")),
            "{offset}"
        );
    }
}

/// LOG-1: the zone of a process is in its variable TZ, which only a process of its own can have.
#[cfg(feature = "local-time")]
#[test]
fn local_time_is_that_of_the_variable_tz() {
    use std::env;
    use std::process::Command;

    const CHILD: &str = "LOCAL_TIME_CHILD";
    if env::var_os(CHILD).is_some() {
        for format in [LogFormat::Python, LogFormat::Common, LogFormat::Json] {
            let lines = Lines::default();
            let log = AccessLog::new(hello, format, lines.sink()).local_time();
            let Ok(log) = log else {
                println!("\nno zone");
                return;
            };
            Wire::new(log).receive(GET);
            println!("\n{}", lines.take().concat());
        }
        return;
    }
    for (zone, common, json) in [
        (
            "UTC0",
            "06/Nov/1994:08:49:37 +0000",
            "1994-11-06T08:49:37.000000Z",
        ),
        // The summer of the southern half of the Earth.
        (
            "NZST-12NZDT,M9.5.0,M4.1.0/3",
            "06/Nov/1994:21:49:37 +1300",
            "1994-11-06T21:49:37.000000+13:00",
        ),
        (
            "NST3:30NDT,M3.2.0,M11.1.0",
            "06/Nov/1994:05:19:37 -0330",
            "1994-11-06T05:19:37.000000-03:30",
        ),
    ] {
        let mut command = Command::new(env::current_exe().expect("a path"));
        command.args([
            "--exact",
            "local_time_is_that_of_the_variable_tz",
            "--nocapture",
        ]);
        let output = command
            .env(CHILD, "1")
            .env("TZ", zone)
            .output()
            .expect("it runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        let python = common.split(' ').next().unwrap_or_default();
        let python = python.replacen(':', " ", 1);
        for expected in [
            format!("- - [{python}] \"GET"),
            format!("- - [{common}] \"GET"),
            format!("{{\"time\":\"{json}\","),
        ] {
            assert!(printed.contains(&expected), "{zone}: {printed}");
        }
    }
    let mut command = Command::new(env::current_exe().expect("a path"));
    command.args([
        "--exact",
        "local_time_is_that_of_the_variable_tz",
        "--nocapture",
    ]);
    let output = command
        .env(CHILD, "1")
        .env("TZ", "Nowhere/Land")
        .output()
        .expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("\nno zone\n"), "{printed}");
}

/// A line for a request that has come at `wall` over a connection from `client`.
fn line_at(wall: Duration, client: Option<SocketAddr>, format: LogFormat) -> String {
    let lines = Lines::default();
    let handler = AccessLog::new(hello, format, lines.sink());
    let mut connection = HttpConnection::new(handler, client, Arc::new(HttpSettings::default()));
    let now = Now::at(Instant::now(), UNIX_EPOCH + wall);
    let (mut input, mut output) = (Buffer::new(), Buffer::new());
    connection.connection_made(Mailbox::dangling(), &mut output, &now);
    input.extend_from_slice(GET.as_bytes());
    connection.receive(&mut input, &mut output, &now);
    lines.take().concat()
}

#[test]
fn times_at_the_edges_of_the_calendar() {
    let cases = [
        (0, "01/Jan/1970:00:00:00", "1970-01-01T00:00:00"),
        (951_782_399, "28/Feb/2000:23:59:59", "2000-02-28T23:59:59"),
        (951_782_400, "29/Feb/2000:00:00:00", "2000-02-29T00:00:00"),
        (1_735_689_599, "31/Dec/2024:23:59:59", "2024-12-31T23:59:59"),
        (4_107_542_400, "01/Mar/2100:00:00:00", "2100-03-01T00:00:00"),
        (
            253_402_300_799,
            "31/Dec/9999:23:59:59",
            "9999-12-31T23:59:59",
        ),
        (
            300_000_000_000,
            "31/Dec/9999:23:59:59",
            "9999-12-31T23:59:59",
        ),
    ];
    for (second, common, json) in cases {
        let wall = Duration::from_secs(second) + Duration::from_micros(7);
        let line = line_at(wall, None, LogFormat::Common);
        assert!(
            line.starts_with(&format!("- - - [{common} +0000] ")),
            "{line}"
        );
        let line = line_at(wall, None, LogFormat::Json);
        assert!(
            line.starts_with(&format!("{{\"time\":\"{json}.000007Z\",")),
            "{line}"
        );
    }
}

/// LOG-6: the address as text, without the port; who has none (UNIX-4) is a dash.
#[test]
fn who_asked() {
    let cases = [
        (Some("192.0.2.9:80"), "192.0.2.9", "\"192.0.2.9\""),
        (Some("[2001:db8::1]:80"), "2001:db8::1", "\"2001:db8::1\""),
        (
            Some("[::ffff:192.0.2.9]:80"),
            "::ffff:192.0.2.9",
            "\"::ffff:192.0.2.9\"",
        ),
        (None, "-", "null"),
    ];
    for (client, text, json) in cases {
        let client = client.map(|client| client.parse().expect("an address"));
        for format in FORMATS {
            let line = line_at(Duration::ZERO, client, format);
            match format {
                LogFormat::Json => {
                    assert!(line.contains(&format!(",\"client\":{json},")), "{line}")
                }
                _ => assert!(line.starts_with(&format!("{text} - - [")), "{line}"),
            }
        }
    }
}

// The same as CPython's.

/// LOG-2, WSGI-21: lines of CPython 3.13.0's `wsgiref.simple_server`, without host and date, for an
/// application that answers `he` and `llo`, and to `/empty` 204; and ours for the same application.
///
/// They were taken from the standard error of `make_server` while each request was sent over a
/// connection of its own. CPython sends an application's content to HEAD, so that is not here
/// (WSGI-14).
#[test]
fn the_lines_of_wsgiref() {
    fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        if environ.get("PATH_INFO").as_deref() == Some("/empty") {
            start_response.call("204 No Content", &[])?;
            return Ok("".into());
        }
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        Ok(Body::blocks(["he", "llo"]))
    }
    let cases = [
        ("GET / HTTP/1.1", r#""GET / HTTP/1.1" 200 5"#),
        ("GET /empty HTTP/1.1", r#""GET /empty HTTP/1.1" 204 0"#),
        ("FOO / HTTP/1.1", r#""FOO / HTTP/1.1" 200 5"#),
        (
            r#"GET /\back"quoted' HTTP/1.1"#,
            r#""GET /\\back"quoted' HTTP/1.1" 200 5"#,
        ),
        (
            "GET /[|]{}^`<>%zz%0a%1b HTTP/1.1",
            r#""GET /[|]{}^`<>%zz%0a%1b HTTP/1.1" 200 5"#,
        ),
        (
            "GET //double/slash HTTP/1.1",
            r#""GET //double/slash HTTP/1.1" 200 5"#,
        ),
    ];
    for (request, expected) in cases {
        let handler = WsgiHandler::new(app, None);
        let request = format!("{request}\r\nHost: h\r\n\r\n");
        let found = lines(LogFormat::Python, handler, &request);
        assert_eq!(found, [format!("{PYTHON}{expected}")], "{request}");
    }
}

/// LOG-3, cpython gh-100001, HTTP-6, HTTP-16: what CPython 3.13.0's `http.server` wrote for these
/// request lines between the quotation marks, measured in the same way. CPython served some of
/// them; here all but the first are refused, and in the log all the same.
#[test]
fn the_request_lines_of_http_server() {
    let cases: [(&[u8], &str); 12] = [
        (br"GET /\back HTTP/1.1", r"GET /\\back HTTP/1.1"),
        (
            b"GET /\x1b[31mred\x1b[0m HTTP/1.1",
            r"GET /\x1b[31mred\x1b[0m HTTP/1.1",
        ),
        (
            b"GET /bell\x07nul\x00tab\tdel\x7f HTTP/1.1",
            r"GET /bell\x07nul\x00tab\x09del\x7f HTTP/1.1",
        ),
        (
            b"GET /c1\x80\x9b\x9f HTTP/1.1",
            r"GET /c1\x80\x9b\x9f HTTP/1.1",
        ),
        (
            b"GET /latin\xa1\xe9\xff HTTP/1.1",
            "GET /latin\u{a1}\u{e9}\u{ff} HTTP/1.1",
        ),
        (
            b"GET /utf8\xc3\xa9\xe2\x82\xac HTTP/1.1",
            "GET /utf8\u{c3}\u{a9}\u{e2}\\x82\u{ac} HTTP/1.1",
        ),
        (b"GET /cr\rinside HTTP/1.1", r"GET /cr\x0dinside HTTP/1.1"),
        (b"GET /x HTTP/3.0", "GET /x HTTP/3.0"),
        (b"GET /x HTTP/x", "GET /x HTTP/x"),
        (
            b"\x16\x03\x01\x02\x00\x01\xfc",
            "\\x16\\x03\\x01\\x02\\x00\\x01\u{fc}",
        ),
        (b"hello", "hello"),
        (b"GET /old", "GET /old"),
    ];
    for (number, (request, expected)) in cases.into_iter().enumerate() {
        let request = [request, b"\r\nHost: h\r\n\r\n"].concat();
        let found = lines(LogFormat::Python, hello, &request);
        let line = found.last().expect("a line");
        let expected = format!("{PYTHON}\"{expected}\" ");
        let rest = line
            .strip_prefix(&expected)
            .unwrap_or_else(|| panic!("{line}"));
        assert_eq!(rest.starts_with("200 "), number == 0, "{line}");
    }
    // `"" 414 -` in CPython, which does not know the size.
    let long = lines(LogFormat::Python, hello, get(&"x".repeat(70_000)));
    assert_eq!(long[0], format!("{PYTHON}code 414, message URI Too Long"));
    assert!(
        long[1].starts_with(&format!("{PYTHON}\"\" 414 ")),
        "{long:?}"
    );
    // `"GET / HTTP/1.1" 431 -`.
    let fields = format!(
        "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
        "X: y\r\n".repeat(120)
    );
    let many = lines(LogFormat::Python, hello, fields);
    assert!(
        many[1].starts_with(&format!("{PYTHON}\"GET / HTTP/1.1\" 431 ")),
        "{many:?}"
    );
}

/// HTTP-34, LOG-4: both lines of an error page are CPython's, but for the size.
#[test]
fn an_error_page_has_a_line_before_that_of_its_request() {
    let cases = [
        (
            get("/missing"),
            "code 404, message Not Found",
            "GET /missing HTTP/1.1\" 404",
        ),
        (
            get("/fail"),
            "code 500, message Internal Server Error",
            "GET /fail HTTP/1.1\" 500",
        ),
        (
            "GET /x HTTP/1.1\r\n\r\n".to_owned(),
            "code 400, message Bad Request",
            "GET /x HTTP/1.1\" 400",
        ),
    ];
    for (request, error, line) in cases {
        let (mut wire, log) = logged(LogFormat::Python, hello);
        wire.receive(&request);
        let sent = wire.sent();
        let (_, page) = sent.split_once("\r\n\r\n").expect("a page");
        let expected = [
            format!("{PYTHON}{error}"),
            format!("{PYTHON}\"{line} {}", page.len()),
        ];
        assert_eq!(log.take(), expected, "{request}");
        let json = lines(LogFormat::Json, hello, &request);
        let words = line.split('"').next().unwrap_or_default();
        let expected = format!("{JSON}\"request\":\"{words}\",\"error\":\"{error}\"}}");
        assert_eq!(
            (json.len(), json[0].as_str()),
            (2, expected.as_str()),
            "{request}"
        );
        for format in [LogFormat::Common, LogFormat::Combined] {
            let found = lines(format, hello, &request);
            assert_eq!(
                found.len(),
                1,
                "{format:?} has a line for each request: {found:?}"
            );
        }
    }
    struct Nothing;
    impl HttpRequestHandler for Nothing {}
    let found = lines(
        LogFormat::Python,
        Nothing,
        "FOO / HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(
        found[0],
        format!("{PYTHON}code 501, message Unsupported method ('FOO')")
    );
}

#[test]
fn lines_of_error_pages_can_be_had_and_left_out() {
    for format in FORMATS {
        for errors in [false, true] {
            let lines = Lines::default();
            let log = AccessLog::new(hello, format, lines.sink()).errors(errors);
            Wire::new(log).receive(get("/missing"));
            let found = lines.take();
            assert_eq!(
                found.len(),
                1 + usize::from(errors),
                "{format:?}: {found:?}"
            );
            assert!(
                found
                    .last()
                    .expect("a line")
                    .contains("\"GET /missing HTTP/1.1\"")
            );
        }
    }
    let lines = Lines::default();
    let reason = |_: &Request<'_>, response: Response<'_>| {
        response.send_error_with(404, r#"a "b" \c é"#, "")
    };
    let log = AccessLog::new(reason, LogFormat::Common, lines.sink()).errors(true);
    Wire::new(log).receive(GET);
    let expected = format!(r#"{COMMON}code 404, message a \"b\" \\c \xc3\xa9"#);
    assert_eq!(lines.take()[0], expected);
    let found = self::lines(LogFormat::Python, reason, GET);
    assert_eq!(
        found[0],
        format!(r#"{PYTHON}code 404, message a "b" \\c é"#)
    );
    let found = self::lines(LogFormat::Json, reason, GET);
    assert!(
        found[0].ends_with(r#","error":"code 404, message a \"b\" \\c \u00e9"}"#),
        "{found:?}"
    );
}

// What of a client reaches it.

/// Takes the escapes out again: what was sent.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.chars());
    while let Some(character) = rest.next() {
        if character != '\\' {
            bytes.push(u8::try_from(u32::from(character)).expect("Latin-1"));
            continue;
        }
        match rest.next() {
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                assert_eq!(digits, digits.to_lowercase());
                bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            Some(quoted @ ('\\' | '"')) => bytes.push(quoted as u8),
            other => panic!("an escape that is none: {other:?} in {text}"),
        }
    }
    bytes
}

/// What `line` has between the `number`th pair of quotation marks that no backslash is before.
fn quoted(line: &str, number: usize) -> &str {
    let bytes = line.as_bytes();
    let mut marks = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => marks.push(at),
            _ => {}
        }
        at += 1;
    }
    assert_eq!(marks.len() % 2, 0, "{line}");
    &line[marks[2 * number] + 1..marks[2 * number + 1]]
}

/// The value of each byte in JSON's text.
fn latin_1(text: &serde_json::Value) -> Vec<u8> {
    let text = text.as_str().expect("a string");
    let byte = |character| u8::try_from(u32::from(character)).expect("Latin-1");
    text.chars().map(byte).collect()
}

fn assert_harmless(line: &str, format: LogFormat) {
    for character in line.chars() {
        let code = u32::from(character);
        let control = code < 0x20 || (0x7f..0xa0).contains(&code);
        let foreign = code >= 0x7f && format != LogFormat::Python;
        assert!(!control && !foreign, "{character:?} in {line}");
    }
}

/// LOG-3, cpython gh-100001: every byte but the one that ends the line, and each can be read back.
#[test]
fn no_byte_of_a_request_line_reaches_the_log_raw() {
    let mut hostile: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
    hostile.extend(b"\x1b]0;title\x07 \"200 \\x0a\\\" \r 192.0.2.66 - - [");
    let words = [b"GET /", &hostile[..], b" HTTP/1.1"].concat();
    let request = [&words[..], b"\r\nHost: h\r\n\r\n"].concat();
    for format in FORMATS {
        let found = lines(format, hello, &request);
        let line = found.last().expect("a line");
        assert_harmless(line, format);
        let read = match format {
            LogFormat::Json => {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(line["status"], 400);
                latin_1(&line["request"])
            }
            // Python leaves quotation marks as they are, so only the last one is the end.
            LogFormat::Python => {
                let (_, rest) = line.split_once('"').expect("a quotation mark");
                unescaped(rest.rsplit_once('"').expect("another").0)
            }
            _ => unescaped(quoted(line, 0)),
        };
        assert_eq!(read, words, "{format:?}");
    }
}

/// cpython gh-100001: what the parser lets through to a request that is served.
#[test]
fn no_byte_of_a_field_reaches_the_log_raw() {
    let mut value: Vec<u8> = (b' '..=255).filter(|&byte| byte != 0x7f).collect();
    value.splice(..1, *b"\"\t"); // leading blanks are not part of a value
    for name in ["Referer", "User-Agent"] {
        let head = format!("GET /\"\\ HTTP/1.1\r\nHost: h\r\n{name}: ");
        let request = [head.as_bytes(), &value, b"\r\n\r\n"].concat();
        let index = 1 + usize::from(name == "User-Agent");
        let found = lines(LogFormat::Combined, hello, &request);
        assert_harmless(&found[0], LogFormat::Combined);
        assert!(
            found[0].contains(r#""GET /\"\\ HTTP/1.1" 200 5 "#),
            "{found:?}"
        );
        assert_eq!(unescaped(quoted(&found[0], index)), value, "{name}");
        let found = lines(LogFormat::Json, hello, &request);
        assert_harmless(&found[0], LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(&found[0]).expect("JSON");
        assert_eq!(line["status"], 200);
        assert_eq!(latin_1(&line["request"]), br#"GET /"\ HTTP/1.1"#);
        let member = name.to_ascii_lowercase().replace('-', "_");
        assert_eq!(latin_1(&line[member]), value, "{name}");
    }
}

/// A line feed ends the line that is logged, wherever a client puts it.
#[test]
fn a_line_feed_makes_no_second_line() {
    let requests = [
        "GET /\n127.0.0.1 - - [x] \"GET /forged HTTP/1.1\" 200 5 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: a\n127.0.0.1 - - forged\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r\n 127.0.0.1 - - forged\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
    ];
    for request in requests {
        for format in FORMATS {
            let found = lines(format, hello, request);
            let errors = matches!(format, LogFormat::Python | LogFormat::Json);
            assert_eq!(found.len(), 1 + usize::from(errors), "{found:?}");
            assert!(!found.concat().contains("forged"), "{found:?}");
        }
    }
}

// When there is a line.

/// HTTP-24: one line for each request, in order, whatever kind of answer it gets.
#[test]
fn pipelined_requests_have_a_line_each_in_order() {
    let targets = ["/1", "/stream", "/empty", "/2", "/stream", "/3"];
    let batch: String = targets.iter().map(|target| get(target)).collect();
    let expected = targets.map(|target| {
        let end = if target == "/empty" { "204 0" } else { "200 5" };
        format!("{PYTHON}\"GET {target} HTTP/1.1\" {end}")
    });
    assert_eq!(lines(LogFormat::Python, hello, &batch), expected);
    let (mut wire, log) = logged(LogFormat::Python, hello);
    for byte in batch.bytes() {
        wire.receive([byte]);
    }
    assert_eq!(log.take(), expected, "a byte at a time");
}

/// HTTP-7, HTTP-18, HTTP-26: what is no request has no line, nor has an interim response.
#[test]
fn what_is_not_logged() {
    for input in ["", "\r\n", "GET / HTTP/1.1\r\nHost: h\r\n"] {
        let (mut wire, log) = logged(LogFormat::Python, hello);
        wire.receive(input);
        wire.input_closed();
        assert_eq!((wire.verdict, log.take()), ("Close", vec![]), "{input:?}");
    }
    let (mut wire, log) = logged(LogFormat::Python, hello);
    wire.receive(
        "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    );
    assert_eq!(wire.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(log.take(), [""; 0]);
    wire.receive("x");
    assert_eq!(log.take(), [format!("{PYTHON}\"POST /x HTTP/1.1\" 200 5")]);
}

/// HTTP-27: a client that is too slow has got its 408, and a line.
#[test]
fn a_client_that_is_too_slow_is_logged() {
    let cases = [
        ("GET /x HT", ""),
        (
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx",
            "POST /x HTTP/1.1",
        ),
    ];
    for (begun, words) in cases {
        let (mut wire, log) = logged(LogFormat::Python, hello);
        wire.receive(begun);
        wire.timed_out();
        let found = log.take();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            found[0],
            format!("{PYTHON}code 408, message Request Timeout")
        );
        assert!(
            found[1].starts_with(&format!("{PYTHON}\"{words}\" 408 ")),
            "{found:?}"
        );
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Answers wait for the test.
fn deferring() -> (
    impl FnMut(&Request<'_>, Response<'_>) -> HttpResult,
    Receiver<Deferred>,
) {
    let (sender, receiver) = mpsc::channel();
    let handler = move |_: &Request<'_>, response: Response<'_>| {
        let (deferred, reply) = response.defer();
        sender.send(deferred).expect("the test waits");
        Ok(reply)
    };
    (handler, receiver)
}

/// LOG-5: what the handler takes counts, though the loop looks at the clock once a turn.
#[test]
fn a_slow_handler_is_logged_as_one() {
    let slow = |_: &Request<'_>, response: Response<'_>| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2) {}
        response.send_response(200).body("")
    };
    let (mut wire, log) = logged(LogFormat::Json, slow);
    for round in 1..=2 {
        wire.receive(GET);
        let line = log.take().concat();
        assert!(duration(&line) >= Some(2000), "{round}: {line}");
    }
    wire.receive("BAD\r\n\r\n");
    let lines = log.take();
    let line = lines.last().expect("it is refused");
    assert!(
        duration(line) < Some(2000),
        "not that of the request before: {line}"
    );
}

/// LOG-5: the line is written when the answer ends, and knows how large it was and how long it
/// took. In Python it would have been there before.
#[test]
fn a_pushed_answer_is_logged_at_its_end() {
    let cases = [
        // The line of Python is of the time when it is written.
        (
            LogFormat::Python,
            format!("{PYTHON}\"GET / HTTP/1.1\" 200 8"),
        ),
        (
            LogFormat::Common,
            "192.0.2.1 - - [06/Nov/1994:08:49:34 +0000] \"GET / HTTP/1.1\" 200 8".to_owned(),
        ),
        (
            LogFormat::Json,
            "{\"time\":\"1994-11-06T08:49:34.000000Z\",\"client\":\"192.0.2.1\",\
             \"request\":\"GET / HTTP/1.1\",\"status\":200,\"size\":8,\"complete\":true,\
             \"duration_us\":3000000,\"referer\":null,\"user_agent\":null}"
                .to_owned(),
        ),
    ];
    for (format, expected) in cases {
        let (handler, deferred) = deferring();
        let (mut wire, log) = logged(format, handler);
        wire.receive(GET);
        let deferred = deferred.try_recv().expect("it was handled");
        let stream = deferred
            .stream(|response| response.send_response(200))
            .expect("it is there");
        stream.send("push").expect("there is room");
        wire.at(SECOND);
        wire.deliver();
        stream.send("ed!!").expect("there is room");
        wire.at(2 * SECOND);
        wire.deliver();
        assert!(wire.sent().ends_with("4\r\npush\r\n4\r\ned!!\r\n"));
        assert_eq!(log.take(), [""; 0], "not yet");
        stream.finish().expect("it is there");
        wire.at(3 * SECOND);
        wire.deliver();
        assert_eq!(log.take(), [expected], "{format:?}");
        wire.connection_lost();
        assert_eq!(log.take(), [""; 0], "once");
    }
}

/// WSGI-21: always one line, with what was sent until then; only JSON says that it was not all.
#[test]
fn an_answer_that_is_broken_off_has_one_line() {
    struct Fails(u8);
    impl BodySource for Fails {
        fn next_block(&mut self) -> Result<Option<Block>, Failure> {
            self.0 += 1;
            match self.0 {
                1 | 2 => Ok(Some(b"block".into())),
                _ => Err(io::Error::other("scripted").into()),
            }
        }
    }
    // The client leaves, or the source fails; between two blocks, in either case.
    for leaves in [true, false] {
        for format in FORMATS {
            let (mut wire, log) = logged(format, |_: &Request<'_>, response: Response<'_>| {
                response.send_response(200).stream(Fails(0))
            });
            wire.open = !leaves;
            wire.receive(GET);
            if leaves {
                assert_eq!((wire.verdict, log.take()), ("Produce", vec![]));
                wire.connection_lost();
            }
            let size = if leaves { 5 } else { 10 };
            let found = log.take();
            assert_eq!(found.len(), 1, "{found:?}");
            let expected = match format {
                LogFormat::Json => format!(",\"status\":200,\"size\":{size},\"complete\":false,"),
                _ => format!("\"GET / HTTP/1.1\" 200 {size}"),
            };
            assert!(found[0].contains(&expected), "{found:?}");
        }
    }
}

/// A client that left before there was an answer: nobody knows what it would have been.
#[test]
fn an_answer_that_never_came() {
    for format in FORMATS {
        let (handler, deferred) = deferring();
        let (mut wire, log) = logged(format, handler);
        wire.receive(GET);
        wire.connection_lost();
        let found = log.take();
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = match format {
            LogFormat::Json => ",\"status\":null,\"size\":0,\"complete\":false,",
            _ => "\"GET / HTTP/1.1\" - -",
        };
        assert!(found[0].contains(expected), "{found:?}");
        drop(deferred);
    }
}

/// A declared length that is not kept to: what was sent counts (WSGI-17).
#[test]
fn an_answer_that_is_too_short_is_not_complete() {
    for (length, size, complete) in [("5", 5, true), ("4", 4, true), ("6", 5, false)] {
        let handler = move |_: &Request<'_>, response: Response<'_>| {
            let head = response.send_response(200);
            head.send_header("Content-Length", length).body("hello")
        };
        let found = lines(LogFormat::Json, handler, GET);
        let expected = format!(",\"size\":{size},\"complete\":{complete},");
        assert!(found[0].contains(&expected), "{length}: {found:?}");
    }
}

/// WSGI-21: the size is that of the content an application gave, through whatever it gave it.
#[test]
fn the_answers_of_applications() {
    fn app(environ: &mut Environ<'_>, start_response: &mut dyn StartResponse) -> AppResult {
        let path = environ.get("PATH_INFO").map(|path| path.into_owned());
        if path.as_deref() == Some("/fail") {
            return Err(io::Error::other("scripted").into());
        }
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        if path.as_deref() == Some("/write") {
            start_response.write(b"written ")?;
        }
        Ok(Body::blocks(["in ", "", "blocks"]))
    }
    for (target, status, size) in [("/", 200, 9), ("/write", 200, 17), ("/fail", 500, 59)] {
        let handler = WsgiHandler::new(app, None);
        let found = lines(LogFormat::Common, handler, get(target));
        let expected = format!("{COMMON}\"GET {target} HTTP/1.1\" {status} {size}");
        assert_eq!(found, [expected]);
    }
}

// What else it does.

/// All that a handler can decide still reaches it.
#[test]
fn it_answers_as_its_handler_does() {
    #[derive(Clone)]
    struct Handler(Lines);
    impl HttpRequestHandler for Handler {
        fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
            match request.path() {
                "/refused" => BodyPolicy::refused(413),
                _ => BodyPolicy::whole(),
            }
        }

        fn do_put(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
            response.send_response(201).body(request.body())
        }

        fn log_request(&mut self, entry: &LogEntry<'_>) {
            self.0.sink()(&format!("request {:?}\n", entry.code()));
        }

        fn log_error(&mut self, _: &LogEntry<'_>, message: &str) {
            self.0.sink()(&format!("error {message}\n"));
        }
    }
    let own = Lines::default();
    let (mut wire, log) = logged(LogFormat::Common, Handler(own.clone()));
    let put =
        |target: &str| format!("PUT {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    wire.receive(put("/"));
    assert!(wire.sent().ends_with("\r\n\r\nabc"));
    wire.receive(put("/refused"));
    assert_eq!(status(&wire.sent()), 413);
    assert_eq!(log.take().len(), 2);
    let expected = [
        "request Some(201)",
        "error code 413, message Content Too Large",
        "request Some(413)",
    ];
    assert_eq!(own.take(), expected, "its own hooks");
}

/// A log that cannot be written costs no request.
#[test]
fn a_sink_that_fails_does_not_fail_a_request() {
    struct Full(u32);
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::StorageFull.into()),
                2 => Ok(0),
                _ => panic!("scripted panic"),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = AccessLog::new(hello, LogFormat::Python, Mutex::new(Full(0)));
    let mut wire = Wire::new(log);
    for round in 1..=4 {
        wire.receive(GET);
        let sent = wire.sent();
        assert_eq!((status(&sent), wire.verdict), (200, "Read"), "{round}");
        // A panic is a defect of the program, and reported; a full disk is none of it.
        let panicked = wire
            .failure()
            .is_some_and(|failure| failure.contains("scripted panic"));
        assert_eq!(panicked, round > 2, "{round}");
    }
}

/// A file takes lines as it is, and one that takes none fails no request.
#[test]
fn a_file_takes_lines() {
    let path = std::env::temp_dir().join(format!("access-{}.log", std::process::id()));
    let open = || File::options().create(true).append(true).open(&path);
    for _ in 0..2 {
        let file = open().expect("it can be written");
        let mut wire = Wire::new(AccessLog::new(hello, LogFormat::Python, file));
        wire.receive(GET);
    }
    let read_only = File::open(&path).expect("it is there");
    let mut wire = Wire::new(AccessLog::new(hello, LogFormat::Python, read_only));
    wire.receive(GET);
    assert_eq!((status(&wire.sent()), wire.failure()), (200, None));
    let log = fs::read_to_string(&path).expect("it is there");
    fs::remove_file(&path).expect("it is there");
    let line = r#"192.0.2.1 - - [06/Nov/1994 08:49:37] "GET / HTTP/1.1" 200 5"#;
    assert_eq!(log, format!("{line}\n{line}\n"));
}

/// Notes each write, and takes as much of it as it is told to.
struct Recorder {
    writes: mpsc::Sender<Vec<u8>>,
    most: usize,
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(self.most)];
        self.writes.send(taken.to_vec()).expect("the test waits");
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CLIENTS: usize = 8;
const REQUESTS: usize = 40;

/// All clients at once, each on one of the servers, over a connection that it keeps. Every target is
/// another.
fn storm(servers: &[Serving]) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut stream = servers[client % servers.len()].connect();
            thread::spawn(move || {
                for number in 0..REQUESTS {
                    stream.send(get(&format!("/{client}-{number}")));
                    read_through(&mut stream.0, "\r\n\r\nhello");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("no panic");
    }
}

/// LOG-6: each line is written whole, and in one write if the writer takes it, from many threads.
#[test]
fn lines_of_many_threads_are_whole() {
    for (most, threads) in [(usize::MAX, CLIENTS), (7, CLIENTS), (usize::MAX, 1)] {
        let (sender, writes) = mpsc::channel();
        let recorder = Recorder {
            writes: sender,
            most,
        };
        let log = AccessLog::new(hello, LogFormat::Python, Mutex::new(recorder));
        let servers: Vec<_> = (0..threads)
            .map(|_| {
                let http = Http::new(log.clone(), HttpSettings::default());
                serve(move || Evented::new(http))
            })
            .collect();
        storm(&servers);
        drop((servers, log));
        let mut text = String::new();
        let mut last: [Option<usize>; CLIENTS] = [None; CLIENTS];
        let mut count = 0;
        while count < CLIENTS * REQUESTS {
            let write = writes
                .recv_timeout(PATIENCE)
                .expect("a line for each request");
            text.push_str(std::str::from_utf8(&write).expect("text"));
            if most == usize::MAX {
                assert!(text.ends_with('\n'), "a line in several writes: {text}");
            }
            let Some(line) = text.strip_suffix('\n') else {
                continue;
            };
            let words = line
                .strip_prefix("127.0.0.1 - - [")
                .and_then(|line| line.split_once("] \"GET /"))
                .and_then(|(_, rest)| rest.strip_suffix(" HTTP/1.1\" 200 5"))
                .and_then(|words| words.split_once('-'));
            let (client, number) = words.unwrap_or_else(|| panic!("no line: {line:?}"));
            let client: usize = client.parse().expect("a number");
            let number: usize = number.parse().expect("a number");
            let before = last[client].replace(number);
            assert_eq!(before, number.checked_sub(1), "the order of a connection");
            text.clear();
            count += 1;
        }
        assert!(writes.try_recv().is_err(), "a line too many");
    }
}

/// Handlers on workers are logged all the same, around the pool or within it.
#[test]
fn handlers_on_workers_are_logged() {
    let (sender, lines) = mpsc::channel();
    let sink = move |line: &str| sender.send(line.to_owned()).expect("the test waits");
    let sink = Arc::new(sink);
    let workers = Pool::new().threads(2);
    let log = AccessLog::new(hello, LogFormat::Python, Arc::clone(&sink));
    let within = Http::new(Pooled::new(log, workers.clone()), HttpSettings::default());
    let around = AccessLog::new(Pooled::new(hello, workers), LogFormat::Python, sink);
    let around = Http::new(around, HttpSettings::default());
    let servers = [
        serve(move || Evented::new(within)),
        serve(move || Evented::new(around)),
    ];
    for server in &servers {
        let mut client = server.connect();
        client.send(get("/worker"));
        let line = lines.recv_timeout(PATIENCE).expect("a line");
        assert!(line.ends_with("\"GET /worker HTTP/1.1\" 200 5\n"), "{line}");
    }
}

/// A log that nobody reads, and what a program does meanwhile.
#[cfg(unix)]
mod unread {
    use std::env;
    use std::io::{BufRead, BufReader, Read};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use serve_forever::http::testing::TestServer;
    use serve_forever::socketserver::{LogQueue, Rfile, TcpServer};
    use support::client::{answer, connect};
    use support::patience::in_time;
    use support::server::run;

    use super::*;

    const REQUESTS: usize = 10_000;

    /// Set in the process whose standard error nobody reads.
    const CHILD: &str = "SERVE_FOREVER_TEST_UNREAD";

    /// A pipe that is full and has a reader.
    fn full_pipe() -> (UnixStream, UnixStream) {
        let (reader, mut writer) = UnixStream::pair().expect("a pair");
        writer.set_nonblocking(true).expect("an option");
        while writer.write(&[b'.'; 1024]).is_ok() {}
        while writer.write(b".").is_ok() {}
        writer.set_nonblocking(false).expect("an option");
        (reader, writer)
    }

    fn hello(_: &Request<'_>, response: Response<'_>) -> HttpResult {
        response.send_response(200).body("hello")
    }

    /// Sends so many requests whose log lines are longer than what a queue holds.
    fn ask(address: SocketAddr) {
        let stream = connect(address);
        let mut reader = BufReader::new(&stream);
        let request = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(300));
        for _ in 0..REQUESTS / 100 {
            let requests = request.repeat(100);
            (&stream).write_all(requests.as_bytes()).expect("it reads");
            for _ in 0..100 {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    assert_ne!(reader.read_line(&mut head).expect("a response"), 0);
                }
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                reader.read_exact(&mut [0; 5]).expect("a body");
            }
        }
    }

    /// How many lines there are with the prefix, and how many are missing according to the last line.
    fn count(text: &str, whole: &str, missing: &str) -> (usize, usize) {
        let lines = text.lines().filter(|line| line.contains(whole)).count();
        let told = text.lines().filter_map(|line| line.split_once(missing));
        let told: Vec<_> = told.map(|(count, _)| count).collect();
        let [count] = told[..] else {
            panic!("it is not told once: {told:?}");
        };
        (lines, count.parse().expect("a number"))
    }

    /// LOG-6, design law 10: a standard error that nobody reads costs entries and stops nobody. The
    /// entries that are lost are counted, and this is said once.
    #[test]
    fn a_standard_error_that_nobody_reads() {
        let name = "unread::a_standard_error_that_nobody_reads";
        if env::var_os(CHILD).is_some() {
            let server = TestServer::new(AccessLog::new(hello, LogFormat::Common, io::stderr()));
            let server = server.expect("a server");
            ask(server.address());
            // The default `handle_error` has to write, too.
            let fail = |_: &mut dyn Rfile, _: &mut dyn Write| Err("it failed".into());
            let failing = TcpServer::bind("127.0.0.1:0", move |_: &SocketAddr| fail);
            let failing = run(failing.expect("a free port"), None);
            for _ in 0..3 {
                assert_eq!(answer(connect(failing.address)), "");
            }
            println!("\nanswered");
            let mut line = String::new();
            io::stdin().read_line(&mut line).expect("the test says go");
            assert!(LogQueue::stderr().flush(PATIENCE), "somebody reads now");
            failing.stop();
            return;
        }
        let (mut reader, writer) = full_pipe();
        let mut command = Command::new(env::current_exe().expect("a path"));
        command.args(["--exact", name, "--nocapture"]);
        command.env(CHILD, "1").stderr(OwnedFd::from(writer));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        drop(command); // with its end of the pipe
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines();
        let lines = in_time(move || {
            let answered = lines.any(|line| line.is_ok_and(|line| line == "answered"));
            assert!(answered, "it ended before");
            lines
        });
        let log = support::patience::spawn(move || {
            let mut log = String::new();
            reader.read_to_string(&mut log).map(|_| log)
        });
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(b"go\n")
            .expect("it reads");
        let log = log.join().expect("a log");
        assert!(child.wait().expect("it ends").success());
        drop(lines); // the child can print until its end
        let log = log.trim_start_matches('.').replace('(', "\n");
        let (lines, missing) = count(&log, " 200 5", " entries of this log are missing");
        let reports = log.matches("it failed").count();
        assert_eq!(
            lines + reports + missing,
            REQUESTS + 3,
            "{lines} {reports} {missing}"
        );
        assert!(missing > 0, "{lines}");
    }

    /// LOG-6: the same for a queue of the program's own. Dropping it writes what it holds.
    #[test]
    fn a_pipe_that_nobody_reads() {
        let (mut reader, writer) = full_pipe();
        let queue = LogQueue::new(writer);
        let server = TestServer::new(AccessLog::new(hello, LogFormat::Common, queue.clone()));
        let server = server.expect("a server");
        ask(server.address());
        assert!(!queue.flush(Duration::ZERO), "nobody reads");
        drop(server);
        let lost = queue.lost();
        let log = support::patience::spawn(move || {
            let mut log = String::new();
            reader.read_to_string(&mut log).map(|_| log)
        });
        drop(queue);
        let log = log.join().expect("a log");
        let lines = log.trim_start_matches('.').lines();
        assert!(
            lines.clone().all(|line| line.ends_with("\" 200 5")),
            "not whole"
        );
        let count = lines.count();
        assert!((1..REQUESTS).contains(&count), "{count}");
        assert_eq!(count as u64 + lost, REQUESTS as u64);
    }

    /// Design law 10: a writer that panics loses lines, and not the queue.
    #[test]
    fn a_queue_survives_a_writer_that_panics() {
        let (sender, written) = mpsc::channel();
        let mut panics = true;
        let writer = Panicky(move |bytes: &[u8]| {
            assert!(!std::mem::take(&mut panics), "as told");
            sender.send(bytes.to_vec()).expect("somebody listens");
        });
        let queue = LogQueue::new(writer);
        queue.push("lost\n");
        assert!(queue.flush(PATIENCE));
        queue.push("written\n");
        assert!(queue.flush(PATIENCE));
        assert_eq!(written.try_iter().collect::<Vec<_>>(), [b"written\n"]);
    }

    /// A writer that calls this for what it is given.
    struct Panicky<F>(F);

    impl<F: FnMut(&[u8])> Write for Panicky<F> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            (self.0)(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lines arrive in their order, and a flush waits for them.
    #[test]
    fn a_queue_loses_nothing_that_is_read() {
        let (mut reader, writer) = UnixStream::pair().expect("a pair");
        let log = support::patience::spawn(move || {
            let mut log = String::new();
            reader.read_to_string(&mut log).map(|_| log)
        });
        let queue = LogQueue::new(writer);
        assert!(queue.flush(PATIENCE), "there is nothing to write");
        let mut expected = String::new();
        for number in 0..5000 {
            let line = format!("{number}\n");
            queue.push(&line);
            expected.push_str(&line);
            if number % 500 == 0 {
                assert!(queue.flush(PATIENCE));
            }
        }
        drop(queue);
        assert_eq!(log.join().expect("a log"), expected);
    }
}
