"""Slots: places in the KV cache, and the work that occupies them. Pure.

What every step creates is a tuple: creating a frozen dataclass takes twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from nightjar.workers.engine.prefix import Key, key_of

Ids = tuple[int, ...]


@dataclass(eq=False)
class Work:
    """One request on its way through the scheduler. Lengths are derived from its slot's cells."""

    id: str
    prompt: Ids
    final: bool = False
    """No later prompt will extend this one: its reply's cells are worth nothing once it ends."""
    replies: tuple[tuple[int, int], ...] = ()
    """Where earlier replies stand in the prompt: [start, end)."""
    slot: Slot | None = None
    leader: Work | None = None
    """Computes a beginning that this work shares; until it is there, this work waits in its slot."""
    shared: int = 0
    """Ids to take over from the leader."""
    reused: int = 0
    """Prompt ids taken from the cache instead of being computed."""
    pending: int | None = None
    """The last sampled id, not yet in the cache."""
    passed_over: int = 0
    admitted: int = 0
    """Order of admission."""
    key: Key = field(init=False)
    """The prompt, for the prefix tree."""

    def __post_init__(self) -> None:
        self.key = key_of(self.prompt)

    def same_way(self, start: int) -> int:
        """How many prompt ids from `start` may be computed together as they were at first: 1 inside a reply."""
        for first, end in self.replies:
            if start < first:
                return first - start
            if start < end:
                return 1
        return len(self.prompt) - start


@dataclass(eq=False)
class Slot:
    """A resident conversation's place in the KV cache; cell i holds position i."""

    index: int
    cells: list[int] = field(default_factory=list)
    work: Work | None = None
    last_used: int = 0
    """Step number."""
    awaited: bool = False
    """Idle between two turns of a conversation: its next prompt will go on from these cells."""


class Copy(NamedTuple):
    """The first `keep` cells of `source` become all of `target`."""

    source: int
    target: int
    keep: int


class Trim(NamedTuple):
    """Cells from `keep` on are dropped."""

    slot: int
    keep: int


Move = Copy | Trim


class Piece(NamedTuple):
    """Ids to decode in one slot from position `start`; with `output`, logits of the last one are wanted."""

    slot: int
    start: int
    ids: Ids
    output: bool
    work: Work


by_slot = attrgetter("slot")
"""To sort pieces by."""


class Step(NamedTuple):
    """Moves, in this order, then one decode of all pieces, by ascending slot."""

    moves: Sequence[Move]
    pieces: Sequence[Piece]


class Output(NamedTuple):
    """These works sample from the logits of `piece`: its own and those whose whole prompt it computed."""

    piece: int
    works: tuple[Work, ...]
