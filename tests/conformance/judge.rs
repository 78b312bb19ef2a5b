//! Holds what came back against what a case expects.
//!
//! Every function appends to a list of problems; an empty list is a pass.

use serde_json::{Map, Value};

use crate::case::{
    Alternative, Answer, Case, Close, Data, EchoSpec, Forbidden, ResponseSpec, StatusSet,
};
use crate::client::Observation;
use crate::escape::{escape, from_latin1, shorten, to_latin1};
use crate::response::Response;

/// What is wrong, seen from the alternative that fits best; empty if one fits.
pub(crate) fn judge(case: &Case, seen: &Observation) -> Vec<String> {
    let alternatives = case.expect.alternatives.iter();
    alternatives
        .map(|alternative| compare(alternative, &case.expect.forbid, seen))
        .min_by_key(Vec::len)
        .unwrap_or_default()
}

fn compare(alternative: &Alternative, forbid: &[Forbidden], seen: &Observation) -> Vec<String> {
    let mut problems = Vec::new();
    match &alternative.answer {
        Answer::Headerless { has, lacks } => check_headerless(has, lacks, seen, &mut problems),
        Answer::Responses {
            list,
            close,
            interim_ok,
        } => {
            check_responses(list, seen, &mut problems);
            if !seen.trailing_interims.is_empty() && !interim_ok {
                problems.push("interim response without a final one".to_owned());
            }
            if *close == Close::Required && !seen.closed {
                problems.push("server did not close the connection".to_owned());
            }
            if *close == Close::Forbidden && seen.closed {
                problems.push("server closed the connection".to_owned());
            }
        }
    }
    for forbidden in forbid.iter().chain(&alternative.forbid) {
        check_forbidden(forbidden, seen, &mut problems);
    }
    if !alternative.notes_ok {
        problems.extend(seen.notes.iter().cloned());
    }
    problems
}

fn check_headerless(
    has: &[Vec<u8>],
    lacks: &[Vec<u8>],
    seen: &Observation,
    problems: &mut Vec<String>,
) {
    if !seen.closed {
        problems.push("HTTP/0.9 style answer must end with close".to_owned());
    }
    if seen.raw.is_empty() || seen.raw.starts_with(b"HTTP/") {
        problems.push("no HTTP/0.9 style (header-less) answer".to_owned());
    }
    // As text with one character for each byte, for the sake of `contains`.
    let raw = from_latin1(&seen.raw);
    for text in has {
        if !raw.contains(&from_latin1(text)) {
            problems.push(format!("raw answer lacks {}", escape(text, 200)));
        }
    }
    for text in lacks {
        if raw.contains(&from_latin1(text)) {
            problems.push(format!("raw answer has {}", escape(text, 200)));
        }
    }
}

fn check_responses(list: &[ResponseSpec], seen: &Observation, problems: &mut Vec<String>) {
    if let Some(error) = &seen.error {
        problems.push(format!("malformed response stream: {error}"));
    }
    for (i, spec) in list.iter().enumerate() {
        let Some(response) = seen.responses.get(i) else {
            problems.push(format!("response {i} missing"));
            break;
        };
        let mut of_this_one = Vec::new();
        check_response(spec, response, &mut of_this_one);
        let of_this_one = of_this_one.iter();
        problems.extend(of_this_one.map(|problem| format!("response {i}: {problem}")));
    }
    if let Some(more @ [_, ..]) = seen.responses.get(list.len()..) {
        let briefs: Vec<_> = more.iter().map(Response::brief).collect();
        problems.push(format!(
            "{} response(s) too many: {}",
            more.len(),
            shorten(&briefs.join("; "), 300)
        ));
    }
}

fn check_response(spec: &ResponseSpec, response: &Response, problems: &mut Vec<String>) {
    problems.extend(response.problems.iter().cloned());
    if !response.complete {
        problems.push(format!(
            "incomplete ({}, {} bytes of body)",
            response.framing.name(),
            response.body.len()
        ));
    }
    if !spec.status.contains(response.status) {
        problems.push(format!(
            "status {}, allowed {}",
            response.status, spec.status
        ));
        return;
    }
    if let Some(echo) = spec.echo.as_ref().filter(|_| !spec.head) {
        match response.json() {
            Some(fields) => check_echo(echo, &fields, problems),
            None => problems.push("body is not the echo JSON".to_owned()),
        }
    }
    if let Some(expected) = &spec.interim {
        if response.interims != *expected {
            problems.push(format!(
                "interim responses {:?}, expected {expected:?}",
                response.interims
            ));
        }
    }
    check_fields(spec, response, problems);
    if let Some(allowed) = &spec.framing {
        if !allowed.contains(&response.framing) {
            let allowed: Vec<_> = allowed.iter().map(|framing| framing.name()).collect();
            problems.push(format!(
                "framing {}, allowed {}",
                response.framing.name(),
                allowed.join("/")
            ));
        }
    }
}

fn check_fields(spec: &ResponseSpec, response: &Response, problems: &mut Vec<String>) {
    for name in &spec.has {
        if response.values(name).is_empty() {
            problems.push(format!("no {name} field"));
        }
    }
    for name in &spec.absent {
        let values = response.values(name);
        if !values.is_empty() {
            problems.push(format!("field {name} must be absent, is {values:?}"));
        }
    }
    for (name, token) in &spec.token {
        if !response.tokens(name).contains(token) {
            let values = response.values(name);
            problems.push(format!("field {name} lacks {token:?}: {values:?}"));
        }
    }
    for (name, token) in &spec.no_token {
        if response.tokens(name).contains(token) {
            problems.push(format!("field {name} has {token:?}"));
        }
    }
    if spec.date {
        let values = response.values("date");
        if !matches!(values[..], [value] if is_date(value)) {
            problems.push(format!("Date field {values:?}"));
        }
    }
    if let Some(start) = &spec.content_type {
        let values = response.values("content-type");
        let value = values.first().copied().unwrap_or_default();
        if !value.to_ascii_lowercase().starts_with(start.as_str()) {
            problems.push(format!("content-type {value:?}"));
        }
    }
}

fn check_echo(spec: &EchoSpec, echo: &Map<String, Value>, problems: &mut Vec<String>) {
    let texts = [
        ("method", &spec.method),
        ("target", &spec.target),
        ("version", &spec.version),
    ];
    for (key, allowed) in texts {
        let told = echo.get(key).and_then(Value::as_str);
        let fits = |allowed: &String| told == Some(allowed.as_str());
        if !allowed.is_empty() && !allowed.iter().any(fits) {
            let told = told.map_or_else(|| "missing".to_owned(), |text| format!("{text:?}"));
            let allowed: Vec<_> = allowed.iter().map(|text| format!("{text:?}")).collect();
            problems.push(format!(
                "{key} is {told}, expected {}",
                allowed.join(" or ")
            ));
        }
    }
    if !spec.body.is_empty() {
        check_echoed_body(&spec.body, echo.get("body"), problems);
    }
    let about_headers = spec.header_order.is_some()
        || !(spec.not_headers.is_empty() && spec.no_header_value.is_empty());
    if !spec.headers.is_empty() || about_headers {
        match field_list(echo, "headers") {
            Some(headers) => check_echoed_headers(spec, &headers, problems),
            None => problems.push("headers is not a list of pairs".to_owned()),
        }
    }
    if !spec.trailers.is_empty() {
        match field_list(echo, "trailers") {
            Some(trailers) => check_contained("trailers", &spec.trailers, &trailers, problems),
            None => problems.push("trailers is not a list of pairs".to_owned()),
        }
    }
}

fn check_echoed_body(allowed: &[Data], told: Option<&Value>, problems: &mut Vec<String>) {
    let told = told.and_then(Value::as_str);
    let allowed: Vec<_> = allowed.iter().map(Data::bytes).collect();
    if allowed.iter().any(|body| told == Some(&from_latin1(body))) {
        return;
    }
    let told = match told {
        Some(text) => shown(text),
        None => "none".to_owned(),
    };
    let allowed: Vec<_> = allowed
        .iter()
        .map(|body| format!("{} ({} bytes)", escape(body, 160), body.len()))
        .collect();
    problems.push(format!(
        "echoed body {told}, expected {}",
        allowed.join(" or ")
    ));
}

fn check_echoed_headers(spec: &EchoSpec, headers: &[(String, String)], problems: &mut Vec<String>) {
    check_contained("headers", &spec.headers, headers, problems);
    if let Some(expected) = &spec.header_order {
        let order: Vec<_> = headers
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|name| expected.contains(name))
            .collect();
        if order != *expected {
            problems.push(format!("field order {order:?}, expected {expected:?}"));
        }
    }
    for (name, value) in headers {
        if spec.not_headers.contains(name) {
            problems.push(format!("request field {name:?} must not be reported"));
        }
        if spec.no_header_value.iter().any(|text| value.contains(text)) {
            problems.push(format!("field value {value:?} keeps a forbidden text"));
        }
    }
}

/// Each wanted field is there; values of one name in the given order.
fn check_contained(
    what: &str,
    wanted: &[(String, String)],
    told: &[(String, String)],
    problems: &mut Vec<String>,
) {
    let of_name = |fields: &[(String, String)], name: &str| -> Vec<String> {
        fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
            .collect()
    };
    for (name, _) in wanted {
        let (expected, values) = (of_name(wanted, name), of_name(told, name));
        let mut rest = values.iter();
        let missing = expected
            .iter()
            .find(|&value| !rest.any(|there| there == value));
        if let Some(missing) = missing {
            problems.push(format!(
                "{what}: field {name:?}: {missing:?} missing (got {values:?})"
            ));
            return;
        }
    }
}

fn check_forbidden(forbidden: &Forbidden, seen: &Observation, problems: &mut Vec<String>) {
    if let Forbidden::Interim = forbidden {
        if let Some(code) = seen.interims.first() {
            problems.push(format!("FORBIDDEN: interim response {code}"));
        }
        return;
    }
    for (i, response) in seen.responses.iter().enumerate() {
        let told = |key| -> Option<String> {
            let fields = response.complete.then(|| response.json()).flatten()?;
            fields.get(key)?.as_str().map(str::to_owned)
        };
        let found = match forbidden {
            Forbidden::Target(text) => told("target")
                .filter(|target| target.contains(text))
                .map(|target| format!("shows a processed request with target {target:?}")),
            Forbidden::Method(method) => told("method")
                .filter(|told| told == method)
                .map(|method| format!("shows method {method:?}")),
            Forbidden::Body(body) => told("body")
                .filter(|told| told == body)
                .map(|body| format!("shows body {}", shown(&body))),
            Forbidden::Status(set) => status_in(set, response),
            Forbidden::Interim => None,
        };
        problems.extend(found.map(|found| format!("FORBIDDEN: response {i} {found}")));
    }
}

fn status_in(set: &StatusSet, response: &Response) -> Option<String> {
    set.contains(response.status)
        .then(|| format!("has status {}", response.status))
}

/// A list of `[name, value]`, with the names in lower case.
fn field_list(echo: &Map<String, Value>, key: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &Value| match pair.as_array()?.as_slice() {
        [name, value] => Some((
            name.as_str()?.to_ascii_lowercase(),
            value.as_str()?.to_owned(),
        )),
        _ => None,
    };
    echo.get(key)?.as_array()?.iter().map(pair).collect()
}

/// Echoed content, shortened, with its length.
fn shown(text: &str) -> String {
    match to_latin1(text) {
        Some(bytes) => format!("{} ({} bytes)", escape(&bytes, 160), bytes.len()),
        None => format!("{:?} (not latin-1)", shorten(text, 160)),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as far as the form goes.
fn is_date(text: &str) -> bool {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    // '0' stands for a digit and 'a' for a letter that is looked at below.
    const FORM: &[u8] = b"aaa, 00 aaa 0000 00:00:00 GMT";
    let fits = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'a' => byte.is_ascii_alphabetic(),
        _ => byte == *form,
    };
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(fits)
        && DAYS.contains(&&text[..3])
        && MONTHS.contains(&&text[8..11])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_preferred_format() {
        assert!(is_date("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(!is_date("Sun, 6 Nov 1994 08:49:37 GMT"));
        assert!(!is_date("Sum, 06 Nov 1994 08:49:37 GMT"));
        assert!(!is_date("Sunday, 06-Nov-94 08:49:37 GMT"));
        assert!(!is_date("Sun, 06 Nov 1994 08:49:37 UTC"));
    }

    #[test]
    fn values_of_one_name_have_to_be_in_order() {
        let fields = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
            pairs.iter().map(owned).collect()
        };
        let told = fields(&[("x", "1"), ("y", "a"), ("x", "2")]);
        let problems = |wanted: &[(&str, &str)]| {
            let mut problems = Vec::new();
            check_contained("headers", &fields(wanted), &told, &mut problems);
            problems.len()
        };
        assert_eq!(problems(&[("X", "1"), ("x", "2")]), 0);
        assert_eq!(problems(&[("Y", "a"), ("X", "2")]), 0);
        assert_eq!(problems(&[("x", "2"), ("x", "1")]), 1);
        assert_eq!(problems(&[("x", "1"), ("x", "1")]), 1);
        assert_eq!(problems(&[("z", "1")]), 1);
    }
}
