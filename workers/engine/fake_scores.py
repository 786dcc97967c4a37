"""The scripted engine's context for given texts: every row says something, and every rule broken is an error."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from nightjar.config.errors import EngineError
from nightjar.workers.engine.prefix import key_of
from nightjar.workers.engine.score_layouts import MOST_BRANCHES, MOST_KEPT
from nightjar.workers.engine.score_rows import Logits
from nightjar.workers.engine.score_texts import TreeCell


def scripted_row(ids: Sequence[int], vocabulary: int) -> Logits:
    """The logits after these ids: the same for the same ids, whatever else is computed."""
    random = np.random.default_rng(zlib.crc32(key_of(ids)))
    return random.standard_normal(vocabulary).astype(np.float32)


class ScriptedScoreDevice:
    """See `backend.ScoreDevice`. `held` mirrors what llama.cpp would hold for each sequence."""

    def __init__(self, vocabulary: int, cells: int, *, shares: bool = True) -> None:
        self.sequences = MOST_KEPT + MOST_BRANCHES if shares else 1
        self.cells = cells
        self.held: list[list[int]] = [[] for _ in range(self.sequences)]
        self.computed = 0
        self.runs: list[int] = []
        """Cells of each decode."""
        self.fails = False
        self.closed = False
        self._vocabulary = vocabulary
        self._places: list[list[int]] = [[] for _ in range(self.sequences)]
        """Which cells of the one cache these are."""

    def copy(self, source: int, target: int, keep: int) -> None:
        assert source != target
        assert not self.held[target], "a sequence that is not empty"
        assert keep <= len(self.held[source])
        self.held[target] = self.held[source][:keep]
        self._places[target] = self._places[source][:keep]

    def trim(self, sequence: int, keep: int) -> None:
        assert keep == 0 or keep <= len(self.held[sequence])
        del self.held[sequence][keep:], self._places[sequence][keep:]

    def decode(self, run: Sequence[TreeCell]) -> Logits:
        assert run
        assert not self.closed
        if self.fails:
            raise EngineError("The scripted context failed, as it was told to.")
        rows = [row for cell in run if (row := self._computed(cell)) is not None]
        self.runs.append(len(run))
        assert len({place for places in self._places for place in places}) <= self.cells, "no room"
        return np.stack(rows) if rows else np.empty((0, self._vocabulary), np.float32)

    def _computed(self, cell: TreeCell) -> Logits | None:
        self.computed += 1
        assert cell.sequences
        first = self.held[cell.sequences[0]]
        for sequence in cell.sequences:
            assert len(self.held[sequence]) == cell.position, "a gap, or a position written twice"
            assert sequence == cell.sequences[0] or self.held[sequence] == first, "sequences that differ share a cell"
        for sequence in cell.sequences:
            self.held[sequence].append(cell.token)
            self._places[sequence].append(self.computed)
        return scripted_row(first, self._vocabulary) if cell.readings else None

    def clear(self) -> None:
        self.held = [[] for _ in range(self.sequences)]
        self._places = [[] for _ in range(self.sequences)]
        self.fails = False

    def set_threads(self, count: int) -> None: ...

    def close(self) -> None:
        assert not self.closed
        self.closed = True
