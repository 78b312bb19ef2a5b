//! The case format.
//!
//! One case is one line of JSON:
//!
//! | key | meaning |
//! | --- | --- |
//! | `id`, `group`, `source`, `note` | a unique name, the test it belongs to, where it comes from, what it is about |
//! | `level` | `MUST`: the RFCs say so, or anything else is a way to smuggle; `SHOULD`: the RFCs advise it, or leave to the server what to do about something never legal; `quality`: robustness, or the stricter of two legal ways |
//! | `send` | list of steps, see below |
//! | `then` | what follows the last step: `half-close` (the client shuts down its sending side), `keep-open` (the default), `nothing` (only watch for 0.8 s that nothing comes) |
//! | `expect` | what has to happen, see below |
//! | `methods` | request methods in order, so that the reader of responses knows about HEAD and CONNECT |
//! | `mode` | `each-split`: the bytes are sent in two writes, once for every position of the cut |
//! | `repeat` | how many times to play the case |
//! | `heavy` | run it while no other case runs |
//!
//! Everything after `expect` is optional.
//!
//! # Steps
//!
//! Each data step is one write, and 30 ms pass between two writes.
//!
//! | step | meaning |
//! | --- | --- |
//! | `"..."` | bytes, latin-1 |
//! | `{"b64": "..."}` | bytes, base64 |
//! | `{"rep": "x", "n": 1000}` | repeated bytes |
//! | `{"count": [a, b], "fmt": "X-%d: v\r\n"}` | numbered repetition, `b` excluded |
//! | `{"cat": [...]}` | several of these in one write |
//! | `{"bytewise": "..."}` | one write per byte |
//! | `{"wait": {"responses": n}}` | until `n` final responses are complete (with `"optional": true` it is no failure if they never are) |
//! | `{"wait": {"interim": n}}` | until `n` 1xx responses are there, or a final one instead |
//! | `{"quiet_ms": n}` | nothing may arrive meanwhile |
//! | `{"sleep_ms": n}` | only time passes (what arrives is read) |
//! | `{"pause_reading": true}` | stop reading, or go on with `false` |
//!
//! # Expectations
//!
//! `expect` is one alternative, or `{"any_of": [alternative, ...]}`. Beside either there may be `forbid`, `alive_after`
//! (a fresh connection has to work afterwards) and `wait_s` (how long a response may take, where the usual is too short).
//!
//! An alternative is one of
//!
//! * `responses`: exactly these final responses in this order; with `close_after` (`true`: the server closes, `false`: it
//!   does not within 0.35 s, `"any"`: either way) and `interim_ok` (a 1xx response may stand at the end without a final
//!   one);
//! * `"raw09": true`: an answer without a header, as of HTTP/0.9, ended by a close; with `raw_has` and `raw_lacks` (lists
//!   of texts in it and not in it).
//!
//! Each may have a `forbid` of its own, and `notes_ok` (failed waits of the steps do not count).
//!
//! A response is described by
//!
//! | key | meaning |
//! | --- | --- |
//! | `status` | list of codes (`400`) and classes (`"4xx"`); any 2xx if not given |
//! | `body_json` | the content is an echo that tells this, see below |
//! | `head` | answer to HEAD: do not look for content |
//! | `interim` | the 1xx responses before it: exactly a list like `[100]`, or `"none"` |
//! | `has`, `absent` | names of fields which it must and must not have |
//! | `token`, `no_token` | `{field: token}`: a list member it must and must not have |
//! | `date` | exactly one `Date` field, in the preferred format |
//! | `framing` | one of these: `length`, `chunked`, `until-close`, `none`, `upgrade`, `tunnel` |
//! | `content_type` | how the `Content-Type` begins |
//!
//! The echo: `method`, `target`, `version` and `body` are a value or a list of allowed values (`body` may also be a data
//! step); `headers` and `trailers` list `[name, value]` pairs that must be there, several values of a name in that order;
//! `header_order` gives the order of the named fields; `not_headers` lists names that must not be there, and
//! `no_header_value` texts that must not be part of any field value.
//!
//! `forbid` lists what must not happen whichever alternative applies: a request whose `target` contains this text, whose
//! `method` or `body` is this was processed; a response has one of these `status`; there is an `interim` response.
//!
//! Whatever a case expects, every response must be syntactically valid, have exactly one framing and be complete, and
//! nothing may follow the last one.
//!
//! A key or a step that is not listed here is an error.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::escape::{escape, to_latin1};
use crate::response::Framing;

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) level: String,
    pub(crate) source: String,
    pub(crate) note: String,
    pub(crate) send: Vec<Step>,
    pub(crate) then: Then,
    pub(crate) expect: Expect,
    /// `expect` as it is written in the file.
    pub(crate) expect_text: String,
    pub(crate) methods: Vec<String>,
    pub(crate) each_split: bool,
    pub(crate) repeat: u64,
    pub(crate) heavy: bool,
}

/// What the client does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write(Data),
    Bytewise(Data),
    WaitResponses { count: usize, optional: bool },
    WaitInterim { count: usize, optional: bool },
    Quiet(Duration),
    Sleep(Duration),
    PauseReading(bool),
}

/// Bytes, kept as short as they were written.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Bytes(Vec<u8>),
    Repeated {
        unit: Vec<u8>,
        times: usize,
    },
    Numbered {
        from: u64,
        to: u64,
        before: Vec<u8>,
        after: Vec<u8>,
    },
    Joined(Vec<Data>),
}

/// What the client does after the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    KeepOpen,
    HalfClose,
    Nothing,
}

/// What has to happen.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    /// One of these; never empty.
    pub(crate) alternatives: Vec<Alternative>,
    pub(crate) forbid: Vec<Forbidden>,
    pub(crate) alive_after: bool,
    /// Time a response may take, if more than usual.
    pub(crate) patience: Duration,
}

/// One acceptable outcome.
#[derive(Debug, Clone)]
pub(crate) struct Alternative {
    pub(crate) answer: Answer,
    pub(crate) forbid: Vec<Forbidden>,
    pub(crate) notes_ok: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Responses {
        list: Vec<ResponseSpec>,
        close: Close,
        interim_ok: bool,
    },
    /// As of HTTP/0.9: content, then a close.
    Headerless {
        has: Vec<Vec<u8>>,
        lacks: Vec<Vec<u8>>,
    },
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    Required,
    Forbidden,
    Any,
}

/// What must not happen.
#[derive(Debug, Clone)]
pub(crate) enum Forbidden {
    Target(String),
    Method(String),
    Body(String),
    Status(StatusSet),
    Interim,
}

/// What a response has to look like.
#[derive(Debug, Clone)]
pub(crate) struct ResponseSpec {
    pub(crate) status: StatusSet,
    pub(crate) head: bool,
    pub(crate) echo: Option<EchoSpec>,
    pub(crate) interim: Option<Vec<u16>>,
    pub(crate) has: Vec<String>,
    pub(crate) absent: Vec<String>,
    pub(crate) token: Vec<(String, String)>,
    pub(crate) no_token: Vec<(String, String)>,
    pub(crate) date: bool,
    pub(crate) framing: Option<Vec<Framing>>,
    pub(crate) content_type: Option<String>,
}

/// What the echo has to tell. An empty list of allowed values allows all.
#[derive(Debug, Clone)]
pub(crate) struct EchoSpec {
    pub(crate) method: Vec<String>,
    pub(crate) target: Vec<String>,
    pub(crate) version: Vec<String>,
    pub(crate) body: Vec<Data>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) header_order: Option<Vec<String>>,
    pub(crate) not_headers: Vec<String>,
    pub(crate) no_header_value: Vec<String>,
}

/// Status codes and classes of them.
#[derive(Debug, Clone)]
pub(crate) struct StatusSet(Vec<Status>);

#[derive(Debug, Clone, Copy)]
enum Status {
    Code(u16),
    Class(u16),
}

impl StatusSet {
    pub(crate) fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|status| match *status {
            Status::Code(allowed) => allowed == code,
            Status::Class(class) => class == code / 100,
        })
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, status) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "/" };
            match status {
                Status::Code(code) => write!(f, "{separator}{code}")?,
                Status::Class(class) => write!(f, "{separator}{class}xx")?,
            }
        }
        Ok(())
    }
}

impl Data {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Data::Bytes(bytes) => bytes.clone(),
            Data::Repeated { unit, times } => unit.repeat(*times),
            Data::Numbered {
                from,
                to,
                before,
                after,
            } => (*from..*to)
                .flat_map(|n| [before.as_slice(), n.to_string().as_bytes(), after].concat())
                .collect(),
            Data::Joined(parts) => parts.iter().flat_map(Data::bytes).collect(),
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::Repeated { unit, times } => write!(f, "<{times} x {}>", escape(unit, 40)),
            Data::Joined(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    let separator = if i == 0 { "" } else { " + " };
                    write!(f, "{separator}{part}")?;
                }
                Ok(())
            }
            Data::Bytes(_) | Data::Numbered { .. } => {
                write!(f, "\"{}\"", escape(&self.bytes(), 500))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write(data) => write!(f, "{data}"),
            Step::Bytewise(data) => write!(f, "bytewise {data}"),
            Step::WaitResponses { count, .. } => write!(f, "<wait for {count} response(s)>"),
            Step::WaitInterim { count, .. } => write!(f, "<wait for {count} interim response(s)>"),
            Step::Quiet(time) => write!(f, "<nothing may come for {time:?}>"),
            Step::Sleep(time) => write!(f, "<sleep {time:?}>"),
            Step::PauseReading(true) => write!(f, "<stop reading>"),
            Step::PauseReading(false) => write!(f, "<go on reading>"),
        }
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Then::KeepOpen => "keep-open",
            Then::HalfClose => "half-close",
            Then::Nothing => "nothing",
        })
    }
}

// ---------------------------------------------------------------- parsing

type Parsed<T> = Result<T, String>;

/// Parses a file of cases; the error lists every line that is wrong.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Case>, Vec<String>> {
    let mut cases = Vec::new();
    let mut errors = Vec::new();
    let mut ids = HashSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match parse(line) {
            Ok(case) if !ids.insert(case.id.clone()) => {
                errors.push(format!("line {number}: a second case {:?}", case.id));
            }
            Ok(case) => cases.push(case),
            Err(error) => errors.push(format!("line {number}: {error}")),
        }
    }
    if errors.is_empty() {
        Ok(cases)
    } else {
        Err(errors)
    }
}

/// A case that any server passes that is still there.
pub(crate) fn plain_request() -> Case {
    let line = r#"{"id": "alive", "group": "", "level": "quality", "source": "",
        "send": ["GET /alive HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n"],
        "expect": {"responses": [{"status": [200]}], "close_after": "any"}}"#;
    parse(line).expect("the case is valid")
}

fn parse(line: &str) -> Parsed<Case> {
    let value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let mut case = Object::new(value, "case")?;
    let id = string(case.required("id")?)?;
    let parsed = parse_fields(id.clone(), case);
    parsed.map_err(|error| format!("{id}: {error}"))
}

fn parse_fields(id: String, mut case: Object) -> Parsed<Case> {
    let level = string(case.required("level")?)?;
    if !["MUST", "SHOULD", "quality"].contains(&level.as_str()) {
        return Err(format!("unknown level {level:?}"));
    }
    let then = match case.optional("then", string)?.as_deref() {
        None | Some("keep-open") => Then::KeepOpen,
        Some("half-close") => Then::HalfClose,
        Some("nothing") => Then::Nothing,
        Some(other) => return Err(format!("unknown then {other:?}")),
    };
    let each_split = match case.optional("mode", string)?.as_deref() {
        None => false,
        Some("each-split") => true,
        Some(other) => return Err(format!("unknown mode {other:?}")),
    };
    let send: Vec<Step> = list_of(case.required("send")?, step)?;
    if each_split && !send.iter().all(|step| matches!(step, Step::Write(_))) {
        return Err("each-split takes plain data steps only".to_owned());
    }
    let repeat = case.optional("repeat", number)?.unwrap_or(1);
    if repeat == 0 {
        return Err("repeat is 0".to_owned());
    }
    let expect = case.required("expect")?;
    let parsed = Case {
        id,
        group: string(case.required("group")?)?,
        level,
        source: string(case.required("source")?)?,
        note: case.optional("note", string)?.unwrap_or_default(),
        send,
        then,
        expect_text: expect.to_string(),
        expect: parse_expect(expect)?,
        methods: case.optional("methods", strings)?.unwrap_or_default(),
        each_split,
        repeat,
        heavy: case.flag("heavy")?,
    };
    case.end()?;
    Ok(parsed)
}

fn step(value: Value) -> Parsed<Step> {
    let Value::Object(fields) = &value else {
        return Ok(Step::Write(data(value)?));
    };
    if ["b64", "rep", "count", "cat"]
        .iter()
        .any(|key| fields.contains_key(*key))
    {
        return Ok(Step::Write(data(value)?));
    }
    let mut object = Object::new(value, "step")?;
    let parsed = if let Some(content) = object.take("bytewise") {
        Step::Bytewise(data(content)?)
    } else if let Some(time) = object.optional("quiet_ms", number)? {
        Step::Quiet(Duration::from_millis(time))
    } else if let Some(time) = object.optional("sleep_ms", number)? {
        Step::Sleep(Duration::from_millis(time))
    } else if let Some(pause) = object.optional("pause_reading", boolean)? {
        Step::PauseReading(pause)
    } else {
        let optional = object.flag("optional")?;
        let mut wait = Object::new(object.required("wait")?, "wait")?;
        let parsed = if let Some(count) = wait.optional("responses", size)? {
            Step::WaitResponses { count, optional }
        } else {
            let count = size(wait.required("interim")?)?;
            Step::WaitInterim { count, optional }
        };
        wait.end()?;
        parsed
    };
    object.end()?;
    Ok(parsed)
}

fn data(value: Value) -> Parsed<Data> {
    if value.is_string() {
        return Ok(Data::Bytes(latin1(value)?));
    }
    let mut object = Object::new(value, "data step")?;
    let parsed = if let Some(text) = object.optional("b64", string)? {
        Data::Bytes(base64(&text).ok_or_else(|| format!("not base64: {text:?}"))?)
    } else if let Some(unit) = object.optional("rep", latin1)? {
        let times = size(object.required("n")?)?;
        Data::Repeated { unit, times }
    } else if let Some(range) = object.optional("count", list)? {
        let [from, to] = <[Value; 2]>::try_from(range).map_err(|_| "count is not [a, b]")?;
        let format = string(object.required("fmt")?)?;
        let (before, after) = format.split_once("%d").ok_or("no %d in fmt")?;
        if before.contains('%') || after.contains('%') {
            return Err(format!("fmt is more than one %d: {format:?}"));
        }
        Data::Numbered {
            from: number(from)?,
            to: number(to)?,
            before: latin1(before.into())?,
            after: latin1(after.into())?,
        }
    } else {
        Data::Joined(list_of(object.required("cat")?, data)?)
    };
    object.end()?;
    Ok(parsed)
}

fn parse_expect(value: Value) -> Parsed<Expect> {
    let mut object = Object::new(value, "expect")?;
    let forbid = object.optional("forbid", forbidden)?.unwrap_or_default();
    let alive_after = object.flag("alive_after")?;
    let patience = match object.take("wait_s") {
        Some(time) => time
            .as_f64()
            .and_then(|time| Duration::try_from_secs_f64(time).ok())
            .ok_or_else(|| format!("not a time: {time}"))?,
        None => Duration::ZERO,
    };
    let alternatives = if let Some(several) = object.take("any_of") {
        object.end()?;
        list_of(several, |value| {
            alternative(Object::new(value, "alternative")?)
        })?
    } else {
        vec![alternative(object)?]
    };
    if alternatives.is_empty() {
        return Err("any_of is empty".to_owned());
    }
    Ok(Expect {
        alternatives,
        forbid,
        alive_after,
        patience,
    })
}

fn alternative(mut object: Object) -> Parsed<Alternative> {
    let texts = |value| list_of(value, latin1);
    let answer = if object.flag("raw09")? {
        Answer::Headerless {
            has: object.optional("raw_has", texts)?.unwrap_or_default(),
            lacks: object.optional("raw_lacks", texts)?.unwrap_or_default(),
        }
    } else {
        Answer::Responses {
            list: list_of(object.required("responses")?, response)?,
            close: match object.take("close_after") {
                None => Close::Any,
                Some(Value::Bool(true)) => Close::Required,
                Some(Value::Bool(false)) => Close::Forbidden,
                Some(Value::String(any)) if any == "any" => Close::Any,
                Some(other) => return Err(format!("unknown close_after {other}")),
            },
            interim_ok: object.flag("interim_ok")?,
        }
    };
    let parsed = Alternative {
        answer,
        forbid: object.optional("forbid", forbidden)?.unwrap_or_default(),
        notes_ok: object.flag("notes_ok")?,
    };
    object.end()?;
    Ok(parsed)
}

fn forbidden(value: Value) -> Parsed<Vec<Forbidden>> {
    let mut all = Vec::new();
    for value in list(value)? {
        let mut object = Object::new(value, "forbid")?;
        all.extend(object.optional("target", string)?.map(Forbidden::Target));
        all.extend(object.optional("method", string)?.map(Forbidden::Method));
        all.extend(object.optional("body", string)?.map(Forbidden::Body));
        all.extend(object.optional("status", statuses)?.map(Forbidden::Status));
        if object.flag("interim")? {
            all.push(Forbidden::Interim);
        }
        object.end()?;
    }
    Ok(all)
}

fn response(value: Value) -> Parsed<ResponseSpec> {
    let mut object = Object::new(value, "response")?;
    let parsed = ResponseSpec {
        status: object
            .optional("status", statuses)?
            .unwrap_or_else(|| StatusSet(vec![Status::Class(2)])),
        head: object.flag("head")?,
        echo: object.optional("body_json", echo)?,
        interim: object.optional("interim", interim)?,
        has: object.optional("has", strings)?.unwrap_or_default(),
        absent: object.optional("absent", strings)?.unwrap_or_default(),
        token: object.optional("token", tokens)?.unwrap_or_default(),
        no_token: object.optional("no_token", tokens)?.unwrap_or_default(),
        date: object.flag("date")?,
        framing: object.optional("framing", |value| list_of(value, framing))?,
        content_type: object.optional("content_type", string)?,
    };
    object.end()?;
    Ok(parsed)
}

fn echo(value: Value) -> Parsed<EchoSpec> {
    fn allowed<T>(object: &mut Object, key: &str, one: fn(Value) -> Parsed<T>) -> Parsed<Vec<T>> {
        match object.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) if values.is_empty() => Err(format!("{key} allows nothing")),
            Some(Value::Array(values)) => values.into_iter().map(one).collect(),
            Some(value) => Ok(vec![one(value)?]),
        }
    }
    let mut object = Object::new(value, "body_json")?;
    let names = |value| -> Parsed<Vec<String>> {
        let names = strings(value)?;
        Ok(names
            .into_iter()
            .map(|name| name.to_ascii_lowercase())
            .collect())
    };
    let parsed = EchoSpec {
        method: allowed(&mut object, "method", string)?,
        target: allowed(&mut object, "target", string)?,
        version: allowed(&mut object, "version", string)?,
        body: allowed(&mut object, "body", data)?,
        headers: object.optional("headers", pairs)?.unwrap_or_default(),
        trailers: object.optional("trailers", pairs)?.unwrap_or_default(),
        header_order: object.optional("header_order", names)?,
        not_headers: object.optional("not_headers", names)?.unwrap_or_default(),
        no_header_value: object
            .optional("no_header_value", strings)?
            .unwrap_or_default(),
    };
    object.end()?;
    Ok(parsed)
}

fn statuses(value: Value) -> Parsed<StatusSet> {
    let status = |value: Value| {
        if let Some(code) = value.as_u64() {
            let code = u16::try_from(code).ok();
            return code
                .filter(|code| (100..1000).contains(code))
                .map(Status::Code)
                .ok_or_else(|| format!("not a status code: {value}"));
        }
        match value.as_str().map(str::as_bytes) {
            Some([class @ b'1'..=b'9', b'x', b'x']) => Ok(Status::Class(u16::from(class - b'0'))),
            _ => Err(format!("neither a status code nor a class: {value}")),
        }
    };
    Ok(StatusSet(list_of(value, status)?))
}

fn interim(value: Value) -> Parsed<Vec<u16>> {
    if value.as_str() == Some("none") {
        return Ok(Vec::new());
    }
    list_of(value, |code| {
        u16::try_from(number(code)?).map_err(|error| error.to_string())
    })
}

fn framing(value: Value) -> Parsed<Framing> {
    let name = string(value)?;
    Framing::from_name(&name).ok_or_else(|| format!("unknown framing {name:?}"))
}

/// An object whose keys all have to be asked for.
#[derive(Debug)]
struct Object {
    what: &'static str,
    fields: Map<String, Value>,
}

impl Object {
    fn new(value: Value, what: &'static str) -> Parsed<Self> {
        match value {
            Value::Object(fields) => Ok(Self { what, fields }),
            other => Err(format!("{what}: not an object: {other}")),
        }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.fields.remove(key)
    }

    fn required(&mut self, key: &str) -> Parsed<Value> {
        self.take(key).ok_or_else(|| {
            let left: Vec<_> = self.fields.keys().collect();
            format!("{}: no {key:?}; unused keys: {left:?}", self.what)
        })
    }

    fn optional<T>(
        &mut self,
        key: &str,
        convert: impl FnOnce(Value) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        match self.take(key).map(convert) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) => Err(format!("{}: {key}: {error}", self.what)),
        }
    }

    /// A key that is `false` if it is not there.
    fn flag(&mut self, key: &str) -> Parsed<bool> {
        Ok(self.optional(key, boolean)?.unwrap_or(false))
    }

    /// Fails if there is a key that nobody asked for.
    fn end(self) -> Parsed<()> {
        if self.fields.is_empty() {
            return Ok(());
        }
        let left: Vec<_> = self.fields.keys().collect();
        Err(format!("{}: unknown keys {left:?}", self.what))
    }
}

fn string(value: Value) -> Parsed<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("not a string: {other}")),
    }
}

fn boolean(value: Value) -> Parsed<bool> {
    value
        .as_bool()
        .ok_or_else(|| format!("neither true nor false: {value}"))
}

fn number(value: Value) -> Parsed<u64> {
    value
        .as_u64()
        .ok_or_else(|| format!("not a number: {value}"))
}

fn size(value: Value) -> Parsed<usize> {
    usize::try_from(number(value)?).map_err(|error| error.to_string())
}

fn latin1(value: Value) -> Parsed<Vec<u8>> {
    let text = string(value)?;
    to_latin1(&text).ok_or_else(|| format!("not latin-1: {text:?}"))
}

fn list(value: Value) -> Parsed<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(format!("not a list: {other}")),
    }
}

fn list_of<T>(value: Value, convert: impl FnMut(Value) -> Parsed<T>) -> Parsed<Vec<T>> {
    list(value)?.into_iter().map(convert).collect()
}

fn strings(value: Value) -> Parsed<Vec<String>> {
    list_of(value, string)
}

fn pairs(value: Value) -> Parsed<Vec<(String, String)>> {
    list_of(value, |pair| {
        let [name, value] = <[String; 2]>::try_from(strings(pair)?)
            .map_err(|other| format!("not a pair: {other:?}"))?;
        Ok((name, value))
    })
}

fn tokens(value: Value) -> Parsed<Vec<(String, String)>> {
    let fields = Object::new(value, "token")?.fields;
    fields
        .into_iter()
        .map(|(name, token)| Ok((name, string(token)?)))
        .collect()
}

/// Decodes padded base64.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if text.len() % 4 != 0 {
        return None;
    }
    let digits = text.strip_suffix('=').unwrap_or(text);
    let digits = digits.strip_suffix('=').unwrap_or(digits);
    let mut bytes = Vec::new();
    let (mut bits, mut pending) = (0u32, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|&known| known == digit)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        pending += 6;
        if pending >= 8 {
            pending -= 8;
            bytes.push(u8::try_from((bits >> pending) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rest: &str) -> String {
        format!(
            r#"{{"id":"a","group":"g","level":"MUST","source":"s","send":["x"],"expect":{{"responses":[]}}{rest}}}"#
        )
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(parse(&with("")).is_ok());
        let error = parse(&with(r#","colour":1"#)).expect_err("unknown key");
        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn an_unknown_step_is_an_error() {
        let line = with("").replace(r#"["x"]"#, r#"[{"dance":1}]"#);
        let error = parse(&line).expect_err("unknown step");
        assert!(error.contains("dance"), "{error}");
    }

    #[test]
    fn an_unknown_key_of_a_response_is_an_error() {
        let line = with("").replace("[]", r#"[{"status":[200],"colour":1}]"#);
        let error = parse(&line).expect_err("unknown key");
        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn every_bad_line_is_reported() {
        let file = format!("{}\n{}\n\n{{\n", with(""), with(""));
        let errors = parse_all(&file).expect_err("two bad lines");
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with("line 2: a second case"), "{errors:?}");
        assert!(errors[1].starts_with("line 4: "), "{errors:?}");
    }

    #[test]
    fn data_steps_give_the_bytes_they_describe() {
        let bytes = |text| {
            let value = serde_json::from_str(text).expect("JSON");
            data(value).expect("a data step").bytes()
        };
        assert_eq!(bytes(r#""a\u00ff\r\n""#), b"a\xff\r\n");
        assert_eq!(bytes(r#"{"b64":"AP/+"}"#), [0, 0xff, 0xfe]);
        assert_eq!(bytes(r#"{"b64":"aGk="}"#), b"hi");
        assert_eq!(bytes(r#"{"b64":"aA=="}"#), b"h");
        assert_eq!(bytes(r#"{"rep":"ab","n":3}"#), b"ababab");
        assert_eq!(bytes(r#"{"count":[9,11],"fmt":"x%d;"}"#), b"x9;x10;");
        assert_eq!(bytes(r#"{"cat":["a",{"rep":"b","n":2}]}"#), b"abb");
    }
}
