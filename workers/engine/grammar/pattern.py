"""Regular expressions of JSON Schemas, in the dialect of llguidance. Pure.

A schema's pattern is one of ECMA-262, and whoever checks a reply may read it as Python does. llguidance reads Rust's
dialect, in which `^[]a]$`, `.` and `\\s` mean other things. So a pattern is read here, refused where dialects differ,
and written again in a form that means one thing everywhere.
"""

from __future__ import annotations

import re

from nightjar.workers.engine.grammar.characters import LAST_CHARACTER, Ranges, common, complement, union

MOST_REPEATS = 2000
MOST_BRACKETS = 100
FORMATS = {
    "date": (
        "[1-9][0-9]{3}-((01|03|05|07|08|10|12)-(0[1-9]|[12][0-9]|3[01])"
        "|(04|06|09|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    ),
    "time": "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
}
"""Narrower than llguidance's own, which lets out days, hours and years that calendars do not have."""
FORMATS["date-time"] = f"({FORMATS['date']})T{FORMATS['time']}"

_DIGITS = ((0x30, 0x39),)
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANK = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_LINE_ENDS = ((0x0A, 0x0A), (0x0D, 0x0D), (0x85, 0x85), (0x2028, 0x2029))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _BLANK}
_CONTROLS = {"t": 9, "n": 10, "f": 12, "r": 13}
_WRITABLE: Ranges = ((0x08, 0x0A), (0x0C, 0x0D), (0x20, 0xD7FF), (0xE000, LAST_CHARACTER))
"""No halves of surrogate pairs, which UTF-8 has no place for, and of the controls those with a short escape in JSON."""
_QUANTIFIER = re.compile(r"[*+?]|\{([0-9]{1,9})(?:,([0-9]{0,9}))?\}")
_ANYTHING = "(?s:.*)"


class PatternError(ValueError):
    """What of a pattern cannot be said."""


def whole_match(pattern: str) -> str:
    """Rust's dialect for the whole of any text in which the pattern is found. Raises PatternError."""
    return _Pattern(pattern).whole()


class _Pattern:
    """A regular expression read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> str:
        found = [self._anchored()]
        while self._next() == "|":
            self._at += 1
            found.append(self._anchored())
        if self._at < len(self._text):
            raise PatternError("it closes a bracket that is not open")
        return f"({'|'.join(found)})"

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _anchored(self) -> str:
        """An outermost alternative, which may begin with ^ and end with $: else anything may stand there."""
        begins = self._next() == "^"
        self._at += begins
        inside = self._sequence(0)
        ends = self._next() == "$"
        self._at += ends
        if self._next() not in ("", "|", ")"):
            self._at -= ends
            raise self._misplaced()
        return f"{'' if begins else _ANYTHING}{inside}{'' if ends else _ANYTHING}"

    def _sequence(self, depth: int) -> str:
        items = []
        while self._next() not in ("", "|", ")") and not (depth == 0 and self._next() == "$"):
            items.append(self._item(depth) + self._quantifier())
        return "".join(items)

    def _quantifier(self) -> str:
        quantifier = _QUANTIFIER.match(self._text, self._at)
        if quantifier is None:
            return ""
        self._at = quantifier.end()
        least, most = int(quantifier[1] or 0), int(quantifier[2] or quantifier[1] or 0)
        if max(least, most) > MOST_REPEATS:
            raise PatternError(f"it repeats something more than {MOST_REPEATS} times")
        if most < least:
            raise PatternError(f"it repeats something at least {least} and at most {most} times")
        return quantifier[0]

    def _item(self, depth: int) -> str:
        character = self._next()
        if character == "(":
            return self._group(depth)
        if character in "^$*+?{}]":
            raise self._misplaced()
        self._at += 1
        if character == "[":
            return _written(self._class())
        if character == ".":
            return _written(complement(_LINE_ENDS))
        return _written(self._escaped() if character == "\\" else _only(character))

    def _misplaced(self) -> PatternError:
        return PatternError(f"it has {self._text[self._at : self._at + 8]!r} where a grammar has nothing for it")

    def _group(self, depth: int) -> str:
        self._at += 3 if self._text.startswith("(?:", self._at) else 1
        if self._next() == "?":
            raise PatternError(f"it looks around or names a group: {self._text[self._at - 1 : self._at + 7]!r}")
        if depth == MOST_BRACKETS:
            raise PatternError(f"it has more than {MOST_BRACKETS} brackets in one another")
        found = [self._sequence(depth + 1)]
        while self._next() == "|":
            self._at += 1
            found.append(self._sequence(depth + 1))
        if self._next() != ")":
            raise PatternError("it leaves a bracket open")
        self._at += 1
        return f"({'|'.join(found)})"

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
            raise PatternError(f"it has the escape \\{letter}, for which a grammar has nothing")
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
                    raise PatternError("it has a range in a class that does not go from a character to a later one")
                low = ((low[0][0], high[0][0]),)
            ranges += low
        self._at += 1
        if not ranges:
            raise PatternError("it has an empty class")
        return complement(ranges) if negated else union(ranges)

    def _member(self, negated: bool) -> Ranges:
        character = self._next()
        if not character:
            raise PatternError("it leaves a class open")
        self._at += 1
        if character == "\\":
            if negated and self._next() in _CLASSES:
                raise PatternError(f"it has \\{self._next()} in a negated class, which dialects read differently")
            return self._escaped()
        if character == "[" or (character in "&~|-" and self._text.startswith(character * 2, self._at - 1)):
            raise PatternError(f"it has {character!r} in a class, which dialects read differently")
        return _only(character)


def _only(character: str) -> Ranges:
    return ((ord(character), ord(character)),)


def _written(ranges: Ranges) -> str:
    """One character of the ranges."""
    some = common(ranges, _WRITABLE)
    if not some:
        raise PatternError("it has a class without a character that JSON can hold plainly")
    if len(some) == 1 and some[0][0] == some[0][1]:
        return _point(some[0][0])
    return "[" + "".join(_point(low) + (f"-{_point(high)}" if high > low else "") for low, high in some) + "]"


def _point(code: int) -> str:
    return chr(code) if code < 0x80 and chr(code).isalnum() else f"\\x{{{code:X}}}"
