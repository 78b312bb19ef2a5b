"""An application of Flask's, on the loop and on four threads."""

import json
import unittest

from frameworks import FORM, Frameworks, form

try:
    import flask_app
except ImportError:
    flask_app = None


@unittest.skipIf(flask_app is None, "Flask is not installed")
class FlaskOnTheLoop(Frameworks, unittest.TestCase):
    module = flask_app

    def test_a_form(self):
        answer = self.ask("POST", "/form", form(name="Zo\u00eb", tag=["a", "b"]), FORM)
        self.assertEqual(json.loads(answer.content), {"name": ["Zo\u00eb"], "tag": ["a", "b"]})

    def test_a_status_of_its_own(self):
        self.assertEqual(self.ask("GET", "/teapot").status, 418)

    def test_a_method_that_is_not_allowed(self):
        answer = self.ask("DELETE", "/")
        self.assertEqual(answer.status, 405)
        self.assertIn("GET", answer.getheader("Allow"))


class FlaskOnThreads(FlaskOnTheLoop):
    threads = 4


if __name__ == "__main__":
    unittest.main()
