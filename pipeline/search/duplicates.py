"""Replies of a run that are nearly the same: what commands and pages call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nightjar.config.errors import NightjarError
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.search.unindexed import find_unindexed
from nightjar.jobs.search.vector_reading import (
    HitPlace,
    Seen,
    StoredText,
    describe_places,
    read_stored_texts,
    repeated_ids,
    seen_ids,
)
from nightjar.jobs.search.vectors import TextKind, TextPlace
from nightjar.pipeline.search.matrix import VectorMatrix, open_matrix
from nightjar.pipeline.search.rank import near_groups
from nightjar.pipeline.search.sentences import clipped
from nightjar.pipeline.search.start import FoundRows, catch_up

READ_AT_ONCE = 500
"""Texts that are in memory at the same time."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class EqualGroup:
    """Replies that are nearly the same, of which the first is shown."""

    sentence: str
    least: float
    """The smallest cosine to the first of them."""
    places: tuple[HitPlace, ...]


async def find_equal_replies(
    run: str, least: float, embedder: TextEmbedder, database: Database, home: Path
) -> list[EqualGroup]:
    """The groups of replies of a run that are nearly the same text, the largest first.

    Every reply is compared with every other one; cancelled, that ends soon. Raises NightjarError where too much is not
    indexed.
    """
    model = embedder.facts.digest
    if notices := await catch_up(await find_unindexed(model, database), embedder, database):
        raise NightjarError(notices[0])
    seen = Seen(run=run, part=TextKind.REPLY)
    matrix = await open_matrix(home, model, database)
    rows = matrix.rows_of(await seen_ids(seen, model, database))
    groups = await _until_cancelled(lambda stopped: near_groups(matrix.vectors, rows, least, stopped))
    grouped = {at for group in groups for at in group}
    repeated = set(await repeated_ids(seen, model, database))
    groups += [[at] for at, row in enumerate(rows) if at not in grouped and matrix.name(int(row)) in repeated]
    equal: list[EqualGroup] = []
    for some in _batches(groups):
        equal += await _described(some, rows, matrix, seen, database)
    return sorted(equal, key=lambda group: -len(group.places))


async def _until_cancelled(work: Callable[[Callable[[], bool]], T]) -> T:
    """Does it in a thread, which is told when nobody waits for it any more."""
    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(work, cancelled.is_set)
    finally:
        cancelled.set()


def _batches(groups: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """The groups in their order, as many at a time as have about `READ_AT_ONCE` texts."""
    batch: list[list[int]] = []
    for group in groups:
        batch.append(group)
        if sum(map(len, batch)) >= READ_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _described(
    groups: Sequence[list[int]], rows: FoundRows, matrix: VectorMatrix, seen: Seen, database: Database
) -> list[EqualGroup]:
    names = {at: matrix.name(int(rows[at])) for group in groups for at in group}
    texts = await read_stored_texts(list(names.values()), seen, database)
    shown = await describe_places((place for stored in texts.values() for place in stored.places), database)
    equal = []
    for group in groups:
        placed = {at: sorted(_shown_places(texts.get(names[at]), shown), key=_reading_order) for at in group}
        ordered = sorted((at for at in group if placed[at]), key=lambda at: _reading_order(placed[at][0]))
        if not ordered:  # removed meanwhile
            continue
        vectors = matrix.vectors[rows[ordered]]
        near = EqualGroup(
            sentence=clipped(texts[names[ordered[0]]].text),
            least=float(min(1.0, (vectors @ vectors[0]).min())),
            places=tuple(place for at in ordered for place in placed[at]),
        )
        equal += [near] if len(near.places) > 1 else []
    return equal


def _shown_places(stored: StoredText | None, shown: Mapping[TextPlace, HitPlace]) -> list[HitPlace]:
    return [] if stored is None else [shown[place] for place in stored.places if place in shown]


def _reading_order(place: HitPlace) -> tuple[str, int, str, int]:
    """The same from one look to the next, which the vectors' order is not."""
    return place.sequence or "", place.turn, place.model, place.repeat or 0
