"""A rubric file, as `--rubric` names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nightjar.config.errors import UnknownNameError, UsageError


def read_rubric_file(given: Path) -> dict[str, Any]:
    """A checked rubric from a YAML or JSON file, as a run stores it; the file may hold it under `rubric:`.

    A name alone is one that comes with Nightjar, unless a file is called so. Raises UsageError that names file and
    field, SuiteError for a file that is no YAML.
    """
    from nightjar.config.packaged import packaged
    from nightjar.pipeline.judging.rubric import read_rubric
    from nightjar.pipeline.suites.yaml_text import parse_yaml

    bundled = packaged("rubrics")
    is_name = given.parent == Path(".") and not given.suffix and not given.exists()
    if is_name and given.name not in bundled:
        raise UnknownNameError("rubric", given.name, bundled, "Or give a YAML file with `criteria:`.")
    path = bundled[given.name] if is_name else given
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The rubric {path} cannot be read: {error}. Give a YAML file with `criteria:`.") from None
    data = parse_yaml(text, path.name).data
    data = data.get("rubric", data) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a rubric is a mapping with `criteria:`.")
    return read_rubric(data, str(path)).model_dump(mode="json")
