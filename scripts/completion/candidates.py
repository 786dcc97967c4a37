"""Which words can come next on a command line. Pure: names are asked of `names`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nightjar.config.errors import NightjarError


class Wanted(StrEnum):
    """What an argument or the value of an option names."""

    RUNS = "runs"
    MODELS = "models"
    SUITES = "suites"
    SCHEDULES = "schedules"
    RUBRICS = "rubrics"
    PARAMETERS = "parameters"
    MEASURES = "measures"
    REPORT_FORMATS = "report formats"
    SUITE_FORMATS = "suite formats"
    LIKE = "kinds of suites"
    USES = "uses of a model"
    SHELLS = "shells"


BY_METAVAR = {
    "RUN": Wanted.RUNS,
    "[RUN]": Wanted.RUNS,
    "RUN[:MODEL[+VARIANT]]...": Wanted.RUNS,
    "SUITE": Wanted.SUITES,
    "MODEL": Wanted.MODELS,
    "FORMAT": Wanted.REPORT_FORMATS,
    "SHELL": Wanted.SHELLS,
}
BY_NAME = {
    "assignments": Wanted.PARAMETERS,
    "embed_model": Wanted.MODELS,
    "fidelity_to": Wanted.MODELS,
    "formats": Wanted.REPORT_FORMATS,
    "judges": Wanted.MODELS,
    "like": Wanted.LIKE,
    "measures": Wanted.MEASURES,
    "model": Wanted.MODELS,
    "models": Wanted.MODELS,
    "rubric": Wanted.RUBRICS,
    "run": Wanted.RUNS,
    "suite": Wanted.SUITES,
    "suite_format": Wanted.SUITE_FORMATS,
    "wanted": Wanted.USES,
}
BY_PLACE = {
    ("eval", "format_"): Wanted.REPORT_FORMATS,
    ("fidelity", "candidates"): Wanted.MODELS,
    ("fidelity", "reference_file"): Wanted.MODELS,
    ("suite import", "format_"): Wanted.SUITE_FORMATS,
    ("suite validate", "format_"): Wanted.SUITE_FORMATS,
    ("schedule rm", "name"): Wanted.SCHEDULES,
}
"""Where the same word means different things: (command, parameter)."""
FILES = set(
    "candidates file folder model out projector reference_file rubric source suite system template text".split()
)
"""Parameters that take, or also take, a path."""
_Names = Callable[[Wanted], Iterable[str]]


@dataclass(frozen=True, kw_only=True)
class Completion:
    """The words that begin like the last one, and whether paths may stand there too."""

    words: tuple[str, ...] = ()
    files: bool = False


def next_words(root: Any, line: Sequence[str], names: _Names) -> Completion:
    """Completes the last word of a line, which may be empty; the words before it are the command's, without its name.

    `root`: the group of all commands.
    """
    *before, begun = line or [""]
    try:
        command, path, rest = _descend(root, [word for word in before if word != "--debug"])
    except NightjarError:  # there is no such command
        return Completion()
    if hasattr(command, "list_commands"):
        known = _options(command) if begun.startswith("-") else command.list_commands(None)
        return _beginning(known, begun)
    option, equals, value = begun.partition("=")
    if equals and (parameter := _option(command, option)) is not None:
        found = _values(parameter, path, value, names)
        return Completion(words=tuple(f"{option}={word}" for word in found.words), files=found.files)
    waiting, arguments = _read(command, rest)
    if waiting is not None:
        return _values(waiting, path, begun, names)
    if begun.startswith("-"):
        return _beginning(_options(command), begun)
    argument = _argument(command, arguments)
    return Completion() if argument is None else _values(argument, path, begun, names)


def _descend(root: Any, words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that the words name, its name, and the words that follow. Raises UsageError."""
    command, path = root, []
    while hasattr(command, "list_commands") and words:
        word, words = words[0], words[1:]
        if word.startswith("-") or (word == "help" and command is root):
            continue
        child = command.get_command(None, word)
        if child is None:
            break
        command = child
        path.append(word)
    return command, " ".join(path), words


def _read(command: Any, words: list[str]) -> tuple[Any | None, int]:
    """The option whose value comes next, if one waits for it, and how many arguments were given."""
    waiting, arguments = None, 0
    for word in words:
        if waiting is not None:
            waiting = None
        elif word.startswith("-") and len(word) > 1:
            found = None if "=" in word else _option(command, word)
            waiting = found if found is not None and not found.is_flag else None
        else:
            arguments += 1
    return waiting, arguments


def _options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            yield from (name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--"))
    yield "--help"


def _option(command: Any, name: str) -> Any | None:
    return next((parameter for parameter in command.params if name in parameter.opts), None)


def _argument(command: Any, position: int) -> Any | None:
    """The argument at this position, from 0; the last one where it may be repeated."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    if position < len(arguments):
        return arguments[position]
    return arguments[-1] if arguments and arguments[-1].nargs == -1 else None


def _values(parameter: Any, path: str, begun: str, names: _Names) -> Completion:
    wanted = BY_PLACE.get((path, parameter.name))
    wanted = wanted or BY_METAVAR.get(parameter.metavar or "") or BY_NAME.get(parameter.name)
    words = () if wanted is None else _beginning(names(wanted), begun).words
    return Completion(words=words, files=parameter.name in FILES)


def _beginning(words: Iterable[str], begun: str) -> Completion:
    return Completion(words=tuple(dict.fromkeys(word for word in words if word.startswith(begun))))
