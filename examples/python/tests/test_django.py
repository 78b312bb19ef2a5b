"""An application of Django's, on the loop and on four threads."""

import json
import unittest
from unittest import mock

from frameworks import FORM, Frameworks, form
from support import ask, read_all, serving

try:
    import django_app
except ImportError:
    django_app = None


@unittest.skipIf(django_app is None, "Django is not installed")
class DjangoOnTheLoop(Frameworks, unittest.TestCase):
    module = django_app

    def post_form(self, **values):
        """Fetch the token of the form, and send the form with it."""
        answer = self.ask("GET", "/form")
        headers = {**FORM, "Cookie": answer.getheader("Set-Cookie").partition(";")[0]}
        token = answer.content.decode()
        return self.ask("POST", "/form", form(csrfmiddlewaretoken=token, **values), headers)

    def test_a_form(self):
        answer = self.post_form(name="Zo\u00eb", age=7)
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.content), {"name": "Zo\u00eb", "age": 7})

    def test_a_form_with_mistakes(self):
        answer = self.post_form(name="", age=-1)
        self.assertEqual(answer.status, 422)
        self.assertEqual(set(json.loads(answer.content)), {"name", "age"})

    def test_a_form_without_its_token(self):
        with self.assertLogs(level="WARNING"):
            self.assertEqual(self.ask("POST", "/form", form(name="a", age=1), FORM).status, 403)


class DjangoOnThreads(DjangoOnTheLoop):
    """A thread has one response at a time, so the connections to the database need no setting."""

    threads = 4

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(mock.patch.dict(django_app.DATABASE, CONN_MAX_AGE=0))
        super().setUpClass()

    def test_streams_of_one_thread(self):
        """The end of a request closes the connection of its thread. No other stream reads from it."""
        with serving(django_app.app, threads=1) as server:
            for client in [ask(server, "/stream?count=20000&word=a") for _ in range(3)]:
                with client:
                    self.assertEqual(read_all(client).count(b"\na "), 20_000)


if __name__ == "__main__":
    unittest.main()
