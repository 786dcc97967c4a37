"""How a worker loads its model, on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from nightjar.config.errors import UsageError

Reproducible = Annotated[
    bool, typer.Option("--reproducible", help="The same seed gives the same text, whatever else runs; slower.")
]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What is given here goes before what the registry says."""

    slots: Annotated[
        str | None, typer.Option(metavar="NUMBER|auto", help="Conversations at once; auto: as many as fit.")
    ] = None
    reproducible: Reproducible = False

    def changes(self) -> dict[str, Any]:
        """Load settings by name. Raises UsageError."""
        from pydantic import ValidationError

        from nightjar.config.load_settings import LoadSettings

        changes: dict[str, Any] = {"reproducible": True} if self.reproducible else {}
        if self.slots is not None:
            try:
                changes["slots"] = LoadSettings.model_validate({"slots": self.slots.strip().lower()}).slots
            except ValidationError:
                raise UsageError(
                    f"--slots is {self.slots!r}; give a number from 1 to 256, or auto: as many as fit."
                ) from None
        return changes

    def arguments(self) -> list[str]:
        """The same, for another process. Raises UsageError."""
        changes = self.changes()
        slots = ["--slots", str(changes["slots"])] if "slots" in changes else []
        return [*slots, *(["--reproducible"] if self.reproducible else [])]
