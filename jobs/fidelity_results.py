"""What a FIDELITY job hands over: how far a candidate is from its reference on some stored conversations. Pure.

The arrays are stored as compressed text, 13 to 17 bytes a token before compression, since a job's document is small.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightjar.jobs.fidelity import Deviations, LoadedSide
from nightjar.jobs.models import LoadFacts, ModelFacts

VERSION = 1
"""Raised when what is measured changes: old results then no longer count."""
_FLOATS = ("kl", "kl_variance", "reference_logprob", "candidate_logprob")


@dataclass(frozen=True, kw_only=True)
class MeasuredConversation:
    """One conversation's scored stretches, in the order of the deviations."""

    job: str
    """The reply job whose conversation was read."""
    sequence: str
    spans: tuple[tuple[int, int], ...]
    """[start, end) of each, in tokens of its context."""
    digest: str
    """Of its tokens and which of them are scored."""

    @property
    def tokens(self) -> int:
        """How many tokens are scored."""
        return sum(end - start for start, end in self.spans)


@dataclass(frozen=True, kw_only=True)
class FidelityResultPart:
    """The result of one FIDELITY job."""

    reference: LoadedSide
    candidate: LoadedSide
    conversations: tuple[MeasuredConversation, ...]
    deviations: Deviations
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Turns that could not be read again, by reason."""
    not_together: str | None = None
    """Where the two had to be measured one after the other: what that means."""

    def stored(self) -> dict[str, Any]:
        """As the job's document holds it."""
        deviations = self.deviations
        arrays = {name: _packed(getattr(deviations, name), np.float32) for name in _FLOATS}
        return {
            "reference": _side(self.reference),
            "candidate": _side(self.candidate),
            "conversations": [
                {
                    "job": each.job,
                    "sequence": each.sequence,
                    "spans": [list(s) for s in each.spans],
                    "digest": each.digest,
                }
                for each in self.conversations
            ],
            "deviations": {**arrays, "same_top": _packed(deviations.same_top, np.uint8)},
            "left_out": [[reason, count] for reason, count in self.left_out.items()],
            "not_together": self.not_together,
        }


def read_part(stored: Mapping[str, Any]) -> FidelityResultPart:
    """The inverse of `FidelityResultPart.stored`."""
    arrays, variance = stored["deviations"], stored["deviations"]["kl_variance"]
    conversations = tuple(
        MeasuredConversation(
            job=row["job"],
            sequence=row["sequence"],
            spans=tuple((start, end) for start, end in row["spans"]),
            digest=row["digest"],
        )
        for row in stored["conversations"]
    )
    return FidelityResultPart(
        reference=_read_side(stored["reference"]),
        candidate=_read_side(stored["candidate"]),
        conversations=conversations,
        deviations=Deviations(
            kl=_floats(arrays["kl"]),
            kl_variance=None if variance is None else _floats(variance),
            same_top=_unpacked(arrays["same_top"], np.uint8).astype(bool),
            reference_logprob=_floats(arrays["reference_logprob"]),
            candidate_logprob=_floats(arrays["candidate_logprob"]),
        ),
        left_out=dict(stored["left_out"]),
        not_together=stored["not_together"],
    )


def taken(deviations: Deviations, which: NDArray[np.bool_]) -> Deviations:
    """The deviations of some of the tokens."""
    return _each([deviations], lambda arrays: arrays[0][which])


def joined(parts: Sequence[Deviations]) -> Deviations:
    """One after the other. Where one of them is estimated, all are: a variance of 0 is that of an exact value."""
    if any(part.kl_variance is not None for part in parts):
        parts = [_estimated(part) for part in parts]
    return _each(parts, np.concatenate)


def _estimated(part: Deviations) -> Deviations:
    if part.kl_variance is not None:
        return part
    return Deviations(
        kl=part.kl,
        kl_variance=np.zeros(len(part.kl)),
        same_top=part.same_top,
        reference_logprob=part.reference_logprob,
        candidate_logprob=part.candidate_logprob,
    )


def _each(parts: Sequence[Deviations], made: Any) -> Deviations:
    exact = parts[0].kl_variance is None
    return Deviations(
        kl=made([part.kl for part in parts]),
        kl_variance=None if exact else made([part.kl_variance for part in parts]),
        same_top=made([part.same_top for part in parts]),
        reference_logprob=made([part.reference_logprob for part in parts]),
        candidate_logprob=made([part.candidate_logprob for part in parts]),
    )


def _packed(values: NDArray[Any] | None, kind: Any) -> str | None:
    if values is None:
        return None
    return base64.b85encode(zlib.compress(np.ascontiguousarray(values, kind).tobytes())).decode("ascii")


def _unpacked(text: str, kind: Any) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), kind)


def _floats(text: str) -> NDArray[Any]:
    return _unpacked(text, np.float32).astype(np.float64)


def _side(side: LoadedSide) -> dict[str, Any]:
    return {
        "label": side.label,
        "facts": side.facts.model_dump(mode="json"),
        "load": side.load.model_dump(mode="json"),
        "cache_bytes": side.cache_bytes,
    }


def _read_side(stored: Mapping[str, Any]) -> LoadedSide:
    return LoadedSide(
        label=stored["label"],
        facts=ModelFacts.model_validate(stored["facts"]),
        load=LoadFacts.model_validate(stored["load"]),
        cache_bytes=stored["cache_bytes"],
    )
