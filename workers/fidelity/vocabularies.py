"""Whether two loads have one vocabulary: only then do their distributions lie over the same tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def vocabulary_difference(reference: Sequence[bytes], candidate: Sequence[bytes]) -> str | None:
    """The first way in which two vocabularies differ, in words; None where they are one."""
    at = next((at for at, (one, two) in enumerate(zip(reference, candidate, strict=False)) if one != two), None)
    if at is not None:
        sizes = f"{len(reference):,} and {len(candidate):,} entries"
        return f"{sizes}; the first that differs is token {at}, {_shown(reference[at])} and {_shown(candidate[at])}"
    if len(reference) != len(candidate):
        return f"{len(reference):,} and {len(candidate):,} entries, alike as far as both go"
    return None


def _shown(entry: bytes) -> str:
    return repr(entry.decode("utf-8", "replace"))
