"""What one call of llama.cpp decodes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp as llama
import numpy as np

from workers.engine.slots import Piece


class Batch:
    """A llama_batch over numpy arrays, so that a step's tokens are written with a few assignments."""

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._pos = np.zeros(size, np.int32)
        self._count = np.ones(size, np.int32)
        self._seq = np.zeros(size, np.int32)
        self._output = np.zeros(size, np.int8)
        self._seq_pointers = self._seq.ctypes.data + 4 * np.arange(size, dtype=np.uint64)
        self.struct = llama.llama_batch()
        self.struct.token = self._token.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.pos = self._pos.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.n_seq_id = self._count.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.seq_id = self._seq_pointers.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        self.struct.logits = self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(self, pieces: Sequence[Piece]) -> list[int]:
        """Writes the pieces one after the other; returns the index of each one's last token."""
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        outputs: list[int] = []
        rows: list[int] = []
        for piece in pieces:
            count = len(piece.ids)
            tokens.extend(piece.ids)
            positions.extend(range(piece.start, piece.start + count))
            slots.extend([piece.slot] * count)
            outputs.extend([0] * (count - 1))
            outputs.append(piece.output)
            rows.append(len(tokens) - 1)
        n = len(tokens)
        self._token[:n], self._pos[:n], self._seq[:n], self._output[:n] = tokens, positions, slots, outputs
        self.struct.n_tokens = n
        return rows

    def want_all(self) -> None:
        """Every token's output is wanted, as pooling does."""
        self._output[: self.struct.n_tokens] = 1
