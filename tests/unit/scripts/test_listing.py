"""Tables in a window of any width: no word is broken, and nothing is left out."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from nightjar.scripts.views.output import table

HEADS = ("suite", "version>", "sequences>", "turns>", "tags", "imported")
ROW = ["story-starters", "12", "1,024", "3,072", "creative-writing, sample, three turns", "2026-11-20 08:15"]


def shown(columns: list[str], rows: list[list[str | None]], width: int = 80, title: str | None = None) -> str:
    screen = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    screen.print(table(title, columns, rows))
    assert isinstance(screen.file, io.StringIO)
    return "\n".join(line.rstrip() for line in screen.file.getvalue().splitlines() if line.strip())


@pytest.mark.parametrize("width", range(40, 130, 3))
def test_no_word_is_broken(width: int) -> None:
    """Neither of a heading (`sequen/ces`) nor of a cell, and no line is wider than the window."""
    text = shown(list(HEADS), [list(ROW), [*ROW[:4], None, None]], width)
    for word in " ".join([*(head.removesuffix(">") for head in HEADS), *ROW]).split():
        assert re.search(rf"(?<!\S){re.escape(word)}(?!\S)", text), (word, text)
    assert max(map(len, text.splitlines())) <= width


def test_empty_columns_go_before_the_table_does() -> None:
    heads = ["Model", *(f"a-long-heading-{number}" for number in range(4)), "State"]
    text = shown(heads, [["m", None, None, None, None, "ready"]], 40)
    assert "a-long-heading" not in text
    assert text.splitlines()[0].split() == ["Model", "State"]


def test_what_is_too_wide_becomes_a_list() -> None:
    heads = ["run", *(f"heading-number-{number}" for number in range(5))]
    text = shown(heads, [["nightly", *(f"value-{number}" for number in range(5))]], 60, "Runs")
    assert text.splitlines()[:3] == ["Runs", "run nightly", "  heading-number-0  value-0"]


def test_a_name_stays_whole_and_a_path_is_folded() -> None:
    name, path = "a-model-with-a-name-of-more-than-thirty-letters", "/a" * 60
    lines = shown(["Model", "Source"], [[name, path]]).splitlines()
    assert any(line.strip().startswith(f"{name}   /a") for line in lines)
    assert "".join(line.strip().removeprefix(name).strip() for line in lines[2:]) == path


@example(rows=[["", "", "a" * 22]], width=30)
@given(st.lists(st.lists(st.text("abc def", max_size=30), min_size=3, max_size=3), max_size=4), st.integers(30, 90))
def test_any_cells_keep_their_words(rows: list[list[str]], width: int) -> None:
    text = shown(["one", "two>", "three"], [list(row) for row in rows], width)
    for row in rows:
        for word in " ".join(row[1:]).split():
            assert len(word) > 24 or re.search(rf"(?<!\S){word}(?!\S)", text)
