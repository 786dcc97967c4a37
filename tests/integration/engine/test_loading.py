"""What "auto" becomes, and what is refused before a model is loaded: memory, and settings that do not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import ModelError, ModelFitError, NightjarError
from nightjar.config.load_settings import LoadSettings
from nightjar.scripts.dev.bench.models import TINY, build
from nightjar.workers.engine.device import Device
from nightjar.workers.engine.llama.context import ContextSettings, flash_attention, without_flash
from nightjar.workers.engine.loading import resolve_load
from nightjar.workers.library.fit.estimate import scoring_bytes
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import inspect_file, read_facts
from tests.demo_engine import DEMO

GIB = 2**30


def resolved(path: Path, *, free: int = 64 * GIB, is_cpu: bool = True, **settings: Any) -> tuple[Any, int | None]:
    device = Device(name="a device", is_cpu=is_cpu, free_bytes=free)
    return resolve_load(path, LoadSettings(**settings), read_facts(path, "m"), device)


@pytest.mark.parametrize(
    ("is_cpu", "settings", "wanted"),
    [
        (True, {}, {"slots": 8, "n_batch": 2048, "n_ubatch": 64, "context": 2048, "flash_attention": True}),
        (False, {}, {"slots": 32, "n_ubatch": 512}),
        (True, {"slots": 100, "context": 64}, {"n_ubatch": 100}),  # a step of decoding is one pass over the weights
        (True, {"slots": 16, "n_batch": 8}, {"n_batch": 32, "n_ubatch": 8}),  # room for two tokens a slot
        (True, {"reproducible": True}, {"flash_attention": False}),
        (True, {"flash_attention": False}, {"flash_attention": False}),
    ],
)
def test_what_is_left_open_is_decided(is_cpu: bool, settings: dict[str, Any], wanted: dict[str, Any]) -> None:
    found, _ = resolved(DEMO, is_cpu=is_cpu, **settings)
    assert {name: getattr(found, name) for name in wanted} == wanted


ON, OFF, IF_IT_CAN = 1, 0, -1


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"offload_kv": True}, IF_IT_CAN),  # a GPU may have no kernel for the model's heads
        ({"offload_kv": True, "flash_attention": False}, OFF),
        ({"offload_kv": True, "cache_type_v": "q8_0"}, ON),  # which needs it
        ({"offload_kv": False}, ON),  # the cache is the CPU's, which has every kernel
        ({"offload_kv": False, "flash_attention": False}, OFF),
    ],
)
def test_flash_attention_is_forced_where_its_device_is_known(settings: dict[str, Any], wanted: int) -> None:
    """Forced on a GPU that lacks the kernel, every layer's attention would be computed on the CPU."""
    usual = resolved(DEMO)[0].__dict__
    assert flash_attention(ContextSettings(**(usual | settings))) == wanted


@pytest.mark.parametrize(
    ("line", "without"),
    [
        ("resolve_fused_ops: Flash Attention not supported, set to disabled", True),
        ("llama_init_from_model: flash_attn is not compatible with Grok - forcing off", True),
        ("resolve_fused_ops: Flash Attention enabled", False),
        ("resolve_fused_ops: Lightning Indexer not supported, set to disabled", False),
        ("resolve_fused_ops: layer 0 is assigned to device CUDA0 but Flash Attention is assigned to device CPU", False),
    ],
)
def test_whether_a_context_does_without_flash_attention_is_in_the_log(line: str, without: bool) -> None:
    assert without_flash(["llama_context: n_ctx_seq < n_ctx_train", line]) is without


def test_slots_are_as_many_as_fit() -> None:
    """Beside the context for texts to score, where it is left to the machine how many; else, and one slot, without."""
    _, kv_bytes = resolved(DEMO, context=8192)
    assert kv_bytes is not None
    needed = _fixed() + kv_bytes
    shape = shape_of(inspect_file(DEMO).metadata)
    scoring = scoring_bytes(shape, context=8192, n_ubatch=64, flash_attention=False)
    assert resolved(DEMO, context=8192, memory_share=1, free=needed + scoring)[0].slots == 8
    assert resolved(DEMO, context=8192, memory_share=1, free=needed + scoring - 1)[0].slots == 7
    assert resolved(DEMO, context=8192, memory_share=1, free=needed, slots=8)[0].slots == 8
    assert resolved(DEMO, context=8192, memory_share=1, free=_fixed() + kv_bytes // 8)[0].slots == 1
    with pytest.raises(ModelFitError, match=r"8 slots of .* Lower `slots`"):
        resolved(DEMO, context=8192, memory_share=1, free=needed - 1, slots=8)
    with pytest.raises(ModelFitError, match="1 slot of"):
        resolved(DEMO, context=8192, memory_share=1, free=_fixed())


def _fixed() -> int:
    """The least memory that one slot fits in, less that slot."""
    low, high = 0, 64 * GIB
    while high - low > 1:
        middle = (low + high) // 2
        try:
            resolved(DEMO, context=8192, memory_share=1, free=middle, slots=1)
        except ModelFitError:
            low = middle
        else:
            high = middle
    return high - (resolved(DEMO, context=8192, slots=1)[1] or 0)


def test_an_embedding_model_is_counted_with_the_micro_batch_that_it_gets(tmp_path: Path) -> None:
    """It computes a whole text at once, and the scratch for that is most of its memory."""
    path = build(TINY, tmp_path, extra={"llama.pooling_type": 1})
    found, kv_bytes = resolved(path, slots=3, context=8192)
    assert (found.n_batch, found.n_ubatch) == (8193, 8193)  # as long as the context, and the slots divide it
    assert kv_bytes is not None
    logits = 8192 * 4 * read_facts(path, "m").file_facts.vocabulary
    with pytest.raises(ModelFitError):
        resolved(path, slots=3, context=8192, memory_share=1, free=kv_bytes + logits)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cache_type_v": "q8_0", "flash_attention": False}, "needs flash attention, and that is off. Set"),
        ({"cache_type_v": "q4_0", "reproducible": True}, "off under `reproducible`. Set"),
    ],
)
def test_a_quantised_cache_needs_flash_attention(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        resolved(DEMO, **settings)
    assert isinstance(caught.value, NightjarError)
