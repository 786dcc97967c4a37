"""Names of suites, models, runs and schedules: refused, or harmless as a part of a path."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nightjar.config.errors import UsageError
from nightjar.jobs.queue import queue_name
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.runs.request import expand_name
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.workers.library.registry import parse_registry
from tests.fuzz.amount import examples

PIECES = (
    "..",
    ".",
    "/",
    "\\",
    "~",
    "$HOME",
    "%2e%2e",
    "\0",
    "\n",
    "\r",
    " ",
    "-",
    "a",
    "A1",
    "é",
    "：",
    "CON",
    ":",
    "*",
    "\u202e",
)
NOW = datetime(2026, 3, 14, tzinfo=UTC)
names = st.one_of(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(max_size=12))


def stays(name: str) -> bool:
    """Whether a file of that name stays in its folder on any system, and the name can be typed again."""
    folder = Path("/reports")
    inside = (folder / name).resolve().parent == folder
    return inside and name.isprintable() and not set(name) & set("/\\\0~$") and not name.startswith((".", "-"))


@settings(max_examples=examples(300), deadline=None)
@given(names)
@example("..")
@example("a\n")
@example("nightly/../../etc/cron.d/x")
def test_a_name_that_is_taken_stays_in_its_folder(name: str) -> None:
    """Whatever passes the checks of a run, a suite and a model; a report's file has a name of its own."""
    with suppress(UsageError):
        assert stays(expand_name(name, NOW))
    with suppress(ValueError):
        assert stays(SuiteContent(name=name, sequences=(), source="x").name)
    with suppress(UsageError):
        quoted = "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08X}" for c in name)
        for model in parse_registry(f'["{quoted}"]\npath = "x.gguf"\n', Path("models.toml")).models:
            assert stays(model)
    assert stays(f"{slug(name, 'f' * 32)}.html")


@settings(max_examples=examples(100), deadline=None)
@given(names, names)
def test_no_two_models_share_a_queue(one: str, other: str) -> None:
    one, other = (text.encode("utf-8", "replace").decode() for text in (one, other))
    assert (queue_name(one) == queue_name(other)) == (one == other)
    assert queue_name(one).isprintable()
