"""An idle slot between two that decode is computed along and left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from nightjar.workers.engine.llama.backend import LlamaBackend
from nightjar.workers.engine.llama.batch import Batch
from nightjar.workers.engine.llama.context import ContextSettings
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.slots import Piece, Work
from tests.demo_engine import DEMO

CONTEXT = 24
SETTINGS = ContextSettings(
    context=CONTEXT,
    slots=5,
    n_batch=16,
    n_ubatch=16,
    threads=1,
    flash_attention=False,
    offload_kv=False,
    cache_type_k="f16",
    cache_type_v="f16",
)
Logits = list[npt.NDArray[np.float32]]


@pytest.fixture
def backend() -> Iterator[LlamaBackend]:
    backend = LlamaBackend(LlamaModel(DEMO, gpu_layers=0, mmap=True, mlock=False), SETTINGS)
    yield backend
    backend.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The slots of every batch that llama.cpp was given."""
    seen: list[list[int]] = []
    fill = Batch.fill

    def noted(self: Batch, pieces: Sequence[Piece]) -> list[int]:
        seen.append([piece.slot for piece in pieces])
        return fill(self, pieces)

    monkeypatch.setattr(Batch, "fill", noted)
    return seen


def piece(slot: int, start: int, ids: Sequence[int]) -> Piece:
    return Piece(slot=slot, start=start, ids=tuple(ids), output=True, work=Work("hole", tuple(ids)))


def decode(backend: LlamaBackend, *pieces: Piece) -> Logits:
    return [backend.logits(row).copy() for row in backend.decode(pieces)]


def prompt(backend: LlamaBackend, slot: int, length: int) -> None:
    for start in range(0, length, 8):
        decode(backend, piece(slot, start, range(300 + start, 300 + min(length, start + 8))))


def talk(backend: LlamaBackend, idle: int) -> Logits:
    """Slots 0, 2 and 3 decode four tokens, with so many old cells in slot 1; then slot 1 goes on."""
    backend.clear()
    for slot, length in ((0, 5), (1, idle), (2, 7), (3, 2)):
        prompt(backend, slot, length)
    starts = {0: 5, 2: 7, 3: 2}
    got = [
        row
        for step in range(4)
        for row in decode(backend, *(piece(slot, at + step, [400 + slot + step]) for slot, at in starts.items()))
    ]
    return got + (decode(backend, piece(1, idle, [500])) if idle < CONTEXT else [])


@pytest.mark.parametrize("idle", [0, 9, CONTEXT - 1])
def test_a_hole_changes_no_result_and_keeps_its_cells(
    backend: LlamaBackend, decoded: list[list[int]], idle: int
) -> None:
    filled = talk(backend, idle)
    assert decoded.count([0, 1, 2, 3]) == 4
    backend.limits = replace(backend.limits, can_trim=False)  # where nothing can be dropped, nothing is put in
    decoded.clear()
    plain = talk(backend, idle)
    assert decoded.count([0, 2, 3]) == 4
    assert all(np.array_equal(one, other) for one, other in zip(filled, plain, strict=True))


def test_what_is_not_filled(backend: LlamaBackend, decoded: list[list[int]]) -> None:
    cases: list[tuple[list[Piece], str]] = [
        ([piece(0, 0, [300]), piece(3, 0, [300])], "two idle slots would cost more than they save"),
        ([piece(0, 0, [300, 301]), piece(2, 0, [300])], "a prompt is computed apart anyway"),
        ([piece(0, 0, [300]), piece(2, 0, range(300, 310))], "a prompt is computed apart anyway"),
        ([piece(0, 0, [300]), piece(2, 0, [300]), piece(4, 0, range(300, 314))], "the batch is full"),
    ]
    for pieces, why in cases:
        backend.clear()
        decoded.clear()
        decode(backend, *pieces)
        assert decoded == [[p.slot for p in pieces]], why


def test_a_full_slot_is_left_alone(backend: LlamaBackend, decoded: list[list[int]]) -> None:
    talk(backend, CONTEXT)
    assert decoded.count([0, 2, 3]) == 4
