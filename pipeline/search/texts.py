"""Which texts of a job are searched, and where each stands. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nightjar.jobs.routing.routed import asked_as
from nightjar.jobs.search.unindexed import IndexableJob
from nightjar.jobs.search.vectors import TextKind, TextPlace
from nightjar.jobs.states import JobKind
from nightjar.jobs.variants import contestant_name


def texts_of_job(job: IndexableJob) -> Iterator[tuple[TextPlace, str]]:
    """A DONE job's prompts, replies and documents, or the judge's reasons; blank ones are left out."""
    row = job.row
    judge = row.get("kind") == JobKind.JUDGE
    for part, turn, text in _reasons(row) if judge else _said(job):
        if text.strip():
            place = TextPlace(
                run=row["run"],
                job=row["payload"]["job"] if judge else row["_id"],
                turn=turn,
                part=part,
                source=row["_id"],
                model=row["model"] if judge else contestant_name(asked_as(row), row.get("variant")),
                user=(row.get("live") or {}).get("user"),
            )
            yield place, text.strip()


def _said(job: IndexableJob) -> Iterator[tuple[TextKind, int, str]]:
    for document in job.documents:
        yield TextKind.DOCUMENT, 0, document
    for turn in job.row["turns"]:
        yield TextKind.PROMPT, turn["index"], turn["prompt"]
        yield TextKind.REPLY, turn["index"], turn["draws"][0]["reply"]


def _reasons(row: Mapping[str, Any]) -> Iterator[tuple[TextKind, int, str]]:
    """What the judge wrote, where the job is about one reply or more."""
    payload = row.get("payload") or {}
    if "job" not in payload:
        return
    for turn in row["turns"]:
        yield TextKind.REASON, payload.get("turn") or 0, judges_words(turn["draws"][0]["reply"])


def judges_words(reply: str) -> str:
    """The texts in a judge's JSON, one a line; a reply that is none, as it is."""
    try:
        data = json.loads(reply)
    except (ValueError, RecursionError):
        return reply
    return "\n".join(_strings(data))


def _strings(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping | list):
        for value in data.values() if isinstance(data, Mapping) else data:
            yield from _strings(value)
