"""A fidelity result as one self-contained page, with the look and security policy of a run's report. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nightjar.jobs.identity import digest
from nightjar.pipeline.fidelity import tables, words
from nightjar.pipeline.fidelity.drawings import fidelity_charts
from nightjar.pipeline.fidelity.result import FidelityResult, fidelity_data
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.report.formats.files import File, write_files
from nightjar.pipeline.report.page.build import model_labels
from nightjar.pipeline.report.page.html import asset, csp_hash, drawing, render_template
from nightjar.pipeline.report.page.page import FidelityPage


def render_fidelity(result: FidelityResult) -> str:
    """The page."""
    return render_template("fidelity.html", fidelity_page(result))


def fidelity_page(result: FidelityResult) -> FidelityPage:
    """The content of the page."""
    style = asset("report.css")
    return FidelityPage(
        generated_by=result.generated_by,
        style=style,
        style_hash=csp_hash(style),
        reference=result.reference.label,
        answer=words.answer_words(result),
        about=words.about_words(result),
        notices=result.notices,
        loads=model_labels([row.label for row in result.rows]),
        gates=tuple(gate.sentence() for gate in result.gates),
        numbers=tables.numbers_table(result),
        costs=tables.costs_table(result),
        front=words.front_words(result),
        charts=tuple(drawing(chart) for chart in fidelity_charts(result)),
        by_position=tables.stretches_table(result, "by-position", lambda numbers: numbers.by_position),
        by_depth=tables.stretches_table(result, "by-depth", lambda numbers: numbers.by_depth)
        if result.material.kind == "run"
        else None,
        facts=tables.loads_table(result),
        made=f"Made by {result.generated_by} on {result.generated_at:%Y-%m-%d %H:%M} UTC.",
    )


def fidelity_json(result: FidelityResult) -> str:
    """ASCII only, so that it cannot control a terminal."""
    return json.dumps(fidelity_data(result), indent=1) + "\n"


def write_fidelity(result: FidelityResult, folder: Path) -> list[Path]:
    """Writes the page and the JSON, named after the reference and what was read; the same comparison replaces its own
    files. If it raises OutputError, no file has changed."""
    key = [(row.label, row.side.facts.digest) for row in result.rows]
    name = f"fidelity {result.reference.side.facts.name} {result.material.name}"
    stem = slug(name, digest("fidelity", key, result.material.digest))
    files: Sequence[File] = [(f"{stem}.html", [render_fidelity(result)]), (f"{stem}.json", [fidelity_json(result)])]
    return write_files(files, folder)
