//! What the parsers read.

/// What a case consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Heads of requests, one after the other.
    Requests,
    /// A request with chunked content.
    Chunked,
    /// The head of a response.
    Response,
}

#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    pub bytes: Vec<u8>,
    /// What every parser must find in it.
    pub seen: Seen,
}

/// What a parser found. All parsers must agree, or their times could not be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub heads: usize,
    pub fields: usize,
    /// Bytes of content, without the framing.
    pub content: usize,
}

const SMALL: &str = "GET /plaintext HTTP/1.1\r\nHost: example.org\r\n\r\n";

/// What a browser sends to a site that it was on before.
const BROWSER: &str = concat!(
    "GET /search?q=event+loop&lang=en HTTP/1.1\r\n",
    "Host: www.example.org\r\n",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) ",
    "Chrome/142.0.0.0 Safari/537.36\r\n",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,",
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n",
    "Accept-Encoding: gzip, deflate, br, zstd\r\n",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n",
    "Cache-Control: max-age=0\r\n",
    "Connection: keep-alive\r\n",
    "Cookie: session=6f1c2a0e9d4b4d0f8a7e5c3b2a190817; theme=dark; consent=essential%2Canalytics; ",
    "_ga=GA1.1.1205342971.1764410000; _ga_0123456789=GS2.1.s1764410000$o1$g1$t1764410042$j18$l0$h0\r\n",
    "Referer: https://www.example.org/\r\n",
    "Sec-Ch-Ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n",
    "Sec-Ch-Ua-Mobile: ?0\r\n",
    "Sec-Ch-Ua-Platform: \"Linux\"\r\n",
    "Sec-Fetch-Dest: document\r\n",
    "Sec-Fetch-Mode: navigate\r\n",
    "Sec-Fetch-Site: same-origin\r\n",
    "Sec-Fetch-User: ?1\r\n",
    "Upgrade-Insecure-Requests: 1\r\n",
    "\r\n",
);

/// A response without content, so that a parser that goes on after the head finds nothing more.
const RESPONSE: &str = concat!(
    "HTTP/1.1 302 Found\r\n",
    "Date: Sun, 29 Nov 2026 12:00:00 GMT\r\n",
    "Server: nginx/1.28.0\r\n",
    "Content-Type: text/html; charset=utf-8\r\n",
    "Content-Length: 0\r\n",
    "Location: https://www.example.org/account/overview\r\n",
    "Cache-Control: no-cache, no-store, must-revalidate\r\n",
    "Set-Cookie: session=6f1c2a0e9d4b4d0f8a7e5c3b2a190817; Path=/; HttpOnly; Secure; SameSite=Lax\r\n",
    "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n",
    "X-Content-Type-Options: nosniff\r\n",
    "X-Request-Id: 01JDVXB4QK7Z7J1J9C3F5R8T2M\r\n",
    "\r\n",
);

/// Chunks of the upload, and the bytes in each.
const CHUNKS: (usize, usize) = (128, 32);

pub fn cases() -> Vec<Case> {
    use Kind::{Chunked, Requests, Response};
    vec![
        case("small GET", Requests, SMALL.into(), (1, 1, 0)),
        case("browser's head", Requests, BROWSER.into(), (1, 17, 0)),
        case("30 fields", Requests, thirty_fields(), (1, 30, 0)),
        case("16 pipelined", Requests, SMALL.repeat(16), (16, 16, 0)),
        case(
            "128 small chunks",
            Chunked,
            upload(),
            (1, 3, CHUNKS.0 * CHUNKS.1),
        ),
        case("response head", Response, RESPONSE.into(), (1, 10, 0)),
    ]
}

fn case(
    name: &'static str,
    kind: Kind,
    text: String,
    (heads, fields, content): (usize, usize, usize),
) -> Case {
    Case {
        name,
        kind,
        bytes: text.into_bytes(),
        seen: Seen {
            heads,
            fields,
            content,
        },
    }
}

/// A request as it arrives behind a few proxies: many short fields.
fn thirty_fields() -> String {
    let mut text = String::from("GET /api/v1/items/42 HTTP/1.1\r\nHost: api.example.org\r\n");
    for number in 1..30 {
        text += &format!("X-Field-Number-{number}: value {number} of thirty\r\n");
    }
    text + "\r\n"
}

fn upload() -> String {
    let head = concat!(
        "POST /upload HTTP/1.1\r\n",
        "Host: example.org\r\n",
        "Content-Type: application/octet-stream\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
    );
    let (chunks, length) = CHUNKS;
    let chunk = format!("{length:x}\r\n{}\r\n", "x".repeat(length));
    format!("{head}{}0\r\n\r\n", chunk.repeat(chunks))
}
