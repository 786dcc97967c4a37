"""What this installation brings to scoring, and what a suite or a run may therefore ask for.

The only module of `pipeline` that reads the settings. What computes is given scorers and phrases by its caller.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.identity import digest
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.measures_asked import asked_scorer, needs_phrases
from nightjar.pipeline.scoring.phrases import SHIPPED, read_phrases
from nightjar.pipeline.scoring.plugins import UserScorers, user_scorers


@lru_cache(maxsize=1)
def installed_scorers() -> UserScorers:
    """The user's scorers, loaded once. Raises SettingsError that names the one that is broken."""
    from nightjar.config.settings import load_settings

    return user_scorers(load_settings().scorers)


def installed_versions() -> tuple[str, ...]:
    """What scores here: two hosts that say the same score alike. Raises SettingsError for a broken scorer."""
    own = installed_scorers()
    named = {scorer.name: scorer.version for scorer in own.scorers}
    named |= {name: check.version for name, check in own.checks.items()}
    theirs = [f"{name} {version}".strip() for name, version in sorted(named.items())]
    return (f"nightjar {NIGHTJAR_VERSION}", *theirs, f"phrases {digest(installed_phrases())[:12]}")


def installed_references() -> tuple[str, ...]:
    """The scorers that the setting names, as it names them: for a process that loads them itself."""
    from nightjar.config.settings import load_settings

    return load_settings().scorers


def scoring_limit_s() -> float:
    """How long scoring one job may take."""
    from nightjar.config.settings import load_settings

    return load_settings().scoring_timeout_s


@lru_cache(maxsize=1)
def installed_phrases() -> tuple[str, ...]:
    """The setting's list of phrases, else the one that comes with Nightjar. Raises SettingsError."""
    from nightjar.config.settings import load_settings

    return read_phrases(load_settings().phrases_file or SHIPPED)


def validate_check(check: str, value: Any) -> None:
    """Raises ValueError, with a message for people, when no check has that name or it cannot take the value.

    Checks of users are looked for only where no built-in one has the name: their modules are imported then.
    """
    expectation_scorer(check, value, own={} if check in CHECKS else installed_scorers().checks)


def validate_measure(measure: str, value: Any) -> None:
    """Raises ValueError, with a message for people, when no measure has that name or it cannot take the value."""
    asked_scorer(measure, value, phrases=installed_phrases() if needs_phrases({measure: value}) else ())
