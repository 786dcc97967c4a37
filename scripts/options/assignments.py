"""`--set key=value` and `--set MODEL:key=value`, as given on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nightjar.jobs.parameters import merged, parse_assignment


def read_assignments(texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Values for all models, and values by model; a later one wins. Raises ParameterError."""
    everywhere: dict[str, Any] = {}
    by_model: dict[str, dict[str, Any]] = {}
    for text in texts:
        model, key, value = parse_assignment(text)
        if model is None:
            everywhere = merged(everywhere, {key: value})
        else:
            by_model[model] = merged(by_model.get(model, {}), {key: value})
    return everywhere, by_model
