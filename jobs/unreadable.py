"""Stored documents that do not validate: what is wrong with them, and whether a newer Nightjar wrote them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

FIELDS_NAMED = 3
_NEWER = frozenset({"extra_forbidden", "enum", "literal_error"})
"""Errors that a field or a value causes which this version does not know yet."""
_BLANKS: dict[Any, Any] = {str: "", int: 0, datetime: datetime(1970, 1, 1, tzinfo=UTC)}


def flaw_of(error: ValidationError) -> str:
    """What is wrong with a document, without its contents: "it cannot be read: turns.0.draws: Field required"."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{'.'.join(map(str, problem['loc'])) or 'all of it'}: {problem['msg']}" for problem in problems]
    more = f"; and {len(named) - FIELDS_NAMED} more" if len(named) > FIELDS_NAMED else ""
    return f"it cannot be read: {'; '.join(named[:FIELDS_NAMED])[:500]}{more}"


def from_newer(error: ValidationError) -> bool:
    """Whether all that is wrong are fields and values that this version does not know: a newer one may have them."""
    return all(problem["type"] in _NEWER for problem in error.errors(include_url=False, include_input=False))


def blanked(kind: type[BaseModel], error: ValidationError) -> dict[str, Any]:
    """The fields of a document that cannot be read, with values that can: their defaults, or empty ones."""
    broken = {
        str(problem["loc"][0]) for problem in error.errors(include_url=False, include_input=False) if problem["loc"]
    }
    fields = {name: field for name, field in kind.model_fields.items() if name in broken}
    return {
        name: _BLANKS.get(field.annotation) if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in fields.items()
    }
