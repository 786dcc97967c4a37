"""What can be checked before anything is generated: unknown models, unsuitable models, pointless repeats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nightjar.config.counting import are, how_many
from nightjar.config.errors import ModelError, ParameterError, UsageError
from nightjar.jobs.documents import Run, SequenceRef
from nightjar.jobs.memory import SHARED, check_memory
from nightjar.jobs.models import ModelFacts, ModelKind, ModelSource
from nightjar.jobs.mongo import Database
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.published import known_facts, published
from nightjar.jobs.routing.routed import FrozenPolicy
from nightjar.jobs.sequences import PLAIN
from nightjar.jobs.variants import Contestant
from nightjar.pipeline.judging.start import check_judges
from nightjar.pipeline.runs.judging_cost import expected_of_run
from nightjar.pipeline.runs.remote_plan import (
    PlannedSequence,
    check_budget,
    check_remote,
    expected_cost,
    planned_sequence,
    planned_shares,
)
from nightjar.pipeline.runs.request import EnqueueRequest
from nightjar.pipeline.runs.routed_models import check_local_only, read_routes, shares_sentence

Enforceable = Callable[[Mapping[str, Any]], None]
"""Raises ParameterError for a schema or a grammar that cannot be enforced, which the engine knows, and ModelError for
what needs a small embedding model where none is set.
"""
HOLDING = ("grammar", "json_schema", "policy", "memory")
"""The parameters that ask for something that there may not be."""
DEFAULT_TEMPERATURE: float = Parameters().temperature


async def check_models(
    request: EnqueueRequest,
    policies: Mapping[str, FrozenPolicy],
    sequences: Sequence[SequenceRef],
    database: Database,
) -> dict[str, ModelFacts]:
    """Published facts of the models, and of those that answer for its policies, by name.

    Raises UnknownNameError, and ModelError for a model of the wrong kind.
    """
    models = [name for name in request.models if name not in policies]
    models += [name for policy in policies.values() for name in policy.candidates]
    facts = await known_facts(models, {*request.known_models, *request.paths}, database)
    for model in facts.values():
        check_kind(model, sequences)
    await check_tools(facts.values(), sequences, database)
    await check_judges(request.judges, {*request.known_models, *request.paths}, database)
    if request.embed_model is not None:
        await check_embedder(request.embed_model, {*request.known_models, *request.paths}, database)
    if request.fidelity_to is not None:
        await check_fidelity(request, facts, sequences, database)
    return facts


async def check_tools(facts: Iterable[ModelFacts], sequences: Iterable[SequenceRef], database: Database) -> None:
    """Raises ModelError where a model that a worker loads would be given tools to call."""
    local = next((model.name for model in facts if model.source is not ModelSource.REMOTE), None)
    if local is None:
        return
    documents = sorted({sequence.document for sequence in sequences})
    with_tools = {"_id": {"$in": documents}, "sequence.tools.0": {"$exists": True}}
    found = await database.raw["sequences"].find_one(with_tools, {"sequence.id": 1})
    if found is not None:
        raise ModelError(
            f"Sequence {found['sequence']['id']!r} has `tools`, and {local!r} is loaded here: only models at endpoints "
            "are given tools so far. Leave that model out, or choose sequences without tools (--only)."
        )


async def check_fidelity(
    request: EnqueueRequest,
    facts: Mapping[str, ModelFacts],
    sequences: Iterable[SequenceRef],
    database: Database,
) -> None:
    """Raises UnknownNameError, and UsageError or ModelError where the models cannot be held against the reference."""
    name = request.fidelity_to or ""
    if all(sequence.scored for sequence in sequences):
        raise UsageError(
            "--fidelity-to reads the run's replies, and this suite only scores given texts: there are none. `nightjar "
            "fidelity` compares on a text."
        )
    known = {*request.known_models, *request.paths}
    both = {**facts, **await known_facts([name], known, database)}
    for model in both.values():
        if model.source is ModelSource.REMOTE or model.kind is ModelKind.EMBEDDING:
            what = "answers at an endpoint, which tells no distributions" if model.source is ModelSource.REMOTE else ""
            raise ModelError(
                f"{model.name!r} {what or 'is an embedding model and foretells no token'}: --fidelity-to takes models "
                "that a worker loads. Leave it out of the run, or run it without --fidelity-to."
            )
    sizes = {model.name: model.file.vocabulary for model in both.values() if model.file is not None}
    other = next((model for model, size in sizes.items() if size != sizes.get(name, size)), None)
    if other is not None:
        raise ModelError(
            f"{other!r} has another vocabulary than {name!r}: {sizes[other]:,} and {sizes[name]:,} entries. "
            "Distributions over different tokens cannot be compared; name models of one family."
        )


async def check_embedder(name: str, known: Iterable[str], database: Database) -> None:
    """Raises UnknownNameError, and ModelError for a model that is not an embedding model."""
    for facts in (await known_facts([name], known, database)).values():
        if facts.kind is not ModelKind.EMBEDDING:
            raise ModelError(f"{facts.name!r} generates text. Choose an embedding model for --embed-model.")


def check_kind(facts: ModelFacts, sequences: Iterable[SequenceRef]) -> None:
    """Raises ModelError if a model of this kind cannot answer one of these sequences."""
    sequences = list(sequences)
    modes = {sequence.mode: sequence.id for sequence in sequences}
    chats = [identity for mode, identity in modes.items() if mode not in PLAIN]
    scored = next((sequence.id for sequence in sequences if sequence.scored), None)
    if facts.kind is ModelKind.EMBEDDING:
        architecture = f" ({facts.file.architecture})" if facts.file else ""
        raise ModelError(
            f"{facts.name!r} is an embedding model{architecture}: it writes no replies. Choose a chat model."
        )
    if facts.source is ModelSource.REMOTE and scored is not None:
        raise ModelError(
            f"{facts.name!r} is a remote model, and sequence {scored!r} asks how likely given texts are, which servers "
            "do not tell. Choose a model that a worker loads, or a suite whose replies are generated."
        )
    if facts.kind is ModelKind.BASE and chats:
        raise ModelError(
            f"{facts.name!r} has no chat template, and sequence {chats[0]!r} is a chat. Use `mode: completion` in the "
            "suite, or give the model a template (`template` in models.toml)."
        )


async def check_held_to(
    run: Run, sequences: Sequence[SequenceRef], database: Database, enforceable: Enforceable
) -> None:
    """Raises ParameterError or ModelError, naming sequence and turn, for what no reply of the run could be given."""
    above = [
        {**below, **run.set_parameters, **of_model}
        for below in [variant.parameters for variant in run.variants] or [{}]
        for of_model in ({}, *run.set_model_parameters.values())
    ]
    documents = sorted({sequence.document for sequence in sequences})
    fields = {"sequence.id": 1, "sequence.parameters": 1, "sequence.turns.parameters": 1}
    checked: list[Mapping[str, Any]] = []
    async for row in database.raw["sequences"].find({"_id": {"$in": documents}}, fields):
        sequence = row["sequence"]
        for index, turn in enumerate(sequence["turns"], start=1):
            for layer in above:
                layers = {**sequence.get("parameters", {}), **turn.get("parameters", {}), **layer}
                asked = {key: layers[key] for key in HOLDING if layers.get(key) is not None}
                if asked and asked not in checked[-100:]:
                    await _hold(asked, enforceable, f"Sequence {sequence['id']!r}, turn {index}")
                    checked.append(asked)


async def _hold(asked: Mapping[str, Any], enforceable: Enforceable, where: str) -> None:
    try:
        await asyncio.to_thread(enforceable, asked)  # it may take a second, in which the page goes on
    except (ParameterError, ModelError) as error:
        raise type(error)(f"{where}: {error}") from None


async def check_memories(run: Run, sequences: Sequence[SequenceRef], database: Database) -> None:
    """Raises UnknownNameError for a shared memory that is not there: it would be a misspelt one."""
    documents = sorted({sequence.document for sequence in sequences})
    asked = {"_id": {"$in": documents}}
    layers: list[Mapping[str, Any]] = [run.set_parameters, *run.set_model_parameters.values()]
    layers += [variant.parameters for variant in run.variants]
    names = [layer.get("memory") for layer in layers]
    for field in ("sequence.parameters.memory", "sequence.turns.parameters.memory"):
        names += await database.raw["sequences"].distinct(field, asked)
    for name in dict.fromkeys(names):
        if isinstance(name, str) and name.startswith(SHARED):
            await check_memory(name, database)


async def warnings(
    run: Run, sequences: Sequence[SequenceRef], facts: Mapping[str, ModelFacts], database: Database
) -> list[str]:
    """What is allowed but probably not intended: repeats of a sequence that is sampled at temperature 0."""
    if run.repeats < 2:
        return []
    scored = [sequence for sequence in sequences if sequence.scored]
    documents = sorted({sequence.document for sequence in sequences if not sequence.scored})
    fields = {"sequence.parameters.temperature": 1, "sequence.turns.parameters.temperature": 1}
    rows = [row async for row in database.raw["sequences"].find({"_id": {"$in": documents}}, fields)]
    messages = []
    if scored:
        messages.append(
            f"{how_many(len(scored), 'sequence')} only score given texts, so that {run.repeats} repeats will say the "
            "same. Use --repeats 1."
        )
    for contestant in run.contestants:
        below, above = _layers(run, contestant, facts.get(contestant.model))
        greedy = sum(_is_greedy(row["sequence"], below, above) for row in rows)
        if greedy:
            messages.append(
                f"{greedy} of {how_many(len(rows), 'sequence')} {are(len(rows))} generated at temperature 0 on "
                f"{contestant.name}: their {run.repeats} repeats will be the same text. Use --repeats 1 or --set "
                "temperature=0.7."
            )
    return messages


def _layers(run: Run, contestant: Contestant, facts: ModelFacts | None) -> tuple[float, float | None]:
    """The temperature in effect below the suite's, and the one that overrides it."""
    below = DEFAULT_TEMPERATURE
    if facts is not None:
        below = {**facts.sampling_defaults, **facts.registry_parameters}.get("temperature", below)
    variant = run.variant(contestant.variant)
    own = variant.parameters if variant is not None else {}
    layers = {**own, **run.set_parameters, **run.set_model_parameters.get(contestant.model, {})}
    return below, layers.get("temperature")


def _is_greedy(sequence: Mapping[str, Any], below: float, above: float | None) -> bool:
    own = sequence.get("parameters", {}).get("temperature", below)
    turns = [turn.get("parameters", {}).get("temperature", own) for turn in sequence["turns"]]
    return above == 0 if above is not None else all(temperature == 0 for temperature in turns)


async def check_endpoints(
    run: Run, request: EnqueueRequest, sequences: Sequence[SequenceRef], database: Database
) -> list[str]:
    """What is worth knowing of the run's models at endpoints: the expected cost, and what they are not sent.

    Raises ParameterError, ModelError for what such a model cannot do, UsageError for a budget that cannot be kept.
    """
    helpers = [*request.judges, *([request.embed_model] if request.embed_model else [])]
    names = [*request.models, *run.candidates, *helpers]
    facts = {name: model.facts for name, model in (await published(names, database)).items()}
    if request.local_only:
        check_local_only([model for name, model in facts.items() if name in (*request.models, *helpers)])
    check_budget(run.budget, facts.values())
    routes = await read_routes(run, sequences)
    notes = [shares_sentence(each.name, each.policy, routes[each.name]) for each in run.models if each.policy]
    asked = {name: facts[name] for name in dict.fromkeys((*request.models, *run.candidates)) if name in facts}
    judging = [each.sentence() for each in await expected_of_run(run, sequences, asked, database)]
    remote = {name: model for name, model in asked.items() if model.remote is not None}
    if not remote:
        return [*notes, *judging]
    planned = await read_planned(sequences, database)
    for name, model in remote.items():
        assert model.remote is not None
        layers = layers_above(run, name)
        left_out = check_remote(model, planned, layers, seeded=request.seed is not None)
        if left_out:
            notes.append(f"{name} is not sent {', '.join(sorted(left_out))}: its endpoint takes no such parameter.")
        if model.remote.price is None:
            notes.append(f"Nobody knows the price of {name}: what it costs will be unknown (`price` in models.toml).")
        else:
            below, price = model.registry_parameters, model.remote.price
            for whose, theirs in planned_shares(name, request.models, routes, planned).items():
                notes.append(expected_cost(whose, price, theirs, layers, below=below, repeats=run.repeats).sentence())
    return [*notes, *judging]


def layers_above(run: Run, model: str) -> list[dict[str, Any]]:
    """What is set for a model above suite and turn: one for each of the run's variants, or a single one."""
    above = {**run.set_parameters, **run.set_model_parameters.get(model, {})}
    return [{**variant.parameters, **above} for variant in run.variants] or [above]


async def read_planned(sequences: Iterable[SequenceRef], database: Database) -> list[PlannedSequence]:
    """What of stored sequences bears on what they cost."""
    return list((await planned_documents((sequence.document for sequence in sequences), database)).values())


async def planned_documents(documents: Iterable[str], database: Database) -> dict[str, PlannedSequence]:
    """The same by the `_id` of what is stored, without what is gone."""
    rows = database.raw["sequences"].find({"_id": {"$in": sorted(set(documents))}}, {"sequence": 1})
    return {row["_id"]: planned_sequence(row["sequence"]) async for row in rows}
