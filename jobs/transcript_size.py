"""How large a job's document may grow. MongoDB's limit is 16 MB; a job ends before, while that can be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bson
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from nightjar.config.errors import TranscriptError
from nightjar.jobs.documents import Job
from nightjar.jobs.records import TurnRecord, cut

LARGEST_TRANSCRIPT = 15_000_000
"""Bytes of turns and payload. The rest of the 16 MB is for attempts, reasons and what comes later."""
_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})
"""MongoDB's codes for a document that is, or would become, larger than it may be."""


class TranscriptSize:
    """Counts the bytes of one job's transcript while its turns are generated."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._bytes = sum(map(_stored_bytes, job.turns)) + (len(bson.encode(job.payload)) if job.payload else 0)
        self._check(0)

    def add(self, turn: TurnRecord) -> None:
        """Counts a turn that is about to be committed. Raises TranscriptError where there is no room for it."""
        size = _stored_bytes(turn)
        self._check(size)
        self._bytes += size

    def _check(self, more: int) -> None:
        if self._bytes + more > LARGEST_TRANSCRIPT:
            raise _too_large(self._job, self._bytes + more)


@contextmanager
def size_refused(job: Job) -> Iterator[None]:
    """Around a write to a job: what MongoDB says about its size becomes a TranscriptError, no error quotes the turn."""
    try:
        yield
    except DocumentTooLarge:
        raise _too_large(job, None) from None
    except OperationFailure as error:
        refusal = _refusal(error)
        if refusal.code in _TOO_LARGE:
            raise _too_large(job, None) from None
        if refusal is error:
            raise
        raise refusal from None


def _refusal(error: OperationFailure) -> OperationFailure:
    """The first error of a bulk, whose own text quotes all that was to be written."""
    problems = (error.details or {}).get("writeErrors") if isinstance(error, BulkWriteError) else None
    return OperationFailure(cut(problems[0]["errmsg"]), problems[0]["code"]) if problems else error


def _stored_bytes(turn: TurnRecord) -> int:
    return len(bson.encode(turn.model_dump(mode="python")))


def _too_large(job: Job, size: int | None) -> TranscriptError:
    measured = "" if size is None else f" ({size / 1e6:.1f} MB with this turn)"
    return TranscriptError(
        f"transcript too large: the turns of sequence {job.sequence!r} are more than {LARGEST_TRANSCRIPT / 1e6:.0f} MB"
        f"{measured}, and MongoDB keeps at most 16 MB in one document. Split the sequence, or limit max_tokens and "
        "what documents put into its prompts."
    )
