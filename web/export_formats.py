"""What a run can be downloaded as: the formats of `nightjar report`, and the file of `nightjar run export`. Pure."""

from __future__ import annotations

from nightjar.jobs.documents import Run
from nightjar.pipeline.exports.formats import BUILDERS
from nightjar.pipeline.report.data.safe import slug

RUN_FILE = "run"
"""The file from which another machine can repeat the run; no report."""
REPORTS = {
    "html": "the report as a page",
    "json": "the report as data",
    "csv": "its tables",
    "md": "its summary in Markdown",
}
OTHERS = {
    "inspect": "logs for Inspect",
    "mt-bench": "answers and judgments for MT-bench",
    "parquet": "a line a turn, for data frames",
    "junit": "results for continuous integration",
    "lm-eval": "results and samples as lm-evaluation-harness writes them",
    "sft": "good replies, to train with",
    "dpo": "pairs of replies, to train with",
}
IN_ARCHIVES = frozenset(BUILDERS)
"""For other tools; some have several files, so each is an archive."""
EXPORTS = {RUN_FILE: "what another machine needs to repeat the run", **REPORTS, **OTHERS}
"""Every format, with what it is."""


def export_name(run: Run, form: str) -> str:
    """The file's name, safe in a header: `slug` leaves nothing but letters, digits, dots, hyphens and underscores."""
    ending = "run.json" if form == RUN_FILE else f"{form}.zip" if form in IN_ARCHIVES else form
    return f"{slug(run.name, run.id)}.{ending}"
