"""GBNF's text as the rules that llama.cpp makes of it: repetitions unrolled, brackets as rules of their own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nightjar.workers.engine.grammar.characters import LAST_CHARACTER, Ranges, complement, union

MOST_REPEATS = 2000
"""Copies in one repetition, with those of the brackets in it: llama.cpp's own limit. It takes a larger `n` in `{m,n}`
for no limit at all, and a larger product for a broken grammar."""
MOST_BRACKETS = 200
"""Brackets in one another: llama.cpp's reader overflows the stack between 10,000 and 100,000."""
MOST_SYMBOLS = 100_000
"""Elements of the unrolled grammar. llama.cpp takes 50 ms for them, 5 ms to copy them for a request; this check 2 s."""

Symbol = int | Ranges
"""A rule's number, or the characters that may come."""
Alternatives = list[list[Symbol]]


class GbnfError(ValueError):
    """Why a grammar or a regular expression cannot be used."""


class Rule(NamedTuple):
    alternatives: Alternatives
    name: str
    is_link: bool = False
    """One of the links of an unrolled repetition, but the first."""


def unrolled(text: str) -> list[Rule]:
    """The rules by number. Raises GbnfError where the text is no GBNF, or too much is unrolled."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise GbnfError("it contains a NUL or half of a surrogate pair")
    return _Reader(text).rules()


_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+|\#[^\r\n]*) | (?P<line>\r\n?|\n) | (?P<define>::=) | (?P<name>[a-zA-Z0-9-]+)
    | "(?P<literal>(?:\\.|[^"\\])*)" | \[(?P<chars>\^?(?:\\.|[^\]\\])*)\] | (?P<mark>[|().])
    | (?P<repeat>[*+?]|\{\s*[0-9]+\s*(?:,\s*[0-9]*\s*)?\}) | (?P<token>!?<[^>]*>?)""",
    re.VERBOSE | re.DOTALL,
)
_CHARACTER = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\\"\[\]-])|[^\\]", re.DOTALL)
_ESCAPES = {"t": 9, "r": 13, "n": 10}


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class _Reader:
    """A grammar's text as unrolled rules."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._rules: list[Rule | None] = []
        self._numbers: dict[str, int] = {}
        self._symbols = 0

    def rules(self) -> list[Rule]:
        """All rules by number; the first named `root` is the start."""
        self._skip_lines()
        while self._now.kind != "end":
            self._rule()
            self._skip_lines()
        if "root" not in self._numbers:
            raise GbnfError("it has no rule `root`")
        for name, number in self._numbers.items():
            if self._rules[number] is None:
                raise GbnfError(f"the rule `{name}` is named and nowhere defined")
        return [rule for rule in self._rules if rule is not None]

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    def _skip_lines(self) -> None:
        while self._now.kind == "line":
            self._at += 1

    def _expect(self, kind: str, text: str = "") -> str:
        token = self._now
        if token.kind != kind or (text and token.text != text):
            found = repr(token.text) if token.text.strip() else token.kind
            raise GbnfError(f"line {token.line} has {found} where {text or kind!r} is expected")
        self._at += 1
        return token.text

    def _rule(self) -> None:
        name = self._expect("name")
        number = self._number(name)
        self._expect("define")
        self._skip_lines()
        self._rules[number] = Rule(self._alternatives(name, depth=0), name)
        if self._now.kind != "end":
            self._expect("line")

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = self._reserved()
        return self._numbers[name]

    def _reserved(self) -> int:
        self._rules.append(None)
        return len(self._rules) - 1

    def _alternatives(self, name: str, depth: int) -> Alternatives:
        found = [self._sequence(name, depth)]
        while self._now == ("mark", "|", self._now.line):
            self._at += 1
            self._skip_lines()
            found.append(self._sequence(name, depth))
        return found

    def _sequence(self, name: str, depth: int) -> list[Symbol]:
        symbols: list[Symbol] = []
        start, weight = 0, 1
        while True:
            if depth:
                self._skip_lines()
            token = self._now
            if token.kind == "repeat":
                self._at += 1
                weight = self._repeat(symbols, start, weight, token, name)
            elif token.kind in ("literal", "chars", "name") or token.text in ("(", "."):
                start, before = len(symbols), len(self._rules)
                symbols += self._item(token, name, depth)
                weight = max(1, len(self._rules) - before) if token.text == "(" else 1
                self._count(len(symbols) - start, token)
            elif token.kind == "token":
                raise GbnfError(f"line {token.line} names a token; write its text instead")
            else:
                return symbols

    def _item(self, token: _Token, name: str, depth: int) -> list[Symbol]:
        self._at += 1
        if token.kind == "name":
            return [self._number(token.text)]
        if token.kind == "literal":
            return [((code, code),) for code, _ in _characters(token)]
        if token.kind == "chars":
            return _class(token)
        if token.text == ".":
            return [((0, LAST_CHARACTER),)]
        if depth == MOST_BRACKETS:
            raise GbnfError(f"line {token.line} has more than {MOST_BRACKETS} brackets in one another")
        number = self._reserved()
        self._skip_lines()
        self._rules[number] = Rule(self._alternatives(name, depth + 1), name)
        self._expect("mark", ")")
        return [number]

    def _repeat(self, symbols: list[Symbol], start: int, weight: int, token: _Token, name: str) -> int:
        """Unrolls the repetition of what begins at `start`, as llama.cpp does. Returns the copies in it."""
        low, high = _bounds(token)
        item = symbols[start:]
        if not item:
            raise GbnfError(f"line {token.line} repeats nothing")
        copies = high or low or 1
        if weight * copies > MOST_REPEATS:
            raise GbnfError(
                f"line {token.line} repeats {weight} rules {copies} times; {MOST_REPEATS} in all are allowed"
            )
        links = 1 if high is None else high - low
        self._count(len(item) * (low + links), token)
        symbols[start:] = item * low
        last: list[Symbol] = []
        for left in range(links, 0, -1):
            number = self._reserved()
            symbols_of_link = last or symbols
            symbols_of_link.append(number)
            last = [*item, number] if high is None else [*item]
            self._rules[number] = Rule([last, []], name, is_link=left < links)
        return weight * copies

    def _count(self, symbols: int, token: _Token) -> None:
        self._symbols += symbols
        if self._symbols > MOST_SYMBOLS:
            raise GbnfError(f"unrolled up to line {token.line} it has more than {MOST_SYMBOLS} elements")


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise GbnfError(f"line {line} is no GBNF from {text[at : at + 20]!r} on")
        kind = str(found.lastgroup)
        if kind != "blank":
            yield _Token(kind, found[kind], line)
        line += len(re.findall(r"\r\n?|\n", found[0]))
        at = found.end()
    yield _Token("end", "", line)


def _bounds(token: _Token) -> tuple[int, int | None]:
    """The least and the most copies; None is no limit."""
    if token.text in "*+?":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[token.text]
    numbers = [number.strip() for number in token.text[1:-1].split(",")]
    if any(len(number.lstrip("0")) > len(str(MOST_REPEATS)) or int(number or 0) > MOST_REPEATS for number in numbers):
        raise GbnfError(f"line {token.line} repeats more than {MOST_REPEATS} times")
    low = int(numbers[0])
    high = (int(numbers[-1]) if numbers[-1] else None) if len(numbers) > 1 else low
    if high is not None and high < low:
        raise GbnfError(f"line {token.line} repeats at least {low} and at most {high} times")
    return low, high


def _characters(token: _Token) -> Iterator[tuple[int, str]]:
    """Code points, each with how it is written."""
    at = 0
    while at < len(token.text):
        found = _CHARACTER.match(token.text, at)
        if found is None:
            raise GbnfError(f"line {token.line} has an unknown escape {token.text[at : at + 2]!r}")
        at, written = found.end(), found[0]
        if len(written) == 1:
            yield ord(written), written
        elif written[1] in "xuU":
            yield int(written[2:], 16), written
        else:
            yield _ESCAPES.get(written[1], ord(written[1])), written


def _class(token: _Token) -> list[Symbol]:
    negated = token.text.startswith("^")
    codes = list(_characters(token._replace(text=token.text[negated:])))
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(codes):
        if at + 2 < len(codes) and codes[at + 1][1] == "-":
            ranges.append((codes[at][0], codes[at + 2][0]))
            at += 3
        else:
            ranges.append((codes[at][0], codes[at][0]))
            at += 1
    if not ranges:
        return []
    return [complement(ranges) if negated else union(ranges)]
