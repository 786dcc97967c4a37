"""A task's YAML with the files that it includes: each field with the file and the line that give it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.located import Located, Path, UnsupportedError
from nightjar.pipeline.suites.yaml_text import CodeReference

MOST_INCLUDES = 20
ReadInclude = Callable[[str, str], tuple[str, Located]]
"""(the including file, the name that it gives) -> (the included file, what it holds). Raises SuiteError."""


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """A task's fields; its own stand in the place of those that it includes."""

    source: Located
    places: Mapping[str, Located]
    """By field: the file that gives it."""

    def __contains__(self, field: str) -> bool:
        return self.get(field) is not None

    def get(self, field: str, default: Any = None) -> Any:
        """The field's value; a null is none."""
        place = self.places.get(field)
        value = None if place is None else place.data[field]
        return default if value is None else value

    def error(self, path: Path, message: str) -> SuiteError:
        """The error to raise for a field, with the file that gives it."""
        return self._place(path).error(path, message)

    def unsupported(self, path: Path, message: str) -> UnsupportedError:
        """The error to raise for what only the harness can do."""
        return self._place(path).unsupported(path, message)

    def _place(self, path: Path) -> Located:
        return self.places.get(str(path[0]), self.source) if path else self.source


def task_file(source: Located, name: str, read: ReadInclude) -> TaskFile:
    """The task with what it includes. `name`: its file, as `read` takes it. Raises SuiteError."""
    return TaskFile(source=source, places=_places(source, name, read, (name,), [0]))


def _places(
    source: Located, name: str, read: ReadInclude, above: tuple[str, ...], included: list[int]
) -> dict[str, Located]:
    if not isinstance(source.data, Mapping):
        raise source.error((), "a task is a mapping of fields.")
    places: dict[str, Located] = {}
    for path, wanted in _includes(source):
        included[0] += 1
        if included[0] > MOST_INCLUDES:
            raise source.error(path, f"more than {MOST_INCLUDES} files are included.")
        try:
            file, inside = read(name, wanted)
        except SuiteError as error:
            raise source.error(path, str(error)) from None
        if file in above:
            raise source.error(path, f"{wanted!r} includes itself.")
        inside = replace(inside, gathered=source.gathered)
        places |= _places(inside, file, read, (*above, file), included)
    return places | {field: source for field in source.data if field != "include"}


def _includes(source: Located) -> Iterator[tuple[Path, str]]:
    given = source.data.get("include")
    if given is None:
        return
    items: list[tuple[Path, Any]] = [(("include",), given)] if isinstance(given, str) else []
    if isinstance(given, list):
        items = [(("include", at), item) for at, item in enumerate(given)]
    if not items or not all(isinstance(item, str) and not isinstance(item, CodeReference) for _, item in items):
        raise source.error(("include",), "takes the name of a file, or a list of them.")
    yield from items
