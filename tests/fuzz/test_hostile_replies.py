"""Whatever a model replies, reports stay intact in every format and control no terminal, page or spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import FORMULA_STARTS
from nightjar.scripts.views.output import console, emit_json, plain, table
from tests.factories import report_of, row
from tests.fuzz.amount import examples

pytestmark = pytest.mark.timeout(1800)

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
PIECES = (
    "<script>alert(1)</script>",
    "</script>",
    "</details>",
    "<img src=x onerror=alert(1)>",
    "<!--",
    "-->",
    "]]>",
    "&lt;",
    "&#60;b&#62;",
    "javascript:alert(1)",
    '" onmouseover="x',
    "' style='x",
    "{{ 7*7 }}",
    "{% raw %}",
    "${7*7}",
    "\x1b[2J",
    "\x1b]8;;http://x\x07",
    "\x9b31m",
    "\x07",
    "\x00",
    "\x7f",
    "\r",
    "\r\n",
    "\n",
    "\t",
    "\x85",
    "\u2028",
    "\u202e",
    "\u2066",
    "\u200f",
    "\ufeff",
    "\ud800",
    "\udfff",
    "\ud83d",
    "\U0001f600",
    "\uffff",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://x")',
    "\t=1",
    "＝1",
    ",",
    ";",
    '"',
    '""',
    "'",
    "\\",
    "\\u0000",
    "| a | b |",
    "|---|",
    "# x",
    "```",
    "[x](http://x)",
    "![x](http://x)",
    "<http://x>",
    "***",
    "~~~",
    "    x",
    "1. x",
    "[red]x[/red]",
    "[link=http://x]",
    ":smile:",
    "%s%n",
    "null",
    "NaN",
    "}",
    "]",
    "\n \n",
    "a" * 300,
)
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=8).map("".join)


class Page(HTMLParser):
    """The elements of a page, each with the names of its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))


def report_with(text: str) -> RunReport:
    """A report in which the text is a prompt, replies and reasoning. A prompt is valid text: no suite has another."""
    prompt = text.encode("utf-8", "replace").decode() or "x"
    about = Sequence.model_validate({"id": "s", "turns": [{"prompt": prompt}, {"prompt": "y"}]})
    return report_of([row(about, [text, text], reasoning=text), row(about, ["fine", text], repeat=1)], [about])


def written(text: str, form: str) -> str:
    """The report as its file has it."""
    return render(report_with(text), form).encode("utf-8", "backslashreplace").decode()


@cache
def harmless(form: str) -> str:
    return written("fine words", form)


@settings(max_examples=examples(60), deadline=None)
@given(texts)
@example("".join(PIECES))
def test_a_page_has_no_element_of_the_replies(text: str) -> None:
    page = written(text, "html")
    assert not CONTROLS.search(page)
    of_ours = set(Page(harmless("html")).elements)
    # An empty reply is shown in another way than one with words.
    extra = {element for element in Page(page).elements if element not in of_ours}
    assert {tag for tag, _ in extra} <= {tag for tag, _ in of_ours}
    assert not any(name.startswith("on") or name in ("src", "style", "href") for _, names in extra for name in names)


@settings(max_examples=examples(100), deadline=None)
@given(texts)
@example("".join(PIECES))
def test_json_keeps_the_text_and_is_ascii(text: str) -> None:
    document = written(text, "json")
    assert document.isascii()
    assert not CONTROLS.search(document)
    turns = [turn for job in json.loads(document)["jobs"] for turn in job["turns"]]
    # Two halves of a character that stand side by side are one, to JSON.
    assert turns[1]["reply"] == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@settings(max_examples=examples(100), deadline=None)
@given(texts)
@example("".join(PIECES))
def test_csv_has_one_row_a_turn_and_no_formula(text: str) -> None:
    rows = list(csv.reader(io.StringIO(written(text, "csv"), newline="")))
    assert {len(cells) for cells in rows} == {len(rows[0])}
    assert len(rows) == 1 + 4
    for cell in (cell for cells in rows[1:] for cell in cells):
        assert not CONTROLS.search(cell)
        assert not cell.lstrip().startswith(FORMULA_STARTS) or re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell), cell


@settings(max_examples=examples(100), deadline=None)
@given(texts)
@example("".join(PIECES))
def test_markdown_has_no_line_of_the_replies(text: str) -> None:
    document = written(text, "md")
    assert not CONTROLS.search(document)
    assert not re.search(r"(?<!\\)[<>]", document)
    heads = [line for line in document.splitlines() if line.startswith("#")]
    assert set(heads) <= {*(line for line in harmless("md").splitlines() if line.startswith("#")), "## Failures"}


@settings(max_examples=examples(100), deadline=None)
@given(texts)
@example("".join(PIECES))
def test_no_terminal_is_steered(text: str) -> None:
    out = io.StringIO()
    shown = console()
    shown.file = out
    shown.print(table(text, ("name", f"{text}>"), [(text, text), (None, 1)]))
    print(plain(text), file=out)
    assert not CONTROLS.search(out.getvalue())


@settings(max_examples=examples(100), deadline=None)
@given(texts)
def test_json_for_scripts_is_one_document(text: str) -> None:
    import contextlib

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        emit_json({text: [text, {"x": text}]})
    assert out.getvalue().isascii()
    found: Any = json.loads(out.getvalue())
    assert found == {text: [text, {"x": text}]}


def test_a_line_of_ten_million_characters() -> None:
    """Every format is written, in a time that grows with the text and not with its square."""
    began = time.process_time()
    about = Sequence.model_validate({"id": "s", "turns": [{"prompt": "x"}]})
    report = report_of([row(about, ["<b>=" * 2_500_000])], [about])
    lengths = {form: len(render(report, form)) for form in ("html", "json", "csv", "md")}
    print(lengths, f"{time.process_time() - began:.1f} s")
    assert min(lengths["json"], lengths["csv"]) > 10_000_000
    assert max(lengths["html"], lengths["md"]) < 50_000_000
    assert time.process_time() - began < 60
