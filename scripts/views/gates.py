"""What gates said, for people and for --json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from nightjar.jobs.ending import GateResult
    from nightjar.pipeline.report.data.run_report import RunReport


def show_results(results: Iterable[GateResult]) -> None:
    """One line for every gate and model it was tried on."""
    from nightjar.scripts.views.output import plain

    for result in results:
        print(plain(result.sentence()))


def result_row(result: GateResult) -> dict[str, Any]:
    """For --json; the numbers in the reason are in ASCII."""
    from nightjar.pipeline.ascii_numbers import plain_numbers

    gate = result.gate
    return {
        "gate": gate.kind.value,
        "metric": gate.metric,
        "value": gate.value,
        "about": result.about,
        "outcome": result.outcome.value,
        "reason": plain_numbers(result.reason),
        "measured": result.measured,
        "low": result.low,
        "high": result.high,
        "n": result.n,
    }


def report_row(report: RunReport, paths: Iterable[Path]) -> dict[str, Any]:
    """What a run came to, for --json: its answer, scores with intervals, gates and the files that were written."""
    from nightjar.pipeline.report.formats.json_ import numbers_of

    run = report.provenance
    files = [str(path) for path in paths]
    results = report.verdict.results if report.verdict is not None else ()
    return {
        "run": {"id": run.id, "name": run.name, "status": run.status.value, "partial": run.partial},
        **numbers_of(report),
        "gates": [result_row(result) for result in results],
        "files": files,
        "reports": files,
    }
