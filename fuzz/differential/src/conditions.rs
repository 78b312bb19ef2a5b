//! What must hold for a difference, beyond its kind, so that a row explains it.

use crate::row::Seen;
use crate::verdict::{End, Framing, Message, Start};

/// The methods that llhttp reads (`HTTP_METHOD_MAP` in `llhttp.h`).
const LLHTTP_METHODS: &str = "DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND \
    PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY \
    SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK SOURCE QUERY";

fn is_known(method: &[u8]) -> bool {
    LLHTTP_METHODS
        .split(' ')
        .any(|known| known.as_bytes() == method)
}

/// Whether all bytes and escapes are those of a URI (RFC 3986 section 2).
fn is_uri(target: &[u8]) -> bool {
    let symbol = |byte: &u8| b"-._~:/?@!$&'()*+,;=%".contains(byte);
    let escapes = target.split(|&byte| byte == b'%').skip(1);
    let mut digits = escapes.map(|text| text.get(..2).unwrap_or(b"-"));
    target
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || symbol(byte))
        && digits.all(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// Whether the second target is the first with its scheme in lower case, and with the path `/` for an
/// empty one (RFC 9110 section 4.2.3).
fn same_uri(ours: &[u8], theirs: &[u8]) -> bool {
    let Some(start) = ours.windows(3).position(|text| text == b"://") else {
        return false;
    };
    let authority = &ours[start + 3..];
    let end = authority
        .iter()
        .position(|byte| b"/?".contains(byte))
        .unwrap_or(authority.len());
    let (before, after) = ours.split_at(start + 3 + end);
    let path: &[u8] = if after.starts_with(b"/") { b"" } else { b"/" };
    let (scheme, authority) = before.split_at(start);
    let lower = scheme.to_ascii_lowercase();
    let forms = [scheme, &lower].map(|scheme| [scheme, authority, path, after].concat());
    forms.iter().any(|form| form == theirs)
}

/// Whether ours closes after a message that has both options.
pub(crate) fn closes_in_spite(seen: &Seen<'_>) -> bool {
    let last = seen.ours.messages.last();
    last.is_some_and(|last| last.has(b"connection"))
        && seen.ours.end == End::Closed
        && seen.has_any_case(b"close")
        && seen.has_any_case(b"keep-alive")
}

/// Whether the last message of theirs is an interim response.
fn is_interim(seen: &Seen<'_>) -> bool {
    let last = seen.theirs.messages.last();
    last.is_some_and(|last| matches!(last.start, Start::Response { status: 100..=199 }))
}

/// Whether an empty line comes before our request.
pub(crate) fn follows_empty_line(seen: &Seen<'_>) -> bool {
    if seen.our_method().is_empty() {
        return false;
    }
    let line = [seen.our_method(), b" ", seen.our_target(), b" "].concat();
    let after = |before: &[u8]| seen.has(&[&[before, &line].concat()]);
    match seen
        .message
        .checked_sub(1)
        .map(|before| seen.ours.messages[before].framing)
    {
        None => seen.input.starts_with(b"\r\n"),
        Some(Some(Framing::Length(_))) => after(b"\r\n"),
        Some(_) => after(b"\r\n\r\n\r\n"),
    }
}

/// Whether one refuses, the other passes over the rest, and the last byte is one of a line end.
pub(crate) fn rest_is_line_ends(seen: &Seen<'_>) -> bool {
    let ends = (&seen.ours.end, &seen.theirs.end);
    let one_refuses = matches!(
        ends,
        (End::Refused(_), End::Closed) | (End::Closed, End::Refused(_))
    );
    one_refuses && matches!(seen.input.last(), None | Some(b'\r' | b'\n'))
}

/// Whether our message has chunks, and the input has whitespace beside a delimiter of an extension.
pub(crate) fn has_whitespace_in_chunk_line(seen: &Seen<'_>) -> bool {
    let is_chunked = seen
        .our()
        .is_some_and(|our| our.framing == Some(Framing::Chunked));
    let pairs: [&[u8]; 8] = [b" ;", b"\t;", b"; ", b";\t", b" =", b"\t=", b"= ", b"=\t"];
    is_chunked && seen.has(&pairs)
}

/// Whether ours refuses a later part of the stream, or reads one that Node may refuse. Why it refuses is
/// explained where that part comes first, and for llhttp.
pub(crate) fn is_before_refusal(seen: &Seen<'_>) -> bool {
    let may_close = |ours: &Message| {
        ours.minor == 0 || ours.has(b"connection") || ours.has(b"proxy-connection")
    };
    let is_last = seen.message + 1 == seen.ours.messages.len();
    matches!(seen.ours.end, End::Refused(_)) || !is_last || seen.ours.messages.iter().any(may_close)
}

/// Whether our message has two fields of one name.
pub(crate) fn has_repeated_field(seen: &Seen<'_>) -> bool {
    let fields = seen
        .our()
        .and_then(|our| our.fields.clone())
        .unwrap_or_default();
    let mut names: Vec<Vec<u8>> = fields
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// The part of a URI that follows the authority.
fn path_of(target: &[u8]) -> Vec<u8> {
    let Some(start) = target.windows(3).position(|text| text == b"://") else {
        return target.into();
    };
    let authority = &target[start + 3..];
    let end = authority.iter().position(|byte| b"/?".contains(byte));
    match end.map(|end| &authority[end..]) {
        None => b"/".into(),
        Some(query) if query.starts_with(b"?") => [b"/", query].concat(),
        Some(path) => path.into(),
    }
}

/// Whether our message is a response, and a status line has nothing after the status.
pub(crate) fn ends_with_status(seen: &Seen<'_>) -> bool {
    let is_response = seen
        .our()
        .is_some_and(|our| matches!(our.start, Start::Response { .. }));
    let mut lines = seen.input.split(|&byte| byte == b'\n');
    is_response
        && lines.any(|line| line.starts_with(b"HTTP/1.") && line.len() == "HTTP/1.1 200\r".len())
}

/// Whether there is a version from HTTP/1.2 to 1.9.
pub(crate) fn has_later_version(seen: &Seen<'_>) -> bool {
    let versions: [&[u8]; 8] = [
        b"HTTP/1.2",
        b"HTTP/1.3",
        b"HTTP/1.4",
        b"HTTP/1.5",
        b"HTTP/1.6",
        b"HTTP/1.7",
        b"HTTP/1.8",
        b"HTTP/1.9",
    ];
    seen.has(&versions)
}

/// Whether llhttp does not know our method.
pub(crate) fn has_unknown_method(seen: &Seen<'_>) -> bool {
    !is_known(seen.our_method())
}

/// Whether our target has bytes or escapes that no URI has.
pub(crate) fn has_more_than_uri(seen: &Seen<'_>) -> bool {
    !is_uri(seen.our_target())
}

/// Whether their target is the normal form of ours.
pub(crate) fn has_normal_form(seen: &Seen<'_>) -> bool {
    same_uri(seen.our_target(), seen.their_target())
}

/// Whether a trailer has the name of a field that frames.
pub(crate) fn has_framing_trailer(seen: &Seen<'_>) -> bool {
    seen.has_trailer(&[b"transfer-encoding", b"content-length"])
}

/// Whether a trailer has the name Connection, or Proxy-Connection.
pub(crate) fn has_connection_trailer(seen: &Seen<'_>) -> bool {
    seen.has_trailer(&[b"connection", b"proxy-connection"])
}

/// Whether a message of ours has a Connection with a byte beyond ASCII.
pub(crate) fn has_option_beyond_ascii(seen: &Seen<'_>) -> bool {
    seen.any_of_ours(b"connection", |value| !value.is_ascii())
}

/// Whether our message, or the one before, has an Upgrade.
pub(crate) fn has_upgrade(seen: &Seen<'_>) -> bool {
    seen.our_has(b"upgrade") || seen.our_before(|before| before.has(b"upgrade"))
}

/// Whether our method has another byte than a capital letter, `_` or `-`.
pub(crate) fn has_unusual_method(seen: &Seen<'_>) -> bool {
    let usual = |byte: &u8| byte.is_ascii_uppercase() || b"_-".contains(byte);
    !seen.our_method().iter().all(usual)
}

/// Whether our method is TRACE or CONNECT.
pub(crate) fn has_method_of_proxies(seen: &Seen<'_>) -> bool {
    [&b"TRACE"[..], b"CONNECT"].contains(&seen.our_method())
}

/// Whether our request is a CONNECT with content.
pub(crate) fn is_connect_with_content(seen: &Seen<'_>) -> bool {
    let has_content = seen.our_has(b"content-length") || seen.our_has(b"transfer-encoding");
    seen.our_method() == b"CONNECT" && has_content
}

/// Whether our content is as long as 64 bits can say, or one byte less.
pub(crate) fn has_largest_length(seen: &Seen<'_>) -> bool {
    let framing = seen.our().and_then(|our| our.framing);
    matches!(framing, Some(Framing::Length(length)) if length >= u64::MAX - 1)
}

/// Whether they close after an interim response.
pub(crate) fn closes_after_interim(seen: &Seen<'_>) -> bool {
    is_interim(seen) && seen.theirs.end == End::Closed
}

/// Whether their target is the path of ours.
pub(crate) fn has_path_of_uri(seen: &Seen<'_>) -> bool {
    path_of(seen.our_target()) == seen.their_target()
}

/// Whether ours becomes a tunnel.
pub(crate) fn begins_tunnel(seen: &Seen<'_>) -> bool {
    seen.ours.end == End::Tunnel
}

/// Whether our Host is empty.
pub(crate) fn has_empty_host(seen: &Seen<'_>) -> bool {
    seen.our_has(b"host") && seen.our_value(b"host").is_empty()
}

/// Whether ours closes after a message with a tab.
pub(crate) fn closes_with_tab(seen: &Seen<'_>) -> bool {
    let last = seen.ours.messages.last();
    let is_option = last.is_some_and(|last| last.has(b"connection"));
    is_option && seen.ours.end == End::Closed && seen.has(&[b"\t"])
}

/// Whether there is a tab, and our message has a field that frames or routes.
pub(crate) fn has_tab_and_framing(seen: &Seen<'_>) -> bool {
    let names: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
    seen.has(&[b"\t"]) && names.iter().any(|name| seen.our_has(name))
}

/// Whether the message before ours has a Connection with the letters `close`.
pub(crate) fn follows_part_of_close(seen: &Seen<'_>) -> bool {
    let letters = seen.has_any_case(b"close");
    letters && seen.our_before(|before| before.has(b"connection"))
}

/// Whether our target has a zero byte or two points.
pub(crate) fn has_path_that_leads_out(seen: &Seen<'_>) -> bool {
    let has = |text: &[u8]| {
        seen.our_target()
            .windows(text.len())
            .any(|part| part == text)
    };
    has(b"%00") || has(b"..")
}
