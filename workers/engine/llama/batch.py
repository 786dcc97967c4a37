"""What one call of llama.cpp decodes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp as llama

from nightjar.workers.engine.slots import Piece


class Batch:
    """A llama_batch over arrays of its own, so that a step's tokens are written with a few assignments."""

    def __init__(self, size: int) -> None:
        numbers: Any = ctypes.c_int32 * size
        self._token, self._pos, self._seq = numbers(), numbers(), numbers()
        self._output: Any = (ctypes.c_int8 * size)()
        first = ctypes.addressof(self._seq)
        width = ctypes.sizeof(ctypes.c_int32)
        addresses = (ctypes.c_void_p * size)(*range(first, first + width * size, width))
        self.struct = llama.llama_batch(
            token=self._token,
            pos=self._pos,
            n_seq_id=numbers(*[1] * size),
            seq_id=ctypes.cast(addresses, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=self._output,
        )

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
        n = self.struct.n_tokens
        self._output[:n] = [1] * n

    def want(self, wanted: Sequence[bool]) -> None:
        """Whose outputs are wanted, token by token."""
        self._output[: self.struct.n_tokens] = [int(flag) for flag in wanted]
