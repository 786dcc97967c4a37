"""From rows of logits to what was asked of them: one row after the other, never a copy of them all. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import EngineError
from nightjar.workers.engine.score_texts import RowValue, TreeCell

Logits = npt.NDArray[np.float32]


def read_rows(rows: Logits, cells: Sequence[TreeCell]) -> None:
    """Hands each work its values: `rows` has one row for each cell with readings, in their order."""
    for row, cell in zip(rows, (cell for cell in cells if cell.readings), strict=True):
        ids = [reading.token for reading in cell.readings]
        values = row_values(row, ids, max(reading.work.request.top for reading in cell.readings))
        for reading, value in zip(cell.readings, values, strict=True):
            top = reading.work.request.top
            reading.work.take(reading, value._replace(likeliest=value.likeliest[:top]))


def row_values(row: Logits, ids: Sequence[int], top: int = 0) -> list[RowValue]:
    """Natural logarithms of the softmax of unmodified logits: log p(i) = z_i - max z - log sum_j exp(z_j - max z).

    Raises EngineError where they are no numbers.
    """
    best = int(row.argmax())
    peak = row[best]
    normaliser = float(peak) + float(np.log(np.exp(row - peak).sum(dtype=np.float64)))
    if not math.isfinite(normaliser):
        raise EngineError("The model's logits are no numbers. The file may be damaged: `nightjar model verify` tells.")
    likeliest = tuple((int(i), float(row[i]) - normaliser) for i in _likeliest(row, top))
    return [RowValue(float(row[token]) - normaliser, token == best, likeliest) for token in ids]


def _likeliest(row: Logits, top: int) -> npt.NDArray[np.intp]:
    """Ids by falling logit, equal ones by their number; the first is the greedy one."""
    count = min(top, len(row))
    if not count:
        return np.empty(0, np.intp)
    bound = np.partition(row, -count)[-count]
    ids = np.flatnonzero(row >= bound)
    chosen: npt.NDArray[np.intp] = ids[np.lexsort((ids, -row[ids]))][:count]
    return chosen
