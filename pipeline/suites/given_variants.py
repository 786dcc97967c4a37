"""Variants that a program gives with a run, in the form of a suite's `variants:`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from nightjar.config.errors import UsageError
from nightjar.jobs.variants import OWN, Variant
from nightjar.pipeline.suites.located import field_errors
from nightjar.pipeline.suites.native_file import VariantPart
from nightjar.pipeline.suites.variables import names_in_variant


def given_variants(given: Iterable[Mapping[str, Any]]) -> tuple[Variant, ...]:
    """The variants. Raises UsageError that says which is wrong, and where."""
    variants: dict[str, Variant] = {}
    for number, fields in enumerate(given, start=1):
        variant = _variant(fields, f"Variant {number}")
        if unknown := sorted(names_in_variant(variant)):
            named = " and ".join(f"{{{{{name}}}}}" for name in OWN)
            raise UsageError(
                f"Variant {variant.name!r} names {{{{{unknown[0]}}}}}. One that is given with a run can name {named}; "
                "values of rows are named by the `variants:` of a suite."
            )
        if variant.name in variants:
            raise UsageError(f"Two variants are called {variant.name!r}. Give each a name of its own.")
        variants[variant.name] = variant
    return tuple(variants.values())


def _variant(fields: Mapping[str, Any], which: str) -> Variant:
    try:
        return VariantPart.model_validate(fields).variant
    except ValidationError as error:
        where, problem = field_errors(error, VariantPart)[0]
        field = ".".join(str(step) for step in where)
        raise UsageError(f"{which}{f', {field}' if field else ''}: {problem}") from None
