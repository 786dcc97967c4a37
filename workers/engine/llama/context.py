"""A context's settings, resolved, as llama.cpp takes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp as llama

from nightjar.config.counting import how_many
from nightjar.config.errors import ModelError, ModelFitError
from nightjar.workers.engine.llama.library import forget_errors, recent_errors, recent_warnings
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.library.fit.estimate import cells

CACHE_TYPES = {"f16": 1, "q8_0": llama.GGML_TYPE_Q8_0, "q4_0": llama.GGML_TYPE_Q4_0}


@dataclass(frozen=True, kw_only=True)
class ContextSettings:
    """Everything resolved; `context` counts tokens per slot."""

    context: int
    slots: int
    n_batch: int
    n_ubatch: int
    threads: int
    flash_attention: bool
    offload_kv: bool
    cache_type_k: str
    cache_type_v: str
    min_copy: int = 16
    embeddings: bool = False
    sequences: int = 0
    """So many, over the cells of one cache; 0: each slot has a stream of its own."""


def open_context(model: LlamaModel, settings: ContextSettings) -> tuple[Any, bool]:
    """The handle of a new context with the model's adapters on it, and whether it computes with flash attention.

    Raises ModelFitError if it cannot be had.
    """
    forget_errors()
    context = llama.llama_init_from_model(model.handle, _params(settings))
    if not context:
        raise ModelFitError(
            f"llama.cpp cannot make a context of {how_many(settings.slots, 'slot')} of {settings.context} tokens: "
            f"{recent_errors() or 'llama.cpp gave no reason'}. Load it with fewer slots or a smaller context."
        )
    _set_adapters(context, model.adapters)
    return context, settings.flash_attention and not without_flash(recent_warnings())


def without_flash(warnings: Sequence[str]) -> bool:
    """llama.cpp says only in its log that it does without: the device has no kernel, or the model rules it out."""
    lowered = [line.lower() for line in warnings]
    return any("flash" in line and ("disabled" in line or "forcing off" in line) for line in lowered)


def _params(settings: ContextSettings) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = settings.slots * cells(settings.context)
    params.n_seq_max = settings.sequences or settings.slots
    params.n_batch = settings.n_batch
    params.n_ubatch = min(settings.n_ubatch, settings.n_batch)
    params.n_threads = params.n_threads_batch = settings.threads
    params.flash_attn_type = flash_attention(settings)
    params.offload_kqv = params.op_offload = settings.offload_kv
    params.type_k, params.type_v = CACHE_TYPES[settings.cache_type_k], CACHE_TYPES[settings.cache_type_v]
    # Separate streams decode distinct contexts faster, but would pool the mean of the last piece of a text only.
    params.kv_unified = settings.embeddings or settings.sequences > 0
    params.swa_full = False
    params.no_perf = True
    params.embeddings = settings.embeddings
    return params


def flash_attention(settings: ContextSettings) -> int:
    """On, off, or where the device has a kernel for the model's heads: forced on without one, each layer's attention
    would be computed on the CPU. llama.cpp looks for the layers' device alone, so where the cache is kept off it, and
    where a quantised cache needs it, the answer is not left to it."""
    if not settings.flash_attention:
        return int(llama.LLAMA_FLASH_ATTN_TYPE_DISABLED)
    if settings.cache_type_v != "f16" or not settings.offload_kv:
        return int(llama.LLAMA_FLASH_ATTN_TYPE_ENABLED)
    return int(llama.LLAMA_FLASH_ATTN_TYPE_AUTO)


def _set_adapters(context: Any, adapters: Sequence[tuple[Any, float]]) -> None:
    if not adapters:
        return
    handles = (llama.llama_adapter_lora_p_ctypes * len(adapters))(*(adapter for adapter, _ in adapters))
    scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
    if llama.llama_set_adapters_lora(context, handles, len(adapters), scales) != 0:
        raise ModelError("llama.cpp cannot apply these LoRA adapters together.")
