"""What may stand in a JSON string, as GBNF: characters, texts, formats, and regular expressions. Pure."""

from __future__ import annotations

import re

from nightjar.workers.engine.grammar.characters import LAST_CHARACTER, Ranges, common, complement, has, union
from nightjar.workers.engine.grammar.gbnf import read
from nightjar.workers.engine.grammar.rules import MOST_BRACKETS, GbnfError

PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, LAST_CHARACTER))
"""What stands for itself in a JSON string. No half of a surrogate pair: UTF-8 has none."""
ESCAPED = {ord(character): "\\" + letter for character, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)}
_DATE = (
    '[1-9] [0-9]{3} "-" (("01" | "03" | "05" | "07" | "08" | "10" | "12") "-" ("0" [1-9] | [12] [0-9] | "3" [01])'
    ' | ("04" | "06" | "09" | "11") "-" ("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))'
)
_CLOCK = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]'
_TIME = f'{_CLOCK} ":" [0-5] [0-9] ("." [0-9]{{1,6}})? ("Z" | [+-] {_CLOCK})'
_HEX = "[0-9a-fA-F]"
FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f'{_DATE} "T" {_TIME}',
    "uuid": ' "-" '.join(f"{_HEX}{{{length}}}" for length in (8, 4, 4, 4, 12)),
}
"""GBNF of what the formats of JSON Schema that can be enforced let stand between the quotes."""


def is_plain(text: str) -> bool:
    """Whether a text stands for itself in a JSON string."""
    return all(has(PLAIN, ord(character)) for character in text)


def literal(text: str) -> str:
    """GBNF for just this text, which has no line breaks."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def gbnf_class(ranges: Ranges) -> str:
    """GBNF for one character of the ranges."""
    return "[" + "".join(_point(low) + (f"-{_point(high)}" if high > low else "") for low, high in ranges) + "]"


def _point(code: int) -> str:
    return chr(code) if code < 0x80 and chr(code).isalnum() else f"\\U{code:08X}"


def json_character(ranges: Ranges) -> str:
    """GBNF for one of these characters in a JSON string, written as itself or with a short escape."""
    plain = common(ranges, PLAIN)
    written = [gbnf_class(plain)] if plain else []
    written += [literal(escape) for code, escape in ESCAPED.items() if has(ranges, code)]
    if not written:
        raise GbnfError("it has a class without a character that JSON can hold plainly")
    return written[0] if len(written) == 1 else f"({' | '.join(written)})"


def json_text(pattern: str) -> str:
    """GBNF for the inside of JSON strings that a pattern matches as a whole. Raises GbnfError with what it cannot say.

    The pattern is a regular expression of ECMA-262 between `^` and `$`, without what other dialects read otherwise.
    """
    if not pattern.startswith("^") or not pattern.endswith("$"):
        raise GbnfError("it must begin with ^ and end with $: as it is, it would match a part of the text")
    rule = _Pattern(pattern[1:-1]).whole()
    read(f"root ::= {rule}")
    return rule


_DIGITS = ((0x30, 0x39),)
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANK = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_LINE_ENDS = ((0x0A, 0x0A), (0x0D, 0x0D), (0x85, 0x85), (0x2028, 0x2029))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _BLANK}
_CONTROLS = {"t": 9, "n": 10, "f": 12, "r": 13}
_QUANTIFIER = re.compile(r"[*+?]|\{[0-9]+(?:,[0-9]*)?\}")


class _Pattern:
    """A regular expression read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> str:
        rule = self._choices(0)
        if self._at < len(self._text):
            raise GbnfError("it closes a bracket that is not open")
        return rule

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _choices(self, depth: int) -> str:
        """Always in brackets, so that nothing beside it gets in."""
        found = [self._sequence(depth)]
        while self._next() == "|":
            self._at += 1
            found.append(self._sequence(depth))
        return f"({' | '.join(found)})"

    def _sequence(self, depth: int) -> str:
        items = []
        while self._next() not in ("", "|", ")"):
            item = self._item(depth)
            if quantifier := _QUANTIFIER.match(self._text, self._at):
                item, self._at = item + quantifier[0], quantifier.end()
            items.append(item)
        return " ".join(items)

    def _item(self, depth: int) -> str:
        character = self._next()
        if character == "(":
            return self._group(depth)
        if character in "^$*+?{}]":
            raise GbnfError(f"it has {self._text[self._at : self._at + 8]!r} where a grammar has nothing for it")
        self._at += 1
        if character == "[":
            return json_character(self._class())
        if character == ".":
            return json_character(complement(_LINE_ENDS))
        return json_character(self._escaped() if character == "\\" else _only(character))

    def _group(self, depth: int) -> str:
        self._at += 3 if self._text.startswith("(?:", self._at) else 1
        if self._next() == "?":
            raise GbnfError(f"it looks around or names a group: {self._text[self._at - 1 : self._at + 7]!r}")
        if depth == MOST_BRACKETS:
            raise GbnfError(f"it has more than {MOST_BRACKETS} brackets in one another")
        rule = self._choices(depth + 1)
        if self._next() != ")":
            raise GbnfError("it leaves a bracket open")
        self._at += 1
        return rule

    def _escaped(self) -> Ranges:
        """What a backslash and the following mean."""
        code = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})").match(self._text, self._at)
        letter = self._next()
        self._at = code.end() if code else self._at + 1
        if code:
            return _only(chr(int(code[1] or code[2], 16)))
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter in _CONTROLS:
            return _only(chr(_CONTROLS[letter]))
        if not letter or letter.isalnum() or letter == "_" or letter > "~":
            raise GbnfError(f"it has the escape \\{letter}, for which a grammar has nothing")
        return _only(letter)

    def _class(self) -> Ranges:
        negated = self._next() == "^"
        self._at += negated
        ranges: list[tuple[int, int]] = []
        while self._next() != "]":
            low = self._member(negated)
            if self._next() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                high = self._member(negated)
                if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or low > high or high[0][0] != high[0][1]:
                    raise GbnfError("it has a range in a class that does not go from a character to a later one")
                low = ((low[0][0], high[0][0]),)
            ranges += low
        self._at += 1
        if not ranges:
            raise GbnfError("it has an empty class")
        return complement(ranges) if negated else union(ranges)

    def _member(self, negated: bool) -> Ranges:
        character = self._next()
        if not character:
            raise GbnfError("it leaves a class open")
        self._at += 1
        if character == "\\":
            if negated and self._next() in _CLASSES:
                raise GbnfError(f"it has \\{self._next()} in a negated class, which dialects read differently")
            return self._escaped()
        if character == "[" or (character in "&~|-" and self._text.startswith(character * 2, self._at - 1)):
            raise GbnfError(f"it has {character!r} in a class, which dialects read differently")
        return _only(character)


def _only(character: str) -> Ranges:
    return ((ord(character), ord(character)),)
