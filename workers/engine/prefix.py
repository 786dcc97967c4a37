"""A prefix tree over the token ids that slots hold or are about to compute. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Ids = tuple[int, ...]


@dataclass
class _Node:
    label: Ids = ()
    """Ids on the edge that leads here."""
    slots: set[int] = field(default_factory=set)
    """Slots whose path runs through this node or ends in it."""
    children: dict[int, _Node] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Match:
    """`slots` all begin with the first `length` ids of what was looked for; no slot shares more."""

    length: int
    slots: frozenset[int]


class PrefixTree:
    """Each slot has at most one path. Edges are split where paths part and merged where they no longer do."""

    def __init__(self) -> None:
        self._root = _Node()
        self._paths: dict[int, Ids] = {}

    def path(self, slot: int) -> Ids:
        return self._paths.get(slot, ())

    def put(self, slot: int, ids: Ids) -> None:
        """Makes `ids` the slot's path, in place of its old one."""
        if self._paths.get(slot) == ids:
            return
        self.remove(slot)
        if not ids:
            return
        self._paths[slot] = ids
        node, at = self._root, 0
        while at < len(ids):
            child = node.children.get(ids[at])
            if child is None:
                node.children[ids[at]] = _Node(ids[at:], {slot})
                return
            shared = common_length(child.label, ids[at:])
            if shared < len(child.label):
                child = _split(node, child, shared)
            child.slots.add(slot)
            node, at = child, at + shared

    def remove(self, slot: int) -> None:
        """Takes the slot's path out; nothing happens where it has none."""
        ids = self._paths.pop(slot, ())
        node, at = self._root, 0
        while at < len(ids):
            child = node.children[ids[at]]
            at += len(child.label)
            child.slots.discard(slot)
            if not child.slots:
                del node.children[child.label[0]]
                break
            node = child
        self._merge_along(ids)

    def match(self, ids: Ids) -> Match:
        """The longest beginning of `ids` on any path."""
        node, at = self._root, 0
        while at < len(ids):
            child = node.children.get(ids[at])
            if child is None:
                break
            shared = common_length(child.label, ids[at : at + len(child.label)])
            at += shared
            node = child
            if shared < len(child.label):
                break
        return Match(length=at, slots=frozenset(node.slots))

    def check_integrity(self) -> None:
        """Asserts that the tree holds exactly its paths."""
        for node in self._nodes(self._root):
            assert node.slots, "a node without slots"
            assert all(len(node.children) > 1 or c.slots != node.slots for c in node.children.values()), "not merged"
            for first, child in node.children.items():
                assert child.label[0] == first, "a child under a wrong id"
                assert child.slots <= node.slots, "a child's slot is missing above it"
        for slot, ids in self._paths.items():
            match = self.match(ids)
            assert match.length == len(ids), f"slot {slot}: path cut short"
            assert slot in match.slots, f"slot {slot}: path lost"

    def _nodes(self, node: _Node) -> Iterator[_Node]:
        for child in node.children.values():
            yield child
            yield from self._nodes(child)

    def _merge_along(self, ids: Ids) -> None:
        """Joins nodes on this path with their only child, where both belong to the same slots."""
        node, at = self._root, 0
        while at < len(ids) and (child := node.children.get(ids[at])) is not None:
            while len(child.children) == 1:
                (only,) = child.children.values()
                if only.slots != child.slots:
                    break
                child.label, child.children = child.label + only.label, only.children
            at += len(child.label)
            node = child


def _split(parent: _Node, child: _Node, length: int) -> _Node:
    """Cuts the edge to `child` after `length` ids; the new node between them is returned."""
    upper = _Node(child.label[:length], set(child.slots), {child.label[length]: child})
    child.label = child.label[length:]
    parent.children[upper.label[0]] = upper
    return upper


def common_length(a: Ids, b: Ids) -> int:
    """How many ids two sequences share from the start; halving, since comparing slices is fast."""
    high = min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low
