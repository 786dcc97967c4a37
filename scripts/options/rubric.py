"""A rubric file, as `--rubric` names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nightjar.config.errors import UsageError


def read_rubric_file(path: Path) -> dict[str, Any]:
    """A checked rubric from a YAML or JSON file, as a run stores it; the file may hold it under `rubric:`.

    Raises UsageError that names file and field, SuiteError for a file that is no YAML.
    """
    from nightjar.pipeline.judging.rubric import read_rubric
    from nightjar.pipeline.suites.yaml_text import parse_yaml

    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The rubric {path} cannot be read: {error}. Give a YAML file with `criteria:`.") from None
    data = parse_yaml(text, path.name).data
    data = data.get("rubric", data) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a rubric is a mapping with `criteria:`.")
    return read_rubric(data, str(path)).model_dump(mode="json")
