//! How many panics are printed. A panic hook is there for the whole process, so this is the only
//! test here.
#![cfg(feature = "server")]

mod support;

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use serve_forever::http::{Http, HttpResult, HttpSettings, Pooled, Request, Response};
use serve_forever::socketserver::{Evented, Pool, limit_panic_reports};
use support::server::serve;

/// Law 10: a client makes the hook of the program print ten panics a second at most. All others are
/// printed as before.
#[test]
fn clients_cannot_print_without_end() {
    static PRINTED: AtomicUsize = AtomicUsize::new(0);
    panic::set_hook(Box::new(|_| {
        PRINTED.fetch_add(1, SeqCst);
    }));
    limit_panic_reports();
    limit_panic_reports();

    fn panics(_: &Request<'_>, _: Response<'_>) -> HttpResult {
        panic!("scripted");
    }
    let began = Instant::now();
    let pooled = Pooled::new(panics, Pool::new().threads(2));
    let on_loop = serve(|| Evented::new(Http::new(panics, HttpSettings::default())));
    let on_workers = serve(move || Evented::new(Http::new(pooled, HttpSettings::default())));
    for server in [&on_loop, &on_workers] {
        for _ in 0..50 {
            let mut client = server.connect();
            client.send("GET / HTTP/1.0\r\n\r\n");
            assert!(client.rest().starts_with(b"HTTP/1.1 500 "));
        }
    }
    // A second may have begun several times meanwhile.
    let seconds = began.elapsed().as_secs() as usize + 1;
    let printed = PRINTED.swap(0, SeqCst);
    assert!((1..=10 * seconds).contains(&printed), "{printed} printed");

    for _ in 0..20 {
        assert!(thread::spawn(|| panic!("scripted")).join().is_err());
    }
    assert_eq!(PRINTED.load(SeqCst), 20, "the program's own");
}
