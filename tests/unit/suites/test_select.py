"""`--only` and `--limit`."""

from __future__ import annotations

import pytest

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.documents import SequenceRef
from nightjar.jobs.sequences import Mode
from nightjar.pipeline.suites.select import select

REFS = [
    SequenceRef(id=identity, digest="d", document="e", turns=1, mode=Mode.CHAT, tags=tags)
    for identity, tags in [("a", ("x",)), ("b[1]", ("y",)), ("b[2]", ("y", "x")), ("c", ())]
]


@pytest.mark.parametrize(
    ("only", "limit", "expected"),
    [
        ((), None, ["a", "b[1]", "b[2]", "c"]),
        (("x",), None, ["a", "b[2]"]),  # a tag
        (("c",), None, ["c"]),  # an id
        (("b",), None, ["b[1]", "b[2]"]),  # all rows of a sequence
        (("b[2]",), None, ["b[2]"]),  # one row
        (("c", "x"), None, ["a", "b[2]", "c"]),  # any of them, in suite order
        ((), 2, ["a", "b[1]"]),
        (("x",), 1, ["a"]),
        (("x",), 9, ["a", "b[2]"]),
    ],
)
def test_selects_in_suite_order(only: tuple[str, ...], limit: int | None, expected: list[str]) -> None:
    assert [ref.id for ref in select(REFS, only, limit)] == expected


def test_a_word_that_selects_nothing_is_refused_even_beside_one_that_does() -> None:
    with pytest.raises(UnknownNameError, match=r"no tag or sequence 'b\[3\]'.*Did you mean"):
        select(REFS, ("a", "b[3]"))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(limit: int) -> None:
    with pytest.raises(UsageError, match="must be 1 or more"):
        select(REFS, (), limit)
