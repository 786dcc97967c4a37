"""The units that a chat template's work is counted in, and the charges put into a parsed template. Pure."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, KeysView, ValuesView
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import LoopContext, Macro, TemplateReference
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from nightjar.workers.conversation.template_growth import MAX_BITS

MAX_OBJECT = 8_000_000
"""The most characters of one value, and of a rendering."""
MAX_MEMBERS = 100_000
"""The most members of one value, those of its members included."""
MAX_DEPTH = 100
"""How deep values may lie in one another: hashing a tuple descends on the C stack without looking how deep it is."""
LONG_BITS = 64
"""Integers of more bits count as the digits they print."""
BASE_WORK = 1_000_000
WORK_PER_CHARACTER = 12
WORK_PER_MESSAGE = 2_000
WORK_PER_PAIR = 20
WORK_PER_CALL = 10
"""Units of work allowed: some templates look at every message for each message (docs/templates.md has the figures)."""
_LISTS = (list, tuple, set, frozenset)
_VIEWS = (KeysView, ValuesView, ItemsView)
_PRINTABLE = (
    str,
    int,
    float,
    type(None),
    *_LISTS,
    *_VIEWS,
    dict,
    range,
    Namespace,
    jinja2.Undefined,
    LoopContext,
    Macro,
    TemplateReference,
)
"""What is printed as itself."""


class LimitError(Exception):
    """A template asked for more work or memory than a chat template may."""


class Meter:
    """Counts one rendering's work down to zero; a longer conversation may take more."""

    def __init__(self, messages: int = 0, characters: int = 0) -> None:
        self.left = BASE_WORK + characters * WORK_PER_CHARACTER
        self.left += messages * (WORK_PER_MESSAGE + messages * WORK_PER_PAIR)

    def charge(self, units: int) -> None:
        """Takes units off. Raises LimitError if none are left."""
        self.left -= units
        if self.left < 0:
            raise LimitError("it takes more steps than a template may")

    def weigh(self, value: Any) -> int:
        """Charges a value's deep size and returns it: characters and members, shared parts counted each time.

        A member costs one unit of work, and so do sixteen characters. Raises LimitError.
        """
        characters, members, depth, level = 0, 0, 0, [value]
        while level:
            depth += 1
            members += len(level)
            below: list[Any] = []
            for item in level:
                if isinstance(item, str):  # most are
                    characters += len(item)
                elif item is not None:
                    characters += _digits(item)
                    members += len(item) if isinstance(item, range) else 0
                    below.extend(_members(item))
                if members + len(below) > MAX_MEMBERS or characters > MAX_OBJECT:
                    raise LimitError(
                        f"it builds a value of more than {MAX_OBJECT:,} characters or {MAX_MEMBERS:,} members"
                    )
            if depth > MAX_DEPTH:
                raise LimitError(f"it puts values into one another more than {MAX_DEPTH} deep")
            level = below
        self.charge(members + (characters >> 4))
        return characters + members


def _digits(item: Any) -> int:
    """What a long number prints; short ones count as members only."""
    if not isinstance(item, int) or item.bit_length() <= LONG_BITS:
        return 0
    if item.bit_length() > MAX_BITS:
        raise LimitError(f"it makes a number of more than {MAX_BITS:,} bits")
    return item.bit_length() >> 1


def _members(item: Any) -> Iterable[Any]:
    if isinstance(item, _LISTS):
        return item
    if isinstance(item, _VIEWS):
        return tuple(item)
    if isinstance(item, Namespace):
        return (item._Namespace__attrs,)
    if isinstance(item, dict):
        return (*item.keys(), *item.values())
    return ()


def check_printable(value: Any) -> None:
    """Raises SecurityError for a value whose text says where in memory it lies, such as a function; it was weighed."""
    level = [value]
    while level:
        for item in level:
            if not isinstance(item, _PRINTABLE):
                raise jinja2.exceptions.SecurityError(
                    "it prints a function, a class or an iterator, which have no text"
                )
        level = [member for item in level if not isinstance(item, str) for member in _members(item)]


class Metering(NodeTransformer):
    """Puts the charges into a parsed template."""

    def visit_Template(self, node: nodes.Template) -> nodes.Node:
        self.generic_visit(node)
        # A volatile context keeps the compiler from evaluating filters and tests itself, where nothing is counted.
        volatile = nodes.Keyword("volatile", nodes.Const(True, lineno=1), lineno=1)
        node.body.insert(0, nodes.EvalContextModifier([volatile], lineno=1))
        return node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._built(node) if node.ctx == "load" else self.generic_visit(node)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._built(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        return self._built(node)

    def _built(self, node: Any) -> nodes.Node:
        """A literal with anything but constants in it is weighed where it is built."""
        self.generic_visit(node)
        constant = all(isinstance(part, nodes.Const | nodes.Pair) for part in node.find_all(nodes.Node))
        return node if constant else _metered("nightjar_weigh", node, node)

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
            child if isinstance(child, nodes.TemplateData) else _metered("nightjar_print", child, child)
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
    """The most units that one pass through these nodes can take, without loops and calls."""
    cost = 1
    for top in body:
        for node in (top, *top.find_all(nodes.Node)):
            literal = getattr(node, "data", None) or getattr(node, "value", None)
            cost += 1 + (len(literal) >> 4 if isinstance(literal, str) else 0)
    return cost
