"""Similarities of one conversation's replies, by a model that embeds texts.

A text longer than the model's context is halved at white space until its parts fit; its vector is the mean of theirs,
weighted by their tokens. Nothing is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from nightjar.config.errors import ContextError
from nightjar.jobs.database import Database
from nightjar.jobs.documents import Job
from nightjar.jobs.patience import patiently
from nightjar.jobs.records import Similarity
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.engine.request import Engine, Vector


@dataclass(frozen=True, kw_only=True)
class CommittedReply:
    """A committed reply; `text` is None where it is a model failure."""

    turn: int
    text: str | None


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What a conversation's replies are compared with. Pure: made of the transcript alone."""

    texts: tuple[str, ...]
    """Each text once."""
    places: tuple[tuple[CommittedReply, str | None, str | None], ...]
    """(reply, reference, reply before)."""


async def read_replies(job: Job, database: Database) -> list[CommittedReply]:
    """The replies of the job that an EMBED job is about, first draws. Raises ServiceError."""
    about = (job.payload or {})["job"]
    fields = dict.fromkeys("turns.index turns.draws.reply turns.draws.empty turns.draws.degenerate".split(), 1)
    row = await patiently(lambda: database.jobs.find_one({"_id": about}, fields)) or {"turns": []}
    return [_reply(turn["index"], turn["draws"][0]) for turn in row["turns"]]


def pairs_of(sequence: PromptSequence, replies: Sequence[CommittedReply]) -> Pairs:
    """Each reply with its turn's reference and, in a conversation, with the reply before."""
    places = []
    before: str | None = None
    for reply in replies:
        reference = sequence.turns[reply.turn].reference
        if reply.text is not None and (reference is not None or before is not None):
            places.append((reply, reference, before))
        before = None if sequence.mode is Mode.INDEPENDENT else reply.text
    texts = dict.fromkeys(
        text for reply, *others in places for text in (reply.text, *others) if text is not None and text.strip()
    )
    return Pairs(texts=tuple(texts), places=tuple(places))


async def measure_similarities(
    sequence: PromptSequence, replies: Sequence[CommittedReply], engine: Engine
) -> list[Similarity]:
    """The similarities of the replies that have something to be compared with. Raises ContextError, ModelError."""
    pairs = pairs_of(sequence, replies)
    parts = {text: _parts(text.strip(), engine) for text in pairs.texts}
    found = iter(await engine.embed([ids for of_text in parts.values() for ids in of_text]))
    vectors = {text: _mean(of_text, list(islice(found, len(of_text)))) for text, of_text in parts.items()}

    def cosine(one: str, other: str | None) -> float | None:
        if other is None or one not in vectors or other not in vectors:
            return None
        value = math.fsum(a * b for a, b in zip(vectors[one], vectors[other], strict=True))
        return max(-1.0, min(1.0, value))

    return [
        Similarity(
            turn=reply.turn,
            reference=cosine(reply.text, reference),
            previous=cosine(reply.text, before),
            parts=len(parts[reply.text]),
        )
        for reply, reference, before in pairs.places
        if reply.text is not None and reply.text in vectors
    ]


def _mean(parts: Sequence[list[int]], vectors: Sequence[Vector]) -> Vector:
    """The mean of the parts' vectors by their tokens, as a unit vector."""
    if len(vectors) == 1:
        return vectors[0]
    total = [
        math.fsum(len(ids) * vector[at] for ids, vector in zip(parts, vectors, strict=True))
        for at in range(len(vectors[0]))
    ]
    length = math.hypot(*total) or 1.0
    return [value / length for value in total]


def _parts(text: str, engine: Engine) -> list[list[int]]:
    """Token ids of parts that fit the context. Raises ContextError where not even a character does."""
    ids = engine.tokenize(text)
    context = engine.load.context
    if len(ids) <= context:
        return [ids]
    halves = _halved(text)
    if not all(halves):
        raise ContextError(f"The text {text!r} has {len(ids)} tokens and the context holds {context}.")
    return [part for half in halves for part in _parts(half, engine)]


def _halved(text: str) -> tuple[str, str]:
    """The text in two, at the last white space of its first half, else in its middle."""
    middle = len(text) // 2
    cut = next((at for at in range(middle, 0, -1) if text[at].isspace()), middle)
    return text[:cut].strip(), text[cut:].strip()


def _reply(turn: int, draw: dict[str, str | None]) -> CommittedReply:
    failed = draw.get("empty") is not None or draw.get("degenerate") is not None
    return CommittedReply(turn=turn, text=None if failed else draw["reply"])
