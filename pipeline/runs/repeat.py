"""Exports a run to one file, and writes the run of such a file, so that it can be generated again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.config.errors import RunConflictError, UnknownNameError, UsageError
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.closers import Closers
from nightjar.jobs.documents import Run, SuiteVersion
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.mongo import Database, DuplicateKeyError, utc_now
from nightjar.jobs.published import publish_model, published
from nightjar.jobs.states import JobKind
from nightjar.pipeline.judging.rubric import stored_rubric
from nightjar.pipeline.runs.run_file import (
    FORMAT_VERSION,
    ParameterSet,
    RunFile,
    RunFileSuite,
    RunPart,
    UsedModel,
    how_to_get,
    model_differences,
    one_line,
    remarks,
    run_of,
)
from nightjar.pipeline.runs.write_jobs import ExpansionProgress, finish_expansion
from nightjar.pipeline.suites.importer import import_suite, load_whole


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a host that has a model knows about where it came from."""

    digest: str
    source: dict[str, Any]
    template: str | None = None
    """A chat template used instead of the file's own."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The run as it is now; `created` is False where it existed already."""

    run: Run
    created: bool
    suite: SuiteVersion
    remarks: tuple[str, ...]


def helper_names(run: Run) -> list[str]:
    """The models that judge or embed for it, and what they are held against where that replies to nothing."""
    names = [*run.judging.judges, *([run.embed_model] if run.embed_model else [])]
    reference = run.fidelity.reference if run.fidelity is not None else None
    return [*names, *([reference] if reference and all(model.name != reference for model in run.models) else [])]


def models_to_find(run: Run) -> dict[str, str]:
    """Of every model in the run's file, what finds it on this machine: its name, or the path that it was given by."""
    return {name: name for name in helper_names(run)} | {model.name: model.path or model.name for model in run.models}


async def export_run(run: Run, database: Database, origins: Mapping[str, Origin]) -> RunFile:
    """The run's file. Raises UnknownNameError where its suite is gone, UsageError for a run with policies."""
    if run.candidates:
        policies = ", ".join(model.name for model in run.models if model.policy is not None)
        raise UsageError(
            f"Run {run.name!r} asked {policies}, and a file holds no policies. Export a run of their candidates alone: "
            f"{', '.join(run.candidates)}."
        )
    suite = await SuiteVersion.get(run.suite)
    if suite is None:
        raise UnknownNameError("suite", run.suite_name, [], f"The suite of run {run.name!r} is gone from MongoDB.")
    sets = await _parameter_sets(run, database)
    helpers = list(dict.fromkeys(helper_names(run)))
    publications = await published([*helpers, *(model.name for model in run.models)], database)
    published_origins = {
        name: Origin(digest=model.facts.digest, source=model.origin)
        for name, model in publications.items()
        if model.origin
    }
    known = published_origins | {
        name: origin for name, origin in origins.items() if origin.template or name not in published_origins
    }
    judges = {name: publications[name].facts if name in publications else None for name in helpers}
    asked = {name: getattr(run, name) for name in RunPart.model_fields.keys() & Run.model_fields.keys()}
    asked |= {"fidelity_to": None if run.fidelity is None else run.fidelity.reference}
    asked |= {"waves": run.waves.plan if run.waves is not None else None}
    rubric = stored_rubric(run.judging.rubric)
    judging = {"judges": run.judging.judges, "rubric": rubric, "self_judging": run.judging.self_judging}
    return RunFile(
        nightjar_run=FORMAT_VERSION,
        exported_at=utc_now(),
        exported_by=f"nightjar {NIGHTJAR_VERSION}",
        run=RunPart(**asked, **judging),
        suite=RunFileSuite(version=suite.version, digest=suite.id, content=await load_whole(suite, database)),
        prompts={sequence.id: sequence.digest for sequence in suite.sequences if sequence.id in set(run.sequences)},
        models=tuple(
            _used(model.name, model.facts, model.digest, known).model_copy(
                update={"loads": tuple(model.loads), "parameters": tuple(sets.get(model.name, ()))}
            )
            for model in run.models
        ),
        judges=tuple(_used(name, facts, facts.digest if facts else None, known) for name, facts in judges.items()),
    )


def _used(name: str, facts: ModelFacts | None, digest: str | None, known: Mapping[str, Origin]) -> UsedModel:
    """A model with where it came from, as far as that is known of this very file."""
    origin = known.get(name)
    same = origin if origin is not None and digest in (None, origin.digest) else None
    return UsedModel(
        name=name,
        digest=digest,
        facts=facts,
        origin=same.source if same else None,
        template=same.template if same else None,
    )


async def import_run(
    file: RunFile,
    here: Mapping[str, ModelFacts],
    database: Database,
    *,
    origins: Mapping[str, Origin] | None = None,
    name: str | None = None,
    other_models: bool = False,
    closers: Closers | None = None,
    progress: ExpansionProgress | None = None,
) -> Imported:
    """Stores the file's suite and writes its run, ready for workers. Safe to repeat.

    `here`: facts of the models that this machine has, by name. `other_models` takes models that differ from the
    exported run's. `closers`: who may close the run besides dispatchers. Raises RunConflictError with every difference,
    UnknownNameError for a model that no host has.
    """
    await _check_models(file, here, database, other_models=other_models)
    for facts in here.values():
        await publish_model(database, facts, by="run import", origin=_source(facts.name, origins))
    suite, _ = await import_suite(file.suite.content, database)
    notes = tuple(remarks(file, NIGHTJAR_VERSION))
    existing = await Run.get(file.run.id)
    if existing is not None:
        existing.check_not_removing()
        await finish_expansion(existing, database, progress)
        return Imported(run=await Run.get(file.run.id) or existing, created=False, suite=suite, remarks=notes)
    run = run_of(file, suite, name=name, version=NIGHTJAR_VERSION)
    run.closers = closers
    if other_models:
        run.models = [model.model_copy(update={"digest": None}) for model in run.models]
    try:
        await run.insert()
    except DuplicateKeyError:
        raise RunConflictError(
            f"Another run is called {run.name!r}. Give this one a name of its own: `nightjar run import FILE --name X`."
        ) from None
    await finish_expansion(run, database, progress)
    return Imported(run=await Run.get(run.id) or run, created=True, suite=suite, remarks=notes)


async def _check_models(
    file: RunFile, here: Mapping[str, ModelFacts], database: Database, *, other_models: bool
) -> None:
    wanted = [*file.models, *file.judges]
    publications = await published([model.name for model in wanted], database)
    known = {name: model.facts for name, model in publications.items()} | dict(here)
    differing: list[str] = []
    for model in wanted:
        if model.name not in known:
            raise UnknownNameError("model", one_line(model.name), known, how_to_get(model))
        differing += model_differences(model, known[model.name])
    if differing and not other_models:
        remedies = [how_to_get(model) for model in wanted if model_differences(model, known[model.name])]
        raise RunConflictError(
            f"This machine would not repeat the run: {'; '.join(differing)}. Get what it used ({' '.join(remedies)}), "
            "or give --other-models to run what is here; the replies will be others."
        )


async def _parameter_sets(run: Run, database: Database) -> dict[str, list[ParameterSet]]:
    """Model -> the different parameters of its turns, most used first."""
    stages: list[dict[str, Any]] = [
        {"$match": {"run": run.id, "kind": JobKind.REPLY}},
        {"$project": {"model": 1, "turns.parameters": 1, "turns.sources": 1}},
        {"$unwind": "$turns"},
        {
            "$group": {
                "_id": {"model": "$model", "values": "$turns.parameters", "sources": "$turns.sources"},
                "turns": {"$sum": 1},
            }
        },
        {"$sort": {"turns": -1}},
    ]
    sets: dict[str, list[ParameterSet]] = {}
    async for row in await database.jobs.aggregate(stages, allowDiskUse=True):
        key = row["_id"]
        parameter_set = ParameterSet(values=key["values"], sources=key["sources"], turns=row["turns"])
        sets.setdefault(key["model"], []).append(parameter_set)
    return sets


def _source(name: str, origins: Mapping[str, Origin] | None) -> dict[str, Any] | None:
    return origins[name].source if origins and name in origins else None
