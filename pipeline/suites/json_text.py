"""JSON and JSON Lines, read with the line of every field. Pure."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any

from nightjar.pipeline.suites.located import MAX_DEPTH, Located, Path, storable, suite_error

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,400})(\.\d+)?([eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}


def parse_json(text: str, file: str) -> Located:
    """One JSON value as plain data with lines. Raises SuiteError."""
    scanner = _Scanner(text, file)
    return Located(file=file, data=scanner.document(()), lines=scanner.lines)


def parse_json_lines(text: str, file: str) -> Located:
    """A list with one item per non-blank line; line numbers as in the file. Raises SuiteError."""
    items: list[Any] = []
    lines: dict[Path, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            scanner = _Scanner(line, file, first_line=number)
            items.append(scanner.document((len(items),)))
            lines |= scanner.lines
    return Located(file=file, data=items, lines=lines)


class _Scanner:
    """A recursive reader that tracks its position; strings are read by the json module."""

    def __init__(self, text: str, file: str, *, first_line: int = 1) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self._line = first_line
        self._counted = 0
        self.lines: dict[Path, int] = {}

    def document(self, path: Path) -> Any:
        self._skip_space()
        self.lines[path] = self._line_here()
        data = self._value(path)
        self._skip_space()
        if self._at < len(self._text):
            raise self._error("not JSON: something follows the end of the value.")
        return data

    def _value(self, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} levels deep.")
        match self._text[self._at : self._at + 1]:
            case "{":
                return self._object(path)
            case "[":
                return self._array(path)
            case '"':
                return self._string()
            case _:
                return self._word()

    def _object(self, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        self._at += 1
        self._skip_space()
        if self._take("}"):
            return result
        while True:
            self._skip_space()
            line = self._line_here()
            if self._text[self._at : self._at + 1] != '"':
                raise self._error("not JSON: a field's name in double quotes is missing.")
            key = self._string()
            if key in result or "\0" in key:
                raise self._error(f"the field {key!r} is given twice." if key in result else "a NUL in a field's name.")
            self._skip_space()
            self._expect(":")
            self._skip_space()
            self.lines[(*path, key)] = line
            result[key] = self._value((*path, key))
            self._skip_space()
            if self._take("}"):
                return result
            self._expect(",")

    def _array(self, path: Path) -> list[Any]:
        items: list[Any] = []
        self._at += 1
        self._skip_space()
        if self._take("]"):
            return items
        while True:
            self._skip_space()
            here = (*path, len(items))
            self.lines[here] = self._line_here()
            items.append(self._value(here))
            self._skip_space()
            if self._take("]"):
                return items
            self._expect(",")

    def _string(self) -> str:
        try:
            value, self._at = scanstring(self._text, self._at + 1, True)
        except json.JSONDecodeError as error:
            raise self._error(f"not JSON: {error.msg}.") from None
        return str(self._checked(value))

    def _word(self) -> Any:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            raise self._error("not JSON: a value is missing.")
        self._at = match.end()
        return self._checked(float(match.group()) if match.group(1) or match.group(2) else int(match.group()))

    def _checked(self, value: Any) -> Any:
        if problem := storable(value):
            raise self._error(problem)
        return value

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None, "the pattern also matches the empty text"
        self._at = match.end()

    def _take(self, char: str) -> bool:
        if self._text.startswith(char, self._at):
            self._at += 1
            return True
        return False

    def _expect(self, char: str) -> None:
        if not self._take(char):
            raise self._error(f"not JSON: {char!r} is missing.")

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _error(self, message: str) -> Exception:
        return suite_error(self._file, self._line_here(), message)
