"""How much memory a model and its cache take, and how many slots fit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.errors import ModelFitError

BYTES_PER_VALUE = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Of the KV cache types: a block of 32 values carries one or two extra bytes of scale."""
OVERHEAD_BYTES = 256 * 2**20
"""Compute buffers and the runtime, roughly; on top of what scales with the model."""


@dataclass(frozen=True, kw_only=True)
class CacheShape:
    """What one token takes in the KV cache: values of K and of V, summed over the layers."""

    k_values: int
    v_values: int

    def bytes_per_token(self, cache_type_k: str, cache_type_v: str) -> float:
        return self.k_values * BYTES_PER_VALUE[cache_type_k] + self.v_values * BYTES_PER_VALUE[cache_type_v]


def cache_shape(values: Mapping[str, Any], architecture: str) -> CacheShape | None:
    """From a GGUF file's metadata; None where it does not say (recurrent models, mostly)."""

    def of(key: str) -> Any:
        return values.get(f"{architecture}.{key}")

    layers, width, heads = of("block_count"), of("embedding_length"), of("attention.head_count")
    if not isinstance(layers, int) or not isinstance(width, int) or not heads:
        return None
    kv_heads = _per_layer(of("attention.head_count_kv") or heads, layers)
    head = width // max(_per_layer(heads, layers)[0], 1)
    key, value = of("attention.key_length") or head, of("attention.value_length") or head
    return CacheShape(k_values=sum(kv_heads) * key, v_values=sum(kv_heads) * value)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Memory of one device, and what is to go into it. Bytes."""

    device: str
    free: int
    share: float
    model: int
    cache_per_slot: int

    @property
    def for_cache(self) -> int:
        return int(self.free * self.share) - self.model - OVERHEAD_BYTES


def fitting_slots(budget: Budget, most: int) -> int:
    """The most slots that fit, up to `most`. Raises ModelFitError where not even one does."""
    fit = budget.for_cache // max(budget.cache_per_slot, 1)
    if fit < 1:
        check_fit(budget, 1)
    return min(most, fit)


def check_fit(budget: Budget, slots: int) -> None:
    """Raises ModelFitError, with the numbers, where these slots do not fit."""
    needed = slots * budget.cache_per_slot
    if needed <= budget.for_cache:
        return
    raise ModelFitError(
        f"The model does not fit {budget.device}: it needs {_gib(budget.model)} for the weights, {_gib(needed)} for "
        f"the KV cache ({slots} slots of {_gib(budget.cache_per_slot)}) and about {_gib(OVERHEAD_BYTES)} to compute; "
        f"it may use {_gib(int(budget.free * budget.share))} ({budget.share:.0%} of {_gib(budget.free)} free). "
        "Lower `slots` or `context`, set `cache_type_k` and `cache_type_v` to q8_0, take a smaller quantisation, "
        "or raise `memory_share`."
    )


def _per_layer(value: int | Sequence[int], layers: int) -> list[int]:
    return [value] * layers if isinstance(value, int) else list(value)


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**27 else f"{count / 2**20:.1f} MiB"
