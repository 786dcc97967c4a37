"""Every scorer of this installation, with its scale and origin."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.config.errors import suggest
from nightjar.jobs.sequences import averaged_metric
from nightjar.pipeline.embedding.similarities import SCALES
from nightjar.pipeline.judging.verdicts import COMPOSITE
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.installed import installed_scorers
from nightjar.pipeline.scoring.instructions import INSTRUCTIONS
from nightjar.pipeline.scoring.likelihood_scorers import LIKELIHOODS
from nightjar.pipeline.scoring.measures_always import MEASURES
from nightjar.pipeline.scoring.measures_asked import ASKED

BUILT_IN = "nightjar"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A scorer. `kind`: check (in `expect`), measure (of every reply), asked (measured on request),
    likelihood (of given texts)."""

    kind: str
    name: str
    scale: Scale
    help: str
    origin: str


def check_metric(name: str) -> None:
    """Raises ValueError if no metric, built-in or the user's, can have this name."""
    known = {
        "checks",
        COMPOSITE,
        *CHECKS,
        *ASKED,
        *SCALES,
        *(one.name for one in LIKELIHOODS),
        *(measure.name for measure in MEASURES),
    }
    if name in known or averaged_metric(name) in known or name.startswith(f"{COMPOSITE}."):
        return
    known |= installed_scorers().origins.keys()
    if name not in known:
        raise ValueError(f"there is no metric {name!r}. {suggest(name, known, 'metric')}")


def listed() -> list[Listed]:
    """All scorers, built-in ones first. Raises SettingsError that names a broken scorer of the user's."""
    kinds = f" ({', '.join(INSTRUCTIONS)})"
    scorers = [
        Listed(
            kind="check",
            name=check.name,
            scale=check.scale,
            help=check.help + (kinds if check.name == "instruction" else ""),
            origin=BUILT_IN,
        )
        for check in CHECKS.values()
    ]
    scorers += [Listed(kind="measure", name=s.name, scale=s.scale, help=s.help, origin=BUILT_IN) for s in MEASURES]
    scorers += [Listed(kind="asked", name=s.name, scale=s.scale, help=s.help, origin=BUILT_IN) for s in ASKED.values()]
    scorers += [
        Listed(kind="likelihood", name=s.name, scale=s.scale, help=s.help, origin=BUILT_IN) for s in LIKELIHOODS
    ]
    own = installed_scorers()
    scorers += [
        Listed(kind="check", name=check.name, scale=check.scale, help=check.help, origin=own.origins[check.name])
        for check in own.checks.values()
    ]
    scorers += [
        Listed(kind="measure", name=scorer.name, scale=scorer.scale, help=scorer.help, origin=own.origins[scorer.name])
        for scorer in own.scorers
    ]
    return scorers
