"""Options that several commands share: the fields of a dataclass become options of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


def takes(*shared: type[Any]) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """The command gets, in the place of a parameter of each of the types `shared`, an option for each of its fields.

    A field is annotated as a parameter of a command would be; one without a default is required.
    """
    spread = {kind: _parameters(kind) for kind in shared}

    def wrap(command: Callable[..., T]) -> Callable[..., T]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        homes = {parameter.annotation: parameter.name for parameter in own if parameter.annotation in spread}
        assert len(homes) == len(shared), f"{command.__name__} has no parameter for each of {shared}"
        parameters: list[inspect.Parameter] = []
        for parameter in own:
            keyword_only = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            parameters += spread.get(parameter.annotation, [keyword_only])

        @functools.wraps(command)
        def called(**given: Any) -> T:
            for kind, home in homes.items():
                given[home] = kind(**{option.name: given.pop(option.name) for option in spread[kind]})
            return command(**given)

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return called

    return wrap


def _parameters(kind: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in sorted(fields(kind), key=lambda field: field.default is not MISSING)
    ]
