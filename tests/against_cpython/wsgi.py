"""Applications: CPython's wsgiref.simple_server against make_server.

The same application in both languages: this one, and examples/checks/wsgi_probe.rs. The path says what it
does, the query with what.
"""

OURS = ["wsgi_probe", "127.0.0.1:0"]

THEIRS = r'''
import os
os.environ.clear()
os.environ["LEAKED"] = "of the process"  # which nothing keeps from the application (ENV-21)

import sys
from urllib.parse import quote, unquote
from wsgiref.simple_server import WSGIRequestHandler, make_server

closed = 0


def plain(*more):
    """The fields of an answer; the server adds its own to the list that it gets (HDR-1)."""
    return [("Content-Type", "text/plain"), *more]


class Closing:
    """A body that counts its ends."""

    def __init__(self, blocks):
        self.blocks = blocks

    def __iter__(self):
        return iter(self.blocks)

    def close(self):
        global closed
        closed += 1


def application(environ, start_response):
    path, query = environ["PATH_INFO"], unquote(environ["QUERY_STRING"], "latin-1")
    blocks = [block.encode("latin-1") for block in query.split(",")]
    if path.startswith("/environ"):
        start_response("200 OK", plain(*variables(environ)))
        return [b""]
    elif path == "/status":
        start_response(query, plain())
        return [b"body"]
    elif path == "/bare":
        start_response(query, [])
        return [b"body"]
    elif path == "/header":
        name, _, value = query.partition("=")
        start_response("200 OK", plain((name, value)))
        return [b"body"]
    elif path == "/list":
        start_response("200 OK", plain())
        return blocks
    elif path == "/none":
        start_response("200 OK", plain())
        return []
    elif path == "/blocks":
        start_response("200 OK", plain())
        return (block for block in blocks)
    elif path == "/length":
        length, _, rest = query.partition("=")
        start_response("200 OK", plain(("Content-Length", length)))
        return (block.encode("latin-1") for block in rest.split(","))
    elif path == "/write":
        written, _, rest = query.partition("=")
        write = start_response("200 OK", plain())
        for block in written.split(","):
            write(block.encode("latin-1"))
        return [block.encode("latin-1") for block in rest.split(",")]
    elif path == "/echo":
        start_response("200 OK", plain())
        return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]
    elif path == "/all":
        start_response("200 OK", plain())
        return [environ["wsgi.input"].read()]
    elif path == "/unread":
        start_response("200 OK", plain())
        return [b"unread"]
    elif path == "/lines":
        stream, length = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)
        lines = []
        while length > 0:
            line = stream.readline(length)
            if not line:
                break
            length -= len(line)
            lines.append(line.rstrip(b"\n"))
        start_response("200 OK", plain())
        return [b"|".join(lines)]
    elif path == "/closing":
        start_response("200 OK", plain())
        return Closing(fail_at(blocks))
    elif path == "/closed":
        global closed
        count, closed = closed, 0
        start_response("200 OK", plain())
        return [str(count).encode()]
    elif path == "/file":
        import io
        start_response("200 OK", plain(*([("Content-Length", query)] if query else [])))
        return environ["wsgi.file_wrapper"](io.BytesIO(b"f" * 20000))
    elif path == "/wrong":
        return wrong(query, start_response)
    start_response("404 Not Found", plain())
    return [b"not found"]


def variables(environ):
    for key, value in sorted(environ.items()):
        if key == "SERVER_PORT":
            value = "a port" if value.isdigit() else value
        if key in ("wsgi.input", "wsgi.errors", "wsgi.file_wrapper"):
            value = "there"
        value = value if isinstance(value, str) else repr(value)
        yield f"X-{key}", "=" + quote(value, safe="", encoding="latin-1")


def fail_at(blocks):
    for block in blocks:
        if block == b"!":
            raise RuntimeError("scripted")
        yield block


def wrong(what, start_response):
    if what == "raises":
        raise RuntimeError("scripted")
    if what == "exits":
        raise AssertionError("scripted")
    if what == "starts, raises":
        start_response("200 OK", plain())
        raise RuntimeError("scripted")
    if what == "no start":
        return [b"body"]
    if what == "no start, no block":
        return []
    if what == "starts late":
        return late(start_response)
    if what == "starts too late":
        return too_late(start_response)
    if what == "starts twice":
        start_response("200 OK", plain())
        start_response("200 OK", plain())
        return [b"body"]
    if what == "starts again":
        try:
            start_response("nonsense", plain())
        except AssertionError:
            pass
        start_response("200 OK", plain())
        return [b"body"]
    if what == "replaces":
        start_response("200 OK", plain(("X-First", "1")))
        try:
            raise RuntimeError("scripted")
        except RuntimeError:
            start_response("503 Sorry", plain(("X-Second", "2")), sys.exc_info())
        return [b"sorry"]
    if what == "replaces too late":
        return replaces_too_late(start_response)
    if what == "replaces after write":
        write = start_response("200 OK", plain())
        write(b"written")
        try:
            raise RuntimeError("scripted")
        except RuntimeError:
            start_response("503 Sorry", plain(), sys.exc_info())
        return [b"sorry"]
    if what == "lengths":
        start_response("200 OK", plain(("Content-Length", "4"), ("Content-Length", "4")))
        return [b"body"]
    if what == "own date":
        start_response("200 OK", plain(("dAte", "now"), ("sErver", "mine")))
        return [b"body"]
    start_response("404 Not Found", plain())
    return [b"not found"]


def late(start_response):
    start_response("202 Late", plain())
    yield b"late"


def too_late(start_response):
    yield b"body"
    start_response("202 Late", plain())


def replaces_too_late(start_response):
    start_response("200 OK", plain())
    yield b"sent"
    try:
        raise RuntimeError("scripted")
    except RuntimeError:
        start_response("503 Sorry", plain(), sys.exc_info())
    yield b"sorry"


class Handler(WSGIRequestHandler):
    # Before 3.13 the phrase was that of an older RFC.
    responses = {**WSGIRequestHandler.responses, 414: ("URI Too Long", "URI is too long")}

    def log_message(self, *_):
        pass


with make_server("127.0.0.1", 0, application, handler_class=Handler) as server:
    print(f"http://127.0.0.1:{server.server_port}/")
    server.serve_forever()
'''


def PREPARE(_site):
    pass


def request(line, *fields, body=b""):
    head = "".join(f"{text}\r\n" for text in [line, *fields])
    return head.encode("latin-1") + b"\r\n" + body


def get(target, *fields, method="GET"):
    return request(f"{method} {target} HTTP/1.0", "Host: h.test", *fields)


def get_1_1(target, *fields, method="GET"):
    return request(f"{method} {target} HTTP/1.1", "Host: h.test", *fields)


def post(target, body, *fields, version="1.0"):
    length = f"Content-Length: {len(body)}"
    return request(f"POST {target} HTTP/{version}", "Host: h.test", length, *fields, body=body)


TRANSCRIPTS = []


def add(group, cases):
    TRANSCRIPTS.extend((f"{group}: {name}", transcript) for name, transcript in cases.items())


add("environ", {
    "nothing special": get("/environ"),
    "1.1": get_1_1("/environ"),
    "a query": get("/environ?a=%20b&c"),
    "an empty query": get("/environ?"),
    "two question marks": get("/environ?a?b"),
    "a fragment": get("/environ?a#b"),
    "escapes": get("/environ/p%61th/%2F%3f%20+;="),
    "bytes": get("/environ/%80%ff%C3%A9"),
    "NUL and line ends": get("/environ/%00%0d%0a"),
    "no escapes": get("/environ/%zz%1%"),
    "two slashes within": get("/environ//a//b"),
    "dots": get("/environ/../a/./b"),
    "absolute": get("http://h.test:80/environ?q"),
    "a method in lower case": get("/environ", method="get"),
    "a method of one's own": get("/environ", method="BREW"),
    "OPTIONS": get("/environ", method="OPTIONS"),
    "fields": get("/environ", "X-Some-Thing:  a b ", "Accept: */*", "User-Agent: me"),
    "repeated fields": get("/environ", "Accept: a", "accept: b", "ACCEPT: c,d"),
    "cookies": get("/environ", "Cookie: a=b", "Cookie: c=d"),
    "an underscore": get("/environ", "X_A: 1", "X-A: 2"),
    "only an underscore": get("/environ", "X_B: 1"),
    "Proxy": get("/environ", "Proxy: http://evil.test"),
    "an empty field": get("/environ", "X-Empty:"),
    "Latin-1": get("/environ", "X-Latin: caf\u00e9"),
    "a tab": get("/environ", "X-Tab: a\tb"),
    "names of variables": get(
        "/environ", "Server-Name: x", "Script-Name: x", "Path-Info: x", "Remote-Addr: x",
        "Query-String: x", "Request-Method: x", "Gateway-Interface: x",
    ),
    "a type": get("/environ", "Content-Type: text/x-a; b=c"),
    "a type and a length": post("/environ", b"abc", "Content-Type: text/x-a"),
    "a length of nothing": get("/environ", "Content-Length: 0"),
    "HTTPS as a field": get("/environ", "HTTPS: on"),
    "authorization": get("/environ", "Authorization: Basic Z3VpZG86c3BhbQ=="),
    "HEAD": get("/environ", method="HEAD"),
})

add("status", {
    "200": get("/status?200%20OK"),
    "no reason": get("/status?200%20"),
    "no space": get("/status?200"),
    "two digits": get("/status?20%20OK"),
    "four digits": get("/status?2000%20OK"),
    "not a number": get("/status?2x0%20OK"),
    "empty": get("/status?"),
    "one of one's own": get("/status?299%20Two%20%20words"),
    "999": get("/status?999%20Big"),
    "an interim one": get("/status?100%20Continue"),
    "a line end": get("/status?200%20OK%0d%0aX-Split:%20yes"),
    "a reason in Latin-1": get("/status?200%20%e9"),
    "204": get("/bare?204%20No%20Content"),
    "205": get("/bare?205%20Reset%20Content"),
    "304": get("/bare?304%20Not%20Modified"),
    "204, 1.1": get_1_1("/bare?204%20No%20Content"),
    "404": get("/nowhere"),
    "404, HEAD": get("/nowhere", method="HEAD"),
})

add("header", {
    "plain": get("/header?X-A=b"),
    "empty": get("/header?X-A="),
    "Latin-1": get("/header?X-A=%e9"),
    "a blank at the end": get("/header?X-A=b%20"),
    "a tab": get("/header?X-A=b%09c"),
    "a line end": get("/header?X-A=b%0d%0aX-Split:%20yes"),
    "a line feed": get("/header?X-A=b%0aX-Split:%20yes"),
    "NUL": get("/header?X-A=%00"),
    "no name": get("/header?=b"),
    "a blank in the name": get("/header?X%20A=b"),
    "a colon in the name": get("/header?X:A=b"),
    "Connection": get("/header?Connection=close"),
    "Keep-Alive": get("/header?keep-alive=1"),
    "TE": get("/header?TE=trailers"),
    "Trailer": get("/header?Trailer=X"),
    "Trailers": get("/header?Trailers=X"),
    "Transfer-Encoding": get("/header?Transfer-Encoding=chunked"),
    "Upgrade": get("/header?Upgrade=x"),
    "a length": get("/header?Content-Length=4"),
    "a length that is none": get("/header?Content-Length=many"),
    "a length with a sign": get("/header?Content-Length=%2B4"),
})

add("body", {
    "a list of one": get("/list?abc"),
    "a list of one, HEAD": get("/list?abc", method="HEAD"),
    "a list of one that is empty": get("/list?"),
    "a list of two": get("/list?a,b"),
    "a list of two, 1.1": get_1_1("/list?a,b"),
    "a list of two, HEAD": get("/list?a,b", method="HEAD"),
    "a list of none": get("/none"),
    "a list of none, HEAD": get("/none", method="HEAD"),
    "empty blocks": get("/list?,,"),
    "a generator": get("/blocks?a,,b,c"),
    "a generator, 1.1": get_1_1("/blocks?a,,b,c"),
    "a generator that begins empty, 1.1": get_1_1("/blocks?,,c"),
    "a generator of empty blocks": get("/blocks?,"),
    "a right length": get("/length?3=a,bc"),
    "a right length, 1.1": get_1_1("/length?3=a,bc"),
    "a right length, HEAD": get("/length?3=a,bc", method="HEAD"),
    "a length for HEAD only": get("/length?12345=", method="HEAD"),
    "too long": get("/length?2=a,bc,d"),
    "too long in one block": get("/length?2=abc"),
    "too short": get("/length?9=a,bc"),
    "nothing of a length": get("/length?9="),
    "written": get("/write?a,b=c"),
    "written, 1.1": get_1_1("/write?a,b=c"),
    "written only": get("/write?a,b="),
    "written empty": get("/write?=abc"),
    "a large block": get("/list?" + "x" * 5000),
    "a file": get("/file"),
    "a file, 1.1": get_1_1("/file"),
    "a file of a length": get("/file?20000"),
    "a part of a file": get("/file?10"),
    "a file, HEAD": get("/file?20000", method="HEAD"),
})

add("input", {
    "a body": post("/echo", b"abc"),
    "a body, 1.1": post("/echo", b"abc", version="1.1"),
    "no body": get("/echo", method="POST"),
    "an empty body": post("/echo", b""),
    "bytes": post("/echo", bytes(range(256))),
    "a large body": post("/echo", b"x" * 100_000),
    "all of it": post("/all", b"abc"),
    "all of nothing": get("/all"),
    "unread": post("/unread", b"abc"),
    "lines": post("/lines", b"a\nbc\n\nd"),
    "lines with an end": post("/lines", b"a\nb\n"),
    "one line": post("/lines", b"abc"),
    "with GET": request("GET /echo HTTP/1.0", "Host: h.test", "Content-Length: 3", body=b"abc"),
    "chunked": request(
        "POST /echo HTTP/1.1", "Host: h.test", "Transfer-Encoding: chunked",
        body=b"3\r\nabc\r\n0\r\n\r\n",
    ),
    "expected": post("/echo", b"abc", "Expect: 100-continue", version="1.1"),
    "cut short": request("POST /echo HTTP/1.0", "Host: h.test", "Content-Length: 9", body=b"abc"),
    "more than announced": post("/echo", b"abc") + b"def",
})

add("wrong", {
    what: get(f"/wrong?{what.replace(' ', '%20')}")
    for what in [
        "raises", "exits", "starts, raises", "no start", "no start, no block", "starts late",
        "starts too late", "starts twice", "starts again", "replaces", "replaces too late",
        "replaces after write", "lengths", "own date",
    ]
})
add("wrong", {
    "raises, HEAD": get("/wrong?raises", method="HEAD"),
    "raises, 1.1": get_1_1("/wrong?raises"),
    "raises, with a body": post("/wrong?raises", b"abc"),
    "replaces too late, 1.1": get_1_1("/wrong?replaces%20too%20late"),
})

# Each is followed by the question how often close() was called meanwhile.
for mode in ["a", "a,b", "!", "a,!", "a,b,!", ""]:
    add("close", {
        f"after {mode!r}": get(f"/closing?{mode}"),
        f"count after {mode!r}": get("/closed"),
        f"after {mode!r}, HEAD": get(f"/closing?{mode}", method="HEAD"),
        f"count after {mode!r}, HEAD": get("/closed"),
    })

add("pipelined", {
    "two": get_1_1("/list?a") + get_1_1("/list?b"),
    "three with a body": get_1_1("/list?a") + post("/echo", b"bc", version="1.1") + get_1_1("/list?d"),
    "after close": get_1_1("/list?a", "Connection: close") + get_1_1("/list?b"),
    "kept alive, 1.0": get("/list?a", "Connection: keep-alive") + get("/list?b"),
    "after a failure": get_1_1("/wrong?raises") + get_1_1("/list?b"),
    "then nonsense": get_1_1("/list?a") + b"nonsense\r\n\r\n",
    "then half a request": get_1_1("/list?a") + b"GET /list?b HTT",
    "after a stream": get_1_1("/blocks?a,b") + get_1_1("/list?c"),
})

add("malformed", {
    "nothing": b"",
    "an empty line": b"\r\n",
    "empty lines first": b"\r\n\r\n" + get("/list?a"),
    "one word": b"nonsense\r\n\r\n",
    "HTTP/0.9": b"GET /list?a\r\n",
    "HTTP/0.9 with a version": b"GET /list?a HTTP/0.9\r\n\r\n",
    "four words": b"GET / list HTTP/1.0\r\n\r\n",
    "HTTP/2.0": b"GET /list?a HTTP/2.0\r\nHost: h.test\r\n\r\n",
    "HTTP/1.2": b"GET /list?a HTTP/1.2\r\nHost: h.test\r\n\r\n",
    "HTTP/1.10": b"GET /list?a HTTP/1.10\r\nHost: h.test\r\n\r\n",
    "no version": b"GET /list?a HTTP/x\r\n\r\n",
    "http/1.0": b"GET /list?a http/1.0\r\n\r\n",
    "two blanks": b"GET  /list?a  HTTP/1.0\r\n\r\n",
    "a tab": b"GET\t/list?a\tHTTP/1.0\r\n\r\n",
    "bare line feeds": b"GET /list?a HTTP/1.0\nHost: h.test\n\n",
    "a bare carriage return": b"GET /list?a HTTP/1.0\r\nX: a\rb\r\n\r\n",
    "NUL in a field": b"GET /list?a HTTP/1.0\r\nX: a\0b\r\n\r\n",
    "no end": b"GET /list?a HTTP/1.0\r\nHost: h.test\r\n",
    "a field without a colon": b"GET /list?a HTTP/1.0\r\nnonsense\r\n\r\n",
    "a blank before the colon": b"GET /list?a HTTP/1.0\r\nX : a\r\n\r\n",
    "a field without a name": b"GET /list?a HTTP/1.0\r\n: a\r\n\r\n",
    "a folded field": b"GET /list?a HTTP/1.0\r\nX: a\r\n b\r\n\r\n",
    "a blank before the fields": b"GET /list?a HTTP/1.0\r\n X: a\r\n\r\n",
    "no Host": b"GET /list?a HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /list?a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": request(
        "POST /echo HTTP/1.1", "Host: h.test", "Content-Length: 3", "Content-Length: 4", body=b"abcd"
    ),
    "a length that is none": request("POST /unread HTTP/1.0", "Content-Length: x"),
    "a negative length": request("POST /unread HTTP/1.0", "Content-Length: -1"),
    "a length and a coding": request(
        "POST /unread HTTP/1.1", "Host: h.test", "Content-Length: 3", "Transfer-Encoding: chunked",
        body=b"0\r\n\r\n",
    ),
    "an unknown coding": request("POST /unread HTTP/1.1", "Host: h.test", "Transfer-Encoding: x"),
    "a bad chunk": request(
        "POST /unread HTTP/1.1", "Host: h.test", "Transfer-Encoding: chunked", body=b"x\r\n"
    ),
    "a long target": get("/list?" + "x" * 70_000),
    "a target of 9000 bytes": get("/none?" + "x" * 9_000),
    "a long field": get("/list?a", "X: " + "x" * 70_000),
    "a field of 40000 bytes": get("/list?a", "X: " + "x" * 40_000),
    "100 fields": get("/list?a", *[f"X-{number}: 1" for number in range(99)]),
    "200 fields": get("/list?a", *[f"X-{number}: 1" for number in range(199)]),
    "an asterisk": get("*", method="OPTIONS"),
    "CONNECT": get("h.test:80", method="CONNECT"),
    "no slash": get("list?a"),
    "two slashes": get("//list?a"),
    "an unknown expectation": get_1_1("/list?a", "Expect: a miracle"),
})
