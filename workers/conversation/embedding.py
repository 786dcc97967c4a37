"""Similarities of one conversation's replies, by a model that embeds texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.jobs.documents import Job
from nightjar.jobs.mongo import Database
from nightjar.jobs.patience import patiently
from nightjar.jobs.records import Similarity
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.replier import EmbedsTexts


@dataclass(frozen=True, kw_only=True)
class CommittedReply:
    """A committed reply; `text` is None if it is a model failure."""

    turn: int
    text: str | None


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What a conversation's replies are compared with. Pure: made from the transcript alone."""

    texts: tuple[str, ...]
    """Each text once."""
    places: tuple[tuple[CommittedReply, str | None, str | None], ...]
    """(reply, reference, reply before)."""


async def read_replies(job: Job, database: Database) -> list[CommittedReply]:
    """The first draws of the job that an EMBED job is about. Raises ServiceError."""
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
    sequence: PromptSequence, replies: Sequence[CommittedReply], embedder: EmbedsTexts
) -> list[Similarity]:
    """The similarities of the replies that have something to be compared with. Raises as `Embedder.embed` does."""
    pairs = pairs_of(sequence, replies)
    embeddings = dict(zip(pairs.texts, await embedder.embed(pairs.texts), strict=True))

    def cosine(text: str, other: str | None) -> float | None:
        if other is None or text not in embeddings or other not in embeddings:
            return None
        vectors = zip(embeddings[text].vector, embeddings[other].vector, strict=True)
        return max(-1.0, min(1.0, math.fsum(a * b for a, b in vectors)))

    return [
        Similarity(
            turn=reply.turn,
            reference=cosine(reply.text, reference),
            previous=cosine(reply.text, before),
            parts=embeddings[reply.text].parts,
        )
        for reply, reference, before in pairs.places
        if reply.text is not None and reply.text in embeddings
    ]


def _reply(turn: int, draw: dict[str, str | None]) -> CommittedReply:
    failed = draw.get("empty") is not None or draw.get("degenerate") is not None
    return CommittedReply(turn=turn, text=None if failed else draw["reply"])
