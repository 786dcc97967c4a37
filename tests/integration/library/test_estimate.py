"""The estimator against what llama.cpp says it allocates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.load_settings import CacheType
from nightjar.workers.library.fit.estimate import memory_on_cpu
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import inspect_file
from tests.gguf_files import write_llama

MIB = 2**20
CASES = [
    # three of four layers keep a window and a micro-batch; the output is the input embedding
    (
        "sliding window, tied output",
        {"layers": 8, "width": 256, "heads": 4, "kv_heads": 2, "hidden": 512, "vocab": 4096, "window": 200},
        4096,
        2,
        "f16",
    ),
    # every head has its own K and V
    ("mha", {"layers": 4, "width": 256, "heads": 8, "kv_heads": 8, "hidden": 768, "vocab": 2048}, 2048, 1, "f16"),
    # four heads share K and V; several slots
    ("gqa", {"layers": 6, "width": 512, "heads": 8, "kv_heads": 2, "hidden": 1536, "vocab": 4096}, 4096, 4, "f16"),
    # the vocabulary outweighs the layers, and the logits the rest of the scratch
    ("large vocabulary", {"layers": 2, "width": 128, "heads": 4, "kv_heads": 4, "vocab": 60_000}, 1024, 2, "f16"),
    # a quantised cache, and a context that is rounded up
    (
        "q8_0 cache",
        {"layers": 4, "width": 256, "heads": 4, "kv_heads": 4, "hidden": 512, "vocab": 2048},
        1000,
        3,
        "q8_0",
    ),
    # quantised weights, one K and V for all heads
    (
        "q8_0 weights, mqa",
        {"layers": 4, "width": 512, "heads": 8, "kv_heads": 1, "hidden": 1024, "vocab": 4096, "quantisation": "Q8_0"},
        2048,
        2,
        "q4_0",
    ),
]


@pytest.mark.parametrize(
    ("shape", "context", "slots", "cache"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_weights_and_kv_are_within_three_per_cent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: dict[str, Any],
    context: int,
    slots: int,
    cache: CacheType,
) -> None:
    """Weights and KV agree with llama.cpp's own lines within 3 %; the scratch is a rough figure."""
    path = write_llama(tmp_path / "m.gguf", context=4096, **shape)
    allocated = allocations(monkeypatch, path, context, slots, cache)
    estimate = memory_on_cpu(
        shape_of(inspect_file(path).metadata), context=context, slots=slots, n_ubatch=256, k=cache, v=cache
    )
    assert estimate.weights == pytest.approx(allocated["model"], rel=0.03)
    assert estimate.kv == pytest.approx(allocated["KV"], rel=0.03)
    assert 0.75 * allocated["compute"] <= estimate.compute <= 1.5 * allocated["compute"]


def allocations(
    monkeypatch: pytest.MonkeyPatch, path: Path, context: int, slots: int, cache: CacheType
) -> dict[str, float]:
    """Bytes by kind of buffer, from llama.cpp's log."""
    from nightjar.workers.engine.llama import library
    from nightjar.workers.engine.llama.backend import LlamaBackend
    from nightjar.workers.engine.llama.context import ContextSettings
    from nightjar.workers.engine.llama.model import LlamaModel

    lines: list[str] = []
    monkeypatch.setattr("structlog.is_configured", lambda: True)
    monkeypatch.setattr(library, "llama_log", lambda _, line: lines.append(line))
    model = LlamaModel(path, gpu_layers=0, mmap=True, mlock=False)
    backend = LlamaBackend(
        model,
        ContextSettings(
            context=context,
            slots=slots,
            n_batch=512,
            n_ubatch=256,
            threads=1,
            flash_attention=True,
            offload_kv=False,
            cache_type_k=cache,
            cache_type_v=cache,
        ),
    )
    backend.close()
    found = re.findall(r"(model|KV|compute) buffer size *= *([\d.]+) MiB", "".join(lines))
    assert {kind for kind, _ in found} == {"model", "KV", "compute"}
    return {kind: MIB * sum(float(size) for other, size in found if other == kind) for kind, _ in found}
