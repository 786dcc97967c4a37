"""How large the result of a template's operation can get, and what it costs, computed before it runs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

TOO_LARGE = 1 << 62
MAX_BITS = 65_536
"""The most bits of an integer."""
PADDED = frozenset("batch center expandtabs indent ljust rjust slice tojson wordwrap zfill".split())
"""Methods and filters whose result grows with a number or a text in their arguments."""
MAX_PLACES = 400
"""The most places that `round` rounds to: no float has more."""
MAX_DATE_FORMAT = 200
"""Characters of a format of `strftime_now`."""
_DATE_WIDTH = re.compile(r"%[^a-zA-Z%]*\d{3}")
_SEARCHED = frozenset("lstrip rfind rindex rpartition rsplit rstrip strip trim".split())
"""Methods and filters that may compare each character of a text with each of their argument."""
_WIDE_FIELD = re.compile(r"\d{5,}|%[^a-zA-Z%]*\*|\{[^{}]*[:!][^{}]*\{")


def growth(name: str, subject: Any, args: tuple[Any, ...], size: int = 0) -> int:
    """An upper bound of the result's size in characters, members or bits; 0 if it cannot outgrow its inputs.

    `name` is an operator, a filter or a method, `subject` its left side, `size` the deep size of all its inputs.
    """
    if name in _OPERATORS:
        return _OPERATORS[name](subject, args[0])
    if name == "%":
        return _formatted(subject, size) if isinstance(subject, str) else 0
    if name == "replace" and isinstance(subject, str) and len(args) >= 2:
        return _replaced(subject, str(args[0]), str(args[1]))
    if name == "join":
        return _joined(subject, args, size)
    if name == "round":
        return TOO_LARGE if any(isinstance(a, int) and abs(a) > MAX_PLACES for a in args) else 0
    if name == "strftime_now":
        return _dated(args)
    if name in ("format", "format_map") and isinstance(subject, str):
        return _formatted(subject, size)
    if name in PADDED:
        return size * _widest(args)
    return 0


def effort(name: str, subject: Any, args: tuple[Any, ...], size: int) -> int:
    """Steps beyond the deep size of the inputs, which is charged anyway."""
    if name in _SEARCHED and isinstance(subject, str):
        return len(subject) * max([0, *(len(a) for a in args if isinstance(a, str))]) >> 4
    if name == "sum" and hasattr(subject, "__len__") and any(hasattr(a, "__len__") for a in args):
        return len(subject) * size
    return 0


def _widest(args: Iterable[Any]) -> int:
    widths = [1]
    for a in args:
        if isinstance(a, list | tuple):
            widths.append(_widest(a))
        elif isinstance(a, int | str):
            widths.append(abs(a) if isinstance(a, int) else len(a))
    return max(widths)


def _dated(args: tuple[Any, ...]) -> int:
    forms = [a for a in args if isinstance(a, str)]
    long = any(len(form) > MAX_DATE_FORMAT or _DATE_WIDTH.search(form) for form in forms)
    return TOO_LARGE if long else 0


def _replaced(subject: str, old: str, new: str) -> int:
    return len(subject) + subject.count(old) * len(new)


def _joined(subject: Any, args: tuple[Any, ...], size: int) -> int:
    """For the method `sep.join(items)` and the filter `items | join(sep, attribute)`."""
    texts = [len(v) for v in (subject, *args) if isinstance(v, str)]
    counts = [len(v) for v in (subject, *args) if hasattr(v, "__len__")]
    return size + max([0, *texts]) * max([0, *counts])


def _formatted(form: str, size: int) -> int:
    if _WIDE_FIELD.search(form):
        return TOO_LARGE
    fields = form.count("{") + form.count("%")
    return len(form) + fields * (size + (10_000 if re.search(r"\d{2}", form) else 100))


def _add(left: Any, right: Any) -> int:
    return len(left) + len(right) if hasattr(left, "__len__") and hasattr(right, "__len__") else 0


def _multiply(left: Any, right: Any) -> int:
    if isinstance(left, int) and isinstance(right, int):
        return _bits(left.bit_length() + right.bit_length())
    for many, times in ((left, right), (right, left)):
        if hasattr(many, "__len__") and isinstance(times, int):
            return len(many) * max(0, times)
    return 0


def _power(left: Any, right: Any) -> int:
    if isinstance(left, int) and isinstance(right, int) and right > 0:
        return _bits(left.bit_length() * right)
    return 0


def _bits(bits: int) -> int:
    return TOO_LARGE if bits > MAX_BITS else 0


def _none(left: Any, right: Any) -> int:
    return 0


_OPERATORS = {"+": _add, "-": _none, "*": _multiply, "/": _none, "//": _none, "**": _power}
