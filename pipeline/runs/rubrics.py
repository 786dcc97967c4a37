"""Rubrics as texts: those that come with Nightjar, and the YAML that a person writes."""

from __future__ import annotations

from typing import Any

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.config.packaged import packaged
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.suites.yaml_text import parse_yaml


def bundled_rubrics() -> list[str]:
    """Their names."""
    return list(packaged("rubrics"))


def bundled_rubric(name: str) -> dict[str, Any]:
    """One of them, as a run stores it. Raises UnknownNameError."""
    bundled = packaged("rubrics")
    if name not in bundled:
        raise UnknownNameError("rubric", name, bundled, "Or give a YAML file with `criteria:`.")
    return rubric_of_text(bundled[name].read_text(encoding="utf-8"), bundled[name].name)


def rubric_of_text(text: str, where: str) -> dict[str, Any]:
    """A checked rubric of YAML or JSON, which may hold it under `rubric:`. `where` is named in errors.

    Raises UsageError that names the field, SuiteError for what is no YAML.
    """
    data = parse_yaml(text, where).data
    data = data.get("rubric", data) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise UsageError(f"{where}: a rubric is a mapping with `criteria:`.")
    return read_rubric(data, where).model_dump(mode="json")
