"""Freezing a request into a run; and comparing a run that is requested again with the existing one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from nightjar.config.counting import how_many
from nightjar.config.errors import RunConflictError, UnknownNameError, UsageError
from nightjar.jobs.documents import Run, RunModel, SequenceRef, SuiteVersion
from nightjar.jobs.ending import Ending
from nightjar.jobs.fidelity import RunFidelity
from nightjar.jobs.identity import default_run_seed, digest
from nightjar.jobs.judgings import Judging, RunJudging, first_judging
from nightjar.jobs.routing.routed import FrozenPolicy
from nightjar.jobs.states import RunStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.durations import parse_deadline
from nightjar.pipeline.judging.rubric import judging_rubric
from nightjar.pipeline.runs.request import EnqueueRequest, expand_name, readable_name
from nightjar.pipeline.runs.waves import freeze_waves

MAX_JOBS = 5_000_000
STALLED_AFTER_S = 1800.0
ADJUSTABLE = {
    "priority": "priority",
    "budget": "budget",
    "max_tries": "max_tries",
    "fail_on_error": "fail_on_error",
    "deadline": "ending.deadline_at",
    "stalled_after_s": "ending.stalled_after_s",
    "formats": "ending.formats",
    "on_finish": "ending.on_finish",
}
"""Option -> field of the run, for options that change no reply and no verdict."""


def freeze(
    request: EnqueueRequest,
    suite: SuiteVersion,
    sequences: Sequence[SequenceRef],
    *,
    identity: str,
    now: datetime,
    version: str,
    policies: Mapping[str, FrozenPolicy] = MappingProxyType({}),
) -> Run:
    """The run that a request asks for, in state EXPANDING. `identity`: 32 random hexadecimal characters. `policies`:
    those among its models, by name.
    """
    day = request.tick or now
    models, variants = tuple(dict.fromkeys(request.models)), freeze_variants(request, suite)
    name = request.name or readable_name(suite.name, now, identity[:6])
    seed = default_run_seed(suite.name) if request.seed is None else request.seed
    contestants, ids = len(models) * max(len(variants), 1), [sequence.id for sequence in sequences]
    waves = freeze_waves(request, suite, ids, contestants, seed)
    asked = len(ids) if waves is None else waves.asked
    _bounded(len(ids) * contestants * request.repeats)
    run = Run(
        id=identity,
        name=expand_name(name, day),
        status=RunStatus.EXPANDING,
        suite=suite.id,
        suite_name=suite.name,
        suite_version=suite.version,
        sequences=ids,
        models=[RunModel(name=model, path=request.paths.get(model), policy=policies.get(model)) for model in models],
        variants=variants,
        repeats=request.repeats,
        seed=seed,
        set_parameters=request.set_parameters,
        set_model_parameters=request.set_model_parameters,
        date=f"{day:%Y-%m-%d}",
        priority=request.priority,
        budget=request.budget,
        max_tries=request.max_tries,
        judging=freeze_judging(request, suite),
        embed_model=request.embed_model,
        fidelity=freeze_fidelity(request),
        measures=request.measures,
        fail_on_error=request.fail_on_error,
        jobs_total=asked * contestants * request.repeats,
        waves=waves,
        schedule=request.schedule,
        tick=request.tick,
        series=request.schedule or (request.name if request.name and "{date}" in request.name else None),
        ending=freeze_ending(request, day),
        nightjar_version=version,
        content="",
        created_at=now,
    )
    run.content = content_digest(run)
    return run


def freeze_variants(request: EnqueueRequest, suite: SuiteVersion) -> list[Variant]:
    """The variants that the run has: those given with it, or the suite's. Raises UsageError, UnknownNameError."""
    offered = {variant.name: variant for variant in request.variants or suite.variants}
    if request.variants and suite.variants:
        raise UsageError(
            f"Suite {suite.name!r} has variants of its own ({', '.join(v.name for v in suite.variants)}), and --system "
            "makes others. Leave it out, or take a suite without `variants:`."
        )
    for name in request.only_variants:
        if name not in offered:
            raise UnknownNameError(
                "variant", name, offered, f"Suite {suite.name!r} has {', '.join(offered) or 'none'}."
            )
    return [variant for name, variant in offered.items() if name in (request.only_variants or offered)]


def freeze_judging(request: EnqueueRequest, suite: SuiteVersion) -> RunJudging:
    """Who judges the run, by the request's rubric or the suite's. Raises UsageError where there is none."""
    if not request.judges:
        return RunJudging()
    rubric = judging_rubric(request.rubric or suite.rubric, f"suite {suite.name!r}")
    return first_judging(list(dict.fromkeys(request.judges)), rubric, self_judging=request.self_judging)


def freeze_fidelity(request: EnqueueRequest) -> RunFidelity | None:
    """What the models are held against. Raises UsageError where that is the only one of them."""
    reference = request.fidelity_to
    if reference is None:
        return None
    if set(request.models) == {reference}:
        raise UsageError(f"--fidelity-to {reference} is the run's only model, so there is nothing to hold against it.")
    return RunFidelity(reference=reference, path=request.paths.get(reference))


def freeze_ending(request: EnqueueRequest, start: datetime) -> Ending:
    """How the run is to end; a deadline counts from `start`, which is a scheduled run's tick."""
    deadline = parse_deadline(request.deadline) if request.deadline is not None else None
    patience = request.stalled_after_s or (STALLED_AFTER_S if request.on_finish else None)
    return Ending(
        gates=request.gates,
        strict=request.strict,
        baseline=request.baseline,
        deadline_at=deadline.after(start, ZoneInfo(request.timezone)) if deadline is not None else None,
        stalled_after_s=patience,
        formats=request.formats or Ending().formats,
        on_finish=request.on_finish,
    )


def grown(existing: Run, wanted: Run) -> Run | None:
    """The existing run with the wanted one's new models and repeats; None if it has them all.

    Raises RunConflictError if the run is in a state in which it cannot grow.
    """
    names = {model.name for model in existing.models}
    new = [model for model in wanted.models if model.name not in names]
    repeats = max(existing.repeats, wanted.repeats)
    if not new and repeats == existing.repeats:
        return None
    if existing.waves is not None:
        raise RunConflictError(
            f"Run {existing.name!r} stops when it is decided, so its models and repeats are fixed. Give the new run "
            "another --name."
        )
    if existing.status not in (RunStatus.ACTIVE, RunStatus.DONE, RunStatus.STOPPED):
        remedy = {
            RunStatus.PAUSED: f"Resume it first: `nightjar run resume {existing.name}`.",
            RunStatus.JUDGING: "Wait until it is done.",
        }.get(existing.status, "Give a new run another --name.")
        raise RunConflictError(f"Run {existing.name!r} is {existing.status} and cannot grow now. {remedy}")
    existing.check_transcripts()
    models = [*existing.models, *new]
    sets = existing.set_model_parameters | {
        model.name: wanted.set_model_parameters[model.name]
        for model in new
        if model.name in wanted.set_model_parameters
    }
    jobs_total = _bounded(len(existing.sequences) * len(models) * max(len(existing.variants), 1) * repeats)
    larger: Run = existing.model_copy(
        update={
            "models": models,
            "repeats": repeats,
            "set_model_parameters": sets,
            "jobs_total": jobs_total,
            "status": RunStatus.EXPANDING,
        }
    )
    return larger


def content_digest(run: Run) -> str:
    """Digest of everything that must agree when a run's name is used again; models and repeats may grow."""
    decided = () if run.waves is None else (run.waves.plan.model_dump(),)
    return digest("run", run.suite, run.sequences, run.seed, run.set_parameters, run.nightjar_version, *decided)


def run_differences(old: Run, new: Run) -> list[str]:
    """What keeps `new` from being the same run as `old`: one phrase per difference, "seed is 7, was 3"."""
    phrases = []
    if old.suite != new.suite:
        phrases.append(f"the suite is {_suite(new)}, was {_suite(old)}")
    if old.sequences != new.sequences and old.suite == new.suite:
        phrases.append(
            f"it takes {how_many(len(new.sequences), 'sequence')}, was {len(old.sequences)} (--only, --limit)"
        )
    if old.seed != new.seed:
        phrases.append(f"the seed is {new.seed}, was {old.seed}")
    phrases += [*_varied_otherwise(old, new), *_scored_otherwise(old, new), *_decided_otherwise(old, new)]
    phrases += _changes(old.set_parameters, new.set_parameters, "")
    before = {model.name: model for model in old.models}
    for model in new.models:
        if model.name in before:
            name = model.name
            was, now = old.set_model_parameters.get(name, {}), new.set_model_parameters.get(name, {})
            phrases += _changes(was, now, f"{name}:")
            if _asked_policy(model) != _asked_policy(before[name]):
                phrases.append(f"{name} is {_policy(model)}, was {_policy(before[name])}")
            if None not in (model.path, before[name].path) and model.path != before[name].path:
                phrases.append(f"the file of {name} is {model.path}, was {before[name].path}")
    if old.nightjar_version != new.nightjar_version:
        phrases.append(f"Nightjar is {new.nightjar_version}, was {old.nightjar_version}")
    return phrases


def gate_differences(old: Run, new: Run, given: Set[str]) -> list[str]:
    """Differences in the gates, which an existing run does not allow; only options that were `given` are compared."""
    phrases = []
    before, after = ([str(gate) for gate in run.ending.gates] for run in (old, new))
    if "gates" in given and set(before) != set(after):
        phrases.append(f"the gates are {', '.join(after) or 'none'}, were {', '.join(before) or 'none'}")
    for option in ("strict", "baseline"):
        was, now = getattr(old.ending, option), getattr(new.ending, option)
        if option in given and was != now:
            phrases.append(f"--{option} is {now}, was {was}")
    return phrases


def adjustments(old: Run, new: Run, given: Set[str]) -> dict[str, tuple[Any, Any]]:
    """What may change on an existing run: document path -> (was, is). Only options that were `given` change."""
    changes = {}
    for option, path in ADJUSTABLE.items():
        was, now = (attrgetter(path)(run) for run in (old, new))
        if option in given and was != now:
            changes[path] = (was, now)
    return changes


def _varied_otherwise(old: Run, new: Run) -> list[str]:
    was, now = ({variant.name: variant for variant in run.variants} for run in (old, new))
    if set(was) != set(now):
        return [f"the variants are {', '.join(now) or 'none'}, were {', '.join(was) or 'none'}"]
    return [f"variant {name} is not what it was" for name in now if now[name] != was[name]]


def _scored_otherwise(old: Run, new: Run) -> list[str]:
    phrases = []
    was, now = old.judging, new.judging
    if not any(_asked(now.current) == _asked(judging) for judging in _enqueued_with(was)):
        phrases.append(f"the judges are {now.judges or 'none'}, were {was.judges or 'none'} (see `nightjar judge`)")
    if old.embed_model != new.embed_model:
        phrases.append(f"the embedding model is {new.embed_model or 'none'}, was {old.embed_model or 'none'}")
    was_to, now_to = (each.fidelity.reference if each.fidelity is not None else "none" for each in (old, new))
    if was_to != now_to:
        phrases.append(f"--fidelity-to is {now_to}, was {was_to}")
    if old.measures != new.measures:
        phrases.append(f"the measures are {_names(new.measures)}, were {_names(old.measures)}")
    return phrases


def _decided_otherwise(old: Run, new: Run) -> list[str]:
    was, now = (_until(run) for run in (old, new))
    return [f"it asks {now}, was {was}"] if was != now else []


def _until(run: Run) -> str:
    if run.waves is None:
        return "all sequences"
    plan = run.waves.plan
    margin = "" if plan.margin is None else f" --margin {plan.margin:g}"
    return f"--until decided --primary {plan.metric}{margin}"


def _enqueued_with(judging: RunJudging) -> list[Judging | None]:
    """The judgings that the run may have been enqueued with, or judged by since: any of them may be asked for again."""
    first = judging.passes[0] if judging.passes else None
    return [*judging.passes, *([None] if first is None or first.begun_at is not None else [])]


def _asked(judging: Judging | None) -> tuple[list[str], Mapping[str, Any]]:
    """Who judges, and by a rubric without the version of its prompts, which an existing run keeps."""
    if judging is None:
        return [], {}
    return judging.judges, {key: value for key, value in (judging.rubric or {}).items() if key != "prompts"}


def _names(measures: Mapping[str, Any]) -> str:
    return ", ".join(name if value is True else f"{name}={value}" for name, value in measures.items()) or "none"


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> list[str]:
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return [f"--set {prefix}{key} is {_value(new, key)}, was {_value(old, key)}" for key in keys]


def _value(layer: Mapping[str, Any], key: str) -> str:
    return repr(layer[key]) if key in layer else "not set"


def _asked_policy(model: RunModel) -> FrozenPolicy | None:
    """Without what its nearest prompts said, which follows from the rest: an existing run keeps what was decided."""
    return None if model.policy is None else model.policy.model_copy(update={"nearest": None})


def _policy(model: RunModel) -> str:
    if model.policy is None:
        return "no policy"
    return f"{model.policy.id} of {', '.join(model.policy.candidates)}"


def _suite(run: Run) -> str:
    return f"{run.suite_name}@{run.suite_version} ({run.suite[:8]})"


def _bounded(jobs_total: int) -> int:
    if jobs_total > MAX_JOBS:
        raise UsageError(f"{jobs_total:,} jobs in one run; at most {MAX_JOBS:,} are allowed. Split it into runs.")
    return jobs_total
