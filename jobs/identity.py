"""Digests that name things by their content, and the seeds derived from them. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

DIGEST_CHARS = 32
"""Hexadecimal characters kept of a SHA-256: 128 bits."""
MOST_SEED = 2**31 - 1
"""The largest seed of a draw; the smallest is 0."""


_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def digest(*parts: Any) -> str:
    """Stable digest of JSON-able parts; dict order does not matter, list order does."""
    text = _ENCODER.encode(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARS]


def job_id(run_id: str, kind: str, sequence: str, model: str, repeat: int, variant: str | None = None) -> str:
    """`_id` of a reply job; the same inputs always name the same job. No variant leaves it as it was before any."""
    return digest("job", run_id, kind, sequence, model, repeat, *([] if variant is None else [variant]))


def score_id(job: str, turn: int, scorer: str, judging: int | None = None) -> str:
    """`_id` of a score; a job's scores lie together in the index. `judging`: the number of a judge's."""
    return f"{job}.{turn}.{scorer}" + (f".{judging}" if judging is not None and judging > 1 else "")


def default_run_seed(suite_name: str) -> int:
    """The run seed used when none is given: from the suite's name, never from the clock."""
    return _seed("run", suite_name)


def turn_seed(run_seed: int, sequence_digest: str, repeat: int, turn: int, redraw: int = 0) -> int:
    """Sampling seed of one draw, 0 to MOST_SEED: the same for every model and every run with that seed."""
    return _seed("turn", run_seed, sequence_digest, repeat, turn, redraw)


def chain_digest(previous: str, turn_index: int, prompt: str, reply: Iterable[int] | str) -> str:
    """One link of a transcript's hash chain: the digest of the link before, the turn's index, its prompt and its reply.

    The last link so vouches for every turn before it. `previous` is "" for the first turn. `reply` is the reply's token
    ids, or its raw text where the ids are not known.
    """
    return digest("turn", previous, turn_index, prompt, reply if isinstance(reply, str) else list(reply))


def ids_digest(ids: Iterable[int]) -> str:
    """Digest of a token id sequence."""
    return hashlib.sha256(b",".join(b"%d" % i for i in ids)).hexdigest()[:DIGEST_CHARS]


def _seed(*parts: Any) -> int:
    return int(digest(*parts)[:8], 16) & MOST_SEED
