"""Reads templates with the types of what they are given: what is no field of a typed page, and what is called."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, nodes

ITEMS = {"select", "selectattr", "list"}
"""Filters whose result has the type of what they are given."""


def plain(kind: Any) -> Any:
    """The type without None."""
    if isinstance(kind, types.UnionType):
        (kind,) = [one for one in typing.get_args(kind) if one is not types.NoneType]
    return kind


def item(kind: Any) -> Any:
    """The type of what a tuple holds."""
    kind = plain(kind)
    assert typing.get_origin(kind) is tuple, f"{kind} is not a tuple"
    return typing.get_args(kind)[0]


class Reader:
    """Goes through a template with the types of its names; notes what is no field, and what is called."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.faults: list[str] = []
        self.fields_read = 0

    def read(self, source: str, names: dict[str, Any]) -> None:
        self.body(self.environment.parse(source).body, names)

    def load(self, name: str) -> nodes.Template:
        assert self.environment.loader is not None
        return self.environment.parse(self.environment.loader.get_source(self.environment, name)[0])

    def body(self, body: Sequence[nodes.Node], names: dict[str, Any]) -> None:
        for node in body:
            self.statement(node, names)

    def statement(self, node: nodes.Node, names: dict[str, Any]) -> None:
        match node:
            case nodes.Macro():
                names[node.name] = (node, names)
            case nodes.FromImport():
                assert isinstance(node.template, nodes.Const)
                scope: dict[str, Any] = {}
                scope |= {macro.name: (macro, scope) for macro in self.load(node.template.value).find_all(nodes.Macro)}
                names |= scope
            case nodes.Include():
                assert isinstance(node.template, nodes.Const)
                self.body(self.load(node.template.value).body, names)
            case nodes.For():
                assert isinstance(node.target, nodes.Name)
                kind = item(self.kind(node.iter, names))
                self.body(node.body, {**names, node.target.name: kind, "loop": kind})
                self.body(node.else_, names)
            case nodes.Assign():
                assert isinstance(node.target, nodes.Name)
                names[node.target.name] = self.kind(node.node, names)
            case nodes.If():
                self.kind(node.test, names)
                self.body([*node.body, *node.elif_, *node.else_], names)
            case nodes.Output():
                for shown in node.nodes:
                    self.kind(shown, names)
            case _:
                raise AssertionError(f"{type(node).__name__} in a template")

    def kind(self, node: nodes.Node, names: dict[str, Any]) -> Any:
        """The type of an expression; None where it does not matter."""
        match node:
            case nodes.Name():
                if node.name not in names:
                    self.faults.append(f"line {node.lineno}: {node.name} is not the page's")
                return names.get(node.name)
            case nodes.Getattr(node=nodes.Name(name="loop")):
                assert node.attr in ("first", "last", "index0", "previtem")
                return names["loop"] if node.attr == "previtem" else int
            case nodes.Getattr():
                return self.field(self.kind(node.node, names), node)
            case nodes.Getitem():
                self.kind(node.arg, names)
                return item(self.kind(node.node, names))
            case nodes.Call():
                return self.call(node, names)
            case nodes.Filter() if node.name in ITEMS:
                assert node.node is not None
                return self.kind(node.node, names)
        for child in node.iter_child_nodes():
            self.kind(child, names)
        return None

    def field(self, kind: Any, node: nodes.Getattr) -> Any:
        kind = plain(kind)
        known = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
        if node.attr not in known:
            self.faults.append(f"line {node.lineno}: {node.attr} is not a field of {kind}")
            return None
        self.fields_read += 1
        return typing.get_type_hints(kind)[node.attr]

    def call(self, node: nodes.Call, names: dict[str, Any]) -> None:
        """Only macros are called; their bodies are read with the types of this call."""
        kinds = [self.kind(argument, names) for argument in node.args]
        target = names.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        if not isinstance(target, tuple):
            self.faults.append(f"line {node.lineno}: something that is no macro is called")
            return
        macro, scope = target
        self.body(macro.body, {**scope, **dict(zip((name.name for name in macro.args), kinds, strict=True))})
