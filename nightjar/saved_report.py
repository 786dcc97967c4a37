"""A run's report in a program: what `evaluate` gives, and `read_report` reads from a file. See docs/python.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from nightjar.config.errors import UsageError

VERSION = "1."
"""Reports whose version begins so can be read."""
TURN_KEYS = (
    "prompt reply reasoning finish_reason empty degenerate prompt_tokens reused_tokens reply_tokens reasoning_tokens "
    "queue_s prefill_s decode_s first_token_s mean_logprob seed"
).split()


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run's report. Its tables are lists of plain rows, for `pandas.DataFrame(report.scores())` or the csv module."""

    data: Mapping[str, Any]
    """The whole document, as docs/report.schema.json describes it."""
    files: tuple[Path, ...] = ()
    """What was written, or read."""
    unserved: Mapping[str, str] = field(default_factory=dict)
    """Models that could not be served, with the reason."""
    notes: tuple[str, ...] = ()
    """What `nightjar eval` would have said on the way: a model under another name, a gate that cannot pass."""

    @property
    def run(self) -> str:
        """The run's name."""
        return str(self.data["run"]["name"])

    @property
    def models(self) -> list[str]:
        return [model["name"] for model in self.data["models"]]

    @property
    def answer(self) -> str | None:
        """What the report says first; None in files of earlier versions."""
        return self.data.get("answer")

    @property
    def partial(self) -> bool:
        """The run has not ended."""
        return bool(self.data["partial"])

    @property
    def gates(self) -> list[dict[str, Any]]:
        """What each gate said of each model."""
        return list((self.data.get("gates") or {}).get("results", ()))

    @property
    def failed(self) -> bool:
        """A gate failed, a job did, or a model could not be served: where `nightjar eval` ends with exit code 1."""
        tripped = (self.data.get("gates") or {}).get("failed", False)
        return bool(self.unserved) or tripped or any(model["failed"] for model in self.data["models"])

    def metrics(self) -> list[dict[str, Any]]:
        """A row for each model and metric: mean over sequences, 95 % interval (low, high), n, what is missing."""
        rows = []
        for model in self.data["models"]:
            for name, metric in model["metrics"].items():
                interval = metric["interval"] or {}
                ends = {"low": interval.get("low"), "high": interval.get("high")}
                counts = {key: metric[key] for key in ("n", "values", "worst", "unscored", "failed", "missing")}
                rows.append({"model": model["name"], "metric": name, "mean": metric["mean"], **ends, **counts})
        return rows

    def scores(self) -> list[dict[str, Any]]:
        """A row for each score of each turn. `value` is None, never 0, where the state is unscored or failed."""
        return [
            {**where, "metric": name, **score}
            for where, turn in self._turns()
            for name, score in turn["scores"].items()
        ]

    def turns(self) -> list[dict[str, Any]]:
        """A row for each turn that was generated: prompt, reply, tokens, times."""
        return [{**where, **{key: turn[key] for key in TURN_KEYS}} for where, turn in self._turns()]

    def _turns(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each turn with the columns that say which it is; turns and repeats count from 0, as in every file."""
        for job in self.data["jobs"]:
            for turn in job["turns"]:
                which = {
                    "run": self.run,
                    "model": job["model"],
                    "variant": job.get("variant"),
                    "sequence": job["sequence"],
                    "tags": tuple(job["tags"]),
                }
                yield {**which, "repeat": job["repeat"], "turn": turn["index"]}, turn


def read_report(path: str | PathLike[str]) -> Report:
    """A report that was written as JSON (`--format json`). Raises UsageError for what is none."""
    file = Path(path).expanduser()
    remedy = "`nightjar report RUN --format json` writes one"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The report {file} cannot be read: {error.strerror}; {remedy}.") from None
    except ValueError:
        raise UsageError(f"{file} is no report in JSON; {remedy}.") from None
    if not isinstance(data, dict) or not {"schema_version", "run", "models", "jobs"} <= data.keys():
        raise UsageError(f"{file} is JSON, but no report of Nightjar's; {remedy}.")
    if not str(data["schema_version"]).startswith(VERSION):
        raise UsageError(f"{file} has version {data['schema_version']}; this Nightjar reads {VERSION}x: {remedy}.")
    return Report(data=data, files=(file,))
