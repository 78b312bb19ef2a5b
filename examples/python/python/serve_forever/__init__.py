"""``wsgiref.simple_server`` on a reactor written in Rust."""

__version__ = "0.1.0"
