//! winit: its loop watches no descriptors, so the server has a thread of its own. Each request comes
//! to the window's thread as a user event, and the response is made there.

use hosts::Outcome;
use serve_forever::http::{Deferred, OwnedRequest};
use serve_forever::{HttpServer, Request, Response};
use winit::application::ApplicationHandler;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::window::{Window, WindowAttributes, WindowId};

/// What the server's thread tells the window's.
enum FromServer {
    Request(OwnedRequest, Deferred),
    Stopped,
}

#[derive(Default)]
struct App {
    window: Option<Window>,
}

impl ApplicationHandler<FromServer> for App {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        let attributes = WindowAttributes::default().with_title("Nothing asked for yet");
        self.window = event_loop.create_window(attributes).ok();
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, event: FromServer) {
        let FromServer::Request(request, client) = event else {
            return event_loop.exit();
        };
        let text = request.with(|request| format!("You asked for {}\n", request.path()));
        if let Some(window) = &self.window {
            window.set_title(text.trim_end());
        }
        // Ignore the error: the client has disconnected.
        let _ = client.respond(|response| response.send_response(200).body(text));
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        if event == WindowEvent::CloseRequested {
            event_loop.exit();
        }
    }
}

fn main() -> Outcome {
    let event_loop = EventLoop::<FromServer>::with_user_event().build()?;
    let window = event_loop.create_proxy();
    let ask = move |request: &Request<'_>, response: Response<'_>| {
        let (client, reply) = response.defer();
        // If the window has closed, `client` is dropped, and gets a 500.
        let _ = window.send_event(FromServer::Request(request.into(), client));
        Ok(reply)
    };
    let mut server = HttpServer::bind(hosts::address(), ask)?;
    server.shutdown_on_signals()?;
    let window = event_loop.create_proxy();
    let server = server.spawn()?;
    println!("Serving on http://{}/", server.server_address());
    let stop = server.shutdown_handle().clone();
    std::thread::spawn(move || {
        let _ = server.join();
        let _ = window.send_event(FromServer::Stopped);
    });
    event_loop.run_app(&mut App::default())?;
    stop.request();
    Ok(())
}
