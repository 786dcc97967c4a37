"""Likelihoods the plainest way: a few calls of llama.cpp for each text by itself."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np

from nightjar.workers.engine.request import Scored

Ids = tuple[int, ...]
PLAIN_CONTEXT, MICRO_BATCH = 512, 64


class PlainScorer:
    """A context on the CPU, one thread, without flash attention; its cache is cleared before each text."""

    def __init__(self, path: Path, adapters: Sequence[tuple[Path, float]] = ()) -> None:
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = PLAIN_CONTEXT, PLAIN_CONTEXT, MICRO_BATCH
        params.n_threads = params.n_threads_batch = 1
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = llama.llama_init_from_model(self._model, params)
        self._put(adapters)
        self._vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))

    def _put(self, adapters: Sequence[tuple[Path, float]]) -> None:
        if not adapters:
            return
        loaded = [llama.llama_adapter_lora_init(self._model, str(path).encode()) for path, _ in adapters]
        assert all(loaded)
        handles = (llama.llama_adapter_lora_p_ctypes * len(loaded))(*loaded)
        scales = (ctypes.c_float * len(loaded))(*(scale for _, scale in adapters))
        assert llama.llama_set_adapters_lora(self._context, handles, len(loaded), scales) == 0

    def score(self, context: Ids, continuation: Ids) -> Scored:
        """One call for the context, which gives one row, and one for the continuation."""
        self._clear()
        rows = self._rows(context, 0, 1)
        if len(continuation) > 1:
            rows = np.concatenate([rows, self._rows(continuation[:-1], len(context), len(continuation) - 1)])
        return _read(rows, continuation)

    def echo(self, ids: Ids) -> Scored:
        """All but the first, from one call whose every row is given."""
        self._clear()
        return _read(self._rows(ids, 0, len(ids))[:-1], ids[1:])

    def _clear(self) -> None:
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)

    def _rows(self, ids: Ids, start: int, outputs: int) -> Any:
        batch = llama.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, start + at, 1
            batch.seq_id[at][0], batch.logits[at] = 0, at >= len(ids) - outputs
        assert llama.llama_decode(self._context, batch) == 0
        llama.llama_batch_free(batch)
        pointer = llama.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(outputs, self._vocabulary)).copy()

    def close(self) -> None:
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)


def _read(rows: Any, ids: Ids) -> Scored:
    peaks = rows.max(axis=1)
    sums = np.log(np.exp(rows - peaks[:, None]).sum(axis=1, dtype=np.float64))
    normalisers = peaks.astype(np.float64) + sums
    return Scored(
        logprobs=tuple(float(rows[at, token]) - float(normalisers[at]) for at, token in enumerate(ids)),
        greedy=tuple(bool(rows[at].argmax() == token) for at, token in enumerate(ids)),
    )
