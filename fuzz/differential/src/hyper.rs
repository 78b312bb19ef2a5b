//! hyper, which stands on httparse. Its connection is polled by hand, over pieces in memory: it needs no
//! runtime.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::ext::on_informational;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{HeaderMap, Method, Request, Response, Version};

use crate::verdict::{End, Field, Framing, Message, Role, Start, Verdict};

/// Reads `input` in the pieces that end at `cuts`.
pub fn read(role: Role, input: &[u8], cuts: &[usize]) -> Verdict {
    let messages = Messages::default();
    let pieces = Pieces {
        rest: input.to_vec(),
        ends: cuts.to_vec(),
        at: 0,
        ends_with_close: role.sees_end(),
        waits_for_request: role.is_client().then(Waker::noop).cloned(),
    };
    let end = match role {
        Role::Server | Role::ServerToEnd => serve(pieces, &messages),
        Role::Client(method) => ask(pieces, method, &messages),
    };
    let messages = std::mem::take(&mut *messages.lock().expect("no panic"));
    Verdict { messages, end }.comparable()
}

type Messages = Arc<Mutex<Vec<Message>>>;

fn serve(pieces: Pieces, messages: &Messages) -> End {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let messages = Arc::clone(messages);
        async move {
            let (head, body) = request.into_parts();
            let start = Start::Request {
                method: head.method.as_str().into(),
                target: head.uri.to_string().into(),
            };
            begin(&messages, start, head.version, &head.headers, &body);
            finish(&messages, body).await?;
            Ok::<_, hyper::Error>(Response::new(Empty))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(pieces, service);
    match poll_to_rest(pin!(connection)) {
        None => End::More,
        Some(Ok(())) => End::Closed,
        Some(Err(error)) => End::Refused(text(&error)),
    }
}

fn ask(pieces: Pieces, method: &str, messages: &Messages) -> End {
    let exchange = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(pieces).await?;
        let mut connection = pin!(connection);
        let mut answer = pin!(async {
            let target = if method == "CONNECT" { "h:1" } else { "/" };
            let request = Request::builder().uri(target).header("host", "h:1");
            let sent = Method::from_bytes(method.as_bytes()).expect("a token");
            let mut request = request.method(sent).body(Empty).expect("a good request");
            let interim = Arc::clone(messages);
            on_informational(&mut request, move |response| {
                let start = Start::Response {
                    status: response.status().as_u16(),
                };
                let mut message =
                    Message::new(start, u8::from(response.version() != Version::HTTP_10));
                message.fields = Some(fields(response.headers()));
                message.complete = true;
                interim.lock().expect("no panic").push(message);
            });
            let (head, body) = sender.send_request(request).await?.into_parts();
            let start = Start::Response {
                status: head.status.as_u16(),
            };
            begin(messages, start, head.version, &head.headers, &body);
            let tunnel = matches!(head.status.as_u16(), 101)
                || (method == "CONNECT" && head.status.is_success());
            if tunnel {
                mark_complete(messages);
                return Ok(End::Tunnel);
            }
            finish(messages, body).await?;
            Ok(End::Closed)
        });
        // The connection reads, and wakes the answer. When it has ended, it is not polled again.
        let mut ended = false;
        poll_fn(|context| {
            if !ended {
                ended = connection.as_mut().poll(context).is_ready();
            }
            answer.as_mut().poll(context)
        })
        .await
    };
    match poll_to_rest(pin!(exchange)) {
        None => End::More,
        Some(Ok(end)) => end,
        Some(Err(error)) => End::Refused(text::<hyper::Error>(&error)),
    }
}

fn begin(
    messages: &Messages,
    start: Start,
    version: Version,
    headers: &HeaderMap,
    body: &Incoming,
) {
    let mut message = Message::new(start, u8::from(version != Version::HTTP_10));
    message.fields = Some(fields(headers));
    // Without an exact size the content is chunked, or ends with the connection: it does not say.
    message.framing = body.size_hint().exact().map(Framing::of_length);
    messages.lock().expect("no panic").push(message);
}

/// Reads the content to its end.
async fn finish(messages: &Messages, body: Incoming) -> Result<(), hyper::Error> {
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame?;
        let mut messages = messages.lock().expect("no panic");
        let message = messages.last_mut().expect("it has begun");
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => message.content.extend_from_slice(data),
            (_, Some(trailers)) => message.trailers = Some(fields(trailers)),
            _ => {}
        }
    }
    mark_complete(messages);
    Ok(())
}

fn mark_complete(messages: &Messages) {
    let mut messages = messages.lock().expect("no panic");
    let message = messages.last_mut().expect("it has begun");
    message.complete = true;
    message.trailers.get_or_insert_default();
}

fn fields(headers: &HeaderMap) -> Vec<Field> {
    let owned = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().into(), value.as_bytes().into())
    };
    headers.iter().map(owned).collect()
}

/// The error with its causes.
fn text<E: std::error::Error>(error: &E) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Polls until nothing happens any more.
fn poll_to_rest<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream from which each piece comes by itself, and which takes all that is written.
struct Pieces {
    rest: Vec<u8>,
    ends: Vec<usize>,
    at: usize,
    ends_with_close: bool,
    /// Nothing comes before the client has written. This is who waits meanwhile.
    waits_for_request: Option<Waker>,
}

impl Read for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(waker) = &mut self.waits_for_request {
            waker.clone_from(context.waker());
            return Poll::Pending;
        }
        let at = self.at;
        let Some(&end) = self.ends.iter().find(|&&end| end > at) else {
            return match self.ends_with_close {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            };
        };
        let end = end.min(at + buffer.remaining());
        buffer.put_slice(&self.rest[at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(waker) = self.waits_for_request.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A message without content.
struct Empty;

impl Body for Empty {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
