"""What an export is made of: its files, and the options a user can give. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightjar.config.errors import UsageError, suggest
from nightjar.jobs.identity import digest
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.json_ import to_json

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
FAILING = ("gates", "checks", "replies", "missing")
"""What can count as a failure in junit: a gate, a check of a reply, a reply that is empty or degenerate, one that a
dead job owes."""
SHARE = 0.75
"""How far up the scale a good reply is by default: 4 on a scale of 1 to 5, three checks of four."""


@dataclass(frozen=True, kw_only=True)
class ExportFile:
    """A file of an export. `path` is relative to the reports folder, with `/` as the separator."""

    path: str
    pieces: Iterable[str | bytes]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `nightjar report` for exports."""

    at_least: Mapping[str, float] = field(default_factory=dict)
    """Metric -> least value that junit and sft require of a reply."""
    failing: frozenset[str] = frozenset(FAILING)
    """What counts as a failure in junit; other failures are skipped cases that say so."""
    margin: float | None = None
    """For dpo: by how much the chosen reply must be better; None means a quarter of the metric's scale."""

    @classmethod
    def read(cls, thresholds: Iterable[str], margin: float | None, failing: Iterable[str] = ()) -> ExportOptions:
        """Parses thresholds of the form `METRIC:X`, and what counts as a failure. Raises UsageError."""
        at_least = {}
        for text in thresholds:
            metric, colon, value = text.rpartition(":")
            try:
                at_least[metric.strip()] = float(value)
            except ValueError:
                colon = ""
            if not colon or not metric.strip() or at_least[metric.strip()] != at_least[metric.strip()]:
                raise UsageError(f"--at-least {text!r} is not of the form METRIC:X, such as judge:4.")
        if margin is not None and not margin > 0:
            raise UsageError(f"--margin is {margin}: give a number above 0.")
        counted = [part.strip().lower() for text in failing for part in text.split(",")]
        for kind in counted:
            if kind not in FAILING:
                raise UsageError(f"--failing {kind!r} is not known. {suggest(kind, FAILING, 'kind')}")
        return cls(at_least=at_least, margin=margin, failing=frozenset(counted or FAILING))


def check_thresholds(report: RunReport, options: ExportOptions) -> None:
    """Raises UsageError for a threshold on a metric that the run does not have."""
    for metric in options.at_least:
        if metric not in report.metrics:
            near = suggest(metric, report.metrics, "metric")
            raise UsageError(f"--at-least names {metric!r}, which run {report.provenance.name!r} has not. {near}")
        low, high = report.scales[metric].limits
        if not low <= options.at_least[metric] <= high:
            limit = options.at_least[metric]
            raise UsageError(f"--at-least {metric}:{limit:g}: {metric} lies between {low:g} and {high:g}.")


def safe_name(name: str) -> str:
    """A name made safe as part of a file name: it cannot leave its folder, and different names stay different."""
    clean = _UNFIT.sub("-", name).strip(".-")[:100]
    return clean if clean == name else f"{clean or 'model'}-{digest(name)[:8]}"


def ascii_json(value: Any, *, indent: int | None = None) -> str:
    """JSON in ASCII, so that nothing in a reply can control a terminal or end a line. Raises ValueError for NaN."""
    return json.dumps(value, default=to_json, allow_nan=False, indent=indent)


def json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield ascii_json(row) + "\n"
