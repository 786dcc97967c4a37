"""The optional packages that training needs; everything else in the project works without them."""

import importlib
from typing import Any

from nightjar.config.installation import extra_line


def training_package(name: str) -> Any:
    """The imported package, or a SystemExit that names the extra to install."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.split(".")[0]:
            raise
        raise SystemExit(
            f"{name} is not installed; the demo model's training needs it: {extra_line('train')}"
        ) from error
