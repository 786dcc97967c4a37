"""The start-up probe behind `reproducible`: does a conversation's result depend on what else is computed with it?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import ModelError
from nightjar.workers.engine.slots import Copy, Move, Piece, Trim, Work

if TYPE_CHECKING:
    from nightjar.workers.engine.llama.backend import LlamaBackend

Logits = list[npt.NDArray[np.float32]]

PROMPT_TOKENS, REPLY_TOKENS = 160, 8
BEYOND_MICRO_BATCH = 40
CHUNKS = (1, 7, 33, 64)
"""One token at a time is another kernel, and on some processors it differs in one token of many."""
TIMED_STEPS = 24


def logit_differences(backend: LlamaBackend, micro_batch: int) -> list[str]:
    """The circumstances in which logits differ, by a bit or more, from those of the conversation computed alone.

    `micro_batch` is the most tokens that the device computes at once. Leaves the cache empty. Raises ModelError where
    not even the same work gives the same result twice.
    """
    probe = _Probe(backend, PROMPT_TOKENS)
    alone = probe.conversation(0, probe.prompt_tokens)
    if not _equal(alone, probe.conversation(0, probe.prompt_tokens)):
        raise ModelError(
            "`reproducible` is not possible here: this device gives other results each time it computes the same "
            "conversation alone. Load the model without `reproducible`, or on the CPU (`--gpu none`)."
        )
    deviations = [
        f"chunks of {size}" for size in CHUNKS if size < probe.prompt_tokens and not _equal(alone, probe.again(size))
    ]
    long = _Probe(backend, micro_batch + BEYOND_MICRO_BATCH)
    if micro_batch < long.prompt_tokens <= backend.limits.n_batch:
        whole = long.conversation(0, long.prompt_tokens)
        deviations += [] if _equal(whole, long.again(64)) else ["several micro-batches"]
    if backend.limits.can_trim:
        deviations += [] if _equal(alone, probe.trimmed()) else ["going on after a cut"]
    if backend.limits.slots > 1:
        deviations += ["a full batch"] if not all(_equal(alone, logits) for logits in probe.together()) else []
        deviations += ["joining others"] if not _equal(alone, probe.joining(long)) else []
        if backend.limits.can_copy:
            deviations += ["a copied beginning"] if not _equal(alone, probe.copied()) else []
    backend.clear()
    return deviations


def decode_rate(backend: LlamaBackend) -> float:
    """Tokens per second with every slot decoding, together or alone, over a few steps. Leaves the cache empty."""
    probe = _Probe(backend, PROMPT_TOKENS)
    slots = range(backend.limits.slots)
    groups = [[slot] for slot in slots] if backend.limits.alone else [list(slots)]
    began = time.perf_counter()
    for step in range(TIMED_STEPS + 1):
        if step == 1:
            began = time.perf_counter()
        for group in groups:
            backend.decode([probe.piece(slot, step, [300 % probe.vocabulary]) for slot in group])
            backend.logits(0)
    seconds = time.perf_counter() - began
    backend.clear()
    return TIMED_STEPS * backend.limits.slots / seconds


class _Probe:
    """One conversation with a fixed prompt and reply, computed in several ways."""

    def __init__(self, backend: LlamaBackend, prompt_tokens: int) -> None:
        """The prompt is shorter where the context is."""
        self._backend = backend
        self.vocabulary = backend.tokenizer.size
        self.prompt_tokens = min(prompt_tokens, backend.limits.context - REPLY_TOKENS)
        self.ids = [position * 7919 % self.vocabulary for position in range(self.prompt_tokens + REPLY_TOKENS)]

    def piece(self, slot: int, start: int, ids: Sequence[int]) -> Piece:
        return Piece(slot=slot, start=start, ids=tuple(ids), output=True, work=Work("probe", tuple(ids)))

    def conversation(self, slot: int, chunk: int) -> Logits:
        """Alone: the prompt in chunks, then the reply id by id."""
        self._backend.clear()
        chunk = min(chunk, self._backend.limits.n_batch)
        rows = [row for piece in self._pieces(slot, 0, chunk) for row in self._decode([piece])]
        return rows[-REPLY_TOKENS - 1 :]

    def again(self, chunk: int) -> Logits:
        return self.conversation(self._backend.limits.slots - 1, chunk)

    def together(self) -> list[Logits]:
        """The same conversation in all slots at once, chunk by chunk."""
        self._backend.clear()
        slots = self._backend.limits.slots
        chunk = max(1, self._backend.limits.n_batch // slots)
        steps = zip(*(self._pieces(slot, 0, chunk) for slot in range(slots)), strict=True)
        rows = [self._decode(step) for step in steps][-REPLY_TOKENS - 1 :]
        return [[row[slot] for row in rows] for slot in range(slots)]

    def joining(self, longer: _Probe) -> Logits:
        """Its prompt is computed while a longer conversation decodes: devices pad all to the longest."""
        there = max(1, longer.prompt_tokens - 2 * REPLY_TOKENS)
        self._backend.clear()
        for at in range(0, there, self._backend.limits.n_batch):
            self._decode([self.piece(0, at, longer.ids[at : min(at + self._backend.limits.n_batch, there)])])
        got: Logits = []
        for number, piece in enumerate(self._pieces(1, 0, 48)):
            got.append(self._decode([self.piece(0, there + number, [self.ids[number]]), piece])[1])
        return got[-REPLY_TOKENS - 1 :]

    def copied(self) -> Logits:
        """Its beginning comes from another slot, which had gone on."""
        return self._resumed(Copy(source=0, target=1, keep=self.prompt_tokens // 2), slot=1)

    def trimmed(self) -> Logits:
        """It goes on from its own beginning, after the rest was dropped."""
        return self._resumed(Trim(slot=0, keep=self.prompt_tokens // 2), slot=0)

    def _resumed(self, move: Move, slot: int) -> Logits:
        self.conversation(0, self.prompt_tokens)
        self._backend.move([move])
        return [row for piece in self._pieces(slot, move.keep, 64) for row in self._decode([piece])][
            -REPLY_TOKENS - 1 :
        ]

    def _pieces(self, slot: int, start: int, chunk: int) -> Iterator[Piece]:
        for at in range(start, self.prompt_tokens, chunk):
            yield self.piece(slot, at, self.ids[at : min(at + chunk, self.prompt_tokens)])
        for at in range(self.prompt_tokens, self.prompt_tokens + REPLY_TOKENS):
            yield self.piece(slot, at, [self.ids[at]])

    def _decode(self, pieces: Sequence[Piece]) -> Logits:
        rows = self._backend.decode(pieces)
        return [self._backend.logits(row).copy() for row in rows]


def _equal(one: Logits, other: Logits) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
