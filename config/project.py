"""Where the project lies, and what comes with the package."""

from __future__ import annotations

from pathlib import Path

_ABOVE_ROOMS = Path(__file__).resolve().parent.parent
PACKAGED_MODELS = Path(__file__).resolve().parent / "models.toml"
"""The registry that comes with Nightjar."""


def is_checkout() -> bool:
    """The package lies in a checkout of the project, rather than where pip installs."""
    return (_ABOVE_ROOMS / "pyproject.toml").is_file()


def project_folder() -> Path:
    """The checkout that holds this package, else the current folder."""
    return _ABOVE_ROOMS if is_checkout() else Path.cwd()
