"""A jinja2 sandbox for chat templates, which come with model files and are untrusted. Pure.

Renders like transformers' `apply_chat_template` (trimmed blocks, loop controls, `{% generation %}`, unescaped JSON)
and meters the work, so that no template can hang a worker or fill its memory. The deadline is counted in units of
work, not seconds, so that a replay of the same conversation ends the same way on every machine. What is metered, and
how:

- The parsed template is rewritten before it is compiled: each loop body, loop condition and macro body begins with a
  charge of its own size (nodes and literal characters); what is printed, compared, sliced or joined with `~` passes
  through a filter that charges its size.
- `+ - * / // % **` are intercepted: the size of a result is computed before the result is.
- Filters, tests and calls charge the size of their inputs and of their result; for those that can return much more than
  they got (`replace`, `join`, `center`, `format`, ...) that size is computed first. What a filter hands out one by one
  (`map`, `select`, ...) is charged one by one, and counted before it is joined.
- Sizes are deep, so that lists nested in one another a thousand times count as what they would print; literals are
  weighed where they are built, so that nothing gets deeper than `MAX_DEPTH`.
- Nothing is evaluated while a template is compiled, where nothing is counted.

What would print an address of memory (functions, classes, iterators) is refused: it would be another at each rendering.

Filters and the methods of texts are those named here, all of which are metered. Left out on purpose: `random` and
`lipsum` (no run could be repeated), `encode`, `to_bytes`, `{% autoescape %}`. What gets past all this meets the limits
of the process that renders (`template_child.py`).
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import ext, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from nightjar.workers.conversation.template_growth import effort, growth
from nightjar.workers.conversation.template_meter import (
    MAX_MEMBERS,
    MAX_OBJECT,
    WORK_PER_CALL,
    LimitError,
    Meter,
    Metering,
    check_printable,
)

MAX_SOURCE = 100_000
"""Characters of a template."""
SHALLOW = frozenset(
    "boolean callable count d default defined false first integer iterable last length mapping none number sameas "
    "sequence true undefined".split()
)
"""Filters and tests that do not look at contents."""
FILTERS = frozenset(
    "abs attr batch capitalize center count d default dictsort e escape first float format groupby indent int items "
    "join last length list lower map max min reject rejectattr replace reverse round safe select selectattr slice sort "
    "string sum title tojson trim unique upper".split()
)
"""Of jinja2's own, those that chat templates have a use for."""
TEXT_METHODS = frozenset(
    "capitalize casefold center count endswith expandtabs find format format_map index isalnum isalpha isascii "
    "isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip "
    "partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines "
    "startswith strip swapcase title upper zfill".split()
)
UNSAFE_METHODS = frozenset({"to_bytes", "from_bytes"})
_WRITTEN = frozenset({"center", "format", "replace", "trim"})
"""Filters that take whatever they get as the text that it prints."""
_PRINTING = _WRITTEN | frozenset("capitalize e escape join lower safe string title upper".split())
"""Filters that make a text of what they get, or of its members."""
_GATHERING = frozenset({"join", "sum"})
"""Filters and methods whose cost is known only when all that they take together is."""


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment. Not for two renderings at once: the meter belongs to the current one."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, now: datetime, *, verbatim: bool = False) -> None:
        """`verbatim`: as templates of lm-evaluation-harness' tasks are rendered: white space around blocks and at the
        end stays, and a name that stands for nothing is an error."""
        super().__init__(
            trim_blocks=not verbatim,
            lstrip_blocks=not verbatim,
            keep_trailing_newline=verbatim,
            undefined=jinja2.StrictUndefined if verbatim else jinja2.Undefined,
            extensions=[_Generation, ext.loopcontrols],
            optimized=False,
        )
        self.meter = Meter()
        self.filters = {name: self._guarded(name, self.filters[name]) for name in FILTERS}
        self.tests = {name: self._guarded(name, function) for name, function in self.tests.items()}
        del self.globals["lipsum"]
        self.filters["tojson"] = self._guarded("tojson", _tojson)
        self.filters["nightjar_tick"] = jinja2.pass_context(lambda _, cost: self._tick(cost))
        self.filters["nightjar_print"] = jinja2.pass_context(lambda _, value: self._printed(value))
        self.filters["nightjar_weigh"] = jinja2.pass_context(lambda _, value: self._weighed(value))
        self.filters["nightjar_span"] = jinja2.pass_context(lambda _, value: self._spanned(value))
        self.filters["nightjar_concat"] = jinja2.pass_context(lambda _, parts: self._concat(parts))
        self.globals["raise_exception"] = _raise_exception

        def strftime_now(form: str) -> str:  # its name is what `growth` knows it by
            return now.strftime(form)

        self.globals["strftime_now"] = strftime_now
        self.globals["dict"] = _TemplateDict()
        self.globals["namespace"] = _TemplateNamespace

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MAX_SOURCE:
            raise jinja2.TemplateSyntaxError(f"it is longer than {MAX_SOURCE:,} characters", 1)
        tree = super()._parse(source, name, filename)
        metered = Metering().visit(tree)
        assert isinstance(metered, nodes.Template)
        return metered.set_environment(self)  # type: ignore[return-value]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        allowed = attr in TEXT_METHODS if isinstance(obj, str) else attr not in UNSAFE_METHODS
        return allowed and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        size = self.meter.weigh(right) if operator == "%" else 0
        if operator == "%" and isinstance(left, str):
            check_printable(right)
        self._expect(growth(operator, left, (right,), size))
        return self._weighed(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        name = getattr(__obj, "__name__", "")
        owner = getattr(__obj, "__self__", None)
        if name in _GATHERING:
            args = tuple(__self._gathered(value) for value in args)
        given = (*args, *kwargs.values())
        __self.meter.charge(WORK_PER_CALL)
        size = sum([__self.meter.weigh(value) for value in (owner, *given)])
        subject = owner if isinstance(owner, str) else getattr(getattr(__obj, "__wrapped__", None), "__self__", owner)
        if isinstance(subject, str):
            check_printable(given)
        __self._foresee(name, subject, given, size)
        return __self._weighed(super().call(__context, __obj, *args, **kwargs))

    def _guarded(self, name: str, function: Any) -> Callable[..., Any]:
        """A filter or test that charges for its inputs and its result."""
        if name in SHALLOW:
            return function  # type: ignore[no-any-return]
        before = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            passed, given = args[:before], list(args[before:])
            if given and name in _WRITTEN and not isinstance(given[0], str):
                given[0] = str(self._printed(given[0]))
            if given and name in _GATHERING:
                given[0] = self._gathered(given[0])
            size = sum([self.meter.weigh(value) for value in (*given, *kwargs.values())])
            if name in _PRINTING:
                check_printable((*given, *kwargs.values()))
            if given:
                named = [kwargs[key] for key in sorted(kwargs, key="old".__ne__)]  # as `replace` takes them
                self._foresee(name, given[0], (*given[1:], *named), size)
            return self._metered(function(*passed, *given, **kwargs))

        return guarded

    def _foresee(self, name: str, subject: Any, given: tuple[Any, ...], size: int) -> None:
        """Charges for work beyond the inputs' size, and refuses a result that would be too large."""
        self.meter.charge(effort(name, subject, given, size))
        self._expect(growth(name, subject, given, size))

    def _gathered(self, value: Any) -> Any:
        """What comes one by one as a list; it was counted while it came."""
        return list(itertools.islice(value, MAX_MEMBERS + 1)) if isinstance(value, Iterator) else value

    def _metered(self, value: Any) -> Any:
        """A result, weighed; one that comes one by one is weighed as it comes."""
        return map(self._weighed, value) if isinstance(value, Iterator) else self._weighed(value)

    def _tick(self, cost: int) -> bool:
        self.meter.charge(cost)
        return True

    def _expect(self, size: int) -> None:
        if size > MAX_OBJECT:
            raise LimitError(f"it builds a value of more than {MAX_OBJECT:,} characters")

    def _weighed(self, value: Any) -> Any:
        self.meter.weigh(value)
        return value

    def _printed(self, value: Any) -> Any:
        self.meter.weigh(value)
        check_printable(value)
        return value

    def _spanned(self, value: Any) -> Any:
        if isinstance(value, str | list | tuple):
            self.meter.charge(len(value) >> 4 if isinstance(value, str) else len(value))
        return value

    def _concat(self, parts: list[Any]) -> str:
        self._printed(parts)
        return "".join(map(str, parts))


class _Generation(ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks assistant tokens for training; rendering only sees its body."""

    tags = {"generation"}  # noqa: RUF012 - as the parent's

    def parse(self, parser: Any) -> nodes.CallBlock:
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body, lineno=lineno)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


class _TemplateDict:
    """`dict(...)` without the type's attributes."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _TemplateNamespace(Namespace):
    """`namespace(...)` that refuses attributes beginning with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *given = args
        attributes = dict(*given, **kwargs)
        for name in attributes:
            _check_public(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_public(name)
        super().__setitem__(name, value)


def _check_public(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace keeps no attribute named {name!r}")


class RefusalError(jinja2.TemplateError):
    """The template called `raise_exception`."""


def _raise_exception(message: Any = "") -> None:
    raise RefusalError(str(message))


def _tojson(
    x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
