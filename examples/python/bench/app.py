"""The application that every server serves: small answers, bodies, and 1 MiB from an iterator."""

BLOCK = b"x" * 65536
MIB = 1024 * 1024


def app(environ, start_response):
    """Answer as the path says."""
    path = environ["PATH_INFO"]
    if path == "/large":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(MIB))])
        return (BLOCK for _ in range(16))
    if path == "/one":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(MIB))])
        return iter([BLOCK * 16])
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        text = b"%d" % len(body)
    else:
        text = b"Hello, World!"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


def flask():
    """Return an application of Flask's."""
    from flask import Flask

    application = Flask(__name__)
    application.get("/")(lambda: "Hello, World!")
    return application


def django():
    """Return an application of Django's."""
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", SECRET_KEY="bench", MIDDLEWARE=[])
    import sys
    import types

    urls = types.ModuleType("urls")
    urls.urlpatterns = [path("", lambda request: HttpResponse("Hello, World!"))]
    sys.modules["urls"] = urls
    django.setup()
    return get_wsgi_application()


def plain():
    """Return the application without a framework."""
    return app


def load(name):
    """Return the application of this name."""
    return {"plain": plain, "flask": flask, "django": django}[name]()
