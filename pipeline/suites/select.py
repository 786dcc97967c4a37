"""`--only` and `--limit`: which sequences of a suite a run takes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.documents import SequenceRef


def select(sequences: Sequence[SequenceRef], only: Sequence[str] = (), limit: int | None = None) -> list[SequenceRef]:
    """The sequences with one of these tags or ids, in suite order, at most `limit` of them.

    The id of a sequence with variables selects all its rows. Raises UnknownNameError for a word that selects nothing.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit is {limit}: it must be 1 or more.")
    for word in only:
        if not any(word in _names_of(sequence) for sequence in sequences):
            known = set().union(*(_names_of(sequence) for sequence in sequences))
            raise UnknownNameError("tag or sequence", word, known, "--only would select nothing.")
    taken = [sequence for sequence in sequences if not only or _names_of(sequence) & set(only)]
    return taken[:limit]


def _names_of(sequence: SequenceRef) -> set[str]:
    """What selects a sequence: its id, its id without the row, its tags."""
    return {sequence.id, sequence.id.partition("[")[0], *sequence.tags}
