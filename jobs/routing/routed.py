"""A policy as a model of a run: what a run freezes of it, and who answers each of its jobs. Pure.

A job is written with the candidate that answers it as its `model`, so that queues, leases and the ledger know nothing
of policies. `routed` says for whom it answers: reports call what replied by `asked_as`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from nightjar.jobs.routing.policies import PolicyKind, TagRule, is_routed
from nightjar.jobs.states import JobStatus
from nightjar.jobs.variants import Contestant

_Row = dict[str, Any]
MOST_CANDIDATES = 100
ASKED_AS: _Row = {"$ifNull": ["$routed.asked_as", "$model"]}
"""Expression: what the run was asked with, a model or a policy."""


class NearestChoices(BaseModel):
    """Whom the nearest prompts of each of a run's sequences say, as it was decided when the run was made."""

    model_config = ConfigDict(frozen=True)

    embedder: str
    """Digest of the embedding model by whose vectors it was decided."""
    choices: list[tuple[str, str]]
    """(model, reason), each once."""
    numbers: list[int]
    """For each of the run's sequences, in their order, which of the choices is its own."""

    def of(self, sequences: Sequence[str]) -> dict[str, tuple[str, str]]:
        """By sequence. `sequences`: all of the run's."""
        return {name: self.choices[number] for name, number in zip(sequences, self.numbers, strict=True)}


class FrozenPolicy(BaseModel):
    """A version of a policy as a run keeps it, whatever becomes of the policy."""

    model_config = ConfigDict(frozen=True)

    id: str
    """KIND:NAME@VERSION."""
    kind: PolicyKind
    version: int
    candidates: list[str]
    """Those that may be asked in this run."""
    default: str
    rules: list[TagRule] = []
    """By tags; empty where the nearest prompts decide."""
    nearest: NearestChoices | None = None
    contexts: dict[str, int] = {}
    """Candidate -> tokens that it holds at most, where that was known."""


class RouteStep(BaseModel):
    """A decision on who answers a job, from a turn on (0, 1, ...)."""

    model_config = ConfigDict(frozen=True)

    model: str
    reason: str
    turn: int = 0
    at: datetime


class JobRoute(BaseModel):
    """Who answers a job, and who is next where that one fails."""

    model_config = ConfigDict(frozen=True)

    asked_as: str
    """The policy as the run names it."""
    policy: str
    """KIND:NAME@VERSION."""
    order: list[str]
    """All candidates, the chosen one first."""
    left: list[str]
    """Those that have not been asked."""
    steps: list[RouteStep]
    """The first decision, and one for every time that the conversation went to another."""

    @property
    def fell_back(self) -> bool:
        return len(self.steps) > 1

    def who(self, turn: int) -> str:
        """The candidate that answered a committed turn."""
        return next(step.model for step in reversed(self.steps) if step.turn <= turn)

    @property
    def words(self) -> str:
        """For people: "local (tag plain: ...); from turn 2 cloud (...)"."""
        first, *others = self.steps
        after = [f"from turn {step.turn + 1} {step.model} ({step.reason})" for step in others]
        return "; ".join([f"{first.model} ({first.reason})", *after])


def asked_as(row: Mapping[str, Any]) -> str:
    """What the run was asked with, of a raw job: a model or a policy."""
    return str((row.get("routed") or {}).get("asked_as") or row["model"])


def asked_query(name: str) -> _Row:
    """The jobs that a model answers for itself, or those of a policy."""
    return {"routed.asked_as": name} if is_routed(name) else {"model": name, "routed": None}


def contestant_query(contestant: Contestant) -> _Row:
    """The jobs of one contestant of a run."""
    return {**asked_query(contestant.model), "variant": contestant.variant}


def can_be_handed_on(without: Collection[str] = ()) -> _Row:
    """Query: jobs of a policy that has another candidate, none of these."""
    return {"routed.left": {"$elemMatch": {"$nin": list(without)}}}


def handed_on(why: str, without: Collection[str] = ()) -> _Row:
    """Fields of an update pipeline: the job is the next candidate's, with all that was said in it so far.

    A new fence: its place in the queue of the one before claims nothing any more. Only for `can_be_handed_on`.
    """
    able = {"$filter": {"input": "$routed.left", "cond": {"$not": [{"$in": ["$$this", {"$literal": list(without)}]}]}}}
    model = {"$arrayElemAt": [able, 0]}
    reason = {"$concat": ["$model", {"$literal": f" gave none: {why}"}]}
    step = {"model": model, "reason": reason, "turn": "$turns_committed", "at": "$$NOW"}
    return {
        "status": JobStatus.PENDING,
        "model": model,
        "fence": {"$add": ["$fence", 1]},
        "owner": None,
        "lease_until": None,
        "due_at": "$$NOW",
        "suspect": False,
        **dict.fromkeys(("tries", "lapses", "crashes"), 0),
        "routed.left": {"$filter": {"input": "$routed.left", "cond": {"$ne": ["$$this", model]}}},
        "routed.steps": {"$concatArrays": ["$routed.steps", [step]]},
    }


_FIRST: _Row = {"$arrayElemAt": ["$routed.order", 0]}
_AGAIN: _Row = {"model": _FIRST, "reason": {"$literal": "tried again"}, "turn": "$turns_committed", "at": "$$NOW"}
FROM_THE_FIRST: _Row = {
    "model": {"$ifNull": [_FIRST, "$model"]},
    "routed": {
        "$cond": [
            {"$gt": ["$routed", None]},
            {
                "$mergeObjects": [
                    "$routed",
                    {
                        "left": {"$slice": ["$routed.order", 1, MOST_CANDIDATES]},
                        "steps": {"$concatArrays": ["$routed.steps", [_AGAIN]]},
                    },
                ]
            },
            None,
        ]
    },
}
"""Fields of an update pipeline, for any job: one of a policy begins again with the candidate that was chosen first."""
