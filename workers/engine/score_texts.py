"""Texts to score: what is read of each, and texts that begin alike as one tree, each cell computed once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from nightjar.workers.engine.prefix import WIDTH, Key, common_length, key_of
from nightjar.workers.engine.request import Scored, ScoreRequest


class RowValue(NamedTuple):
    """What a row of logits says of one id. Natural logarithms."""

    logprob: float
    greedy: bool
    likeliest: tuple[tuple[int, float], ...] = ()


@dataclass(eq=False)
class ScoreWork:
    """A request on its way: the texts that are still to be computed, and what is known of its continuations."""

    request: ScoreRequest
    texts: list[ScoreText] = field(init=False)
    values: list[list[RowValue | None]] = field(init=False)
    missing: int = field(init=False)
    """How many of the values are not known yet."""
    tokens: int = field(init=False)
    """Of all its texts."""
    computed: int = 0
    dropped: bool = False

    def __post_init__(self) -> None:
        self.values = [[None] * len(continuation) for continuation in self.request.continuations]
        self.missing = sum(map(len, self.values))
        self.texts = _texts_of(self)
        self.tokens = sum(len(text.ids) for text in self.texts)

    @property
    def begun(self) -> bool:
        """Whether any of its texts was given out to be computed."""
        return sum(len(text.ids) for text in self.texts) < self.tokens

    def take(self, reading: RowReading, value: RowValue) -> None:
        assert self.values[reading.continuation][reading.place] is None
        self.values[reading.continuation][reading.place] = value
        self.missing -= 1

    def scored(self) -> tuple[Scored, ...]:
        """Of all its continuations; none of their values is missing."""
        return tuple(map(_scored, self.values))


class RowReading(NamedTuple):
    """A value that a row gives: of this id, at this place of one of the work's continuations."""

    work: ScoreWork
    continuation: int
    place: int
    token: int


@dataclass(eq=False)
class ScoreText:
    """Ids to compute: a context and all of a continuation but its last id, whose row nobody reads."""

    work: ScoreWork
    ids: tuple[int, ...]
    readings: list[tuple[int, RowReading]]
    """By the position whose row they are read from, ascending."""
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        self.key = key_of(self.ids)


@dataclass(eq=False)
class TreeCell:
    """An id to compute at a position, for all texts that have it there."""

    token: int
    position: int
    sequences: list[int] = field(default_factory=list)
    readings: list[RowReading] = field(default_factory=list)
    works: list[ScoreWork] = field(default_factory=list)
    """Whose texts have it."""

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not all(work.dropped for work in self.works)


def _texts_of(work: ScoreWork) -> list[ScoreText]:
    """Continuations that differ in their last id alone are one text: answers of one token need the context's only."""
    context = work.request.context
    texts: dict[tuple[int, ...], ScoreText] = {}
    for number, continuation in enumerate(work.request.continuations):
        before = continuation[:-1]
        text = texts.setdefault(before, ScoreText(work, (*context, *before), []))
        text.readings += [
            (len(context) - 1 + place, RowReading(work, number, place, token))
            for place, token in enumerate(continuation)
        ]
    for text in texts.values():
        text.readings.sort(key=lambda reading: reading[0])
    return list(texts.values())


def _scored(values: Sequence[RowValue | None]) -> Scored:
    known = [value for value in values if value is not None]
    assert len(known) == len(values)
    likeliest = tuple(value.likeliest for value in known)
    return Scored(
        logprobs=tuple(value.logprob for value in known),
        greedy=tuple(value.greedy for value in known),
        likeliest=likeliest if any(likeliest) else (),
    )


class Branch(NamedTuple):
    """A text in a sequence of its own, whose first `keep` ids are there already."""

    text: ScoreText
    sequence: int
    source: int | None
    """Which sequence they are in; None where nothing is there."""
    keep: int


def tree_of_cells(branches: Sequence[Branch]) -> list[TreeCell]:
    """The cells to compute, each one after those that it follows; what branches with the same `keep` share is one."""
    cells: list[TreeCell] = []
    path: list[TreeCell] = []
    before: Branch | None = None
    for branch in sorted(branches, key=lambda branch: (branch.keep, branch.text.key)):
        text, keep = branch.text, branch.keep
        shared = common_length(before.text.key, text.key) if before is not None and before.keep == keep else 0
        del path[max(0, shared - keep) :]
        fresh = [TreeCell(text.ids[at], at) for at in range(keep + len(path), len(text.ids))]
        path += fresh
        cells += fresh
        for cell in path:
            cell.sequences.append(branch.sequence)
            cell.works.append(text.work)
        for position, reading in text.readings:
            path[position - keep].readings.append(reading)
        before = branch
    return cells


def distinct_cells(keys: Sequence[Key]) -> int:
    """How many cells these paths take where what they share is there once."""
    ordered = sorted(keys)
    return sum(map(len, ordered)) // WIDTH - sum(common_length(a, b) for a, b in pairwise(ordered))
