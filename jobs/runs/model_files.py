"""Which file a run's model is: the first worker that loads it says so, by compare-and-set; another file is refused."""

from __future__ import annotations

from nightjar.jobs.documents import Run, RunModel
from nightjar.jobs.models import LoadFacts, ModelFacts
from nightjar.jobs.mongo import Database, Row
from nightjar.jobs.patience import patiently

LOADS_KEPT = 50


def names_model(run: Run, model: str) -> bool:
    """Whether the run has jobs for the model: to reply, for itself or a policy, to judge or to embed."""
    judging = run.judging
    judges = [judge for one in judging.passes for judge in one.judges]
    judges += judging.check.judges if judging.check is not None else ()
    return _replies(run, model) or model in (*judges, run.embed_model, *run.candidates)


def replying_models(run: Run) -> tuple[str, ...]:
    """The models that reply in a run, for themselves or a policy, each once."""
    plain = (model.name for model in run.models if model.policy is None)
    return tuple(dict.fromkeys([*plain, *run.candidates]))


async def fix_file(run: Run, facts: ModelFacts, load: LoadFacts, database: Database) -> str | None:
    """Fixes the model's file for the run where nobody has, and records how it was loaded; safe to repeat and to race.

    Returns None where the file is now the run's, else why it must be refused: the run fixed another one. The run must
    name the model. Raises ServiceError where MongoDB stays away.
    """
    models = "models" if _replies(run, facts.name) else "helpers"
    if models == "helpers":
        await _add_helper(run.id, facts.name, database)
    unset: Row = {"_id": run.id, models: {"$elemMatch": {"name": facts.name, "digest": None}}}
    ours: Row = {f"{models}.$.digest": facts.digest, f"{models}.$.facts": facts.model_dump(mode="json")}
    await patiently(lambda: database.runs.update_one(unset, {"$set": ours}))
    same: Row = {"_id": run.id, models: {"$elemMatch": {"name": facts.name, "digest": facts.digest}}}
    loads = {"$each": [load.model_dump(mode="json")], "$slice": -LOADS_KEPT}
    if (await patiently(lambda: database.runs.update_one(same, {"$push": {f"{models}.$.loads": loads}}))).matched_count:
        return None
    return await _refusal(run, models, facts, database)


def _replies(run: Run, model: str) -> bool:
    return any(each.name == model for each in run.models)


async def _add_helper(run_id: str, name: str, database: Database) -> None:
    """Puts a judge, an embedding model or a policy's candidate on the run's list, once."""
    absent: Row = {"_id": run_id, "helpers.name": {"$ne": name}}
    row = RunModel(name=name).model_dump(mode="python")
    await patiently(lambda: database.runs.update_one(absent, {"$push": {"helpers": row}}))


async def _refusal(run: Run, models: str, facts: ModelFacts, database: Database) -> str:
    stored = await patiently(lambda: database.runs.find_one({"_id": run.id}, {models: 1})) or {}
    other = next((model["digest"] for model in stored.get(models, ()) if model["name"] == facts.name), "?")
    remedy = "enqueue a new run" if models == "models" else "give this one another name"
    return (
        f"run {run.name!r} was begun with another file under the name {facts.name!r}: it fixed SHA-256 {other}, this "
        f"worker loaded {facts.digest}. Load that file, or {remedy}"
    )
