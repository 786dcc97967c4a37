"""Slots: places in the KV cache, what the device allows of them, and the work that occupies them. Pure.

What every step creates is a tuple: creating a frozen dataclass takes twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from nightjar.workers.engine.pieces import marked_ids, piece_around
from nightjar.workers.engine.prefix import Key, key_of

_Ids = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class DeviceLimits:
    """What the device allows. Tokens unless the name says otherwise."""

    slots: int
    context: int
    """Cells of one slot: prompt and reply of a conversation together."""
    n_batch: int
    """Tokens in one decode, all slots together: at least one per slot, so that every conversation can go on in every
    step; prompt chunks share what the decoding ones leave. Texts embedded in one call hold no more than this."""
    can_copy: bool = True
    """One slot's cells may be copied to another."""
    can_trim: bool = True
    """The end of a slot's cells may be dropped; if not, a slot is continued exactly or cleared."""
    min_copy: int = 16
    """Fewer shared ids than this are computed again: a copy costs more."""
    fixed_pieces: int = 0
    """Prompts are cut at the same places whatever runs beside (`pieces.py`), into pieces of so many tokens; a decode
    computes one of those or the next id of every conversation that has one. 0: as it suits the step."""
    alone: bool = False
    """One slot per decode, in turns: for devices whose results depend on what else is in the batch."""


@dataclass(eq=False)
class Work:
    """One request on its way through the scheduler. Lengths are derived from its slot's cells."""

    id: str
    prompt: _Ids
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
    pending: _Ids = ()
    """The last sampled id and those that were forced after it, as far as they are not in the cache yet."""
    passed_over: int = 0
    admitted: int = 0
    """Order of admission."""
    cells: _Ids = field(init=False)
    """The prompt as slots hold it: marked where it is cut, if it is always cut at the same places."""
    key: Key = field(init=False)
    """Those, for the prefix tree."""

    def __post_init__(self) -> None:
        self.cells, self.key = self.prompt, key_of(self.prompt)

    def mark_cuts(self) -> None:
        """From now on it shares only what was cut as its own prompt is."""
        self.cells = marked_ids(self.prompt, self.replies)
        self.key = key_of(self.cells)

    def fixed_piece(self, at: int, width: int) -> tuple[int, int]:
        """Where the piece with this position of the prompt begins and ends, whatever was computed before."""
        return piece_around(at, length=len(self.prompt), replies=self.replies, width=width)


@dataclass(eq=False)
class Slot:
    """A resident conversation's place in the KV cache; cell i holds position i."""

    index: int
    cells: list[int] = field(default_factory=list)
    """Ids, marked where pieces are fixed (`pieces.py`)."""
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
    ids: _Ids
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
