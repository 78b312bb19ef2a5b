//! What a program does with a WebSocket.

use super::close::WebSocketClose;
use super::message::WebSocketMessage;
use super::socket::WebSocket;
use crate::socketserver::HandlerResult;

/// Handles one conversation. There is one for each client, and it is called on the loop's thread.
///
/// A closure that takes the messages is a handler. Implement the trait if you want to know when the
/// conversation begins and ends:
///
/// ```
/// use serve_forever::http::websocket::{
///     WebSocket, WebSocketClose, WebSocketHandler, WebSocketMessage,
/// };
/// use serve_forever::socketserver::HandlerResult;
///
/// struct Greeter(String);
///
/// impl WebSocketHandler for Greeter {
///     fn open(&mut self, socket: &mut WebSocket<'_>) -> HandlerResult {
///         socket.text(&format!("Hello, {}!", self.0));
///         Ok(())
///     }
///
///     fn message(&mut self, socket: &mut WebSocket<'_>, _: WebSocketMessage<'_>) -> HandlerResult {
///         socket.close(WebSocketClose::POLICY, "I only greet");
///         Ok(())
///     }
///
///     fn closed(&mut self, close: &WebSocketClose) {
///         println!("{} has left: {close}", self.0);
///     }
/// }
/// # let _ = Greeter;
/// ```
///
/// If a method fails or panics, the client gets a Close frame with code 1011, and the server reports
/// the failure. [`Failure::Stop`](crate::socketserver::Failure::Stop) stops the server.
pub trait WebSocketHandler: Send + 'static {
    /// The conversation begins.
    ///
    /// # Errors
    ///
    /// An error ends the conversation.
    fn open(&mut self, socket: &mut WebSocket<'_>) -> HandlerResult {
        let _ = socket;
        Ok(())
    }

    /// A message has arrived whole.
    ///
    /// # Errors
    ///
    /// An error ends the conversation.
    fn message(
        &mut self,
        socket: &mut WebSocket<'_>,
        message: WebSocketMessage<'_>,
    ) -> HandlerResult;

    /// The conversation has ended, for whatever reason. This is the last call, and it comes once.
    ///
    /// The code is the client's if it has closed. It is the server's if that has closed.
    /// [`WebSocketClose::ABNORMAL`] means that the connection has ended without a word.
    fn closed(&mut self, close: &WebSocketClose) {
        let _ = close;
    }
}

impl<F> WebSocketHandler for F
where
    F: FnMut(&mut WebSocket<'_>, WebSocketMessage<'_>) -> HandlerResult + Send + 'static,
{
    fn message(
        &mut self,
        socket: &mut WebSocket<'_>,
        message: WebSocketMessage<'_>,
    ) -> HandlerResult {
        self(socket, message)
    }
}
