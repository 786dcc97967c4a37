"""How texts lie in the scoring context's cells: as branches of one tree, or resumed one after the other. Pure.

Branches share all that they begin alike, in one batch, whatever its shape: the fewest cells computed, but quantised
weights give other last digits in another shape. Resumed, every text is cut and computed as it would be by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple, Protocol

from nightjar.workers.engine.prefix import WIDTH, Key, common_length
from nightjar.workers.engine.score_texts import (
    Branch,
    RowReading,
    ScoreText,
    ScoreWork,
    TreeCell,
    distinct_cells,
    tree_of_cells,
)

MOST_BRANCHES = 64
MOST_KEPT = 8
"""Contexts that stay in the cache for texts that begin alike: one a header, mostly."""
LEAST_KEPT = 16
"""A context of fewer ids is computed again sooner than it is looked for."""
GROUP_CELLS = 512
"""Texts are added to a group until so many cells are to be computed: more of them gain nothing."""


class ScoreCache(Protocol):
    """The cells of the scoring context. Sequences are numbered from 0."""

    @property
    def sequences(self) -> int: ...

    @property
    def cells(self) -> int:
        """Room for so many, of all sequences; what they share is there once."""

    def copy(self, source: int, target: int, keep: int) -> None:
        """The first `keep` cells of a sequence become another's, which is empty, without taking room."""

    def trim(self, sequence: int, keep: int) -> None:
        """Drops the cells from `keep` on."""


class ScoreLayout(Protocol):
    """Used in turns: `begin`, its runs decoded in order, `end`."""

    name: str

    def begin(self, waiting: Sequence[ScoreWork]) -> list[list[TreeCell]]:
        """The next texts of waiting works, the first one's among them, as runs of cells to decode in this order. What
        is begun is no longer among the works' texts."""

    def computed(self, run: Sequence[TreeCell]) -> None:
        """A run, or a part of one, is in the cache."""

    def end(self) -> None:
        """All that was wanted of the runs is computed."""

    def forget(self) -> None:
        """The cache was emptied."""


class Branches:
    """See `ScoreLayout`. Runs may be cut anywhere."""

    name = "branches"

    def __init__(self, cache: ScoreCache) -> None:
        self._cache = cache
        self._most = min(MOST_BRANCHES, cache.sequences - MOST_KEPT)
        self._kept: dict[int, Key] = {}
        """Contexts by their sequence, the one used longest ago first."""
        self._group: list[Branch] = []

    def begin(self, waiting: Sequence[ScoreWork]) -> list[list[TreeCell]]:
        texts = self._choose(waiting)
        for source in dict.fromkeys(self._source(text)[0] for text in texts):
            if source is not None:
                self._kept[source] = self._kept.pop(source)  # the last to be let go
        run = self._plan(texts)
        while distinct_cells(list(self._kept.values())) + len(run) > self._cache.cells:
            if len(texts) > 1 and len(self._kept) < 2:
                texts.pop()
            else:
                self._drop(next(iter(self._kept)))
            run = self._plan(texts)
        for branch in self._group:
            branch.text.work.texts.remove(branch.text)
            if branch.source is not None:
                self._cache.copy(branch.source, branch.sequence, branch.keep)
        return [run]

    def computed(self, run: Sequence[TreeCell]) -> None: ...

    def end(self) -> None:
        for branch in self._group:
            work = branch.text.work
            if not work.dropped and len(work.request.context) >= LEAST_KEPT:
                self._keep(branch.text.key[: WIDTH * len(work.request.context)], branch.sequence)
        for branch in self._group:
            self._cache.trim(branch.sequence, 0)
        self._group = []

    def forget(self) -> None:
        self._kept, self._group = {}, []

    def _choose(self, waiting: Sequence[ScoreWork]) -> list[ScoreText]:
        """The first work's texts, then those that begin most like them."""
        first, *others = waiting
        key = first.texts[0].key
        others.sort(key=lambda work: -common_length(key, work.texts[0].key))
        chosen: list[ScoreText] = []
        cells = 0
        for text in (text for work in (first, *others) for text in work.texts):
            if len(chosen) == self._most or cells >= GROUP_CELLS:
                break
            shared = common_length(chosen[-1].key, text.key) if chosen else 0
            cells += len(text.ids) - max(shared, self._source(text)[1])
            chosen.append(text)
        return chosen

    def _plan(self, texts: Sequence[ScoreText]) -> list[TreeCell]:
        self._group = [Branch(text, MOST_KEPT + at, *self._source(text)) for at, text in enumerate(texts)]
        return tree_of_cells(self._group)

    def _source(self, text: ScoreText) -> tuple[int | None, int]:
        """The context that shares most with a text, and how much of it can be used: what is read is computed."""
        shares = [(common_length(key, text.key), sequence) for sequence, key in self._kept.items()]
        length, source = max(shares, default=(0, None), key=lambda share: share[0])
        keep = min(length, text.readings[0][0])
        return (source, keep) if keep else (None, 0)

    def _keep(self, key: Key, sequence: int) -> None:
        """A context that begins mostly as another one takes its place: of one header's questions the last stays."""
        length = len(key) // WIDTH
        for known, other in list(self._kept.items()):
            if 2 * common_length(other, key) >= length:
                self._drop(known)
        if len(self._kept) == MOST_KEPT:
            self._drop(next(iter(self._kept)))
        free = next(number for number in range(MOST_KEPT) if number not in self._kept)
        self._cache.copy(sequence, free, length)
        self._kept[free] = key

    def _drop(self, sequence: int) -> None:
        del self._kept[sequence]
        self._cache.trim(sequence, 0)


class _Piece(NamedTuple):
    """Ids that are computed in one call, and where they begin."""

    start: int
    ids: tuple[int, ...]


class Resumed:
    """See `ScoreLayout`. Every text is cut at the same places whatever is in the cache: its context from its first id,
    and its continuation from its own. Runs are these pieces, and are decoded as they are."""

    name = "resumed"

    def __init__(self, cache: ScoreCache, *, width: int, shares: bool) -> None:
        """`width`: ids in a piece. `shares`: a text may go on from the pieces of the one before."""
        self._cache = cache
        self._width = width
        self._shares = shares
        self._held: list[_Piece] = []

    def begin(self, waiting: Sequence[ScoreWork]) -> list[list[TreeCell]]:
        work = waiting[0]
        text, *others = work.texts
        border = len(work.request.context)
        readings: dict[int, list[RowReading]] = {}
        for position, reading in text.readings:
            readings.setdefault(position, []).append(reading)
        for other in others:  # one row at the border serves all
            readings.setdefault(border - 1, []).extend(reading for at, reading in other.readings if at < border)
            other.readings = [(at, reading) for at, reading in other.readings if at >= border]
        work.texts = [other for other in others if other.readings]
        pieces = [*self._pieces(text.ids, 0, border), *self._pieces(text.ids, border, len(text.ids))]
        keep = self._shared(pieces, until=min(at for at, values in readings.items() if values))
        del self._held[keep:]
        self._cache.trim(0, pieces[keep].start)
        return [
            [TreeCell(token, at, [0], readings.get(at, []), [work]) for at, token in enumerate(ids, start=start)]
            for start, ids in pieces[keep:]
        ]

    def computed(self, run: Sequence[TreeCell]) -> None:
        self._held.append(_Piece(run[0].position, tuple(cell.token for cell in run)))

    def end(self) -> None: ...

    def forget(self) -> None:
        self._held = []

    def _pieces(self, ids: tuple[int, ...], start: int, end: int) -> list[_Piece]:
        return [_Piece(at, ids[at : min(at + self._width, end)]) for at in range(start, end, self._width)]

    def _shared(self, pieces: Sequence[_Piece], until: int) -> int:
        """How many of these the cache holds already, of those before the first position whose row is read."""
        if not self._shares:
            return 0
        usable = takewhile(lambda piece: piece.start + len(piece.ids) <= until, pieces)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(usable, self._held, strict=False)))
