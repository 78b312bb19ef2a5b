"""Compares src/guide/porting.md with the public names of the modules that it is about.

    python3 tests/against_cpython/names.py

A name that this Python has and the page leaves out is an error. With Python 3.13, for which the page
is written, a row without a name is an error, too.
"""

import importlib
import inspect
import pathlib
import re
import sys
import warnings

MODULES = [
    "socketserver",
    "http.server",
    "wsgiref.simple_server",
    "wsgiref.handlers",
    "wsgiref.headers",
    "wsgiref.util",
    "wsgiref.validate",
]

warnings.simplefilter("ignore")


def public(module):
    """The names of a module as "name" and "Class.attribute"."""
    for name, value in vars(module).items():
        if name.startswith("_") or inspect.ismodule(value):
            continue
        here = getattr(value, "__module__", module.__name__) == module.__name__
        if inspect.isclass(value) and here:
            yield name
            for attribute in vars(value):
                if not attribute.startswith("_"):
                    yield f"{name}.{attribute}"
        elif inspect.isfunction(value) and here or not callable(value) and name != "annotations":
            yield name


def rows(text):
    """The names of a page's rows, in each section of a module."""
    module, group = None, None
    for line in text.splitlines():
        if heading := re.fullmatch(r"(#+) `([\w.]+)`", line):
            if heading[1] == "#":
                module, group = heading[2], ""
            else:
                group = heading[2] + "."
        elif module and (row := re.match(r"\| `(\w+)` \|", line)):
            yield module, group + row[1]


def main():
    page = pathlib.Path(__file__).resolve().parents[2] / "src/guide/porting.md"
    listed = list(rows(page.read_text(encoding="utf-8")))
    faults = [f"twice: {row}" for row in set(listed) if listed.count(row) > 1]
    for name in MODULES:
        names = set(public(importlib.import_module(name)))
        ours = {row for module, row in listed if module == name}
        faults += [f"{name}: no row for {missing}" for missing in sorted(names - ours)]
        if sys.version_info[:2] == (3, 13):
            extra = ours - names
            faults += [f"{name}: no such name: {row}" for row in sorted(extra)]
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{len(listed)} names, {len(faults)} faults")
    return bool(faults)


sys.exit(main())
