"""JSON Schemas as grammars.

Written here and not by llama-cpp-python's `SchemaConverter`: that one leaves keywords out without a word, and writes
keys and values with backslashes wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, takewhile
from typing import Any

from nightjar.workers.engine.grammar.characters import common, complement
from nightjar.workers.engine.grammar.gbnf import check_gbnf
from nightjar.workers.engine.grammar.pattern import FORMATS, PLAIN, gbnf_class, is_plain, json_text, literal
from nightjar.workers.engine.grammar.schema import enforceable

MOST_FREE_LEVELS = 8
"""Arrays and objects in one another where a schema lets anything through; readers of JSON have limits."""
LONGEST_OTHER_NAME = 64
"""Characters of a name beside the named properties that is still told apart from theirs."""
MOST_FORKS = 20
"""Places in one value where others go on differently, before the rest is listed whole."""
QUOTE = literal('"')
SPACE = '" "?'
"""One space at most: models run away in white space."""
JSON_CHARACTER = (
    rf'{gbnf_class(PLAIN)} | "\\" (["\\/bfnrt] | "u" ([0-9a-cA-CefEF] [0-9a-fA-F]{{3}} | [dD] [0-7] [0-9a-fA-F]{{2}}))'
)
"""GBNF: what may stand inside a JSON string. Halves of surrogate pairs have no place in UTF-8, escaped or not."""
_INTEGER = '"-"? ("0" | [1-9] [0-9]{0,15})'
SCALARS = {
    "integer": _INTEGER,
    "number": _INTEGER + ' ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
}
"""GBNF of numbers that every reader holds, and of the rest."""


@lru_cache(maxsize=64)
def grammar_of_schema(text: str) -> str:
    """GBNF for a JSON Schema. Raises ParameterError where it cannot be enforced."""
    writer = _Writer()
    root = writer.value(enforceable(json.loads(text)))
    grammar = "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for body, name in writer.rules.items())])
    check_gbnf(grammar, "json_schema")
    return grammar


class _Writer:
    """Writes plain schemas (see `schema.py`) as rules; every method gives what to name in a rule."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        """Names by what they stand for: equal rules are one."""

    def rule(self, body: str) -> str:
        return self.rules.setdefault(body, f"r{len(self.rules)}")

    def value(self, schema: Mapping[str, Any]) -> str:
        if "enum" in schema:
            return self._one_of_texts(sorted(json.dumps(value, ensure_ascii=False) for value in schema["enum"]))
        if "anyOf" in schema:
            return self.rule(" | ".join(dict.fromkeys(self.value(branch) for branch in schema["anyOf"])))
        kind = schema.get("type")
        if kind is None:
            return self._anything(MOST_FREE_LEVELS)
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        return self._string(schema) if kind == "string" else self.rule(SCALARS[kind])

    def _anything(self, levels: int) -> str:
        branches = [self._string({}), *map(self.rule, (SCALARS["number"], SCALARS["boolean"], SCALARS["null"]))]
        if levels:
            inner = self._anything(levels - 1)
            branches += [self._items(inner, 0, None), self._members([], f"{self._string({})} {self._colon()} {inner}")]
        return self.rule(" | ".join(branches))

    def _one_of_texts(self, texts: Sequence[str], forks: int = 0) -> str:
        """One of sorted texts, as a tree: each way on from one place costs llama.cpp a look at every token."""
        pairs = zip(texts[0], texts[-1], strict=False)
        shared = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if len(texts) == 1 or forks == MOST_FORKS:
            return self.rule(" | ".join(map(literal, texts)))
        ways = [
            self._one_of_texts(list(group), forks + 1) if first else literal("")
            for first, group in groupby((text[len(shared) :] for text in texts), key=lambda rest: rest[:1])
        ]
        return self.rule(f"{literal(shared)} ({' | '.join(ways)})")

    def _string(self, schema: Mapping[str, Any]) -> str:
        if "pattern" in schema:
            inside = json_text(schema["pattern"])
        elif "format" in schema:
            inside = self.rule(FORMATS[schema["format"]])
        else:
            inside = self.rule(JSON_CHARACTER) + f"{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}}"
        return self.rule(f"{QUOTE} {inside} {QUOTE}")

    def _array(self, schema: Mapping[str, Any]) -> str:
        if "prefixItems" in schema:
            items = f" {self._comma()} ".join(self.value(item) for item in schema["prefixItems"])
            return self.rule(f'"[" {self._space()} {items} {self._space()} "]"')
        return self._items(self.value(schema["items"]), schema["minItems"], schema.get("maxItems"))

    def _items(self, item: str, least: int, most: int | None) -> str:
        further = self.rule(f"{self._comma()} {item}")
        inside = f"{item} {further}{{{max(least - 1, 0)},{'' if most is None else most - 1}}} {self._space()}"
        return self._enclosed("[", None if most == 0 else inside, "]", optional=not least)

    def _object(self, schema: Mapping[str, Any]) -> str:
        named = [
            (
                f"{literal(json.dumps(name, ensure_ascii=False))} {self._colon()} {self.value(inner)}",
                name in schema["required"],
            )
            for name, inner in schema["properties"].items()
        ]
        other = None
        if "additionalProperties" in schema:
            name = self._other_name(schema["properties"]) if named else self._string({})
            other = f"{name} {self._colon()} {self.value(schema['additionalProperties'])}"
        return self._members(named, other)

    def _members(self, named: Sequence[tuple[str, bool]], other: str | None) -> str:
        """An object with (member, is required) in this order, then any number of other members."""
        rest, optional = None if other is None else self.rule(f"{other} ({self._comma()} {other})*"), True
        for member, required in reversed(named):
            following = "" if rest is None else f"({self._comma()} {rest}){'?' if optional else ''}"
            rest = self.rule(f"{member} {following}" if required or rest is None else f"{member} {following} | {rest}")
            optional = optional and not required
        return self._enclosed("{", None if rest is None else f"{rest} {self._space()}", "}", optional=optional)

    def _enclosed(self, start: str, inside: str | None, end: str, *, optional: bool) -> str:
        inside = "" if inside is None else f"({inside}){'?' if optional else ''}"
        return self.rule(f'"{start}" {self._space()} {inside} "{end}"')

    def _other_name(self, names: Iterable[str]) -> str:
        """A string that is none of the names. It has no escapes, so that no name is written in another way, and names
        that need some do not matter."""
        following: dict[str, set[str]] = {"": set()}
        for name in filter(is_plain, names):
            for at, character in enumerate(name[: LONGEST_OTHER_NAME + 1]):
                following.setdefault(name[:at], set()).add(character)
            following.setdefault(name, set())
        rules: dict[str, str] = {}
        for beginning in sorted(following, key=len, reverse=True):
            ways = [
                f"{literal(c)} {rules[beginning + c]}" for c in sorted(following[beginning]) if beginning + c in rules
            ]
            free = common(PLAIN, complement((ord(c), ord(c)) for c in following[beginning]))
            ways.append(f"{gbnf_class(free)} {self.rule(gbnf_class(PLAIN))}*")
            rules[beginning] = self.rule(" | ".join(ways if beginning in names else [*ways, literal("")]))
        return self.rule(f"{QUOTE} {rules['']} {QUOTE}")

    def _space(self) -> str:
        return self.rule(SPACE)

    def _comma(self) -> str:
        return f'"," {self._space()}'

    def _colon(self) -> str:
        return f'":" {self._space()}'
