"""What a run is asked with, wherever a page asks it: the fields, the options of enqueuing, the words of the command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.assignments import read_assignments
from nightjar.jobs.lookup import suite_names
from nightjar.jobs.routing.policies import all_policies
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.web.pages.declare import Visit
from nightjar.web.pages.words import read_number
from nightjar.web.sheet import Choice, Field
from nightjar.workers.library.registry import read_registry

RUN_FIELDS = ("suite", "model", "only", "limit", "repeats", "seed", "judge", "rubric", "self_judging", "set")
NUMBERS = ("repeats", "limit", "seed")


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What may be chosen: names of suites, of models of this machine, and of policies."""

    suites: list[str]
    models: list[str]
    policies: list[str]


async def read_offered(visit: Visit) -> Offered:
    return Offered(
        suites=sorted({*await suite_names(visit.site.database), *bundled()}),
        models=sorted(read_registry(visit.site.settings.models_file).models),
        policies=sorted({policy.address for policy in await all_policies() if policy.active}),
    )


def what_fields(visit: Visit, offered: Offered) -> tuple[Field, ...]:
    """What is evaluated."""
    models = [*offered.models, *offered.policies]
    return (
        Field(name="suite", label="Suite", choices=choices_of(offered.suites, [visit.one("suite")])),
        Field(name="model", label="Models and policies", several=True, choices=choices_of(models, visit.many("model"))),
        Field(name="only", label="Only these tags or sequences (with commas)", value=visit.one("only")),
        Field(name="limit", label="At most so many sequences", value=visit.one("limit"), kind="number"),
        Field(name="repeats", label="Repeats", value=visit.one("repeats", "1"), kind="number"),
    )


def how_fields(visit: Visit, offered: Offered) -> tuple[Field, ...]:
    """How it is generated and judged; all of it may be left alone."""
    from nightjar.pipeline.runs.rubrics import bundled_rubrics  # brings in what a run may ask for

    own = Choice(value="yes", text="yes", chosen=visit.one("self_judging") == "yes")
    return (
        Field(name="seed", label="Seed (else by the suite's name)", value=visit.one("seed"), kind="number"),
        Field(
            name="judge",
            label="Judges (optional)",
            several=True,
            choices=choices_of(offered.models, visit.many("judge")),
        ),
        Field(
            name="rubric",
            label="By the rubric",
            choices=(
                Choice(value="", text="of the suite"),
                *choices_of(bundled_rubrics(), [visit.one("rubric")]),
            ),
        ),
        Field(
            name="self_judging",
            label="A judge may judge its own replies",
            choices=(Choice(value="", text="no"), own),
        ),
        Field(
            name="set",
            label="Parameters, one a line: key=value or MODEL:key=value",
            value="\n".join(_assignments(visit)),
            kind="lines",
        ),
    )


def choices_of(names: Iterable[str], chosen: Iterable[str]) -> tuple[Choice, ...]:
    """A choice a name."""
    given = set(chosen)
    return tuple(Choice(value=name, text=name, chosen=name in given) for name in names)


def run_options(visit: Visit) -> dict[str, Any]:
    """Keyword arguments of `make_request`. Raises UsageError, UnknownNameError, ParameterError."""
    from nightjar.pipeline.runs.rubrics import bundled_rubric

    everywhere, by_model = read_assignments(_assignments(visit))
    rubric = visit.one("rubric")
    return {
        "suite": visit.one("suite"),
        "models": tuple(dict.fromkeys(visit.many("model"))),
        "only": _listed(visit.one("only")),
        "judges": tuple(dict.fromkeys(visit.many("judge"))),
        "rubric": bundled_rubric(rubric) if rubric else None,
        "self_judging": visit.one("self_judging") == "yes",
        "set_parameters": everywhere,
        "set_model_parameters": by_model,
        "known_models": tuple(read_registry(visit.site.settings.models_file).models),
        **{field: read_number(field, text) for field in NUMBERS if (text := visit.one(field))},
    }


def run_words(visit: Visit) -> list[str]:
    """The same as options of `nightjar enqueue`."""
    words = ["--suite", visit.one("suite")]
    words += [word for name in visit.many("model") for word in ("--model", name)]
    words += [word for name in _listed(visit.one("only")) for word in ("--only", name)]
    words += [
        word for name in ("limit", "repeats", "seed") if (value := visit.one(name)) for word in (f"--{name}", value)
    ]
    words += [word for name in visit.many("judge") for word in ("--judge", name)]
    words += ["--rubric", visit.one("rubric")] if visit.one("rubric") else []
    words += ["--self-judging"] if visit.one("self_judging") == "yes" else []
    return words + [word for text in _assignments(visit) for word in ("--set", text)]


def hidden_fields(visit: Visit, names: Iterable[str]) -> tuple[Field, ...]:
    """What was chosen in these fields, to be sent again unseen."""
    return tuple(Field(name=name, label="", value=value, kind="hidden") for name in names for value in visit.many(name))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _assignments(visit: Visit) -> list[str]:
    return [line.strip() for line in visit.one("set").splitlines() if line.strip()]
