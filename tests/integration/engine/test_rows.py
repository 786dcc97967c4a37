"""Rows of logits read by several threads at once are the rows that one thread reads."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.workers.engine.backend import Drawn
from nightjar.workers.engine.llama.backend import LlamaBackend
from nightjar.workers.engine.llama.context import ContextSettings
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.sampling_threads import SamplingThreads
from nightjar.workers.engine.slots import Piece, Work
from tests.demo_engine import DEMO

SLOTS = 32
SETTINGS = ContextSettings(
    context=64,
    slots=SLOTS,
    n_batch=2048,
    n_ubatch=64,
    threads=1,
    flash_attention=False,
    offload_kv=False,
    cache_type_k="f16",
    cache_type_v="f16",
)


class Likeliest:
    """Draws the likeliest token, after a pass over the row that gives other threads time."""

    slow, guided = True, False

    def prepare(self) -> None: ...

    def __init__(self, backend: LlamaBackend) -> None:
        self._backend = backend

    def draw(self, row: int) -> Drawn:
        return Drawn(int(self._backend.logits(row).argmax()))

    def close(self) -> None: ...


def test_several_threads_read_the_rows_that_one_reads() -> None:
    """Steps whose batch llama.cpp reorders: prompts of several lengths beside single tokens."""
    backend = LlamaBackend(LlamaModel(DEMO, gpu_layers=0, mmap=True, mlock=False), SETTINGS)
    threads = SamplingThreads(1_000_000, 4)
    sampler = Likeliest(backend)

    def piece(slot: int, start: int, ids: Sequence[int]) -> Piece:
        return Piece(slot=slot, start=start, ids=tuple(ids), output=True, work=Work("rows", tuple(ids)))

    def step() -> list[int]:
        backend.clear()
        backend.decode([piece(slot, 0, range(300 + slot, 302 + slot)) for slot in range(16, SLOTS)])
        mixed = [piece(slot, 0, range(400 + slot, 402 + slot + slot % 3)) for slot in range(16)]
        return backend.decode([*mixed, *(piece(slot, 2, [500 + slot]) for slot in range(16, SLOTS))])

    rows = step()
    alone = [int(backend.logits(row).argmax()) for row in rows]
    assert len(set(alone)) > 4
    for _ in range(60):
        drawn = threads.draw([(sampler, row) for row in step()])
        assert [result.token for result in drawn if isinstance(result, Drawn)] == alone
    threads.close()
    backend.close()
