"""Memory that a loaded model takes, counted as llama.cpp allocates it. Pure.

Weights and KV are exact counts of tensors (a test holds them within 3 % of llama.cpp's own figures); the compute
buffer is a formula fitted to what llama.cpp reserves for the llama architecture, and not a guaranteed upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from nightjar.config.load_settings import CacheType
from nightjar.workers.library.gguf.shape import Shape

CELLS_STEP = 256
"""llama.cpp rounds a slot's context up to a multiple of this."""
SCORING_ROOM = 1024
"""Cells of the context that scores given texts beside those of the longest: for beginnings that stay, and branches."""
SCORING_ROWS = 256
"""Rows of logits that one decode of given texts gives, at most: llama.cpp keeps room for the most there ever were."""
ELEMENT_BYTES: dict[CacheType, Fraction] = {"f16": Fraction(2), "q8_0": Fraction(34, 32), "q4_0": Fraction(18, 32)}


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes, on the device and in the host's memory. On a CPU everything is the host's."""

    weights: int
    kv: int
    compute: int
    host_weights: int = 0
    host_kv: int = 0

    @property
    def device(self) -> int:
        return self.weights + self.kv + self.compute

    @property
    def host(self) -> int:
        return self.host_weights + self.host_kv

    @property
    def total(self) -> int:
        return self.device + self.host


def kv_bytes_per_token(shape: Shape, k: CacheType = "f16", v: CacheType = "f16") -> int:
    """KV of one more token of context, over the layers that see all of it."""
    return _row_bytes(shape, [layer for layer in range(shape.layers) if not shape.sliding[layer]], k, v)


def kv_bytes(
    shape: Shape, *, context: int, slots: int, n_ubatch: int, k: CacheType = "f16", v: CacheType = "f16"
) -> int:
    """KV of all slots, each of `context` tokens, and their recurrent state."""
    kept = _kv_of_layers(shape, range(shape.layers), context, n_ubatch, k, v)
    return slots * (kept + shape.state_bytes)


def cells(context: int) -> int:
    """KV cells of one slot."""
    return -(-context // CELLS_STEP) * CELLS_STEP


def scoring_cells(context: int) -> int:
    """Of the context that scores given texts of so many tokens."""
    return cells(context + SCORING_ROOM)


def compute_bytes(shape: Shape, *, context: int, n_ubatch: int, flash_attention: bool) -> int:
    """The scratch of one micro-batch: the widest of logits, attention and feed-forward."""
    wide = 4 * shape.width
    logits = 4 * shape.vocabulary + 2 * wide
    mask = 6 * cells(context) if flash_attention else 4 * (shape.heads + 1) * cells(context)
    attention = mask + (5 if flash_attention else 7) * wide
    feed_forward = 8 * shape.hidden + 3 * wide + 4 * cells(context)
    return n_ubatch * max(logits, attention, feed_forward)


def scoring_bytes(
    shape: Shape, *, context: int, n_ubatch: int, k: CacheType = "f16", v: CacheType = "f16", flash_attention: bool
) -> int:
    """The context that scores given texts: its cache, its scratch, and the rows of logits that one decode gives."""
    whole = scoring_cells(context)
    kept = kv_bytes(shape, context=whole, slots=1, n_ubatch=n_ubatch, k=k, v=v)
    scratch = compute_bytes(shape, context=whole, n_ubatch=n_ubatch, flash_attention=flash_attention)
    return kept + scratch + 4 * SCORING_ROWS * shape.vocabulary


def memory(
    shape: Shape,
    *,
    context: int,
    slots: int,
    n_ubatch: int,
    gpu_layers: int | Literal["all"] = "all",
    k: CacheType = "f16",
    v: CacheType = "f16",
    flash_attention: bool = True,
    offload_kv: bool = True,
) -> Memory:
    """What loading takes with the last `gpu_layers` layers on the device; the output counts as one, as in llama.cpp."""
    every = shape.layers + 1
    offloaded = every if gpu_layers == "all" else min(gpu_layers, every)
    first = max(every - offloaded, 0)
    on_device = range(min(first, shape.layers), shape.layers)
    output = (shape.output_bytes + (shape.input_bytes if shape.tied else 0)) if offloaded else 0
    device_weights = output + sum(shape.layer_bytes[layer] for layer in on_device)
    host_weights = shape.weights_bytes - device_weights + (shape.input_bytes if shape.tied and offloaded else 0)
    all_kv = kv_bytes(shape, context=context, slots=slots, n_ubatch=n_ubatch, k=k, v=v)
    device_kv = slots * _kv_of_layers(shape, on_device, context, n_ubatch, k, v) if offload_kv else 0
    if offload_kv and len(on_device) == shape.layers:
        device_kv = all_kv  # the recurrent state goes where the layers are
    return Memory(
        weights=device_weights,
        kv=device_kv,
        compute=compute_bytes(shape, context=context, n_ubatch=n_ubatch, flash_attention=flash_attention),
        host_weights=host_weights,
        host_kv=all_kv - device_kv,
    )


def memory_on_cpu(
    shape: Shape,
    *,
    context: int,
    slots: int,
    n_ubatch: int,
    k: CacheType = "f16",
    v: CacheType = "f16",
    flash_attention: bool = True,
) -> Memory:
    """What loading takes in the host's memory alone."""
    return Memory(
        weights=shape.weights_bytes,
        kv=kv_bytes(shape, context=context, slots=slots, n_ubatch=n_ubatch, k=k, v=v),
        compute=compute_bytes(shape, context=context, n_ubatch=n_ubatch, flash_attention=flash_attention),
    )


def _kv_of_layers(shape: Shape, layers: range, context: int, n_ubatch: int, k: CacheType, v: CacheType) -> int:
    """KV of one slot in some layers. A sliding layer keeps its window and the micro-batch that moves over it."""
    whole = cells(context)
    window = min(whole, cells(min(whole, shape.window + n_ubatch)))
    dense = [layer for layer in layers if not shape.sliding[layer]]
    sliding = [layer for layer in layers if shape.sliding[layer]]
    return whole * _row_bytes(shape, dense, k, v) + window * _row_bytes(shape, sliding, k, v)


def _row_bytes(shape: Shape, layers: Iterable[int], k: CacheType, v: CacheType) -> int:
    """KV of one token in these layers."""
    kept = list(layers)
    k_bytes = sum(shape.k_widths[layer] for layer in kept) * ELEMENT_BYTES[k]
    return int(k_bytes + sum(shape.v_widths[layer] for layer in kept) * ELEMENT_BYTES[v])
