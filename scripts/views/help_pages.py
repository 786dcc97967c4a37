"""One look of all help pages: plain text, the example on a line of its own, values in capitals."""

from __future__ import annotations

import inspect
import re
from typing import Any

_EXAMPLE = re.compile(r"\s*\bExample: (\S.*)")
_KEPT = "\b"
"""Begins a paragraph whose lines are kept as they are."""
_VALUES = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}


def dress(command: Any) -> None:
    """Gives a command, and all commands below it, the look of Nightjar's help."""
    command.rich_markup_mode = None
    command.help, command.epilog, command.short_help = _texts(command)
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = _nothing  # its help says what it is
        elif not parameter.is_flag and not parameter.metavar:
            parameter.metavar = _value(parameter)
    for child in getattr(command, "commands", {}).values():
        dress(child)


def _texts(command: Any) -> tuple[str, None, str]:
    """Its help with the example set apart, and its first sentence for lists of commands."""
    text = "\n\n".join(inspect.cleandoc(part) for part in (command.help, command.epilog) if part)
    example = _EXAMPLE.search(text)
    about = _EXAMPLE.sub("", text, count=1).strip()
    first = re.split(r"(?<=\.)\s|\n\n", about, maxsplit=1)[0]
    shown = about if example is None else f"{about}\n\n{_KEPT}\nExample:\n  {example[1].strip()}"
    return shown, None, " ".join(first.split())


def _nothing(ctx: Any) -> None:
    """The type of an argument, which typer would write behind its name."""


def _value(parameter: Any) -> str | None:
    """What stands for the value of an option: a word in capitals; None where typer knows better, as for choices."""
    kind = getattr(parameter, "bare_type", str)()  # an older typer writes such words itself
    element = re.sub(r"^list\[(.*)\]$", r"\1", kind)
    return _VALUES.get(element)
