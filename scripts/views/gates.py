"""What gates said, for people and for --json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightjar.jobs.ending import GateResult


def show_results(results: Iterable[GateResult]) -> None:
    """One line for every gate and model it was tried on."""
    from nightjar.scripts.views.output import plain

    for result in results:
        print(plain(result.sentence()))


def result_row(result: GateResult) -> dict[str, Any]:
    """For --json."""
    gate = result.gate
    return {
        "gate": gate.kind.value,
        "metric": gate.metric,
        "value": gate.value,
        "about": result.about,
        "outcome": result.outcome.value,
        "reason": result.reason,
    }
