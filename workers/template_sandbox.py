"""A jinja2 sandbox for chat templates, which come with model files and are untrusted. Pure.

Renders like transformers' `apply_chat_template` (trimmed blocks, loop controls, `{% generation %}`, unescaped JSON)
and meters the work, so that no template can hang or fill the memory of a worker. The deadline is counted in units of
work, not seconds: a replay of the same conversation ends the same way on every machine. What is metered, and how:

- The parsed template is rewritten before it is compiled: each loop body, loop condition and macro body begins with a
  charge of its own size (nodes and literal characters); what is printed, compared, sliced or joined with `~` passes
  through a filter that charges its size.
- `+ - * / // % **` are intercepted: the size of a result is computed before it is made.
- Filters, tests and calls charge the size of what they are given and of what they return; those that can return much
  more than they got (`replace`, `join`, `center`, `format`, ...) have that size computed first.
- Sizes are deep, so that lists holding one another a thousand times count as what they would print.

Left out on purpose: `random` and `lipsum` (no run could be repeated), `encode`, `to_bytes`, `{% autoescape %}`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import ext, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from workers.template_growth import growth

MAX_SOURCE = 200_000
"""Characters of a template."""
MAX_OBJECT = 8_000_000
"""Size of one value, and characters of a rendering."""
MAX_MEMBERS = 100_000
"""Members of one value, those of its members included."""
BASE_WORK = 1_000_000
WORK_PER_CHARACTER = 12
WORK_PER_MESSAGE = 2_000
WORK_PER_PAIR = 20
WORK_PER_CALL = 10
"""Units of work allowed: some templates look at every message for each message (docs/templates.md has the figures)."""
SHALLOW = frozenset(
    "boolean callable count d default defined false first integer iterable last length mapping none number sameas "
    "sequence true undefined".split()
)
"""Filters and tests that look at no contents."""
UNSAFE_METHODS = frozenset({"encode", "to_bytes", "from_bytes", "translate", "maketrans"})


class LimitError(Exception):
    """A template asked for more work or memory than a chat template may."""


class Meter:
    """Counts one rendering's work down to zero; more is allowed for a longer conversation."""

    def __init__(self, messages: int = 0, characters: int = 0) -> None:
        self.left = BASE_WORK + characters * WORK_PER_CHARACTER
        self.left += messages * (WORK_PER_MESSAGE + messages * WORK_PER_PAIR)

    def charge(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise LimitError("it takes more steps than a chat template may")

    def weigh(self, value: Any) -> int:
        """Charges a value's deep size and returns it: characters and members, shared parts counted each time.

        A member costs one unit of work, as do sixteen characters.
        """
        characters, members, waiting = 0, 0, [value]
        while waiting:
            item = waiting.pop()
            members += 1
            if isinstance(item, str):
                characters += len(item)
            elif isinstance(item, list | tuple | set | frozenset):
                waiting.extend(item)
            elif isinstance(item, range):
                members += len(item)
            elif isinstance(item, Namespace):
                waiting.append(item._Namespace__attrs)
            elif isinstance(item, dict):
                waiting.extend(item.keys())
                waiting.extend(item.values())
            if members + len(waiting) > MAX_MEMBERS or characters > MAX_OBJECT:
                raise LimitError(f"it builds a value of more than {MAX_OBJECT:,} characters or {MAX_MEMBERS:,} members")
        self.charge(members + (characters >> 4))
        return characters + members


class _Metering(NodeTransformer):
    """Puts the charges into a parsed template."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        cost = _cost(node.body)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_metered("nightjar_tick", nodes.Const(cost), node), lineno=node.lineno))
        if node.test is not None:
            test_cost = nodes.Const(_cost([node.test]))
            node.test = nodes.And(_metered("nightjar_tick", test_cost, node), node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._body(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._body(node)

    def _body(self, node: Any) -> nodes.Node:
        cost = _cost(node.body)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_metered("nightjar_tick", nodes.Const(cost), node), lineno=node.lineno))
        return node  # type: ignore[no-any-return]

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [
            child if isinstance(child, nodes.TemplateData) else _metered("nightjar_weigh", child, child)
            for child in node.nodes
        ]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _metered("nightjar_weigh", node.expr, node)
        for operand in node.ops:
            operand.expr = _metered("nightjar_weigh", operand.expr, node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _metered("nightjar_concat", nodes.List(node.nodes, lineno=node.lineno), node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _metered("nightjar_span", node.node, node)
        return node

    def visit_ScopedEvalContextModifier(self, node: nodes.Node) -> nodes.Node:
        raise jinja2.TemplateSyntaxError("chat templates with {% autoescape %} are not supported", node.lineno)


def _metered(name: str, value: nodes.Expr, near: nodes.Node) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=near.lineno)


def _cost(body: Iterable[nodes.Node]) -> int:
    """Units that one pass through these nodes may take at most, loops and calls aside."""
    cost = 1
    for top in body:
        for node in (top, *top.find_all(nodes.Node)):
            literal = getattr(node, "data", None) or getattr(node, "value", None)
            cost += 1 + (len(literal) >> 4 if isinstance(literal, str) else 0)
    return cost


class Sandbox(ImmutableSandboxedEnvironment):
    """Not for two renderings at once: the meter belongs to the one under way."""

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
        metered = _Metering().visit(tree)
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
        """A filter or test that charges for what it is given and returns."""
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
    """`namespace(...)` that keeps no attribute beginning with an underscore."""

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
