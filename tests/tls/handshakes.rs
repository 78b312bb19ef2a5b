//! Handshakes: what they agree on, how they fail, and how long they may take.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process};

use rustls::{Error, HandshakeKind};
use serve_forever::http::{HttpResult, HttpsServer, Request, Response};
use serve_forever::socketserver::{Buffer, Protocol, Tls, TlsConfig};

use crate::peer::{Act, Authority, Peer, client, connect_tls, provider};
use crate::support::client::text;
use crate::support::patience::LONG;
use crate::support::server::run;
use crate::{GET, NAME, Timed, get, http, make, send, serve_peer, tell};

/// TLS-3 (design law 8): a handshake has its time, and every byte of it does not begin that again.
#[test]
fn a_slow_handshake_is_ended() {
    let second = Duration::from_secs(1);
    let authority = Authority::one();
    let tls = Tls::new(http(), authority.server(NAME));
    let mut timed = Timed::new(make(&tls));
    assert_eq!(timed.deadline(), Some(10 * second));
    let mut slow = client(authority.client(), NAME);
    let mut hello = Buffer::new();
    slow.write_tls(&mut hello).expect("memory");
    for (index, byte) in hello.iter().take(20).enumerate() {
        let now = timed.at(second / 10 * index as u32);
        let mut input = Buffer::new();
        input.extend_from_slice(&[*byte]);
        timed.protocol.receive(&mut input, &mut timed.output, &now);
        assert_eq!(timed.deadline(), Some(10 * second));
    }
    let now = timed.at(10 * second);
    let next = timed.protocol.timed_out(&mut timed.output, &now);
    assert_eq!(format!("{next:?} {}", timed.output.len()), "Close 0");
    assert_eq!(
        (tls.config().stats().timeouts, tls.config().stats().failed),
        (1, 0)
    );

    // After the handshake, the time of the head begins.
    let tls = tls.handshake_timeout(3 * second);
    let mut timed = Timed::new(make(&tls));
    assert_eq!(timed.deadline(), Some(3 * second));
    let mut client = client(authority.client(), NAME);
    assert_eq!(timed.exchange(&mut client, 2 * second), "Read");
    assert_eq!(timed.deadline(), Some(12 * second));
    assert_eq!(
        (
            tls.config().stats().timeouts,
            tls.config().stats().handshakes
        ),
        (1, 1)
    );
}

/// TLS-2: the name that the client asks for chooses the certificate; the handler learns of it.
#[test]
fn a_name_chooses_a_certificate() {
    let (one, two) = (Authority::one(), Authority::other());
    let mut resolver = rustls::server::ResolvesServerCertUsingSni::new();
    for (authority, name) in [(&one, "one.test"), (&two, "two.test")] {
        let identity = authority.identity(name);
        let key = rustls::crypto::ring::sign::any_supported_type(&identity.key).expect("a key");
        let certified = rustls::sign::CertifiedKey::new(vec![identity.certificate], key);
        resolver.add(name, certified).expect("for this name");
    }
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    let tls = Tls::new(http(), config);
    for (authority, name) in [(&one, "one.test"), (&two, "two.test")] {
        let mut peer = Peer::new(
            client(authority.client(), name),
            [send(GET), Act::CloseNotify],
        );
        serve_peer(&tls, &mut peer).expect("no failure");
        assert!(peer.text().ends_with(&format!(" {name}\n")), "{peer:?}");
    }
    let mut stranger = Peer::new(client(one.client(), "three.test"), [send(GET)]);
    serve_peer(&tls, &mut stranger).expect("no failure of a request");
    assert!(
        matches!(stranger.error, Some(Error::AlertReceived(_))),
        "{stranger:?}"
    );
    assert_eq!(
        (tls.config().stats().handshakes, tls.config().stats().failed),
        (2, 1)
    );
}

/// TLS-2: without a choice of the program, an HTTPS server speaks `http/1.1`, and refuses a client that
/// speaks only something else (RFC 7301 section 3.2).
#[test]
fn protocols_are_agreed_on() {
    fn protocol(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let protocol = request.tls().and_then(|tls| tls.alpn_protocol());
        response
            .send_response(200)
            .body(format!("{:?}", protocol.map(text)))
    }
    let authority = Authority::one();
    let bind = |config: TlsConfig| {
        let server = HttpsServer::bind("127.0.0.1:0", protocol, config).expect("a free port");
        run(server, LONG)
    };
    let offer = |protocols: &[&str]| {
        let mut config = authority.client();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    };
    let config = TlsConfig::from(authority.server(NAME));
    let server = bind(config.clone());
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], "Some(\"http/1.1\")"),
        (&[], "None"),
    ] {
        let mut client = connect_tls(server.address, offer(offered), NAME);
        assert_eq!(get(&mut client, "/"), agreed, "{offered:?}");
    }
    let mut client = connect_tls(server.address, offer(&["h2"]), NAME);
    let error = client
        .write_all(GET)
        .expect_err("nothing in common")
        .to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    // Also after a renewal; but the program's choice is its own.
    config.set(authority.server(NAME));
    let mut client = connect_tls(server.address, offer(&["h2", "http/1.1"]), NAME);
    assert_eq!(get(&mut client, "/"), "Some(\"http/1.1\")");
    let mut own = authority.server(NAME);
    own.alpn_protocols = vec![b"mine".to_vec()];
    config.set(own);
    let mut client = connect_tls(server.address, offer(&["http/1.1", "mine"]), NAME);
    assert_eq!(get(&mut client, "/"), "Some(\"mine\")");
}

/// TLS-2: a client without a certificate is refused where one is required; the handler sees that of the
/// others.
#[test]
fn clients_show_their_certificates() {
    fn who(request: &Request<'_>, response: Response<'_>) -> HttpResult {
        let tls = request.tls().ok_or("no TLS")?;
        let bytes: usize = tls.peer_certificates().map(|der| der.len()).sum();
        response.send_response(200).body(format!("{bytes}"))
    }
    let authority = Authority::one();
    let server = HttpsServer::bind("127.0.0.1:0", who, authority.strict_server(NAME));
    let server = run(server.expect("a free port"), LONG);
    let identity = authority.identity("client.test");
    let length = identity.certificate.len();
    let mut client = connect_tls(server.address, authority.client_with(identity), NAME);
    assert_eq!(get(&mut client, "/"), length.to_string());
    let mut stranger = connect_tls(server.address, authority.client(), NAME);
    let refused = stranger
        .write_all(GET)
        .and_then(|()| stranger.read_to_end(&mut Vec::new()));
    let error = refused.expect_err("it has no certificate").to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    let stats = server.stop().engine().dispatch().factory().config().stats();
    assert_eq!((stats.handshakes, stats.failed), (1, 1));
}

/// TLS-6: a new certificate is for connections made afterwards.
#[test]
fn a_certificate_is_renewed() {
    let (old, new) = (Authority::one(), Authority::other());
    let config = TlsConfig::new(old.server(NAME));
    let server = HttpsServer::bind("127.0.0.1:0", tell, config.clone()).expect("a free port");
    let server = run(server, LONG);
    let mut early = connect_tls(server.address, old.client(), NAME);
    get(&mut early, "/");
    config.set(new.server(NAME));
    get(&mut early, "/");
    get(&mut connect_tls(server.address, new.client(), NAME), "/");

    // The same from files of PEM. A file that is wrong changes nothing, and is named. Nobody has to choose
    // a provider.
    let folder = env::temp_dir().join(format!("tls-{}", process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (file, other) = (folder.join("both.pem"), folder.join("other.pem"));
    fs::write(&file, old.identity(NAME).pem).expect("written");
    fs::write(&other, new.identity(NAME).pem).expect("written");
    config.load_pem_files(&file, &file).expect("both");
    get(&mut connect_tls(server.address, old.client(), NAME), "/");
    let missing = config.load_pem_files(folder.join("none.pem"), &file);
    assert!(
        missing
            .expect_err("missing")
            .to_string()
            .contains("none.pem")
    );
    let foreign = config.load_pem_files(&file, &other);
    assert_eq!(foreign.expect_err("foreign").kind(), ErrorKind::InvalidData);
    fs::write(&other, "no certificate").expect("written");
    let empty = TlsConfig::from_pem_files(&other, &file);
    assert!(empty.expect_err("empty").to_string().contains("other.pem"));
    get(&mut connect_tls(server.address, old.client(), NAME), "/");
    fs::remove_dir_all(&folder).expect("removed");
}

/// A client that comes again does not need the whole handshake.
#[test]
fn sessions_are_resumed() {
    let authority = Authority::one();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let tls = Tls::new(http(), authority.server(NAME));
        let config = Arc::new(authority.client_of(&[version]));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut peer = Peer::new(client(Arc::clone(&config), NAME), [send(GET)]);
            serve_peer(&tls, &mut peer).expect("no failure");
            assert_eq!(peer.client.handshake_kind(), Some(kind), "{version:?}");
            assert!(peer.text().ends_with(&format!("{NAME}\n")), "{peer:?}");
        }
    }
}
