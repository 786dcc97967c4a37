"""What the package imports is what pyproject.toml says it needs, not what is there because something else wants it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.unit.test_structure import PROJECT, sources

NAMED = {"langdetect": "langdetect", "pynvml": "nvidia-ml-py"}
"""Import -> distribution, where it may not be installed or several have it."""
PARTS = {
    "ifeval": {"immutabledict", "langdetect", "nltk"},
    "math": {"antlr4-python3-runtime"},
}
"""What an extra names by an extra of its own: `lm-eval[ifeval]`."""
PLACES = {
    "serve": ("web/",),
    "remote": ("workers/remote/client.py", "workers/library/list_prices.py"),
    "parquet": ("pipeline/exports/parquet.py", "pipeline/suites/parquet_rows.py"),
    "ifeval": ("pipeline/scoring/ifeval_check.py",),
    "math": ("pipeline/scoring/math_check.py",),
    "photos": ("workers/photos/decode.py", "workers/photos/picture_model.py"),
    "train": ("scripts/dev/demo_model/",),
}
"""Where an extra's packages may be imported: whoever calls these says what to install."""
ATTACHED = {
    "bson": "part of pymongo",
    "xllamacpp": "of the extra `dev`, for `make bench`",
}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def declared() -> tuple[set[str], dict[str, set[str]]]:
    """The distributions that are always installed, and those of each extra."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(lines: list[str]) -> set[str]:
        return {normalised(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in lines}  # type: ignore[index]

    extras = {name: names(lines) for name, lines in project["optional-dependencies"].items()}
    return names(project["dependencies"]), {name: found | PARTS.get(name, set()) for name, found in extras.items()}


@cache
def installed() -> Mapping[str, list[str]]:
    """Import -> distributions; reading all of them takes a second or two."""
    return packages_distributions()


def imports(tree: ast.Module) -> Iterator[str]:
    """The top-level names of other packages that a file imports anywhere, for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.module.partition(".")[0]


def undeclared(path: str, tree: ast.Module) -> list[str]:
    """What a file imports and nothing brings, or an extra that is no business of the file."""
    always, extras = declared()
    wrong = []
    for module in sorted(set(imports(tree)) - sys.stdlib_module_names - {"nightjar"} - ATTACHED.keys()):
        known = [NAMED[module]] if module in NAMED else installed().get(module, [module])
        names = {normalised(name) for name in known}
        here = [extra for extra, places in PLACES.items() if path.startswith(places)]
        if not names & always.union(*(extras[extra] for extra in here)):
            wrong.append(f"{path}: {module} ({', '.join(sorted(names))})")
    return wrong


def test_every_import_is_declared() -> None:
    """By the package itself, or by the extra that its place belongs to."""
    found = [line for path, tree in sources() for line in undeclared(path, tree)]
    assert found == [], "add them to pyproject.toml, or import what it has"


def test_every_place_of_an_extra_is_there() -> None:
    assert PLACES.keys() <= declared()[1].keys()
    assert [place for places in PLACES.values() for place in places if not (PROJECT / place).exists()] == []


@pytest.mark.parametrize(
    ("path", "code", "found"),
    [
        ("jobs/queue.py", "import structlog", []),
        ("jobs/queue.py", "import os.path\nfrom . import stored\nfrom nightjar.jobs import mongo", []),
        ("jobs/queue.py", "def late():\n    import transformers", ["jobs/queue.py: transformers (transformers)"]),
        ("web/app.py", "from fastapi import FastAPI", []),
        ("jobs/queue.py", "from fastapi import FastAPI", ["jobs/queue.py: fastapi (fastapi)"]),  # without the extra
        ("jobs/queue.py", "import not_installed_here", ["jobs/queue.py: not_installed_here (not-installed-here)"]),
    ],
)
def test_what_is_missing_is_found(path: str, code: str, found: list[str]) -> None:
    assert undeclared(path, ast.parse(code)) == found
