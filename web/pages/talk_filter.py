"""Which conversations of a run are looked at: what the address says, as a query of MongoDB and as a form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.parameters import FinishReason
from nightjar.jobs.routing.routed import asked_query
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.jobs.status.transcript import jobs_scored
from nightjar.web.pages.declare import Visit
from nightjar.web.pages.words import run_address
from nightjar.web.sheet import Choice, Field, Form

LONGEST_TEXT = 200
FINISHED = get_args(FinishReason)


@dataclass(frozen=True, kw_only=True)
class TalkFilter:
    """What is empty filters nothing. `score` with `most` and `least`: the scorer's value on any turn."""

    sequence: str = ""
    models: tuple[str, ...] = ()
    status: str = ""
    tag: str = ""
    finish: str = ""
    text: str = ""
    label: str = ""
    score: str = ""
    least: str = ""
    most: str = ""

    @classmethod
    def of(cls, visit: Visit) -> Self:
        names = ("sequence", "status", "tag", "finish", "text", "label", "score", "least", "most")
        return cls(models=tuple(visit.many("model")), **{name: visit.one(name)[:LONGEST_TEXT] for name in names})

    @property
    def given(self) -> bool:
        return any(vars(self).values())

    @property
    def beside(self) -> bool:
        """Two models are compared."""
        return len(self.models) == 2

    def address(self) -> dict[str, Any]:
        """As the address has it."""
        given = {name: value for name, value in vars(self).items() if value and name != "models"}
        return given | ({"model": self.models} if self.models else {})

    async def query(self, run: Run, database: Database) -> dict[str, Any]:
        """A query for jobs. Raises UsageError for a bound that is no number."""
        query: dict[str, Any] = {"run": run.id, "kind": JobKind.REPLY}
        plain = {"sequence": self.sequence, "tags": self.tag, "labels": self.label}
        query |= {name: value for name, value in plain.items() if value}
        query |= {"$and": [{"$or": [asked_query(name) for name in self.models]}]} if self.models else {}
        query |= {"status": self.status} if self.status in list(JobStatus) else {}
        query |= {"turns.draws.finish_reason": self.finish} if self.finish else {}
        if self.text:
            pattern = re.escape(self.text).replace("\0", r"\x00")  # MongoDB takes no null byte in a pattern
            has = {"$regex": pattern, "$options": "i"}
            query["$or"] = [{"turns.prompt": has}, {"turns.draws.reply": has}, {"turns.draws.reasoning": has}]
        if self.score:
            bounds = {"least": _number("least", self.least), "most": _number("most", self.most)}
            query["_id"] = {"$in": await jobs_scored(run, self.score, database, **bounds)}
        return query


def _number(name: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise UsageError(f"{name} is {text!r}: give a number.") from None


def filter_form(run: Run, wanted: TalkFilter, scorers: Sequence[str]) -> Form:
    """The form with what is chosen."""

    def chosen(name: str, label: str, values: Sequence[str], given: Sequence[str], *, several: bool = False) -> Field:
        choices = [] if several else [Choice(value="", text="all", chosen=not any(given))]
        choices += [Choice(value=value, text=value, chosen=value in given) for value in values]
        return Field(name=name, label=label, choices=tuple(choices), several=several)

    models = [each.name for each in run.models]
    return Form(
        path=run_address(run.name, "transcripts"),
        submit="Show",
        fields=(
            chosen("sequence", "Sequence", run.asked, [wanted.sequence]),
            chosen("model", "Models (two: side by side)", models, wanted.models, several=len(models) > 1),
            chosen("status", "Status", [str(each) for each in JobStatus], [wanted.status]),
            chosen("finish", "Ended by", FINISHED, [wanted.finish]),
            Field(name="tag", label="Tag", value=wanted.tag),
            Field(name="label", label="Label", value=wanted.label),
            Field(name="text", label="With the text", value=wanted.text),
            chosen("score", "Score", scorers, [wanted.score]),
            Field(name="least", label="at least", value=wanted.least),
            Field(name="most", label="at most", value=wanted.most),
        ),
    )
