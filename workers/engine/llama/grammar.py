"""JSON Schemas as grammars."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from llama_cpp.llama_grammar import SchemaConverter

from config.errors import ParameterError
from workers.engine.schema import enforceable

JSON_CHARACTER = r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'
"""GBNF: what may stand inside a JSON string."""


@lru_cache(maxsize=64)
def grammar_of_schema(text: str) -> str:
    """GBNF for a JSON Schema. Raises ParameterError where it cannot be enforced."""
    schema = enforceable(json.loads(text))
    converter = _SchemaConverter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
    try:
        converter.visit(converter.resolve_refs(schema, ""), "")
    except Exception as error:
        raise ParameterError(f"Parameter 'json_schema' cannot be turned into a grammar: {error!r}.") from None
    return str(converter.format_grammar())


class _SchemaConverter(SchemaConverter):  # type: ignore[misc]  # the library is untyped
    """The library's converter, but no control characters in strings, and lengths without one rule a character."""

    def visit(self, schema: dict[str, Any], name: str) -> str:
        if schema.get("type") == "string" and "pattern" not in schema and "format" not in schema:
            length = f"{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}}"
            if not {"enum", "const"} & set(schema):
                rule = rf'"\"" {self._add_rule("char", JSON_CHARACTER)}{length} "\"" space'
                return str(self._add_rule(f"{name}-text" if name else "root", rule))
        return str(super().visit(schema, name))

    def _add_rule(self, name: str, rule: str) -> str:
        return str(super()._add_rule(name, JSON_CHARACTER if name == "char" else rule))
