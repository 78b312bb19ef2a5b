"""Files: CPython's SimpleHTTPRequestHandler against SimpleHttpRequestHandler."""

import os

# The requests are for the host `h`, and CPython serves every host.
OURS = ["http_server", "--directory", "{site}", "--allow-host", "h", "0"]

# HTTP/1.1, as ours is; and no types but those that are built in.
THEIRS = """
import functools, http.server, mimetypes, sys
mimetypes.init(files=[])
handler = http.server.SimpleHTTPRequestHandler
handler.protocol_version = "HTTP/1.1"
handler.log_message = lambda *_: None
serve = functools.partial(handler, directory=sys.argv[1])
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
    print(f"http://127.0.0.1:{server.server_port}/")
    server.serve_forever()
"""

MODIFIED = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT

FILES = {
    b"a.txt": b"0123456789",
    b"empty": b"",
    b"large.bin": bytes(range(256)) * 1024,
    b"page.html": b"<p>page</p>",
    b"script.js": b"1",
    b"data.json": b"{}",
    b"picture.SVG": b"<svg/>",
    b"style.css": b"",
    b"code.wasm": b"\0asm",
    b"notes.md": b"#",
    b"archive.tar.gz": b"x",
    b"archive.tgz": b"x",
    b"old.Z": b"x",
    b"packed.bz2": b"x",
    b"packed.xz": b"x",
    b"page.html.br": b"x",
    b"film.mp4": b"x",
    b"noname": b"x",
    b".hidden": b"x",
    b".html": b"x",
    b"a+b": b"plus",
    b"a b": b"blank",
    b"a%41": b"percent",
    b"a?b#c": b"marks",
    b"back\\slash": b"backslash",
    b"c:": b"colon",
    b"<&>\"'.txt": b"html",
    "\u00e9.txt".encode(): b"accent",
    b"raw/\xff.txt": b"raw",
    b"d/b.txt": b"b",
    b"d/e/f.txt": b"f",
    b"d/Z": b"",
    b"d/y": b"",
    b"d/\xc3\xa4": b"",
    b"indexed/index.html": b"the index",
    b"htm/index.htm": b"the other index",
    b"both/index.html": b"first",
    b"both/index.htm": b"second",
    b"not/index.html/x": b"",
}


def PREPARE(site):
    site = os.fsencode(site)
    for name, content in FILES.items():
        path = os.path.join(site, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, (MODIFIED, MODIFIED))
    os.mkdir(os.path.join(site, b"nothing"))
    links = {
        b"link": b"a.txt",
        b"d/link-directory": b"e",
        b"d/link-nowhere": b"nowhere",
        b"out": b"/etc/passwd",
        b"out-directory": b"/etc",
        b"loop": b"loop",
    }
    for name, target in links.items():
        os.symlink(target, os.path.join(site, name))


def request(line, *fields):
    lines = [line, *fields, ""]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"


def get(target, *fields):
    return request(f"GET {target} HTTP/1.1", "Host: h", *fields)


def head(target, *fields):
    return request(f"HEAD {target} HTTP/1.1", "Host: h", *fields)


TARGETS = """
/ /? /?q /?q=%3Cb%3E&%ff // /. /./ /.. /../ /%2e%2e/ /d/..
/a.txt /a.txt?q /a.txt?q=/../x /a%2etxt /%61%2E%74xt //a.txt ///a.txt /./a.txt /d/../a.txt
/nodir/../a.txt /a.txt/. /a.txt/./ /a.txt/ /a.txt// /a.txt%2f /%2fa.txt /A.txt /a.txt/x /a.TXT
/../a.txt /%2e%2e/a.txt /..%2fa.txt /%252e%252e/a.txt /....//a.txt /d/..%2f..%2fa.txt
/../../../../etc/passwd /%2e%2e/%2e%2e/%2e%2e/etc/passwd /..%5c..%5cetc/passwd /%2fetc/passwd
/empty /large.bin /page.html /script.js /data.json /picture.SVG /style.css /code.wasm /notes.md
/archive.tar.gz /archive.tgz /old.Z /packed.bz2 /packed.xz /page.html.br /film.mp4 /noname /.hidden
/.html /a+b /a%20b /a%2541 /a%3fb%23c /back%5cslash /back\\slash /c: /c%3a
/%3C%26%3E%22%27.txt /%C3%A9.txt /%c3%a9.txt /raw /raw/ /raw/%ff.txt /raw/%FF.txt /raw/%ef%bf%bd.txt
/missing /missing/ /missing?q /d/missing /%00 /a.txt%00 /%zz /% /%2
/d /d? /d?q /d/?q /d/ /d// /d//?q /d/. /d%2f /d/e /d/e/ /d%2fe%2f /./d //d //d?q ///d /d/e/..
/nothing /nothing/ /indexed /indexed/ /indexed/index.html /htm/ /both/ /not/ /not/index.html
/link /d/link-directory /d/link-directory/ /d/link-directory/f.txt /d/link-nowhere
/out /out-directory /out-directory/ /out-directory/passwd /loop /loop/
http://h/a.txt http://h/d http://h/d/?q http://h a.txt *
""".split()

HEADS = "/ /a.txt /empty /d /d/ /missing /a.txt/ /indexed/ /large.bin".split()

SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
CONDITIONS = [
    [f"If-Modified-Since: {SAME}"],
    ["If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"],
    ["If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT"],
    ["If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"],
    ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37"],
    ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 UTC"],
    ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 +0000"],
    ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 -0000"],
    ["If-Modified-Since: Sun, 06 Nov 1994 10:49:37 +0100"],
    ["If-Modified-Since: Sun, 06 Nov 1994 10:49:37 EST"],
    ["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"],
    ["If-Modified-Since: Sun Nov  6 08:49:37 1994"],
    ["If-Modified-Since: Mon, 06 Nov 1994 08:49:37 GMT"],
    ["If-Modified-Since: 06 Nov 1994 08:49:37 GMT"],
    ["If-Modified-Since: Sun, 06 Nov 1994 25:49:37 GMT"],
    ["If-Modified-Since: Sun, 06 Nov 99999 08:49:37 GMT"],
    ["If-Modified-Since: yesterday"],
    ["If-Modified-Since: "],
    [f"If-Modified-Since: {SAME}", "If-None-Match: \"x\""],
    ["If-None-Match: \"x\""],
    ["If-None-Match: *"],
    ["If-Match: \"x\""],
    ["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"],
    ["Range: bytes=0-3"],
    ["Range: bytes=-3"],
    ["Range: bytes=10-"],
    ["Range: bytes=0-0,9-9"],
    ["Range: bytes=3-0"],
    ["Range: bytes=0-3", "If-Range: \"x\""],
    ["Range: bytes=0-3", f"If-Modified-Since: {SAME}"],
    ["Accept-Encoding: gzip, br"],
]

METHODS = "POST PUT DELETE OPTIONS PATCH TRACE get FOO".split()

TRANSCRIPTS = (
    [(f"GET {target}", get(target)) for target in TARGETS]
    + [("GET raw UTF-8", get("/\u00c3\u00a9.txt")), ("GET long", get("/" + "x" * 300))]
    + [("GET deep", get("/x" * 2100)), ("GET fragment", get("/a.txt#x")), ("GET /d#f", get("/d?q#f"))]
    + [(f"HEAD {target}", head(target)) for target in HEADS]
    + [(f"GET /a.txt, {', '.join(fields)}", get("/a.txt", *fields)) for fields in CONDITIONS]
    + [(f"HEAD /a.txt, {CONDITIONS[0][0]}", head("/a.txt", *CONDITIONS[0]))]
    + [(f"GET /d/, {CONDITIONS[3][0]}", get("/d/", *CONDITIONS[3]))]
    + [(f"{method} /a.txt", request(f"{method} /a.txt HTTP/1.1", "Host: h")) for method in METHODS]
    + [
        ("two requests", get("/a.txt") + get("/page.html")),
        ("five requests", get("/a.txt") + head("/a.txt") + get("/d") + get("/d/") + get("/empty")),
        ("304 and on", get("/a.txt", *CONDITIONS[0]) + get("/page.html")),
        ("404 and on", get("/missing") + get("/page.html")),
        ("close", get("/a.txt", "Connection: close") + get("/page.html")),
        ("HTTP/1.0", request("GET /a.txt HTTP/1.0")),
        ("HTTP/1.0 keep-alive", request("GET /a.txt HTTP/1.0", "Connection: keep-alive")),
        ("HTTP/1.0 listing", request("GET /d/ HTTP/1.0")),
        ("no Host", request("GET /a.txt HTTP/1.1")),
        ("content of a GET", get("/a.txt", "Content-Length: 5") + b"hello" + get("/page.html")),
    ]
)
