//! The requests that the benches send.

/// A small request.
pub const SMALL: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: example.org\r\n\r\n";

/// A small request after which the connection ends.
pub const LAST: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";

/// What a browser sends to a site that it was on before.
pub const BROWSER: &[u8] = concat!(
    "GET /plaintext HTTP/1.1\r\n",
    "Host: www.example.org\r\n",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n",
    "Accept-Encoding: gzip, deflate, br, zstd\r\n",
    "Referer: https://www.example.org/overview?tab=recent\r\n",
    "Connection: keep-alive\r\n",
    "Cookie: session=6f1c2a0e9d4b4d0f8a7e5c3b2a190817; theme=dark; consent=essential%2Canalytics\r\n",
    "Upgrade-Insecure-Requests: 1\r\n",
    "Sec-Fetch-Dest: document\r\n",
    "Sec-Fetch-Mode: navigate\r\n",
    "Sec-Fetch-Site: same-origin\r\n",
    "Sec-Fetch-User: ?1\r\n",
    "Priority: u=0, i\r\n",
    "\r\n",
)
.as_bytes();

/// A form of 10 KiB.
pub fn post() -> Vec<u8> {
    let head = concat!(
        "POST /plaintext HTTP/1.1\r\n",
        "Host: example.org\r\n",
        "Content-Type: application/octet-stream\r\n",
        "Content-Length: 10240\r\n",
        "\r\n",
    );
    [head.as_bytes(), &[b'x'; 10 * 1024]].concat()
}
