"""Documents -> the report's inputs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from nightjar.jobs.models import SpeedProbe, ThreadUse
from nightjar.jobs.money.energy import EnergyUse, RunEnergy
from nightjar.jobs.states import JobKind
from nightjar.pipeline.report.data.model import ModelInput, WorkerFacts
from nightjar.pipeline.report.data.run_report import Provenance
from nightjar.pipeline.transcripts import JobRow

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run, SuiteVersion

M = TypeVar("M", bound=BaseModel)


def provenance_of(run: Run, suite: SuiteVersion | None) -> Provenance:
    """What the run was; a suite that was removed leaves its source and licence unknown."""
    return Provenance(
        id=run.id,
        name=run.name,
        status=run.status,
        status_reason=run.status_reason,
        suite_name=run.suite_name,
        suite_version=run.suite_version,
        suite_digest=run.suite,
        suite_source=suite.source if suite else None,
        suite_licence=suite.licence if suite else None,
        primary_metric=suite.primary_metric if suite else None,
        repeats=run.repeats,
        seed=run.seed,
        date=run.date,
        set_parameters=run.set_parameters,
        set_model_parameters=run.set_model_parameters,
        judges=tuple(run.judging.judges),
        content=run.content,
        nightjar_version=run.nightjar_version,
        created_at=run.created_at,
        finished_at=run.outcome.finished_at,
        rubric=run.judging.rubric,
        judging=run.judging.shown,
    )


def workers_of(jobs: Iterable[JobRow]) -> dict[str, set[str]]:
    """Contestant -> ids of the workers that committed its turns."""
    ids: dict[str, set[str]] = {}
    for job in jobs:
        ids.setdefault(job.contestant, set()).update(turn.worker for turn in job.turns)
    return ids


def models_of(
    run: Run,
    jobs: Sequence[JobRow],
    states: Mapping[str, Mapping[str, Any]],
    energy: Sequence[RunEnergy] = (),
) -> list[ModelInput]:
    """The run's contestants in its order; `states` are the raw worker documents by id, those that are left. `energy`:
    what each worker used for the run.
    """
    ids, models = workers_of(jobs), {model.name: model for model in run.models}
    return [
        ModelInput(
            name=contestant.model,
            digest=models[contestant.model].digest,
            facts=models[contestant.model].facts,
            loads=tuple(models[contestant.model].loads),
            workers=tuple(
                _worker(name, states[name]) for name in sorted(ids.get(contestant.name, ())) if name in states
            ),
            variant=run.variant(contestant.variant),
            policy=models[contestant.model].policy,
            energy=_energy(contestant.name, ids.get(contestant.name, set()), energy),
        )
        for contestant in run.contestants
    ]


def _energy(contestant: str, workers: AbstractSet[str], parts: Sequence[RunEnergy]) -> EnergyUse | None:
    """Of its replies; unknown where a worker that wrote some of them kept no account."""
    mine = [part for part in parts if part.contestant == contestant and part.kind is JobKind.REPLY]
    if not mine:
        return None
    use = EnergyUse.of(mine)
    return use if workers <= {part.worker for part in mine} else replace(use, joules=None, usd=None)


def _worker(name: str, state: Mapping[str, Any]) -> WorkerFacts:
    return WorkerFacts(
        id=name,
        device=state.get("device", ""),
        process_peak_bytes=state.get("process_peak_bytes"),
        gpu_peak_bytes=state.get("gpu_peak_bytes"),
        gpu_utilisation=state.get("gpu_utilisation"),
        gpu_energy_j=state.get("gpu_energy_j"),
        probe=_maybe(SpeedProbe, state.get("probe")),
        threads=_maybe(ThreadUse, state.get("threads")),
        others_cores=state.get("others_cores_mean"),
    )


def _maybe(kind: type[M], stored: Any) -> M | None:
    """What a worker stored, where it is there and of a form that is known."""
    try:
        return None if stored is None else kind.model_validate(stored)
    except ValidationError:
        return None
