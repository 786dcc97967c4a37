"""A context whose logits are read row by row: what a loaded model thinks of each token of a text."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt

from nightjar.config.counting import how_many
from nightjar.config.errors import EngineError
from nightjar.workers.engine.llama.batch import Batch
from nightjar.workers.engine.llama.context import ContextSettings, open_context
from nightjar.workers.engine.llama.library import recent_errors
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.slots import Piece, Work

_NOBODY = Work("nobody", ())


class LogitsContext:
    """One conversation on a model. It belongs to one thread at a time."""

    def __init__(self, model: LlamaModel, settings: ContextSettings) -> None:
        """`settings` with one slot; `n_batch` is the most tokens that `extend` takes. Raises ModelFitError."""
        self.vocabulary = model.tokenizer.size
        self._ctx, self.flash_attention = open_context(model, settings)
        self._memory = llama.llama_get_memory(self._ctx)
        self._batch = Batch(settings.n_batch)
        self._length = 0

    def begin(self) -> None:
        """Forgets all tokens."""
        llama.llama_memory_clear(self._memory, False)
        self._length = 0

    def extend(self, ids: Sequence[int], wanted: Sequence[bool]) -> npt.NDArray[np.float32]:
        """Reads on, and returns the logits after each wanted token: rows x vocabulary, in place, valid until the next
        call. llama.cpp holds a row for each wanted one. Raises EngineError."""
        piece = Piece(slot=0, start=self._length, ids=tuple(ids), output=False, work=_NOBODY)
        self._batch.fill([piece])
        self._batch.want(wanted)
        code = llama.llama_decode(self._ctx, self._batch.struct)
        if code != 0:
            raise EngineError(
                f"Decoding {how_many(len(ids), 'token')} from {self._length:,} on failed with code {code}. "
                f"{recent_errors()}".rstrip()
            )
        self._length += len(ids)
        rows = sum(wanted)
        if not rows:
            return np.empty((0, self.vocabulary), np.float32)
        pointer = llama.llama_get_logits(self._ctx)
        if not pointer:
            raise EngineError("llama.cpp has no logits after decoding.")
        kind: Any = ctypes.c_float * (rows * self.vocabulary)
        address = ctypes.cast(pointer, ctypes.c_void_p).value or 0
        return np.frombuffer(kind.from_address(address), np.float32).reshape(rows, self.vocabulary)

    def close(self) -> None:
        """Frees the context; the model stays."""
        if self._ctx:
            llama.llama_free(self._ctx)
            self._ctx = None
