"""Every scorer of this installation with its scale and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.scoring.asked import ASKED
from pipeline.scoring.expectations import CHECKS
from pipeline.scoring.instructions import INSTRUCTIONS
from pipeline.scoring.measures import MEASURES
from pipeline.scoring.plugins import user_scorers
from pipeline.scoring.scorer import Scale

BUILT_IN = "nightjar"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """`kind`: check (in `expect`), measure (of every reply), asked (measured where asked for)."""

    kind: str
    name: str
    scale: Scale
    help: str
    origin: str


def listed() -> list[Listed]:
    """Built-in ones first. Raises SettingsError that names a user's scorer that is broken."""
    kinds = f" ({', '.join(INSTRUCTIONS)})"
    found = [
        Listed(
            kind="check",
            name=one.name,
            scale=one.scale,
            help=one.help + (kinds if one.name == "instruction" else ""),
            origin=BUILT_IN,
        )
        for one in CHECKS.values()
    ]
    found += [Listed(kind="measure", name=s.name, scale=s.scale, help=s.help, origin=BUILT_IN) for s in MEASURES]
    found += [Listed(kind="asked", name=s.name, scale=s.scale, help=s.help, origin=BUILT_IN) for s in ASKED.values()]
    own = user_scorers()
    found += [
        Listed(kind="check", name=one.name, scale=one.scale, help=one.help, origin=own.origins[one.name])
        for one in own.checks.values()
    ]
    found += [
        Listed(kind="measure", name=one.name, scale=one.scale, help=one.help, origin=own.origins[one.name])
        for one in own.scorers
    ]
    return found
