"""The context that scores given texts: one cache of cells that sequences share, rows of logits of chosen cells."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import llama_cpp as llama
import numpy as np

from nightjar.config.counting import how_many
from nightjar.config.errors import EngineError
from nightjar.workers.engine.llama.abort_text import AbortText, decode_error
from nightjar.workers.engine.llama.context import ContextSettings, open_context
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.score_layouts import MOST_BRANCHES, MOST_KEPT
from nightjar.workers.engine.score_rows import Logits
from nightjar.workers.engine.score_texts import TreeCell
from nightjar.workers.library.fit.estimate import scoring_cells


class LlamaScoreDevice:
    """See `ScoreDevice`."""

    def __init__(self, model: LlamaModel, settings: ContextSettings, abort_text: AbortText) -> None:
        """`settings`: of the context that generates. Raises ModelFitError if the context cannot be had."""
        self.sequences = MOST_KEPT + MOST_BRANCHES if model.can_share else 1
        self.cells = scoring_cells(settings.context)
        own = replace(
            settings,
            slots=1,
            context=self.cells,
            sequences=self.sequences,
            flash_attention=settings.flash_attention and not _slower_with_flash(settings),
        )
        self._vocabulary = model.tokenizer.size
        self._batch = _Batch(settings.n_batch, self.sequences)
        self._ctx, _ = open_context(model, own)
        self._memory = llama.llama_get_memory(self._ctx)
        self._abort_text = abort_text
        abort_text.heard_by(self._ctx)

    def copy(self, source: int, target: int, keep: int) -> None:
        llama.llama_memory_seq_cp(self._memory, source, target, 0, keep)

    def trim(self, sequence: int, keep: int) -> None:
        if not llama.llama_memory_seq_rm(self._memory, sequence, keep or -1, -1):
            raise EngineError(f"The cache of texts to score cannot be trimmed to {keep} tokens.")

    def decode(self, run: Sequence[TreeCell]) -> Logits:
        outputs = self._batch.fill(run)
        self._abort_text.clear()
        code = llama.llama_decode(self._ctx, self._batch.struct)
        if code != 0:
            raise decode_error(code, f"{how_many(len(run), 'token')} to score")
        if not outputs:
            return np.empty((0, self._vocabulary), np.float32)
        pointer = llama.llama_get_logits(self._ctx)  # waits for the device
        if not pointer:
            raise EngineError("llama.cpp has no logits after decoding.")
        return np.ctypeslib.as_array(pointer, shape=(outputs, self._vocabulary))

    def clear(self) -> None:
        llama.llama_memory_clear(self._memory, False)

    def set_threads(self, count: int) -> None:
        llama.llama_set_n_threads(self._ctx, count, count)

    def close(self) -> None:
        if self._ctx:
            llama.llama_free(self._ctx)
            self._ctx = None


def _slower_with_flash(settings: ContextSettings) -> bool:
    """On a CPU flash attention goes row by row, and texts are many rows at once: of SmolLM2's four-choice questions 4.2
    continuations took a second of CPU time without it, and 1.6 with it. A quantised cache cannot do without it."""
    return not settings.offload_kv and settings.cache_type_v == "f16"


class _Batch:
    """A llama_batch whose tokens may be several sequences' at once."""

    def __init__(self, size: int, sequences: int) -> None:
        self._sequences: Any = (ctypes.c_int32 * sequences * size)()
        self._token, self._pos, self._counts = ((ctypes.c_int32 * size)() for _ in range(3))
        self._output: Any = (ctypes.c_int8 * size)()
        first, width = ctypes.addressof(self._sequences), ctypes.sizeof(ctypes.c_int32) * sequences
        addresses = (ctypes.c_void_p * size)(*range(first, first + width * size, width))
        self.struct = llama.llama_batch(
            token=self._token,
            pos=self._pos,
            n_seq_id=self._counts,
            seq_id=ctypes.cast(addresses, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=self._output,
        )

    def fill(self, run: Sequence[TreeCell]) -> int:
        """Writes the cells; returns how many rows they give."""
        n = len(run)
        self._token[:n] = [cell.token for cell in run]
        self._pos[:n] = [cell.position for cell in run]
        self._counts[:n] = [len(cell.sequences) for cell in run]
        outputs = [1 if cell.readings else 0 for cell in run]
        self._output[:n] = outputs
        for row, cell in zip(self._sequences, run, strict=False):
            row[: len(cell.sequences)] = cell.sequences
        self.struct.n_tokens = n
        return sum(outputs)
