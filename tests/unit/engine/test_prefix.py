"""The prefix tree against the plain definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nightjar.workers.engine.prefix import WIDTH, PrefixTree, common_length, key_of

paths = st.lists(st.integers(0, 2), max_size=8).map(tuple)


def plain_common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@given(paths, paths)
def test_common_length_is_the_shared_beginning(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert common_length(key_of(a), key_of(b)) == plain_common(a, b)


@given(st.lists(st.tuples(st.integers(0, 4), paths), max_size=20), paths)
def test_match_finds_the_longest_beginning_and_all_that_have_it(
    puts: list[tuple[int, tuple[int, ...]]], wanted: tuple[int, ...]
) -> None:
    """After any puts and removals (an empty path removes)."""
    tree, held = PrefixTree(), {}
    for slot, path in puts:
        tree.put(slot, key_of(path))
        held[slot] = path
        tree.check_integrity()
    match = tree.match(key_of(wanted))
    shared = {slot: plain_common(path, wanted) for slot, path in held.items()}
    assert match.length == max(shared.values(), default=0)
    if match.length:
        assert match.slots == {slot for slot, length in shared.items() if length == match.length}


@given(st.lists(paths, max_size=6))
def test_size_counts_distinct_ids(held: list[tuple[int, ...]]) -> None:
    """Its size is the number of distinct non-empty beginnings."""
    tree = PrefixTree()
    for slot, path in enumerate(held):
        tree.put(slot, key_of(path))
    size = sum(len(node.label) for node in tree._nodes(tree._root)) // WIDTH
    assert size == len({path[: i + 1] for path in held for i in range(len(path))})
