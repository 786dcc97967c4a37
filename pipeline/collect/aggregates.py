"""A report without its transcripts, as bytes, and back: what is left of an old night. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter

from nightjar.jobs.models import nest_file_facts
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.report.data import run_report as data_module
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.report.data.run_report import RunReport

VERSION = 1
"""Of the stored form. A form that can no longer be read is refused, never guessed at."""
LEFT_OUT = frozenset({"jobs", "sequences", "changes", "no_changes"})
"""Transcripts; the prompts, which stay in MongoDB with their suite; what changed since a baseline, which may change."""


def pack(report: RunReport) -> bytes:
    """Everything of a report but its transcripts and prompts."""
    kept = {field.name: _plain(getattr(report, field.name)) for field in fields(report) if field.name not in LEFT_OUT}
    return zlib.compress(json.dumps(kept, separators=(",", ":")).encode(), level=9)


def unpack(data: bytes) -> RunReport:
    """The report, with no jobs and no sequences. Fields that came later have their defaults."""
    stored = json.loads(zlib.decompress(data))
    for model in stored.get("models", ()):
        if model["input"]["facts"] is not None:  # flat in reports that were packed before facts had a source
            model["input"]["facts"] = nest_file_facts(model["input"]["facts"])
    values = {name: adapter.validate_python(stored[name]) for name, adapter in _adapters().items() if name in stored}
    return RunReport(jobs=(), sequences=(), **values)


def without_transcripts(report: RunReport, dropped_at: datetime) -> RunReport:
    """The report with a notice of what is gone."""
    notice = Notice(
        level="info",
        text=f"The transcripts of this run were dropped on {dropped_at:%Y-%m-%d}, as retention asks for; the numbers "
        "are those of its last report.",
    )
    return replace(report, notices=(*report.notices, notice))


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    kept = {name: hint for name, hint in RunReport.__annotations__.items() if name not in LEFT_OUT}
    names = vars(data_module)
    hints = get_type_hints(type("Kept", (), {"__annotations__": kept}), globalns=names)
    return {name: TypeAdapter(hint) for name, hint in hints.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, JudgeResults):  # the judges' own words: transcripts, too
        return {}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key.value if isinstance(key, Enum) else key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value
