//! A request that is whole: head, content and trailers, borrowed from the bytes that arrived.

use std::net::SocketAddr;

use super::h1::{Fields, Head, TargetForm, Version};

/// One request, as the handler sees it. Nothing in it is copied.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    head: &'a Head<'a>,
    head_bytes: &'a [u8],
    body: &'a [u8],
    trailers: Fields<'a>,
    client_address: Option<SocketAddr>,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        head: &'a Head<'a>,
        head_bytes: &'a [u8],
        body: &'a [u8],
        trailers: Fields<'a>,
        client_address: Option<SocketAddr>,
    ) -> Request<'a> {
        Request {
            head,
            head_bytes,
            body,
            trailers,
            client_address,
        }
    }

    /// The bytes that the head was parsed from.
    pub(super) fn head_bytes(&self) -> &'a [u8] {
        self.head_bytes
    }

    /// The method, case-sensitive; Python's `command`.
    pub fn method(&self) -> &'a str {
        self.head.method
    }

    /// The request target exactly as it came (RFC 9112 §3.2).
    pub fn target(&self) -> &'a str {
        self.head.target
    }

    /// The version; what is above 1.1 counts as 1.1.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The path of the target, still percent-encoded, without the query.
    ///
    /// Of an absolute target the scheme and authority are left out, `*` has an empty path, and
    /// several leading slashes are one (HTTP-15: no path can pass for an authority).
    pub fn path(&self) -> &'a str {
        let mut path = self.path_and_query().0;
        while path.starts_with("//") {
            path = &path[1..];
        }
        path
    }

    /// What follows the first `?` of the target, as it came; `None` without one.
    pub fn query(&self) -> Option<&'a str> {
        self.path_and_query().1
    }

    fn path_and_query(&self) -> (&'a str, Option<&'a str>) {
        let target = match self.head.target_form {
            TargetForm::Origin => self.head.target,
            TargetForm::Absolute => after_authority(self.head.target),
            TargetForm::Authority | TargetForm::Asterisk => "",
        };
        match target.bytes().position(|byte| byte == b'?') {
            Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
            None => (target, None),
        }
    }

    /// The header fields in order of arrival, repeated ones too, names as they came.
    pub fn headers(&self) -> Fields<'a> {
        self.head.fields
    }

    /// The value of the first field of that name, whatever its case (HTTP-17).
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.head.fields.get(name)
    }

    /// The host and port that the request is for (RFC 9110 §7.2).
    pub fn authority(&self) -> Option<&'a str> {
        self.head.authority()
    }

    /// The content, decoded; empty if the request has none.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The trailer fields of a chunked request.
    pub fn trailers(&self) -> Fields<'a> {
        self.trailers
    }

    /// Who sent it; `None` if clients have no host and port, as on a Unix-domain socket (UNIX-4).
    pub fn client_address(&self) -> Option<SocketAddr> {
        self.client_address
    }
}

/// What follows the scheme and authority of an absolute target.
fn after_authority(target: &str) -> &str {
    let authority = target.find("://").map_or(0, |colon| colon + 3);
    let rest = &target[authority..];
    rest.find(['/', '?']).map_or("", |start| &rest[start..])
}

#[cfg(test)]
mod tests {
    use super::super::h1::{FieldStorage, HeadLimits, parse_fields};
    use super::*;

    #[test]
    fn path_and_query_of_every_target_form() {
        let cases = [
            ("GET /a/b?x=1?y HTTP/1.1", "/a/b", Some("x=1?y")),
            ("GET //evil.test/a//b HTTP/1.1", "/evil.test/a//b", None),
            ("GET /? HTTP/1.1", "/", Some("")),
            ("GET http://h.test HTTP/1.1", "", None),
            ("GET http://h.test?q HTTP/1.1", "", Some("q")),
            ("GET http://h.test:80/p?q HTTP/1.1", "/p", Some("q")),
            ("OPTIONS * HTTP/1.1", "", None),
            ("CONNECT h.test:443 HTTP/1.1", "", None),
        ];
        for (line, path, query) in cases {
            let bytes = format!("{line}\r\nHost: h.test\r\n\r\n");
            let mut storage = FieldStorage::new();
            let head = Head::parse(bytes.as_bytes(), &mut storage, &HeadLimits::default());
            let head = head.expect(line);
            let trailers = parse_fields(b"", 0).expect("no fields");
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            let request = Request::new(&head, b"", b"", trailers, Some(peer));
            assert_eq!((request.path(), request.query()), (path, query), "{line}");
        }
    }
}
