//! A handler that checks which host a request is for, against DNS rebinding ([GUARD-1],
//! [GUARD-2]).
//!
//! [GUARD-1]: crate::spec#guard-1
//! [GUARD-2]: crate::spec#guard-2

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;
use std::sync::Arc;

use super::access::LogEntry;
use super::body_policy::BodyPolicy;
use super::handler::HttpRequestHandler;
use super::request::Request;
use super::response::{HttpResult, Response};
use super::status::phrase;

/// Wraps a handler, and passes it only requests for hosts in a list; Django's `ALLOWED_HOSTS`.
///
/// Use it for every server on the loopback interface that a browser can reach: metrics, a panel,
/// the end of a sign-in.
///
/// ```
/// use serve_forever::http::AllowedHosts;
/// use serve_forever::http::testing::Client;
/// use serve_forever::{Request, Response};
///
/// let secret = |_: &Request<'_>, response: Response<'_>| response.send_response(200).body("42\n");
/// let client = Client::new(AllowedHosts::loopback(secret));
/// let asked_for = |host| client.request("GET", "/").header("Host", host).send().code();
/// assert_eq!(asked_for("localhost:8000"), 200);
/// assert_eq!(asked_for("evil.example:8000"), 421);
/// ```
///
/// # Why
///
/// A page in a browser may send requests to any address, but it may read the responses of its own
/// host only. The attack *DNS rebinding* gets around this: the attacker's name first leads to the
/// attacker's server, and then to 127.0.0.1. To the browser it is the same host, so the page can
/// read everything that your server serves. But the `Host` field still has the attacker's name, and
/// this handler refuses it.
///
/// # The list
///
/// | in the list | allows |
/// | --- | --- |
/// | `example.com` | this host |
/// | `.example.com` | this host and all hosts below it, such as `www.example.com` |
/// | `127.0.0.1`, `::1` or `[::1]` | this address, however it is written |
/// | `*` | every host, for a program that reads its list from a file |
///
/// Case, ports, and a dot at the end of a name do not matter. A name beyond ASCII must be in the
/// list as browsers send it: `xn--bcher-kva.example`. If the target of a request has a host, as in
/// `GET http://example.com/`, both that host and `Host` must be in the list. A request without a
/// host, which only HTTP/1.0 allows, does not come from a browser, and is allowed: HAProxy's check of a
/// server is one.
///
/// Behind a proxy, the host is what the proxy sends. nginx sends the address of your server, unless
/// `proxy_set_header Host $host` makes it the name that the client used. HAProxy sends that name.
///
/// # What a refused client gets
///
/// Status 421 with a sentence that says why, and the connection is closed. 421 means that the
/// request was sent to a server that does not speak for its host (RFC 9110 sections 7.4 and
/// 15.5.20), which is exactly what happened. 403 would mean that the client needs other
/// permissions. The body of the request is not read, and the handler is not called, except for its
/// log hooks.
///
/// # Requests from other origins
///
/// The list does not stop a page of another origin from *sending* a request whose response it
/// cannot read. If requests change something on your server, also turn on
/// [`same_origin`](Self::same_origin). A WebSocket does not need it: `WebSocket::accept` refuses the
/// pages of other origins by itself. If you upgrade to a protocol of your own, turn it on.
#[derive(Debug, Clone)]
pub struct AllowedHosts<H> {
    /// Gets the requests that are allowed.
    handler: H,
    /// Which these are, shared by all connections.
    rules: Arc<Rules>,
}

/// Which requests are allowed.
#[derive(Debug, Clone, Default)]
struct Rules {
    /// The hosts.
    hosts: Vec<Host>,
    /// Whether requests of other origins are refused.
    same_origin: bool,
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// All hosts.
    Any,
    /// 127.0.0.0/8 and ::1.
    Loopback,
    /// One address.
    Address(IpAddr),
    /// One name.
    Name(String),
    /// The name after the dot, and all names that end with this. It begins with the dot.
    Domain(String),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its host is not in the list.
    Host,
    /// It changes something, and comes from a page of another origin.
    Origin,
}

impl<H> AllowedHosts<H> {
    /// Passes requests for `hosts` to `handler`; see [the list](Self#the-list).
    ///
    /// For [`WsgiHandler::allowed_hosts`](crate::wsgi::WsgiHandler::allowed_hosts) the handler is
    /// `()`.
    pub fn new(hosts: impl IntoIterator<Item = impl AsRef<str>>, handler: H) -> AllowedHosts<H> {
        let hosts = hosts.into_iter().map(|host| Host::parse(host.as_ref()));
        AllowedHosts::with(hosts.collect(), handler)
    }

    /// Passes requests for this machine to `handler`: those for `localhost` and the names below it
    /// (RFC 6761 section 6.3), for all addresses that begin with `127.`, and for `[::1]`.
    pub fn loopback(handler: H) -> AllowedHosts<H> {
        let localhost = Host::Domain(".localhost".to_owned());
        AllowedHosts::with(vec![Host::Loopback, localhost], handler)
    }

    fn with(hosts: Vec<Host>, handler: H) -> AllowedHosts<H> {
        let rules = Rules {
            hosts,
            same_origin: false,
        };
        AllowedHosts {
            handler,
            rules: Arc::new(rules),
        }
    }

    /// Sets whether requests that change something must come from your own pages. The default is
    /// `false` ([GUARD-2]).
    ///
    /// Otherwise any page that the user looks at can send a form to your server, with the user's
    /// cookies. This is *cross-site request forgery*. With `true`, a request with another method than
    /// GET, HEAD or OPTIONS, or with an `Upgrade` field, gets status 403 if its `Sec-Fetch-Site` field
    /// is there and neither `same-origin` nor `none`, or if the host and port in its `Origin` field are
    /// not those that the request is for. A request with neither field does not come from a browser of
    /// the last years, and is allowed.
    ///
    /// ```
    /// use serve_forever::http::AllowedHosts;
    /// use serve_forever::http::testing::Client;
    /// use serve_forever::{Request, Response};
    ///
    /// let save = |_: &Request<'_>, response: Response<'_>| response.send_response(204).body("");
    /// let client = Client::new(AllowedHosts::loopback(save).same_origin(true));
    /// let sent_by = |origin| {
    ///     let request = client.request("POST", "/").header("Host", "localhost:8000");
    ///     request.header("Origin", origin).send().code()
    /// };
    /// assert_eq!(sent_by("http://localhost:8000"), 204);
    /// assert_eq!(sent_by("https://evil.example"), 403);
    /// ```
    ///
    /// Leave it off for an API that pages of other origins may use by CORS. A handler of GET must
    /// not change anything.
    ///
    /// [GUARD-2]: crate::spec#guard-2
    #[must_use]
    pub fn same_origin(mut self, same_origin: bool) -> AllowedHosts<H> {
        Arc::make_mut(&mut self.rules).same_origin = same_origin;
        self
    }

    /// Returns the wrapped handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Returns why the request is refused, if it is.
    pub(crate) fn refusal(&self, request: &Request<'_>) -> Option<Refusal> {
        let rules = &*self.rules;
        if !rules.allow_hosts_of(request) {
            return Some(Refusal::Host);
        }
        let guarded = rules.same_origin && changes_something(request);
        (guarded && !is_same_origin(request)).then_some(Refusal::Origin)
    }
}

impl Refusal {
    /// Refuses the request. Its body stays unread, so the connection is closed.
    #[cold]
    pub(crate) fn send(self, response: Response<'_>) -> HttpResult {
        let (code, why) = match self {
            Refusal::Host => (421, "This server does not serve the host of the request"),
            Refusal::Origin => (403, "The request comes from a page of another origin"),
        };
        response.send_error_page(code, phrase(code), why, &[("Connection", "close")])
    }

    /// Returns the policy for the body of a request that is refused: it is not awaited, and not
    /// asked for.
    pub(crate) fn body_policy() -> BodyPolicy {
        BodyPolicy::streamed().limit(u64::MAX)
    }
}

impl<H: HttpRequestHandler> HttpRequestHandler for AllowedHosts<H> {
    fn handle(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
        match self.refusal(request) {
            None => self.handler.handle(request, response),
            Some(refusal) => refusal.send(response),
        }
    }

    fn body_policy(&mut self, request: &Request<'_>) -> BodyPolicy {
        match self.refusal(request) {
            None => self.handler.body_policy(request),
            Some(_) => Refusal::body_policy(),
        }
    }

    fn log_request(&mut self, entry: &LogEntry<'_>) {
        self.handler.log_request(entry);
    }

    fn log_error(&mut self, entry: &LogEntry<'_>, message: &str) {
        self.handler.log_error(entry, message);
    }
}

impl Rules {
    /// Returns whether all hosts that the request names are allowed.
    fn allow_hosts_of(&self, request: &Request<'_>) -> bool {
        // What if the target has a host, and `Host` has another one? The target counts (RFC 9112
        // section 3.2.2), but a handler may well look at `Host`.
        let field = request.header("Host");
        let field_allowed = field
            .is_none_or(|field| str::from_utf8(field).is_ok_and(|authority| self.allow(authority)));
        let authority = request.authority();
        field_allowed && authority.is_none_or(|authority| self.allow(authority))
    }

    /// Returns whether the host in `authority` is allowed.
    fn allow(&self, authority: &str) -> bool {
        let (host, _) = host_and_port(authority);
        !host.is_empty() && self.hosts.iter().any(|allowed| allowed.is_met_by(host))
    }
}

impl Host {
    /// Reads an entry of the list.
    fn parse(entry: &str) -> Host {
        let entry = entry.trim();
        if entry == "*" {
            return Host::Any;
        }
        // `::1` without brackets is an address, and not a host with a port.
        if let Ok(address) = entry.parse() {
            return Host::Address(address);
        }
        let (host, _) = host_and_port(entry);
        match (address(host), host.starts_with('.')) {
            (Some(address), _) => Host::Address(address),
            (None, true) => Host::Domain(host.to_owned()),
            (None, false) => Host::Name(host.to_owned()),
        }
    }

    fn is_met_by(&self, host: &str) -> bool {
        match self {
            Host::Any => true,
            Host::Loopback => address(host).is_some_and(|host| host.to_canonical().is_loopback()),
            Host::Address(allowed) => {
                address(host).is_some_and(|host| host.to_canonical() == allowed.to_canonical())
            }
            Host::Name(name) => name.eq_ignore_ascii_case(host),
            Host::Domain(domain) => {
                let (host, domain) = (host.as_bytes(), domain.as_bytes());
                let name = domain.get(1..).unwrap_or_default();
                let end = host.len().checked_sub(domain.len());
                let end = end.and_then(|start| host.get(start..));
                host.eq_ignore_ascii_case(name)
                    || end.is_some_and(|end| end.eq_ignore_ascii_case(domain))
            }
        }
    }
}

/// Returns the host in `authority`, without the dot at its end, and the port if there is one.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    let end_of_host = authority.rfind(']').map_or(0, |close| close + 1);
    let (host, port) = match authority.get(end_of_host..).and_then(|rest| rest.find(':')) {
        Some(colon) => {
            let (host, port) = authority.split_at(end_of_host + colon);
            (host, port.strip_prefix(':').filter(|port| !port.is_empty()))
        }
        None => (authority, None),
    };
    (host.strip_suffix('.').unwrap_or(host), port)
}

/// Returns the address that the host is, if it is no name.
fn address(host: &str) -> Option<IpAddr> {
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match literal {
        Some(literal) => literal.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Returns whether a page of another origin must not send this request. A WebSocket begins with a
/// GET, and browsers let every page open one.
fn changes_something(request: &Request<'_>) -> bool {
    let is_safe = matches!(request.method(), "GET" | "HEAD" | "OPTIONS");
    !is_safe || request.header("Upgrade").is_some()
}

/// Returns whether the request comes from a page of this server, or from no page.
fn is_same_origin(request: &Request<'_>) -> bool {
    // Browsers set this field, and no page can (Fetch Metadata Request Headers).
    if let Some(site) = request.header("Sec-Fetch-Site") {
        return matches!(site, b"same-origin" | b"none");
    }
    let authority = request.authority().unwrap_or_default();
    let mut origins = request.headers().get_all("Origin");
    origins.all(|origin| str::from_utf8(origin).is_ok_and(|origin| is_origin_of(origin, authority)))
}

/// Returns whether the host and port of `origin`, as in `http://localhost:8000`, are those of
/// `authority`.
///
/// The scheme is not compared: behind a proxy that encrypts, this server cannot know it.
fn is_origin_of(origin: &str, authority: &str) -> bool {
    let (origin, default_port) = match origin.split_once("://") {
        Some(("http", origin)) => (origin, "80"),
        Some(("https", origin)) => (origin, "443"),
        _ => return false, // also `null`, which a page without an origin sends
    };
    let (host, port) = host_and_port(authority);
    let (origin_host, origin_port) = host_and_port(origin);
    host.eq_ignore_ascii_case(origin_host)
        && port.unwrap_or(default_port) == origin_port.unwrap_or(default_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &[&str], host: &str) -> bool {
        AllowedHosts::new(list, ()).rules.allow(host)
    }

    /// GUARD-1: what is in the list, and how a host may be written.
    #[test]
    fn a_host_is_in_the_list_however_it_is_written() {
        for (entry, host, allowed) in [
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com.:80", true),
            ("Example.COM.", "example.com", true),
            ("example.com:8000", "example.com:9000", true),
            ("example.com", "example.com:", true),
            ("example.com", "www.example.com", false),
            ("example.com", "example.com.evil", false),
            ("example.com", "notexample.com", false),
            ("example.com", "example.com..", false),
            ("example.com", "", false),
            (".example.com", "example.com", true),
            (".example.com", "a.b.Example.com:1", true),
            (".example.com", "notexample.com", false),
            (".example.com", ".example.com", true),
            (".example.com", "com", false),
            ("127.0.0.1", "127.0.0.1:1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "127.0.0.1.evil.example", false),
            ("127.0.0.1", "[::ffff:127.0.0.1]", true),
            ("::1", "[::1]:8000", true),
            ("[::1]", "[0:0:0:0:0:0:0:1]", true),
            ("[::1]:8000", "[::1]", true),
            ("::1", "::1", false),
            ("::1", "[::2]", false),
            ("::1", "[v1.x]", false),
            ("*", "anything", true),
            ("*", "", false),
            ("", "", false),
            ("", "x", false),
        ] {
            assert_eq!(allows(&[entry], host), allowed, "{entry} {host}");
        }
        assert!(allows(&["a", "b"], "b"));
        assert!(!allows(&[], "a"));
    }

    /// GUARD-1: what belongs to this machine.
    #[test]
    fn loopback_is_this_machine() {
        let loopback = AllowedHosts::loopback(());
        for (host, allowed) in [
            ("localhost", true),
            ("LOCALHOST.:1", true),
            ("panel.localhost:8000", true),
            ("127.0.0.1", true),
            ("127.255.3.4:8000", true),
            ("[::1]", true),
            ("[::ffff:127.1.2.3]", true),
            ("0.0.0.0", false),
            ("128.0.0.1", false),
            ("127.1", false),
            ("[::]", false),
            ("localhost.evil.example", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(loopback.rules.allow(host), allowed, "{host}");
        }
    }

    /// GUARD-2: an origin is host and port.
    #[test]
    fn an_origin_is_a_host_and_a_port() {
        for (origin, authority, same) in [
            ("http://localhost:8000", "localhost:8000", true),
            ("http://LOCALHOST:8000", "localhost.:8000", true),
            ("http://localhost:8000", "localhost:8001", false),
            ("http://localhost", "localhost:80", true),
            ("https://localhost", "localhost:443", true),
            ("https://localhost", "localhost", true),
            ("https://localhost", "localhost:80", false),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://127.0.0.1:8000", "localhost:8000", false),
            ("http://localhost.evil:8000", "localhost:8000", false),
            ("ftp://localhost:8000", "localhost:8000", false),
            ("null", "null", false),
            ("", "", false),
        ] {
            assert_eq!(
                is_origin_of(origin, authority),
                same,
                "{origin} {authority}"
            );
        }
    }
}
