"""What comes with Nightjar under `config/`: suites, rubrics, beginnings of suites."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def packaged(kind: str) -> dict[str, Path]:
    """Name -> YAML file. `kind`: suites, rubrics or starts."""
    return {path.stem: path for path in sorted((_FOLDER / kind).glob("*.yaml"))}
