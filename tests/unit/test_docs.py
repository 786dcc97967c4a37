"""The documentation names files that exist: a page that points nowhere is worse than none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md"))]
ROOMS = "config|docs|jobs|nightjar|pipeline|scripts|tests|web|workers"
NAMED = re.compile(rf"`((?:{ROOMS})/[\w./-]+)`|\]\(([\w./-]+)(?:#[\w-]+)?\)")
MADE_LATER = {"config/nightjar.toml", "scripts/commands/<name>.py"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [
        named or link
        for named, link in NAMED.findall(text)
        if named not in MADE_LATER and not ((PROJECT / named) if named else (page.parent / link)).exists()
    ]
    assert missing == []


def test_the_pattern_finds_paths_and_links() -> None:
    assert NAMED.findall("see `jobs/gone.py` and [that](docs/gone.md#part), not `run`") == [
        ("jobs/gone.py", ""),
        ("", "docs/gone.md"),
    ]
