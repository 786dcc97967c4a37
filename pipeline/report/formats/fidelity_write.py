"""Writes a fidelity result as its page and as JSON. Pure, but for the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nightjar.jobs.identity import digest
from nightjar.pipeline.report.data.fidelity import FidelityResult, fidelity_data
from nightjar.pipeline.report.data.safe import slug
from nightjar.pipeline.report.formats.files import File, write_files
from nightjar.pipeline.report.page.fidelity_page import render_fidelity


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
