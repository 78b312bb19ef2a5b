"""An application of Flask's that uses what applications use."""

import hashlib
import threading

from flask import Flask, Response, abort, jsonify, request, session, stream_with_context

from streams import endless_blocks

app = Flask(__name__)
app.secret_key = "for tests only"


@app.get("/")
def hello():
    return "Hello, World!"


@app.post("/form")
def form():
    return jsonify({name: request.form.getlist(name) for name in request.form})


@app.post("/upload")
def upload():
    file = request.files["file"]
    digest = hashlib.file_digest(file.stream, "sha256").hexdigest()
    return jsonify(name=file.filename, sha256=digest, note=request.form["note"])


@app.post("/body")
def body():
    return hashlib.sha256(request.get_data()).hexdigest()


@app.get("/stream")
def stream():
    @stream_with_context
    def blocks():
        for number in range(int(request.args["count"])):
            yield f"{request.args['word']} {number} {threading.get_ident()}\n"

    return Response(blocks(), content_type="text/plain")


@app.get("/endless")
def endless():
    return Response(endless_blocks())


@app.post("/session")
def log_in():
    session["user"] = request.form["user"]
    return ""


@app.get("/session")
def user():
    return session.get("user", "nobody")


@app.get("/error")
def error():
    raise RuntimeError("the view has failed")


@app.get("/teapot")
def teapot():
    abort(418)
