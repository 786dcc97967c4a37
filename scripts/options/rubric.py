"""A rubric file, as `--rubric` names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nightjar.config.errors import UsageError


def read_rubric_file(given: Path) -> dict[str, Any]:
    """A checked rubric from a YAML or JSON file, as a run stores it; the file may hold it under `rubric:`.

    A name alone is one that comes with Nightjar, unless a file is called so. Raises UsageError that names file and
    field, SuiteError for a file that is no YAML.
    """
    from nightjar.pipeline.runs.rubrics import bundled_rubric, rubric_of_text

    if given.parent == Path(".") and not given.suffix and not given.exists():
        return bundled_rubric(given.name)
    try:
        text = given.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The rubric {given} cannot be read: {error}. Give a YAML file with `criteria:`.") from None
    return rubric_of_text(text, str(given))
