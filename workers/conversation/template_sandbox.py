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
  they got (`replace`, `join`, `center`, `format`, ...) that size is computed first.
- Sizes are deep, so that lists nested in one another a thousand times count as what they would print.

Left out on purpose: `random` and `lipsum` (no run could be repeated), `encode`, `to_bytes`, `{% autoescape %}`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import ext, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from nightjar.workers.conversation.template_growth import growth
from nightjar.workers.conversation.template_meter import MAX_OBJECT, WORK_PER_CALL, LimitError, Meter, Metering

MAX_SOURCE = 100_000
"""Characters of a template."""
SHALLOW = frozenset(
    "boolean callable count d default defined false first integer iterable last length mapping none number sameas "
    "sequence true undefined".split()
)
"""Filters and tests that do not look at contents."""
UNSAFE_METHODS = frozenset({"encode", "to_bytes", "from_bytes", "translate", "maketrans"})


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment. Not for two renderings at once: the meter belongs to the current one."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, now: datetime) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, ext.loopcontrols])
        self.meter = Meter()
        self.filters = {name: self._guarded(name, function) for name, function in self.filters.items()}
        self.tests = {name: self._guarded(name, function) for name, function in self.tests.items()}
        del self.filters["random"]
        del self.globals["lipsum"]
        self.filters["tojson"] = self._guarded("tojson", _tojson)
        self.filters["nightjar_tick"] = jinja2.pass_context(lambda _, cost: self._tick(cost))
        self.filters["nightjar_weigh"] = jinja2.pass_context(lambda _, value: self._weighed(value))
        self.filters["nightjar_span"] = jinja2.pass_context(lambda _, value: self._spanned(value))
        self.filters["nightjar_concat"] = jinja2.pass_context(lambda _, parts: self._concat(parts))
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda form: now.strftime(form)
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
        return attr not in UNSAFE_METHODS and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        size = self.meter.weigh(right) if operator == "%" else 0
        self._expect(growth(operator, left, (right,), size))
        return self._weighed(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(__obj, "__self__", None)
        given = (*args, *kwargs.values())
        __self.meter.charge(WORK_PER_CALL)
        sizes = [__self.meter.weigh(value) for value in (owner, *given)]
        subject = owner if isinstance(owner, str) else getattr(getattr(__obj, "__wrapped__", None), "__self__", owner)
        __self._expect(growth(getattr(__obj, "__name__", ""), subject, given, sum(sizes)))
        return __self._weighed(super().call(__context, __obj, *args, **kwargs))

    def _guarded(self, name: str, function: Any) -> Callable[..., Any]:
        """A filter or test that charges for its inputs and its result."""
        if name in SHALLOW:
            return function  # type: ignore[no-any-return]

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            given = [*args, *kwargs.values()]
            sizes = [self.meter.weigh(value) for value in given]
            plain = [v for v in given if not isinstance(v, Context | nodes.EvalContext | jinja2.Environment)]
            if plain:
                self._expect(growth(name, plain[0], tuple(plain[1:]), sum(sizes)))
            return self._weighed(function(*args, **kwargs))

        return guarded

    def _tick(self, cost: int) -> bool:
        self.meter.charge(cost)
        return True

    def _expect(self, size: int) -> None:
        if size > MAX_OBJECT:
            raise LimitError(f"it builds a value of more than {MAX_OBJECT:,} characters")

    def _weighed(self, value: Any) -> Any:
        self.meter.weigh(value)
        return value

    def _spanned(self, value: Any) -> Any:
        if isinstance(value, str | list | tuple):
            self.meter.charge(len(value) >> 4 if isinstance(value, str) else len(value))
        return value

    def _concat(self, parts: list[Any]) -> str:
        self.meter.weigh(parts)
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
