"""How large a JSON Schema may be, and how often it may look at one value. Pure.

Schemas come with suites, from anybody. `allOf` and its kin apply several schemas to the same value, and references let
few lines stand for many: 24 definitions, each `allOf` of the one before twice, look at a value 16 million times. Such a
schema is refused where it enters; what grows only with a reply is bounded where the reply is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_PARTS = 20_000
"""Values in a schema, those of enumerations included."""
MOST_ENUM = 5_000
MOST_DEPTH = 100
"""Levels in one another, and references that follow one another: each takes stack."""
MOST_LOOKS = 5_000
"""Schemas applied to one value."""
REMEDY = "Write each alternative once, refer to it from one place, or split the schema"
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_SAME_VALUE = frozenset({"if", "then", "else", "not", "allOf", "anyOf", "oneOf"})
_SAME_VALUE_BY_NAME = frozenset({"dependentSchemas", "dependencies"})


def check_schema_bounds(schema: Any) -> None:
    """Raises ValueError, with what to do, for a JSON Schema that is too large, too deep, or looks too often."""
    parts = list(_parts(schema))
    targets = _Targets(schema)
    looks: dict[int, int] = {}
    for path, node in parts:
        if isinstance(node, dict):
            _count_looks(node, path, targets, looks, [])


def _parts(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every value in the schema with its path, outermost first."""
    level, count, depth = [("$", schema)], 0, 0
    while level:
        below: list[tuple[str, Any]] = []
        for path, node in level:
            count += 1
            if count + len(below) > MOST_PARTS:
                raise ValueError(f"the schema has more than {MOST_PARTS:,} parts. {REMEDY}.")
            if isinstance(node, dict):
                enum = node.get("enum")
                if isinstance(enum, list) and len(enum) > MOST_ENUM:
                    raise ValueError(
                        f"{path}.enum has {len(enum):,} values; at most {MOST_ENUM:,} are allowed. Use a pattern, or "
                        "check the value with another check."
                    )
                below.extend((f"{path}.{key}", value) for key, value in node.items())
            elif isinstance(node, list | tuple):
                below.extend((f"{path}.{at}", value) for at, value in enumerate(node))
            yield path, node
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"the schema is more than {MOST_DEPTH} levels deep. Put inner parts into $defs.")
        level = below


def _count_looks(node: dict[str, Any], path: str, targets: _Targets, looks: dict[int, int], above: list[int]) -> int:
    """How many schemas are applied to a value that this one is applied to, itself included."""
    key = id(node)
    if key in looks:
        return looks[key]
    if key in above:
        raise ValueError(f"{path} refers to itself for the same value, which never ends. Refer to it for a part of it.")
    if len(above) >= MOST_DEPTH:
        raise ValueError(f"{path} goes on to more than {MOST_DEPTH} schemas in a row. {REMEDY}.")
    count = 1
    for inner in _applied(node, targets):
        count += _count_looks(inner, path, targets, looks, [*above, key])
        if count > MOST_LOOKS:
            raise ValueError(
                f"{path} applies more than {MOST_LOOKS:,} schemas to one value, with all that allOf, anyOf, oneOf and "
                f"$ref repeat. {REMEDY}."
            )
    looks[key] = count
    return count


def _applied(node: dict[str, Any], targets: _Targets) -> Iterator[dict[str, Any]]:
    """The schemas that are applied to the same value as this one."""
    for keyword, value in node.items():
        inner: Any = ()
        if keyword in _REFERENCES:
            inner = (targets.find(value),)
        elif keyword in _SAME_VALUE:
            inner = value if isinstance(value, list | tuple) else (value,)
        elif keyword in _SAME_VALUE_BY_NAME and isinstance(value, Mapping):
            inner = value.values()
        yield from (schema for schema in inner if isinstance(schema, dict))


class _Targets:
    """What references inside a schema refer to."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        anchors = ("$anchor", "$dynamicAnchor", "$id", "id")
        self._anchors = {
            f"#{str(node[name]).lstrip('#')}": node
            for _, node in _parts(schema)
            if isinstance(node, dict)
            for name in anchors
            if isinstance(node.get(name), str)
        }

    def find(self, reference: Any) -> Any:
        """The schema that is referred to; None where it cannot be told."""
        if not isinstance(reference, str):
            return None
        if reference == "#":
            return self._schema
        if not reference.startswith("#/"):
            return self._anchors.get(reference)
        node = self._schema
        for step in reference[2:].split("/"):
            name = step.replace("%25", "%").replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict):
                node = node.get(name)
            elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                return None
        return node
