"""Scorers that a user adds: through entry points (group `nightjar.scorers`) or the setting NIGHTJAR_SCORERS.

Never from a suite, which is data. An object with `name`, `scale` and a call `Context -> Score` scores every reply; a
`ScorerFactory` is a check that suites may name in `expect`. They are loaded once per process, where scoring needs them.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from nightjar.config.errors import SettingsError
from nightjar.pipeline.scores import LARGEST, Direction, Scale, Score, ScoreState
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.likelihood_scorers import LIKELIHOODS
from nightjar.pipeline.scoring.measures_always import MEASURES
from nightjar.pipeline.scoring.measures_asked import ASKED
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer, ScoreFunction, ScorerFactory

GROUP = "nightjar.scorers"
NAME_PATTERN = r"[a-z][a-z0-9_]{0,39}"
MAX_REASON = 500
_RESERVED = ("checks", "judge", "embedding_reference", "embedding_previous")


@dataclass(frozen=True, kw_only=True)
class ScorerSource:
    """Where an object comes from, and how to load it."""

    origin: str
    """For people: "entry point tone of tone-scorers 1.2", "NIGHTJAR_SCORERS my_scorers:tone"."""
    module: str
    version: str
    """The package's version; "" if there is none: a digest of the module's file then takes its place."""
    load: Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class UserScorers:
    """`scorers` run on every reply, `checks` only where a suite names them. `origins`: name -> where it is from."""

    scorers: tuple[FunctionScorer, ...] = ()
    checks: Mapping[str, ScorerFactory] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)


NO_SCORERS = UserScorers()
"""Of an installation that brings none."""


def user_scorers(references: Iterable[str]) -> UserScorers:
    """The scorers of installed packages, and those that the settings name (`references`, module:object).

    Raises SettingsError that names the one that is broken.
    """
    return load_user_scorers([*_entry_points(), *_named(references)])


def load_user_scorers(sources: Iterable[ScorerSource], taken: Iterable[str] | None = None) -> UserScorers:
    """Loads and checks the scorers. `taken`: names in use (default: the built-in ones). Raises SettingsError."""
    scorers: list[FunctionScorer] = []
    checks: dict[str, ScorerFactory] = {}
    origins = dict.fromkeys(_builtin_names() if taken is None else taken, "Nightjar itself")
    for source in sources:
        loaded = _load(source)
        name = _checked_name(loaded, source, origins)
        _check_scale(loaded.scale, source)
        origins[name] = source.origin
        version = str(getattr(loaded, "version", "")) or source.version or _file_version(source.module)
        if isinstance(loaded, ScorerFactory):
            checks[name] = replace(loaded, build=_guarded_build(loaded), version=version)
        else:
            scorers.append(
                FunctionScorer(
                    name=name,
                    scale=loaded.scale,
                    function=guarded(loaded),
                    help=str(getattr(loaded, "help", "")),
                    version=version,
                )
            )
    theirs = {scorer.name for scorer in scorers} | checks.keys()
    return UserScorers(
        scorers=tuple(scorers), checks=checks, origins={name: origins[name] for name in origins if name in theirs}
    )


def guarded(function: ScoreFunction) -> ScoreFunction:
    """The function with its result checked: one that is no score raises, and so becomes a recorded failure.

    Whether its value is on the scale is checked for every scorer (`scorer.apply`).
    """

    def check(context: Context) -> Score:
        try:
            score = function(context)
        except SystemExit as error:
            raise RuntimeError(f"the scorer tried to end the process ({error})") from None
        return _sensible(score)

    return check


def _sensible(score: Any) -> Score:
    if not isinstance(score, Score):
        raise TypeError(f"the scorer returned {_shown(score)}, not a Score")
    if score.value is None:
        if score.state not in (ScoreState.UNSCORED, ScoreState.FAILED) or not score.reason:
            raise ValueError("the scorer returned no value; such a Score needs the state unscored and a reason")
        return score
    value = score.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the scorer returned the value {_shown(value)}, not a finite number")
    if score.state is not ScoreState.SCORED:
        raise ValueError(f"the scorer returned a value with the state {score.state}")
    return replace(score, value=float(value))


def _guarded_build(factory: ScorerFactory) -> Callable[[Any], ScoreFunction]:
    """The factory's `build`, with every error as a ValueError: the argument is to blame."""

    def build(value: Any) -> ScoreFunction:
        try:
            function = factory.build(value)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"the check failed on this argument: {_told(error)}.") from None
        if not callable(function):
            raise ValueError(f"the check gave {_shown(function)} for this argument, not a function.")
        return guarded(function)

    return build


def _entry_points() -> Iterator[ScorerSource]:
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        brought = f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
        version = point.dist.version if point.dist is not None else ""
        origin = f"entry point {point.name}{brought}"
        yield ScorerSource(origin=origin, module=point.module, version=version, load=point.load)


def _named(references: Iterable[str]) -> Iterator[ScorerSource]:
    for reference in references:
        yield ScorerSource(
            origin=f"NIGHTJAR_SCORERS {reference}",
            module=reference.partition(":")[0],
            version="",
            load=partial(_attribute, reference),
        )


def _attribute(reference: str) -> Any:
    module_name, _, path = reference.partition(":")
    loaded: Any = importlib.import_module(module_name)
    for part in path.split("."):
        loaded = getattr(loaded, part)
    return loaded


def _load(source: ScorerSource) -> Any:
    try:
        loaded = source.load()
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "pipeline":
            raise SettingsError(_old_import(source)) from None
        missing = isinstance(error, ModuleNotFoundError) and error.name == source.module.partition(".")[0]
        remedy = (
            "Install it, or name its folder in PYTHONPATH: the current folder is not looked in."
            if missing
            else "Fix it, take it out of the setting, or uninstall its package."
        )
        raise SettingsError(f"The scorer of {source.origin} cannot be loaded: {_told(error)}. {remedy}") from None
    if isinstance(loaded, ScorerFactory):
        return loaded
    if type(loaded).__module__.startswith("pipeline."):  # the same class under its old name is another class
        raise SettingsError(_old_import(source))
    if not (isinstance(getattr(loaded, "scale", None), Scale) and callable(loaded)):
        raise SettingsError(
            f"The scorer of {source.origin} is {_shown(loaded)}. It must be a FunctionScorer, an object with a name, a "
            "Scale and a call that takes a Context, or a ScorerFactory (see docs/scorers.md)."
        )
    return loaded


def _old_import(source: ScorerSource) -> str:
    names = "Context, Direction, FunctionScorer, Scale, Score, ScorerFactory"
    return (
        f"The scorer of {source.origin} imports from `pipeline`, which is now part of the package `nightjar`. "
        f"Write instead: from nightjar.scorers import {names}."
    )


def _checked_name(loaded: Any, source: ScorerSource, origins: Mapping[str, str]) -> str:
    name = getattr(loaded, "name", None)
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        raise SettingsError(
            f"The scorer of {source.origin} has the name {_shown(name)}: use small letters, digits and '_', at most 40."
        )
    if name in origins:
        raise SettingsError(
            f"The scorer of {source.origin} has the name {name!r}, which is taken by {origins[name]}. Give it another."
        )
    return name


def _check_scale(scale: Scale, source: ScorerSource) -> None:
    """Raises SettingsError for a scale that holds no values, or none that can be counted."""
    if (problem := _scale_problem(scale)) is not None:
        raise SettingsError(f"The scorer of {source.origin} has a scale that cannot be: {problem}.")


def _scale_problem(scale: Scale) -> str | None:
    for name in ("worst", "best", "least", "most"):
        value = getattr(scale, name)
        if value is not None and not (isinstance(value, int | float) and -LARGEST <= value <= LARGEST):
            return f"{name} is {_shown(value)}, and must be a number from {-LARGEST:g} to {LARGEST:g}"
    if scale.worst is not None and scale.best is not None:
        if scale.worst == scale.best:
            return "worst and best are the same"
        if (scale.worst > scale.best) != (scale.direction is Direction.LOWER):
            side = "above" if scale.worst > scale.best else "below"
            return f"worst is {side} best, and the direction is {scale.direction}"
    if scale.least is not None and scale.most is not None and scale.least > scale.most:
        return "least is above most"
    low, high = scale.limits
    return "no value lies within both its ends and its limits" if low >= high else None


def _builtin_names() -> set[str]:
    return {*_RESERVED, *CHECKS, *ASKED, *(scorer.name for scorer in (*MEASURES, *LIKELIHOODS))}


def _file_version(module: str) -> str:
    """Digest of a loaded module's source file; "" if it has none."""
    file = getattr(sys.modules.get(module), "__file__", None)
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else ""
    except OSError:
        return ""


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_REASON]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
