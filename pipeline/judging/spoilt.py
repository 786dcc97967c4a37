"""Spoilt replies that any judge should find worse than the real ones they were made of. Pure and seeded."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from nightjar.jobs.identity import digest
from nightjar.pipeline.judging.judged import JudgedJob
from nightjar.pipeline.judging.prompts import JudgedTurn

FEWEST_WORDS = 6
"""A shorter reply is not shuffled or truncated: "42." is as good backwards."""
KEPT_SHARE = 3
"""A truncated reply keeps its first third: one word in this many."""


class Control(StrEnum):
    """How a reply is spoilt."""

    SHUFFLED = "shuffled"
    """Its words in random order."""
    TRUNCATED = "truncated"
    """Its first third."""
    OFF_TOPIC = "off_topic"
    """A whole reply to another sequence's prompt."""


def spoil(job: JudgedJob, turn: int | None, control: Control, seed: int, donor: JudgedJob | None) -> JudgedJob | None:
    """The job with this turn's reply spoilt, or every reply if `turn` is None. None if that is not possible.

    `donor`: a job of another sequence, whose replies are the off-topic ones.
    """
    taken = [at for at, judged in enumerate(job.turns) if turn is None or judged.index == turn]
    change = _changer(control, f"{seed} {job.id}", donor)
    spoilt = {at: change(job.turns[at].reply, at) for at in taken}
    if all(text is None or text == job.turns[at].reply for at, text in spoilt.items()):
        return None
    turns = [_with_reply(judged, spoilt.get(at), control) for at, judged in enumerate(job.turns)]
    return replace(job, turns=tuple(turns), failures=frozenset())


def _changer(control: Control, seed: str, donor: JudgedJob | None) -> Callable[[str, int], str | None]:
    if control is Control.SHUFFLED:
        return lambda reply, at: _shuffled(reply.split(), random.Random(f"{seed} {at}"))  # noqa: S311
    if control is Control.TRUNCATED:
        return lambda reply, at: _truncated(reply.split())
    good = [turn.reply for turn in donor.turns if turn.index not in donor.failures] if donor else []
    return lambda reply, at: good[at % len(good)] if good else None


def _shuffled(words: Sequence[str], source: random.Random) -> str | None:
    if len(words) < FEWEST_WORDS:
        return None
    return " ".join(source.sample(words, len(words)))


def _truncated(words: Sequence[str]) -> str | None:
    return None if len(words) < FEWEST_WORDS else " ".join(words[: len(words) // KEPT_SHARE])


def _with_reply(turn: JudgedTurn, reply: str | None, control: Control) -> JudgedTurn:
    if reply is None:
        return turn
    return replace(turn, reply=reply, chain=digest("control", control, turn.chain, reply))
