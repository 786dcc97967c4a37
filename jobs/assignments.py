"""`--set key=value` and `--set MODEL:key=value`, as they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nightjar.config.errors import ParameterError
from nightjar.jobs.parameters import merged, parse_assignment


def read_assignments(texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Values for all models, and values by model. Raises ParameterError, also for one that is given twice."""
    everywhere: dict[str, Any] = {}
    by_model: dict[str, dict[str, Any]] = {}
    given: dict[str, str] = {}
    for text in texts:
        model, key, value = parse_assignment(text)
        name = text.partition("=")[0].strip()
        if given.setdefault(name, text) != text:
            raise ParameterError(f"--set gives {name} twice, {given[name]!r} and {text!r}. Leave one out.")
        if model is None:
            everywhere = merged(everywhere, {key: value})
        else:
            by_model[model] = merged(by_model.get(model, {}), {key: value})
    return everywhere, by_model
