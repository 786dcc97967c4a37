"""How a worker loads its model, on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from nightjar.config.errors import UsageError

MOST_THREADS = 512
"""As many as llama.cpp can run."""
Reproducible = Annotated[
    bool, typer.Option("--reproducible", help="The same seed gives the same text, whatever else runs; slower.")
]
Threads = Annotated[
    str | None,
    typer.Option(metavar="NUMBER|auto", help="CPU threads; auto: the cores, fewer while other processes need them."),
]


def threads_setting(text: str | None) -> dict[str, Any]:
    """The load setting that `--threads` asks for; none where it was not given. Raises UsageError."""
    if text is None:
        return {}
    given = text.strip().lower()
    if given == "auto":
        return {"threads": "auto"}
    if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= MOST_THREADS):
        raise UsageError(
            f"--threads is {text!r}; give a number from 1 to {MOST_THREADS}, or auto: the cores that are free."
        )
    return {"threads": int(given)}


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What is given here goes before what the registry says."""

    slots: Annotated[
        str | None, typer.Option(metavar="NUMBER|auto", help="Conversations at once; auto: as many as fit.")
    ] = None
    threads: Threads = None
    reproducible: Reproducible = False
    probe: Annotated[
        bool | None,
        typer.Option(
            "--probe/--no-probe", help="Measure the model's speed again, after the work or while idle; or never."
        ),
    ] = None

    def changes(self) -> dict[str, Any]:
        """Load settings by name. Raises UsageError."""
        from pydantic import ValidationError

        from nightjar.config.load_settings import LoadSettings

        changes: dict[str, Any] = {"reproducible": True} if self.reproducible else {}
        changes |= threads_setting(self.threads)
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
        given = [word for name in ("slots", "threads") if name in changes for word in (f"--{name}", str(changes[name]))]
        switches = ["--reproducible"] * self.reproducible
        if self.probe is not None:
            switches.append("--probe" if self.probe else "--no-probe")
        return [*given, *switches]
