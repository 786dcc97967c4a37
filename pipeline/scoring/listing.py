"""Every scorer of this installation with its scale and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.errors import suggest
from nightjar.pipeline.embedding.similarities import SCALES
from nightjar.pipeline.judging.verdicts import COMPOSITE
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.installed import installed_scorers
from nightjar.pipeline.scoring.instructions import INSTRUCTIONS
from nightjar.pipeline.scoring.measures_always import MEASURES
from nightjar.pipeline.scoring.measures_asked import ASKED

BUILT_IN = "nightjar"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """`kind`: check (in `expect`), measure (of every reply), asked (measured where asked for)."""

    kind: str
    name: str
    scale: Scale
    help: str
    origin: str


def check_metric(name: str) -> None:
    """Raises ValueError for a name that no metric can have, built in or the user's."""
    known = {"checks", COMPOSITE, *CHECKS, *ASKED, *SCALES, *(measure.name for measure in MEASURES)}
    if name in known or name.startswith(f"{COMPOSITE}."):
        return
    known |= installed_scorers().origins.keys()
    if name not in known:
        raise ValueError(f"there is no metric {name!r}. {suggest(name, known, 'metric')}")


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
    own = installed_scorers()
    found += [
        Listed(kind="check", name=one.name, scale=one.scale, help=one.help, origin=own.origins[one.name])
        for one in own.checks.values()
    ]
    found += [
        Listed(kind="measure", name=one.name, scale=one.scale, help=one.help, origin=own.origins[one.name])
        for one in own.scorers
    ]
    return found
