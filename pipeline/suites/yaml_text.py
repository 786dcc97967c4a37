"""YAML as suites use it, read as untrusted input: with positions, no tags, few aliases, no duplicate keys. Pure.

Plain scalars follow YAML 1.2's core schema: `yes`, `no`, `on` and dates are texts; only true, false, null and numbers
are not. Of YAML 1.1 there are the merge keys (`<<: *name`), which files for other tools use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from nightjar.pipeline.suites.located import MAX_DEPTH, Located, Path, storable, suite_error

MAX_ALIASES = 100
MAX_ALIASED_NODES = 100_000
"""How many fields and items aliases may repeat, counting every repetition."""
MERGE = "<<"
"""The key of YAML 1.1 that merges mappings; what a mapping says itself goes before what is merged."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAG = "tag:yaml.org,2002:str"
_CODE_TAG = "!function"
_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,400}"), int),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)


class CodeReference(str):
    """Where lm-evaluation-harness' tasks name a Python function: its name, which nothing here calls."""

    __slots__ = ()

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"`!function {' '.join(self.split())}` is Python"


def reads_as_text(plain: str) -> bool:
    """Whether the text, written without quotes, is read as text."""
    return not any(pattern.fullmatch(plain) for pattern, _ in _PLAIN)


def parse_yaml(text: str, file: str, *, code: bool = False) -> Located:
    """One YAML document as plain data with lines. `code`: `!function` gives a CodeReference. Raises SuiteError."""
    reader = _Reader(yaml.parse(text, Loader=_LOADER), file, code=code)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise suite_error(file, mark.line + 1 if mark else None, f"not YAML: {error.problem}.") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else None
        raise suite_error(file, line, f"not YAML: {error.reason}.") from None


class _Reader:
    """Builds data from the parser's events, checking depth, aliases and keys on the way."""

    def __init__(self, events: Iterator[Any], file: str, *, code: bool) -> None:
        self._events = events
        self._code = code
        self._file = file
        self._lines: dict[Path, int] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliases = 0
        self._aliased_nodes = 0
        self._nodes = 0

    def document(self) -> Located:
        next(self._events)
        first = next(self._events)
        if isinstance(first, yaml.StreamEndEvent):
            raise suite_error(self._file, None, "the file is empty.")
        data = self._node(next(self._events), ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "a second document begins here; a suite is one document.")
        return Located(file=self._file, data=data, lines=self._lines)

    def _node(self, event: Any, path: Path) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if len(path) > MAX_DEPTH:
            raise self._error(event, f"nested more than {MAX_DEPTH} levels deep.")
        if self._code and event.tag == _CODE_TAG and isinstance(event, yaml.ScalarEvent):
            return CodeReference(event.value)
        if event.tag not in (None, "!", _TEXT_TAG):
            raise self._error(event, f"the tag {event.tag} is not allowed: a suite is plain data.")
        before, self._nodes = self._nodes, self._nodes + 1
        if isinstance(event, yaml.ScalarEvent):
            data = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            data = self._items(path)
        else:
            data = self._mapping(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (data, self._nodes - before)
        return data

    def _items(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self._lines[here] = _line(event)
            items.append(self._node(event, here))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or "\0" in event.value:
                raise self._error(event, "a field's name must be a plain text.")
            if event.value in result:
                raise self._error(event, f"the field {event.value!r} is given twice.")
            here = (*path, event.value)
            self._lines[here] = _line(event)
            value = self._node(next(self._events), here)
            if event.value == MERGE and event.implicit[0]:
                merged |= {key: part for key, part in self._merged(event, value).items() if key not in merged}
            else:
                result[event.value] = value
        return result | {key: value for key, value in merged.items() if key not in result}

    def _merged(self, event: Any, value: Any) -> dict[str, Any]:
        """The fields that `<<:` brings in: a mapping's, or those of a list of mappings, the first before the others."""
        fields: dict[str, Any] = {}
        for mapping in value if isinstance(value, list) else [value]:
            if not isinstance(mapping, dict):
                raise self._error(event, "`<<` takes a mapping, such as *name, or a list of mappings.")
            fields = mapping | fields
        return fields

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise self._error(event, f"the alias *{event.anchor} stands for nothing before it.")
        data, nodes = self._anchors[event.anchor]
        self._aliases += 1
        self._aliased_nodes += nodes
        self._nodes += nodes
        if self._aliases > MAX_ALIASES or self._aliased_nodes > MAX_ALIASED_NODES:
            raise self._error(event, f"too many aliases: at most {MAX_ALIASES}, and what they repeat must stay small.")
        return data

    def _scalar(self, event: Any) -> Any:
        value: Any = event.value
        if event.implicit[0] and event.tag is None:
            value = next((read(event.value) for pattern, read in _PLAIN if pattern.fullmatch(event.value)), event.value)
        if problem := storable(value):
            raise self._error(event, problem)
        return value

    def _error(self, event: Any, message: str) -> Exception:
        return suite_error(self._file, _line(event), message)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
