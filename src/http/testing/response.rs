//! What a client without a socket got.

use std::borrow::Cow;

use crate::http::h1::{
    Connection, ConnectionLimits, Event, FieldStorage, ResponseHead, Role, State,
};
use crate::socketserver::Failure;

/// The response to a [`TestRequest`](super::TestRequest).
#[derive(Debug, Default)]
pub struct TestResponse {
    /// The code and the reason.
    status: String,
    /// The header fields.
    headers: Vec<(String, String)>,
    /// The body, without the framing of chunks.
    body: Vec<u8>,
    /// Whether the body came to its end.
    complete: bool,
    /// The failure that a server would have reported.
    failure: Option<Failure>,
}

impl TestResponse {
    /// Returns the code and the reason, as in `200 OK`. Empty if there was no response because the
    /// request was not complete.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Returns the status code, or 0 if there was no response.
    pub fn code(&self) -> u16 {
        let code = self.status.split(' ').next();
        code.and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// Returns the header fields in their order, including those that the server adds. A byte
    /// beyond ASCII is the Latin-1 character of that number.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the value of the first field with this name. Case does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let field = headers.find(|(own, _)| own.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// Returns the body as far as it was sent, without the framing of chunks.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns whether the body came to its end. If not, it broke off because the handler failed.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the failure that a server would have reported to
    /// [`Hooks::handle_error`](crate::socketserver::Hooks::handle_error), or that would have
    /// stopped it.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Parses what a server sent in response to a request with this method. Interim responses are
    /// passed over.
    pub(super) fn parse(bytes: &[u8], method: &str, failure: Option<Failure>) -> TestResponse {
        let mut response = TestResponse {
            failure,
            ..TestResponse::default()
        };
        let (mut connection, mut input) = (asked(method), bytes.to_vec());
        connection.input_closed();
        let limits = limits();
        loop {
            let mut storage = FieldStorage::new();
            // What if it breaks off? Then what has come stays, and the response is not complete.
            let Ok((used, event)) = connection.next_event(&mut input, &mut storage, &limits) else {
                return response;
            };
            let goes_on = response.take(event);
            input.drain(..used);
            if !goes_on {
                break;
            }
        }
        if connection.their_state() == State::SwitchedProtocol {
            response.body = input;
            response.complete = true;
        }
        response
    }

    /// Takes in what the client has received. Returns whether more can follow.
    fn take(&mut self, event: Event<'_>) -> bool {
        match event {
            // 101 is final: what follows it is another protocol.
            Event::InformationalResponse(head) if head.status == 101 => self.take_head(&head),
            Event::InformationalResponse(_) => {}
            Event::Response(head) => self.take_head(&head),
            Event::Data(data) => self.body.extend_from_slice(data),
            Event::EndOfMessage(_) => {
                self.complete = true;
                return false;
            }
            _ => return false,
        }
        true
    }

    fn take_head(&mut self, head: &ResponseHead<'_>) {
        self.status = format!("{} {}", head.status, latin1(head.reason));
        let fields = head.fields.iter();
        self.headers = fields
            .map(|(name, value)| (name.to_owned(), latin1(value)))
            .collect();
    }
}

/// Returns the state of a client that has sent a request with this method. It has proposed another
/// protocol, because the handler may accept one.
fn asked(method: &str) -> Connection {
    let mut connection = Connection::new(Role::Client);
    let target = if method == "CONNECT" { "h:1" } else { "/" };
    let fields = [
        ("Host", &b"h"[..]),
        ("Upgrade", b"any"),
        ("Connection", b"upgrade"),
    ];
    let nowhere = &mut Vec::new();
    let sent = connection
        .send_request(nowhere, method, target, fields)
        .and_then(|()| connection.end_of_message(nowhere, []));
    debug_assert!(sent.is_ok(), "{sent:?}");
    connection
}

/// No limit is needed: the response is in memory already, and the handler is trusted.
fn limits() -> ConnectionLimits {
    let mut limits = ConnectionLimits::default();
    limits.head.head = usize::MAX;
    limits.head.request_line = usize::MAX;
    limits.head.fields = usize::MAX;
    limits.chunks.overhead = usize::MAX;
    limits.chunks.trailers = usize::MAX;
    limits.chunks.trailer_fields = usize::MAX;
    limits
}

/// Every byte is a character, so no byte is lost.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
