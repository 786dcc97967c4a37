"""Whether llama.cpp follows rules in bounded time: no left recursion, few ways on, few ways to read a token. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from nightjar.workers.engine.grammar.characters import Ranges, has
from nightjar.workers.engine.grammar.rules import GbnfError, Rule, Symbol

MOST_RULES_IN_ROW = 2000
"""Rules that begin with one another; llama.cpp calls itself for each, 10,000 are well."""
MOST_LEFT_VISITS = 10_000_000
"""Rules that llama.cpp looks at when it seeks left recursion: it forgets which it has seen (a fifth of a second)."""
MOST_BRANCHES = 2000
"""Ways on from one place: one token takes 1.3 s at the limit."""
MOST_WAYS = 60_000
"""Ways to read the beginnings of one run of equal characters: one token takes 0.05 s at the limit."""
LONGEST_RUN = 64
"""Real vocabularies have tokens of 128 spaces."""


def check_beginnings(rules: list[Rule]) -> None:
    """Refuses a rule that can begin with itself: llama.cpp goes round in it for ever, or finds it and says little."""
    empty = _nullable(rules)
    begins = [list(_beginnings(number, rules, empty)) for number in range(len(rules))]
    try:
        order = list(TopologicalSorter(dict(enumerate(begins))).static_order())
    except CycleError as error:
        names = dict.fromkeys(rules[number].name for number in error.args[1])
        raise GbnfError(f"the rule `{' -> '.join(names)}` can begin with itself (left recursion)") from None
    visits, depth = [1] * len(rules), [1] * len(rules)
    for number in order:
        visits[number] += sum(visits[other] for other in begins[number])
        depth[number] += max((depth[other] for other in begins[number]), default=0)
    if max(depth) > MOST_RULES_IN_ROW:
        raise GbnfError(f"more than {MOST_RULES_IN_ROW} rules begin with one another")
    if sum(visits) > MOST_LEFT_VISITS:
        raise GbnfError("its rules begin with one another in too many ways")


def _beginnings(number: int, rules: list[Rule], empty: set[int]) -> Iterator[int]:
    """Every mention of a rule that can come first, as often as it is mentioned.

    Not the rule itself at its end after what can be nothing, as in `("a"*)*`: nothing piles up there. llama.cpp accepts
    that unless one alternative of what comes before is nothing in so many words.
    """
    for symbols in rules[number].alternatives:
        plainly_empty = True
        for at, symbol in enumerate(symbols):
            if not isinstance(symbol, int):
                break
            if symbol != number or at + 1 < len(symbols) or plainly_empty:
                yield symbol
            if symbol not in empty:
                break
            plainly_empty = plainly_empty and [] in rules[symbol].alternatives


def _nullable(rules: list[Rule]) -> set[int]:
    """The rules that can be nothing at all."""
    users: dict[int, list[int]] = {}
    owners: list[int] = []
    missing: list[int] = []
    for number, rule in enumerate(rules):
        for symbols in rule.alternatives:
            for symbol in (mentioned := set(symbols)):
                if isinstance(symbol, int):
                    users.setdefault(symbol, []).append(len(owners))
            owners.append(number)
            missing.append(len(mentioned))
    fresh = [number for number, rule in enumerate(rules) if [] in rule.alternatives]
    empty = set(fresh)
    while fresh:
        for user in users.get(fresh.pop(), []):
            missing[user] -= 1
            if not missing[user] and owners[user] not in empty:
                empty.add(owners[user])
                fresh.append(owners[user])
    return empty


def check_ways(rules: list[Rule]) -> None:
    """Refuses grammars that read one run of equal characters in very many ways, from any place in them.

    llama.cpp tries each way through each token. Real vocabularies have long runs of blanks, digits and signs.
    """
    walk = _Walk(rules)
    for number, place in walk.places():
        if (character := walk.ambiguous_run(place)) is not None:
            raise GbnfError(
                f"the rule `{rules[number].name}` reads a run of {character!r} in too many ways; "
                "write it with fewer options in a row and without options that begin alike"
            )


class _Walk:
    """Follows stacks of places through a grammar as llama.cpp does. A stack is a number; 0 is the empty one."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._symbols: list[Symbol] = [()]
        self._after: list[int] = [0]
        self._starts = [[self._lay(symbols) for symbols in rule.alternatives] for rule in rules]
        self._entries = [self._lay([number]) for number in range(len(rules))]
        self._stacks: list[tuple[int, int]] = [(0, 0)]
        self._numbers: dict[tuple[int, int], int] = {}
        self._tops: dict[int, frozenset[int]] = {}
        self._codes: dict[Ranges, frozenset[int]] = {}
        self._classes = self._representatives()

    def _lay(self, symbols: list[Symbol]) -> int:
        """Numbers the places of a sequence; gives the first, or 0 where there is none."""
        first = len(self._symbols)
        self._symbols += symbols
        self._after += [*range(first + 1, first + len(symbols)), 0] if symbols else []
        return first if symbols else 0

    def _representatives(self) -> frozenset[int]:
        """One code point for each set of classes that have characters in common."""
        classes = {symbol for symbol in self._symbols if not isinstance(symbol, int)}
        lows = sorted({low for ranges in classes for low, _ in ranges})
        for ranges in classes:
            self._codes[ranges] = frozenset(low for low in lows if has(ranges, low))
        alike: dict[frozenset[Ranges], int] = {}
        for low in lows:
            alike.setdefault(frozenset(ranges for ranges in classes if low in self._codes[ranges]), low)
        return frozenset(alike.values())

    def places(self) -> Iterator[tuple[int, int]]:
        """Rules with their places where a repetition may begin; not the inner ones of an unrolled repetition."""
        for number, rule in enumerate(self._rules):
            if rule.is_link:
                continue
            yield number, self._entries[number]
            for symbols, first in zip(rule.alternatives, self._starts[number], strict=True):
                for at, symbol in enumerate(symbols):
                    if at and isinstance(symbol, int) and symbol != symbols[at - 1]:
                        yield number, first + at

    def ambiguous_run(self, place: int) -> str | None:
        """A character whose runs of up to LONGEST_RUN can be read from here on in more than MOST_WAYS ways in all.

        Characters that the grammar does not tell apart along the way go together.
        """
        todo = [(self._classes, dict.fromkeys(self.tops(self._stack(place, 0)), 1), 0, 0)]
        while todo:
            codes, now, total, length = todo.pop()
            for part in self._parts(codes, now):
                ways, following = total, dict[int, int]()
                for stack, count in now.items():
                    if stack and part <= self._codes[self._top(stack)]:
                        ways += count
                        top, below = self._stacks[stack]
                        for reached in self.tops(self._stack(self._after[top], below)):
                            following[reached] = following.get(reached, 0) + count
                if ways > MOST_WAYS:
                    return chr(min(part))
                if following and length < LONGEST_RUN:
                    todo.append((part, following, ways, length + 1))
        return None

    def _parts(self, codes: frozenset[int], stacks: Iterable[int]) -> list[frozenset[int]]:
        """The characters, apart where some stack takes only some of them."""
        parts = [codes]
        for top in {self._top(stack) for stack in stacks if stack}:
            allowed = self._codes[top]
            parts = [piece for part in parts for piece in (part & allowed, part - allowed) if piece]
        return parts

    def tops(self, stack: int) -> frozenset[int]:
        """The stacks with characters on top (or empty) that a stack unfolds to."""
        if stack not in self._tops:
            self._tops[stack] = frozenset(self._unfolded(stack))
        return self._tops[stack]

    def _unfolded(self, stack: int) -> Iterator[int]:
        todo, seen, found = [stack], {stack}, 0
        while todo:
            stack = todo.pop()
            place, below = self._stacks[stack]
            symbol = self._symbols[place]
            if isinstance(symbol, int):
                rest = self._stack(self._after[place], below)
                following = {self._stack(first, rest) for first in self._starts[symbol]} - seen
                seen |= following
                todo += following
            else:
                found += 1
                yield stack
            if max(found, len(seen) // 10) > MOST_BRANCHES:
                raise GbnfError(f"more than {MOST_BRANCHES} ways lead on from one place")

    def _top(self, stack: int) -> Ranges:
        symbol = self._symbols[self._stacks[stack][0]]
        assert not isinstance(symbol, int), "unfolded stacks have characters on top"
        return symbol

    def _stack(self, place: int, below: int) -> int:
        """The stack with a place on another; the other where the place is none."""
        if not place:
            return below
        number = self._numbers.setdefault((place, below), len(self._stacks))
        if number == len(self._stacks):
            self._stacks.append((place, below))
        return number
