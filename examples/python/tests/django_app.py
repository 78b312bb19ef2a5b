"""An application of Django's that uses what applications use. One module is the whole project."""

import atexit
import hashlib
import json
import os
import tempfile
import threading

import django
from django.conf import settings

folder = tempfile.TemporaryDirectory()
atexit.register(folder.cleanup)
# The loop makes streamed responses by turns. Without `CONN_MAX_AGE`, the end of one request closes the
# connection that the others read from.
DATABASE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": os.path.join(folder.name, "database"),
    "CONN_MAX_AGE": None,
}
settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": DATABASE},
    DATA_UPLOAD_MAX_MEMORY_SIZE=100 * 1024 * 1024,
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests only",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    LOGGING_CONFIG=None,
    USE_TZ=True,
)
django.setup()

from django import forms  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from streams import endless_blocks  # noqa: E402


class Person(forms.Form):
    name = forms.CharField(max_length=20)
    age = forms.IntegerField(min_value=0)


def hello(request):
    return HttpResponse("Hello, World!")


def form(request):
    """Return a token for GET. Check the form for POST."""
    if request.method == "GET":
        return HttpResponse(get_token(request))
    person = Person(request.POST)
    if person.is_valid():
        return JsonResponse(person.cleaned_data)
    return JsonResponse(json.loads(person.errors.as_json()), status=422)


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse(
        {"name": file.name, "sha256": digest.hexdigest(), "note": request.POST["note"]}
    )


@csrf_exempt
def body(request):
    return HttpResponse(hashlib.sha256(request.body).hexdigest())


def stream(request):
    """Read from a database while the response is sent. A connection belongs to one thread."""

    def blocks():
        with connection.cursor() as cursor:
            for number in range(int(request.GET["count"])):
                cursor.execute("select %s", [number])
                yield f"{request.GET['word']} {cursor.fetchone()[0]} {threading.get_ident()}\n"

    return StreamingHttpResponse(blocks(), content_type="text/plain")


def endless(request):
    return StreamingHttpResponse(endless_blocks())


@csrf_exempt
def session(request):
    if request.method == "POST":
        request.session["user"] = request.POST["user"]
        return HttpResponse()
    return HttpResponse(request.session.get("user", "nobody"))


def error(request):
    raise RuntimeError("the view has failed")


urlpatterns = [
    path(view.__name__ if view is not hello else "", view)
    for view in (hello, form, upload, body, stream, endless, session, error)
]
app = get_wsgi_application()
