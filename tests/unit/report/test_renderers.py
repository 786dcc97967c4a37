"""The four formats on a run that holds everything: failures, empties, hostile replies."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from jsonschema import Draft202012Validator

from nightjar.jobs.states import RunStatus
from nightjar.pipeline.compare.changes import with_changes
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.data.links import FLAGS
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.summary import summary_rows
from nightjar.pipeline.report.page.transcript_views import flags, sort_keys
from nightjar.pipeline.transcripts import JobRow
from tests.factories import HOSTILE, synthetic_report

ROOT = Path(__file__).parents[3]


@cache
def report() -> RunReport:
    return synthetic_report()


@cache
def page() -> str:
    return render(report(), "html")


class Page(HTMLParser):
    """What a browser would see: elements, their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in ("style", "script"):
            self.inside[self._open] = self.inside.get(self._open, "") + data
            self._open = ""
        else:
            self.text.append(data)


def test_json_follows_its_schema() -> None:
    """The document is what docs/report.schema.json says, and the schema is one."""
    schema = json.loads((ROOT / "docs/report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    document = json.loads(render(report(), "json"))
    errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)]
    assert errors == []
    assert len(document["jobs"]) == 36


def test_json_has_the_keys_scripts_rely_on() -> None:
    """The keys that are promised, none renamed."""
    document = json.loads(render(report(), "json"))
    assert {"schema_version", "run", "models", "jobs"} <= set(document)
    model = document["models"][0]
    assert {"name", "turns", "failed", "empty", "metrics", "throughput"} <= set(model)
    assert {"mean", "n", "unscored", "failed"} <= set(model["metrics"]["checks"])
    job = document["jobs"][0]
    assert {"id", "sequence", "model", "repeat", "status", "turns"} <= set(job)
    turn = "index prompt reply prompt_tokens reused_tokens reply_tokens finish_reason prefill_s decode_s dropped_turns"
    assert {*turn.split(), "scores"} <= set(job["turns"][0])


def test_json_is_ascii() -> None:
    """No byte of a reply can steer a terminal; the text itself is kept."""
    text = render(report(), "json")
    assert text.isascii()
    assert "\x1b" not in text
    assert any(turn["reply"] == HOSTILE for job in json.loads(text)["jobs"] for turn in job["turns"])


def test_page_runs_nothing_but_its_own() -> None:
    """The policy names exactly the page's style and script by digest, and nothing else may load."""
    seen = Page(page())
    policy = next(attrs["content"] or "" for tag, attrs in seen.elements if attrs.get("http-equiv"))
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(seen.inside[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert [tag for tag, _ in seen.elements].count("script") == 1
    for tag, attrs in seen.elements:
        assert tag not in ("img", "iframe", "object", "link", "base", "form") or attrs.get("id") == "filter"
        assert not any(name.startswith("on") or name in ("style", "src") for name in attrs), (tag, attrs)
        assert (attrs.get("href") or "#").startswith("#")


def test_page_shows_hostile_text_as_text() -> None:
    """Markup of a reply is shown, its control characters are named, and the page stays whole."""
    text = "".join(Page(page()).text)
    assert '<script>alert("x")</script>' in text
    assert "[U+001B][31mred[U+0007][U+202E]gnp.exe" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page())
    assert page().count("<details") == page().count("</details>")


def test_page_fetches_nothing() -> None:
    """No address of any kind but the names of XML vocabularies."""
    addresses = set(re.findall(r"https?://[^\s\"'<>&]+", page()))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "http://x"}  # the last: a reply


def test_charts_have_text_alternatives() -> None:
    """Each drawing has a label with its numbers and a table of them; ids are not shared between drawings."""
    elements = Page(page()).elements
    labels = [attrs.get("aria-label") or "" for _, attrs in elements if attrs.get("role") == "img"]
    assert len(labels) == 6
    assert all(re.search(r"\d", label) for label in labels)
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_undrawable_chart_costs_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renderer that fails leaves the numbers, open."""
    from nightjar.pipeline.report.page import html

    def broken(*_: Any) -> str:
        raise ValueError("no V8 here")

    monkeypatch.setattr(html, "draw", broken)
    text = render(report(), "html")
    assert text.count("could not be drawn") == 6
    assert 'class="chart"' not in text


def test_every_transcript_is_in_the_page() -> None:
    """Each job can be opened, and plain links lead to what exists."""
    elements = Page(page()).elements
    ids = {attrs["id"] for _, attrs in elements if "id" in attrs}
    links = {(attrs["href"] or "")[1:] for tag, attrs in elements if tag == "a"}
    assert {f"job-{job.id}" for job in report().jobs} <= ids
    assert {link for link in links if not link.startswith("?")} <= ids


def test_every_number_leads_to_transcripts() -> None:
    """Whatever a link asks for, the page knows the words of it and has at least one transcript that fits."""
    seen = Page(page())
    links = {(attrs["href"] or "") for tag, attrs in seen.elements if tag == "a"}
    asked = [dict(parse_qsl(link[2:])) for link in links if link.startswith("#?")]
    jobs = [(job, set(flags(job))) for job in report().jobs]
    keys = {name for name, _ in sort_keys(report())}
    assert len(asked) > 50
    for facets in asked:
        assert facets.keys() <= {"model", "tag", "sequence", "repeat", "flag", "sort", "find"}
        assert facets.get("sort") in (None, *keys)
        assert facets.get("flag") in (None, *FLAGS)
        assert any(fits(job, marks, facets) for job, marks in jobs), facets


def fits(job: JobRow, marks: set[str], facets: dict[str, str]) -> bool:
    """Whether a transcript matches, by the rules of the page's script; of texts only the reasons are searched."""
    texts = [job.reason or "", *(turn.failure or "" for turn in job.turns)]
    return (
        facets.get("model") in (None, job.model)
        and facets.get("sequence") in (None, job.sequence)
        and facets.get("repeat") in (None, str(job.repeat + 1))
        and ("tag" not in facets or facets["tag"] in job.tags)
        and ("flag" not in facets or facets["flag"] in marks)
        and ("find" not in facets or any(facets["find"] in text for text in texts))
    )


def test_no_cell_is_empty() -> None:
    """A cell without a value says why."""
    cells = re.findall(r"<td[^>]*>\s*(.*?)\s*</td>", page(), re.DOTALL)
    assert len(cells) > 300
    assert [cell for cell in cells if cell in ("", "\u2013")] == []
    assert "no GPU" in page()


def test_csv_says_in_every_row_where_it_comes_from() -> None:
    """Digests, seed, versions and parameters with their sources, so that even a copied row says where it comes from."""
    made = report()
    for row in csv.DictReader(io.StringIO(render(made, "csv"))):
        (model,) = [model for model in made.models if model.name == row["model"]]
        assert row["from.suite.digest"] == made.provenance.suite_digest
        assert row["from.model.digest"] == (model.input.digest or "")
        assert row["from.run.seed"] == str(made.provenance.seed)
        assert all(f"{name}=" in row["from.parameters"] for name in model.parameters)


def test_csv_tags_can_be_separated_again() -> None:
    """A tag may hold blanks and commas."""
    tags = ("two words", "and, a comma")
    made = report()
    made = replace(made, jobs=tuple(replace(job, tags=tags) for job in made.jobs))
    assert {tuple(row["tags"].split("; ")) for row in csv.DictReader(io.StringIO(render(made, "csv")))} == {tags}


def test_csv_holds_no_formula() -> None:
    """Every text cell that a spreadsheet would take for a formula is quoted; numbers stay numbers."""
    rows = list(csv.DictReader(io.StringIO(render(report(), "csv"))))
    assert len(rows) == 36 * 3  # missing turns have a row too
    for row in rows:
        for name, value in row.items():
            assert name == "mean_logprob" or not value.startswith(("=", "+", "-", "@", "\t", "\r")), (name, value)
    missing = [row for row in rows if row["missing"].startswith("not generated: DEAD")]
    assert len(missing) == 2
    assert missing[0]["reply"] == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'[U+000D]=1"),
        ("  =1", "'  =1"),  # spaces are dropped by some readers
        ("\uff1d1", "'\uff1d1"),  # a full-width equals sign
        ("a=1", "a=1"),
        ("\x1b[31m", "[U+001B][31m"),
    ],
)
def test_csv_cell(text: str, shown: str) -> None:
    """What starts a formula is quoted, what does not is left."""
    from nightjar.pipeline.report.data.safe import cell

    assert cell(text) == shown


def test_markdown_is_inert() -> None:
    """Markup in names and reasons comes out as text, and tables stay whole."""
    from nightjar.pipeline.report.data.safe import markdown

    assert markdown("a|b\n<b>`*_[x](y)") == r"a\|b \<b\>\`\*\_\[x\]\(y\)"
    text = render(report(), "md")
    assert "sampled differently" in text.splitlines()[2]
    assert len(text) < 6000
    for block in text.split("\n\n"):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


@pytest.mark.parametrize("form", ["html", "json", "csv", "md"])
def test_same_report_same_file(form: str) -> None:
    """Rendering again gives the same bytes."""
    assert render(report(), form) == render(synthetic_report(), form)


def test_partial_report_says_so() -> None:
    """An unfinished run is announced in the page, the JSON and the Markdown."""
    partial = synthetic_report(repeats=1, status=RunStatus.ACTIVE)
    document: dict[str, Any] = json.loads(render(partial, "json"))
    assert document["partial"] is True
    assert any("Partial report" in notice["text"] for notice in document["notices"])
    assert "Partial report" in render(partial, "md")
    assert "partial report" in render(partial, "html")


def test_summary_has_a_row_per_model() -> None:
    """The terminal's table: quality, failures, speed."""
    columns, rows = summary_rows(report())
    assert [row[0] for row in rows] == ["amber-1b", "basalt-3b", "cinder-0.5b-instruct"]
    assert all(len(row) == len(columns) for row in rows)
    assert rows[2][columns.index("failed jobs>")] == "1"


def test_json_with_a_baseline_follows_its_schema() -> None:
    """What changed since a baseline is in the JSON, and the page says it."""
    base = replace(report(), provenance=replace(report().provenance, name="the-baseline", suite_version=2))
    held = with_changes(report(), base)
    schema = json.loads((ROOT / "docs/report.schema.json").read_text(encoding="utf-8"))
    document = json.loads(render(held, "json"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []
    assert document["changes"]["baseline"] == "the-baseline"
    assert document["changes"]["marks"] == [
        {"what": "suite", "before": "sample version 2", "after": "sample version 3"}
    ]
    text = render(held, "html")
    assert "Since the-baseline" in text
    assert "no statistically significant change over 6 sequences" in text
