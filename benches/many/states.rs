//! The memory of a connection in each state.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::kernel;
use crate::support::process::{Processors, Server};
use crate::support::table;

/// How many connections are in the same state.
const CLIENTS: usize = 1000;

/// The states, and what each client sends to get there.
const STATES: [(&str, &str); 8] = [
    ("connected, nothing sent", ""),
    ("idle after a response", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("half a head", "GET / HTTP/1.1\r\nHost: h\r\nCookie: half"),
    (
        "reading a body, 10 of 20 KiB",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20480\r\n\r\n",
    ),
    (
        "waiting for a worker",
        "GET /worker HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "a stream of events",
        "GET /events HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "a download that nobody takes",
        "GET /download HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    #[cfg(feature = "websocket")]
    (
        "a WebSocket",
        "GET /websocket HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ),
    #[cfg(not(feature = "websocket"))]
    ("another idle one", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
];

pub fn measure(processors: Option<&Processors>) {
    println!("\n## Memory of a connection in each state, in bytes\n");
    let mut rows = Vec::new();
    for (state, sent) in STATES {
        let server = Server::again(&["one loop"], processors);
        let enter = |count| {
            let clients = (0..count).map(|_| enter(&server, state, sent));
            clients.collect::<Vec<TcpStream>>()
        };
        rows.push((state.to_owned(), cells(&server, enter)));
    }
    #[cfg(feature = "tls-ring")]
    {
        let server = Server::again(&["tls"], processors);
        let enter = |count| (0..count).map(|_| tls::enter(&server)).collect::<Vec<_>>();
        rows.push((
            "idle after a response, TLS 1.3".into(),
            cells(&server, enter),
        ));
    }
    let columns = ["ours", "buffered in the kernel"];
    table::print(&columns, rows);
    println!("\nThe kernel's own structures come in addition; see the idle connections.");
}

/// Brings many connections into the state. Returns what each of them has.
fn cells<C>(server: &Server, enter: impl Fn(usize) -> Vec<C>) -> Vec<String> {
    let some = enter(50); // what all connections share is there then
    let before = settled(server);
    let buffered = kernel::buffered(server.address.port());
    let clients = enter(CLIENTS);
    let own = settled(server).saturating_sub(before) / CLIENTS;
    let after = kernel::buffered(server.address.port());
    let kernel = after
        .zip(buffered)
        .map(|(after, before)| after.saturating_sub(before) / CLIENTS);
    drop((some, clients));
    vec![
        own.to_string(),
        kernel.map_or("?".into(), |bytes| bytes.to_string()),
    ]
}

/// The resident memory of the server, as soon as it does not change any more.
fn settled(server: &Server) -> usize {
    let (mut last, mut since) = (server.resident(), Instant::now());
    while since.elapsed() < Duration::from_millis(400) {
        thread::sleep(Duration::from_millis(20));
        let now = server.resident();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

fn enter(server: &Server, state: &str, sent: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.address).expect("a connection");
    client.write_all(sent.as_bytes()).expect("sent");
    let mut room = [0; 4096];
    match state {
        "reading a body, 10 of 20 KiB" => client.write_all(&[b'x'; 10 * 1024]).expect("sent"),
        _ if sent.is_empty() || state.starts_with("half") || state.starts_with("waiting") => {}
        _ => assert!(client.read(&mut room).expect("an answer") > 12),
    }
    // What the server sends after this stays in the buffers.
    client.set_nonblocking(true).expect("an option");
    if let Err(error) = client.peek(&mut room) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    client
}

#[cfg(feature = "tls-ring")]
mod tls {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{
        ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    };

    use crate::support::process::Server;
    use crate::support::requests::SMALL;

    /// A client that believes every certificate.
    #[derive(Debug)]
    struct Trusting(Arc<CryptoProvider>);

    impl ServerCertVerifier for Trusting {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.verify_tls13_signature(message, certificate, signature)
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }

    pub fn enter(server: &Server) -> StreamOwned<ClientConnection, TcpStream> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let socket = TcpStream::connect(server.address).expect("a connection");
        let mut client = StreamOwned::new(connection, socket);
        client.write_all(SMALL).expect("sent");
        let mut room = [0; 1024];
        assert!(client.read(&mut room).expect("an answer") > 12);
        client
    }
}
