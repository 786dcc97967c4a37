"""What the child processes do: collect, compare, draw. Each imports only what its tasks need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import cast

HeavyWork = Callable[..., Awaitable[str | bytes]]
"""Of the database and the task's arguments: what is written to its file."""
WORK: Mapping[str, str] = {
    "report": "report_work.write_report",
    "report-json": "report_work.write_report_json",
    "export": "export_work.write_export",
    "run-file": "export_work.write_run_file",
    "compare": "compare_work.write_comparison",
    "compare-json": "compare_work.write_comparison_json",
    "turns-beside": "turns_work.write_turns_beside",
    "trend": "trend_work.write_trend_page",
    "trend-json": "trend_work.write_trend_json",
    "search": "search_work.write_answer",
    "duplicates": "search_work.write_duplicates",
    "model": "model_work.write_model",
    "fits": "model_work.write_fits",
    "recommended": "model_work.write_recommendations",
    "hub": "model_work.write_hub_search",
    "suite": "suite_work.write_suite",
    "machines": "machine_work.write_machine_charts",
}
"""By the name of a task, its function in this folder."""

HOLDING = frozenset({"search", "duplicates"})
"""Tasks that leave a model open for the next one."""


def find_work(kind: str) -> HeavyWork:
    """Imports what the task needs. Raises KeyError for a task that there is not."""
    module, _, name = WORK[kind].partition(".")
    return cast(HeavyWork, getattr(import_module(f"nightjar.web.heavy.{module}"), name))
