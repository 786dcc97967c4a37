"""Under which names models at endpoints answered: a run's numbers are of one model only while these stay. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from nightjar.config.counting import how_many

MOST_NAMED = 4
"""So many names are listed of a model; of more their number is said."""


class AnswerName(BaseModel):
    """How one answer named its model, as its entry in the ledger keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    asked: str
    """The name that was asked for."""
    model: str | None
    """None: the answer named none."""
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class AnswersNamed:
    """The answers of one model of a run that had one name."""

    model: str
    """In the registry; of a policy the candidate."""
    asked: str
    name: str | None
    fingerprint: str | None
    requests: int
    since: datetime
    """When the first of them was sent."""

    @property
    def words(self) -> str:
        """ "gpt-5-2026-08-01 (fp_1a2b)"."""
        name = self.name or "no name"
        return name if self.fingerprint is None else f"{name} ({self.fingerprint})"


@dataclass(frozen=True, kw_only=True)
class NameNotice:
    """What a reader should know of the names that a model answered under."""

    model: str
    changed: bool
    """It changed within the run; else it only is another than the one asked for."""
    text: str


def name_notices(answers: Iterable[AnswersNamed]) -> tuple[NameNotice, ...]:
    """One for each model whose answers changed their name or fingerprint, or have another name than was asked for."""
    return tuple(_notices(answers))


def names_of(answers: Iterable[AnswersNamed], model: str) -> str | None:
    """All names and fingerprints of a model, in words and in order; None where its answers had none."""
    known = sorted({each.words for each in answers if each.model == model and each.name is not None})
    return " and ".join(known) or None


def _notices(answers: Iterable[AnswersNamed]) -> Iterator[NameNotice]:
    by_model: dict[str, list[AnswersNamed]] = {}
    for each in sorted(answers, key=lambda each: each.since):
        if each.name is not None or each.fingerprint is not None:
            by_model.setdefault(each.model, []).append(each)
    for model, named in by_model.items():
        names = {each.name for each in named if each.name is not None}
        fingerprints = {each.fingerprint for each in named if each.fingerprint is not None}
        if len(names) > 1 or len(fingerprints) > 1:
            text = (
                f"The answers of {model} did not always come from the same model, as its endpoint names it: "
                f"{_listed(named)}. Its numbers may be of several."
            )
            yield NameNotice(model=model, changed=True, text=text)
        elif others := sorted(names - {each.asked for each in named}):
            text = f"{model} is asked for as {named[0].asked}, and its answers name {' and '.join(others)}."
            yield NameNotice(model=model, changed=False, text=text)


def _listed(named: Sequence[AnswersNamed]) -> str:
    parts = [
        f"{each.words}, {how_many(each.requests, 'request')} from {each.since:%Y-%m-%d %H:%M} UTC"
        for each in named[:MOST_NAMED]
    ]
    more = len(named) - MOST_NAMED
    return "; ".join([*parts, *([f"and {how_many(more, 'other name')}"] if more > 0 else [])])
