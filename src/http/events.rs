//! Server-sent events: a response without end that brings a page its news.

use std::sync::Arc;
use std::time::Duration;

use super::deferred::Deferred;
use super::request::Request;
use super::response::{Reply, Response, ResponseHead};
use super::response_error::ResponseError;
use super::response_stream::ResponseStream;
use crate::socketserver::{Failure, SendError};

impl<'a> Request<'a> {
    /// Returns the id of the last event that a browser has received, if it connects again to a
    /// stream of events ([SSE-3]).
    ///
    /// Send the events that it has missed. Expect any text, because any client can send one.
    ///
    /// [SSE-3]: crate::spec#sse-3
    pub fn last_event_id(&self) -> Option<&'a str> {
        std::str::from_utf8(self.header("Last-Event-ID")?).ok()
    }
}

impl<'a> Response<'a> {
    /// Begins a stream of server-sent events. Send them through the [`EventSender`], from any thread,
    /// and return the [`Reply`] from your handler.
    ///
    /// The handler may send the first events itself, before it returns the `Reply`: the events that a
    /// browser has [missed](Request::last_event_id), for example. They wait behind the head, and may
    /// have 64 KiB in all.
    ///
    /// The method makes no difference, except that the response to a HEAD has no body: it ends with its
    /// head, and the sender [is gone](EventSender::is_gone) soon after. A browser only sends GET. If
    /// other methods should be refused, send them a 405 with
    /// [`error_page`](ResponseHead::error_page).
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection: in a test without one.
    pub fn send_events(self) -> Result<(EventSender, Reply), Failure> {
        self.send_events_with(|head| head)
    }

    /// Like [`send_events`](Self::send_events), with more fields, such as
    /// `Access-Control-Allow-Origin` for the pages of other origins.
    ///
    /// `more` must not set the fields that every stream of events has, which are `Content-Type`,
    /// `Cache-Control` and `X-Accel-Buffering`. If it sets a `Content-Length`, the client gets a 500.
    /// Write the closure in the call, or use an `fn`: a closure in a variable does not compile.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection: in a test without one.
    pub fn send_events_with(
        self,
        more: impl FnOnce(ResponseHead<'_>) -> ResponseHead<'_>,
    ) -> Result<(EventSender, Reply), Failure> {
        let (deferred, reply): (Deferred, Reply) = self.defer();
        let stream = deferred.stream(|response| more(response.begin_events()).without_length())?;
        Ok((EventSender(Arc::new(Live(Some(stream)))), reply))
    }

    /// Begins the head of a stream of events ([SSE-1]).
    ///
    /// [SSE-1]: crate::spec#sse-1
    fn begin_events(self) -> ResponseHead<'a> {
        let notes = self.state.notes();
        notes.heartbeat = Some(self.context.settings.deadlines.heartbeat);
        self.without_half_close()
            .send_response(200)
            .send_header("Content-Type", "text/event-stream")
            .send_header("Cache-Control", "no-store")
            .send_header("X-Accel-Buffering", "no")
    }
}

impl ResponseHead<'_> {
    /// Refuses a `Content-Length`: a stream of events has no length, and the loop adds comments to it.
    fn without_length(self) -> Self {
        if self.state.declared.is_some() {
            self.state.error = Some(ResponseError::ContentLength);
        }
        self
    }
}

/// Sends server-sent events to one client, from any thread (HTML standard, section 9.2).
///
/// [`Response::send_events`] returns it. A page receives the events with `EventSource`, which
/// connects again by itself when the stream ends.
///
/// ```
/// use std::{thread, time::Duration};
/// use serve_forever::http::{Event, HttpResult, Request, Response};
///
/// fn clock(_: &Request<'_>, response: Response<'_>) -> HttpResult {
///     let (sender, reply) = response.send_events()?;
///     thread::spawn(move || {
///         // Until the client disconnects, or is too far behind.
///         for count in 0.. {
///             if sender.send(&Event::new("tick").id(count)).is_err() {
///                 return;
///             }
///             thread::sleep(Duration::from_secs(1));
///         }
///     });
///     Ok(reply)
/// }
/// # let _ = clock;
/// ```
///
/// Clones send to the same client. When the last one is dropped, the stream ends. The browser then
/// connects again; to stop it, respond to that request with status 204.
///
/// How do you learn that a client has left? Nothing is called: the next [`send`](Self::send) returns
/// [`SendError::Gone`], and [`is_gone`](Self::is_gone) returns true without an event, as soon as the
/// client's system has ended the connection ([SSE-4]). Look now and then, and remove those that are gone
/// from your list. A client that has vanished is noticed
/// after a comment, which is sent if there is no event for
/// [`Deadlines::heartbeat`](super::Deadlines::heartbeat).
///
/// A drain of the server ends the stream when the events that were sent are delivered, because it has
/// no end of its own ([SSE-5]).
///
/// # Safety of your page
///
/// Any page can open your stream, but a browser lets it read the events only if you allow its
/// origin. The data is text: assign it to `textContent`, not to `innerHTML`.
///
/// [SSE-4]: crate::spec#sse-4
/// [SSE-5]: crate::spec#sse-5
#[derive(Debug, Clone)]
pub struct EventSender(Arc<Live>);

impl EventSender {
    /// Sends an event and wakes the loop. It never waits.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Gone`] if the client has disconnected. Returns [`SendError::Full`] if
    /// 64 KiB are on their way to it already: it reads too slowly. Drop the sender then, unless the
    /// client can do without this event.
    pub fn send(&self, event: &Event) -> Result<(), SendError<()>> {
        let stream = self.0.0.as_ref().ok_or(SendError::Gone(()))?;
        stream
            .send(event.text.as_bytes())
            .map_err(|error| match error {
                SendError::Gone(_) => SendError::Gone(()),
                SendError::Full(_) => SendError::Full(()),
            })
    }

    /// Returns whether the client has disconnected, or the server has ended the stream.
    pub fn is_gone(&self) -> bool {
        self.0.0.as_ref().is_none_or(ResponseStream::is_gone)
    }
}

/// The stream that all clones of a sender share.
#[derive(Debug)]
struct Live(Option<ResponseStream>);

impl Drop for Live {
    /// Ends the response in good order, because a stream of events has no end that could be missing.
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            // Ignore the error: the client has disconnected.
            let _ = stream.finish();
        }
    }
}

/// One server-sent event, in the format of the protocol.
///
/// ```
/// use std::time::Duration;
/// use serve_forever::http::Event;
///
/// let event = Event::new("two\nlines").event("news").id(7).retry(Duration::from_secs(2));
/// assert_eq!(
///     event.as_str(),
///     "event: news\nid: 7\nretry: 2000\ndata: two\ndata: lines\n\n"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an event does nothing until it is sent"]
pub struct Event {
    /// The lines of the event, with the empty line at its end.
    text: String,
    /// Where the lines of the data begin.
    data: usize,
}

impl Event {
    /// Creates an event with `data`, which may have several lines ([SSE-2]).
    ///
    /// The browser gets the lines joined by `\n`, whatever ended them: `\n`, `\r\n` or `\r`.
    ///
    /// [SSE-2]: crate::spec#sse-2
    pub fn new(data: impl AsRef<str>) -> Event {
        let data = data.as_ref();
        let mut text = String::with_capacity(data.len() + "data: \n\n".len());
        let mut rest = Some(data);
        while let Some(piece) = rest {
            let end = piece.find(['\r', '\n']);
            text.push_str("data: ");
            text.push_str(&piece[..end.unwrap_or(piece.len())]);
            text.push('\n');
            rest = end.map(|end| {
                let after = &piece[end..];
                after.strip_prefix("\r\n").unwrap_or(&after[1..])
            });
        }
        text.push('\n');
        Event { text, data: 0 }
    }

    /// Sets the name of the event, for `addEventListener`. Without a name it is a `message`.
    ///
    /// A line break or NUL in it is replaced by U+FFFD, so that it cannot begin another field
    /// ([SSE-2]).
    ///
    /// [SSE-2]: crate::spec#sse-2
    pub fn event(self, name: impl AsRef<str>) -> Event {
        self.field("event", name.as_ref())
    }

    /// Sets the id of the event. A browser that connects again sends the id of the last event that it
    /// has received ([`Request::last_event_id`]).
    ///
    /// A line break or NUL in it is replaced by U+FFFD, so that it cannot begin another field
    /// ([SSE-2]).
    ///
    /// [SSE-2]: crate::spec#sse-2
    pub fn id(self, id: impl ToString) -> Event {
        self.field("id", &id.to_string())
    }

    /// Sets how long the browser waits before it connects again, in whole milliseconds. Without it,
    /// browsers wait for a few seconds.
    pub fn retry(self, time: Duration) -> Event {
        self.field("retry", &time.as_millis().to_string())
    }

    /// Returns the event as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds a field in front of the data.
    fn field(mut self, name: &str, value: &str) -> Event {
        let value = value.replace(['\r', '\n', '\0'], "\u{fffd}");
        let line = format!("{name}: {value}\n");
        self.text.insert_str(self.data, &line);
        self.data += line.len();
        self
    }
}
