"""Nothing that is given twice is dropped in silence: two values for one option are refused, one value twice is told."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from nightjar.config.errors import UsageError
from nightjar.scripts.views.output import plain

_HINTS = {"suite": " One run takes one suite: give the command once for each."}


def refuse_given_twice(command: Any) -> None:
    """Has a command, and all commands below it, raise UsageError for such an option."""
    for child in getattr(command, "commands", {}).values():
        refuse_given_twice(child)
    make_parser = command.make_parser

    def make_strict_parser(context: Any) -> Any:
        parser = make_parser(context)
        parse = parser.parse_args

        def parse_strictly(args: list[str]) -> Any:
            values, rest, order = parse(args=args)
            _check(order)
            _tell_same(order, values)
            return values, rest, order

        parser.parse_args = parse_strictly
        return parser

    command.make_parser = make_strict_parser


def _check(order: Iterable[Any]) -> None:
    """`order`: the parameters as they were met, each as often as it was given."""
    for parameter, times in Counter(order).items():
        if times == 1 or parameter.param_type_name != "option" or parameter.multiple:
            continue
        if parameter.is_flag and not parameter.secondary_opts:
            continue  # --json --json says nothing else than --json
        names = "/".join(name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--"))
        raise UsageError(f"{names} is given {times} times and takes one value.{_HINTS.get(parameter.name, '')}")


def _tell_same(order: Iterable[Any], values: Mapping[str, Any]) -> None:
    """Says which value of an option that takes several is there more than once."""
    for parameter in dict.fromkeys(order):
        given = values.get(parameter.name)
        if parameter.param_type_name == "option" and parameter.multiple and isinstance(given, list):
            for value, times in Counter(given).items():
                if times > 1:
                    said = f"Note: {parameter.opts[0]} {value} is given {times} times and counts once."
                    print(plain(said), file=sys.stderr)
