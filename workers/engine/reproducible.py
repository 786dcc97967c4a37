"""The start-up probe behind `reproducible`: does a conversation's result depend on what else is computed with it?

Prompts are always cut at the same places (`pieces.py`), so it need not ask what other cuts would give. It computes
conversations as the scheduler would: each prompt piece in a decode by itself, the ids after it with those of others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import ModelError
from nightjar.workers.engine.load_progress import LoadProgress
from nightjar.workers.engine.slots import Copy, Move, Piece, Trim, Work

if TYPE_CHECKING:
    from nightjar.workers.engine.llama.backend import LlamaBackend

Logits = list[npt.NDArray[np.float32]]

PROMPT_TOKENS = 48
BEYOND_A_PIECE, DRAWN_BEYOND = 40, 8
LEAST_DRAWN, MOST_DRAWN = 64, 480
DRAWN_PARAMETERS = 5_000_000_000
"""Of how many ids after the prompt the logits are compared: so many parameters' worth, within those bounds. Where a
kernel rounds otherwise for one row than for several it shows in one token of many: the fewer, the smaller the model."""
TIMED_STEPS = 24


def logit_differences(backend: LlamaBackend, piece: int, progress: LoadProgress | None = None) -> list[str]:
    """The circumstances in which logits differ, by a bit or more, from those of the conversation computed alone.

    `piece` is how many tokens prompts are cut into; `progress` hears of each decode. Leaves the cache empty. Raises
    ModelError where not even the same work gives the same result twice, and where the load was given up.
    """
    worth = min(max(DRAWN_PARAMETERS // max(backend.model.parameters, 1), LEAST_DRAWN), MOST_DRAWN)
    decodes = _Decodes(progress or LoadProgress())
    probe = _Probe(backend, PROMPT_TOKENS, worth, piece, decodes)
    long = _Probe(backend, piece + BEYOND_A_PIECE, DRAWN_BEYOND, piece, decodes)
    decodes.expected = _expected_decodes(probe, long, backend)
    alone = probe.conversation(0)
    if not _equal(alone, probe.conversation(0)):
        raise ModelError(
            "`reproducible` is not possible here: this device gives other results each time it computes the same "
            "conversation alone. Load the model without `reproducible`, or on the CPU (`--gpu none`)."
        )
    whole = long.conversation(0)
    deviations = []
    if backend.limits.can_trim:
        deviations += [] if _equal(whole, long.resumed(Trim(slot=0, keep=long.cut), 0)) else ["going on after a cut"]
    if backend.limits.slots > 1:
        if backend.limits.can_copy:
            copied = long.resumed(Copy(source=0, target=1, keep=long.cut), 1)
            deviations += [] if _equal(whole, copied) else ["a copied beginning"]
        deviations += [] if all(_equal(alone, logits) for logits in probe.in_company(long)) else ["others beside it"]
    backend.clear()
    return deviations


def decode_rate(backend: LlamaBackend, limit_s: float = math.inf) -> float:
    """Tokens per second with every slot decoding, together or alone, over a few steps; no more of them are begun once
    the time is over. Leaves the cache empty."""
    probe = _Probe(backend, 0, TIMED_STEPS, 1)
    slots = range(backend.limits.slots)
    groups = [[slot] for slot in slots] if backend.limits.alone else [list(slots)]
    began = time.perf_counter()
    for step in range(TIMED_STEPS + 1):
        if step == 1:
            began = time.perf_counter()
        elif step > 1 and time.perf_counter() - began > limit_s:
            break
        done = step
        for group in groups:
            backend.decode([probe.piece(slot, step, step + 1) for slot in group])
            backend.logits(0)
    seconds = time.perf_counter() - began
    backend.clear()
    return done * backend.limits.slots / seconds


class _Decodes:
    """Counts what is computed, for those who watch."""

    def __init__(self, progress: LoadProgress) -> None:
        self._progress = progress
        self.expected = 1
        self._done = 0

    def next(self) -> None:
        """Call it before each decode. Raises ModelError where the load was given up."""
        self._progress.check(min(1.0, self._done / self.expected))
        self._done += 1


def _expected_decodes(probe: _Probe, long: _Probe, backend: LlamaBackend) -> int:
    """How many `logit_differences` makes, about."""
    limits = backend.limits
    resumed = long.decodes + 1 + long.drawn
    ways = int(limits.can_trim) + int(limits.can_copy and limits.slots > 1)
    others = limits.slots - 1
    company = long.decodes + others * (probe.decodes - probe.drawn) + probe.drawn * 3 // 2 if others else 0
    return 2 * probe.decodes + long.decodes + ways * resumed + company


class _Probe:
    """One conversation with a fixed prompt and fixed ids after it, computed in several ways."""

    def __init__(
        self, backend: LlamaBackend, prompt_tokens: int, drawn: int, piece: int, decodes: _Decodes | None = None
    ) -> None:
        """Prompt and what follows are shorter where the context is."""
        self._backend = backend
        self._counted = decodes or _Decodes(LoadProgress())
        self._piece = piece
        context = backend.limits.context
        self.prompt_tokens = min(prompt_tokens, context // 2)
        self.drawn = min(drawn, context - self.prompt_tokens)

    @property
    def decodes(self) -> int:
        """Of the conversation alone."""
        return -(-self.prompt_tokens // self._piece) + self.drawn

    @property
    def cut(self) -> int:
        """Where the last piece of the prompt begins."""
        return (self.prompt_tokens - 1) // self._piece * self._piece

    def piece(self, slot: int, start: int, end: int) -> Piece:
        ids = tuple(position * 7919 % self._backend.vocabulary for position in range(start, end))
        return Piece(slot=slot, start=start, ids=ids, output=True, work=Work("probe", ids))

    def conversation(self, slot: int) -> Logits:
        """Alone: the logits after the prompt, and after each id that follows."""
        self._backend.clear()
        return self._prompt(slot, 0) + self._drawn(slot)

    def resumed(self, move: Move, slot: int) -> Logits:
        """It goes on from its beginning in slot 0, whose rest was dropped, or which had gone on and was copied."""
        self.conversation(0)
        self._backend.move([move])
        return self._prompt(slot, move.keep) + self._drawn(slot)

    def in_company(self, long: _Probe) -> list[Logits]:
        """In every slot but the first, where a longer conversation goes on as long as it can: one after the other they
        join, until all decode together, and leave. Devices pad all to the longest."""
        self._backend.clear()
        long._prompt(0, 0)
        slots = range(1, self._backend.limits.slots)
        got: dict[int, Logits] = {slot: [] for slot in slots}
        every = max(1, self.drawn // (2 * len(slots)))
        for step in range(self.drawn + every * (len(slots) - 1)):
            if step % every == 0 and step // every < len(slots):
                joining = slots[step // every]
                got[joining] = self._prompt(joining, 0)
            decoding = [slot for slot in slots if 0 < len(got[slot]) <= self.drawn]
            at = long.prompt_tokens + step
            others = [long.piece(0, at, at + 1)] if at < self._backend.limits.context else []
            places = [self.prompt_tokens + len(got[slot]) - 1 for slot in decoding]
            pieces = [self.piece(slot, place, place + 1) for slot, place in zip(decoding, places, strict=True)]
            rows = self._decode([*others, *pieces])[len(others) :]
            for slot, row in zip(decoding, rows, strict=True):
                got[slot].append(row)
        return list(got.values())

    def _prompt(self, slot: int, start: int) -> Logits:
        """The logits after the prompt, computed piece by piece from here on."""
        last: Logits = []
        for at in range(start, self.prompt_tokens, self._piece):
            last = self._decode([self.piece(slot, at, min(at + self._piece, self.prompt_tokens))])
        return last

    def _drawn(self, slot: int) -> Logits:
        places = range(self.prompt_tokens, self.prompt_tokens + self.drawn)
        return [row for at in places for row in self._decode([self.piece(slot, at, at + 1)])]

    def _decode(self, pieces: Sequence[Piece]) -> Logits:
        self._counted.next()
        rows = self._backend.decode(pieces)
        return [self._backend.logits(row).copy() for row in rows]


def _equal(one: Logits, other: Logits) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
