"""The judges' results for the collector: verdicts, read from judge jobs, and their scores, stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import get_whole_run
from nightjar.jobs.mongo import Database
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobKind, JobStatus
from nightjar.pipeline.judging.checkup import Checkup, Reading, checkup
from nightjar.pipeline.judging.injected import Injection
from nightjar.pipeline.judging.judged import JudgedAt, JudgedPair
from nightjar.pipeline.judging.pair_prompts import PairChoice, read_choices
from nightjar.pipeline.judging.pairs import Opinion, PairResult, opinions
from nightjar.pipeline.judging.plan import prompt_digest
from nightjar.pipeline.judging.prompts import Verdict, read_verdicts
from nightjar.pipeline.judging.read_judged import JudgedReader, known_files, panel_of
from nightjar.pipeline.judging.resistance import InjectionReading
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import Method, Reference, Rubric, read_rubric
from nightjar.pipeline.judging.spoilt import Control
from nightjar.pipeline.judging.verdicts import composite

_FIELDS = dict.fromkeys("model status reason payload turns.name turns.draws.reply".split(), 1)
Raw = Mapping[str, Any]
Verdicts = dict[JudgedAt, dict[str, list[Verdict]]]


async def read_verdicts_of(run: Run, database: Database, sequences: Iterable[PromptSequence] = ()) -> JudgeResults:
    """The verdicts by the run's current rubric, and the results of its judges' checks."""
    checkups = await read_checkups(run, database)
    judging = run.judging
    if judging.rubric is None or not judging.judges:
        return JudgeResults(checkups=checkups)
    rubric = read_rubric(judging.rubric, f"the rubric of run {run.name}")
    against = await get_whole_run(judging.against) if judging.against else None
    panel = await panel_of(run, judging.judges, database, self_judging=judging.self_judging, against=against)
    raws = await _judge_jobs(run, rubric, judging.judges, database)
    raws = [raw for raw in raws if "control" not in raw["payload"]]
    pairs: tuple[PairResult, ...] = ()
    if rubric.method is Method.PAIRWISE:
        pairs = await _pair_results(run, rubric, against, raws, database)
    pairs_of: dict[str, dict[int | None, list[PairResult]]] = {}
    for result in pairs:
        for job in (result.pair.first, result.pair.second):
            pairs_of.setdefault(job.id, {}).setdefault(result.pair.turn, []).append(result)
    return JudgeResults(
        rubric=rubric,
        prompt_digest=prompt_digest(rubric),
        panel=panel,
        files=await known_files(run, panel.judges, database),
        grammar_engines=_grammar_engines(run, panel.judges),
        against=against.name if against else judging.against,
        verdicts=_verdicts(rubric, raws) if rubric.method is Method.POINTS else {},
        pairs=pairs,
        pairs_of=pairs_of,
        unreferenced=_unreferenced(rubric, sequences),
        checkups=checkups,
    )


def _grammar_engines(run: Run, judges: Iterable[str]) -> dict[str, frozenset[str]]:
    local = [model for model in chain(run.models, run.helpers) if model.facts is None or model.facts.remote is None]
    engines = {model.name: frozenset(load.grammar_engine for load in model.loads) for model in local}
    return {judge: engines[judge] for judge in judges if engines.get(judge)}


async def read_checkups(run: Run, database: Database) -> tuple[Checkup, ...]:
    """What the controls of a run say of judges, by the rubric of the run and by that of its newest check."""
    judging, check = run.judging, run.judging.check
    if check is None:
        return ()
    asked: dict[str, tuple[Rubric, list[str]]] = {}
    for data, judges in ((judging.rubric, judging.judges), (check.rubric, check.judges)):
        if data and judges:
            rubric = read_rubric(data)
            asked.setdefault(prompt_digest(rubric), (rubric, []))[1].extend(judges)
    checkups: list[Checkup] = []
    for key, (rubric, judges) in asked.items():
        marked = {"run": run.id, "kind": JobKind.JUDGE, "payload.rubric": key, "payload.control": {"$exists": True}}
        if await database.jobs.find_one(marked, {"_id": 1}) is None:
            continue
        judges = list(dict.fromkeys(judges))
        raws = await _judge_jobs(run, rubric, judges, database)
        sequences = await _sequences(raws, database)
        readings, tried = _readings(rubric, raws, sequences), _injection_readings(rubric, raws, sequences)
        worst, best = rubric.ends
        smallest = rubric.smallest_effect * (best - worst)
        found = (checkup(judge, key, readings, tried, smallest=smallest) for judge in judges)
        checkups += [result for result in found if result.controls]
    return tuple(checkups)


async def _judge_jobs(run: Run, rubric: Rubric, judges: Sequence[str], database: Database) -> list[Raw]:
    query = {"run": run.id, "kind": JobKind.JUDGE, "payload.rubric": prompt_digest(rubric), "model": {"$in": judges}}
    return [raw async for raw in database.jobs.find(query, _FIELDS)]


def _verdicts(rubric: Rubric, raws: Iterable[Raw]) -> Verdicts:
    verdicts: Verdicts = {}
    for raw in raws:
        place = (raw["payload"]["job"], raw["payload"]["turn"])
        verdicts.setdefault(place, {})[raw["model"]] = _of_text(rubric, raw)
    return verdicts


def _of_text(rubric: Rubric, raw: Raw) -> list[Verdict]:
    replies, why = _replies(raw)
    return read_verdicts(rubric, replies) if why is None else _without(rubric, why)


async def _pair_results(
    run: Run, rubric: Rubric, against: Run | None, raws: Iterable[Raw], database: Database
) -> tuple[PairResult, ...]:
    said = _opinions(rubric, raws, lambda payload: (payload["job"], payload.get("other"), payload["turn"]))
    results: list[PairResult] = []
    if run.judging.against is not None and against is None:
        return ()
    async for pairs in JudgedReader(database, texts=False).pairs(run, rubric, against):
        for pair in pairs:
            given = said.get((pair.first.id, pair.second.id, pair.turn), {})
            results.append(PairResult(pair=pair, names=_names(pair, against), opinions=given))
    return tuple(results)


def _names(pair: JudgedPair, against: Run | None) -> tuple[str, str]:
    other = pair.second.contestant
    return pair.first.contestant, f"{against.name}:{other}" if against else other


def _opinions(rubric: Rubric, raws: Iterable[Raw], key_of: Any) -> dict[Any, dict[str, list[Opinion]]]:
    """`key_of(payload)` -> judge -> one opinion per criterion."""
    orders: dict[Any, dict[str, dict[int, list[PairChoice]]]] = {}
    for raw in raws:
        replies, why = _replies(raw)
        choices = read_choices(rubric, replies) if why is None else _no_choice(rubric, why)
        by_judge = orders.setdefault(key_of(raw["payload"]), {})
        by_judge.setdefault(raw["model"], {})[raw["payload"]["order"]] = choices
    return {
        key: {judge: opinions(rubric, choices) for judge, choices in by_judge.items()}
        for key, by_judge in orders.items()
    }


async def _sequences(raws: Sequence[Raw], database: Database) -> dict[str, str]:
    """Judged job -> its sequence, for all that was made for a check."""
    ids = list({raw["payload"]["job"] for raw in raws if "control" in raw["payload"]})
    rows = database.jobs.find({"_id": {"$in": ids}}, {"sequence": 1})
    return {row["_id"]: row["sequence"] async for row in rows}


def _readings(rubric: Rubric, raws: Sequence[Raw], sequences: Mapping[str, str]) -> list[Reading]:
    spoilt = [raw for raw in raws if raw["payload"].get("control") in set(Control)]
    if rubric.method is Method.PAIRWISE:
        return _pair_readings(rubric, spoilt, sequences)
    real = _verdicts(rubric, (raw for raw in raws if "control" not in raw["payload"]))
    readings = []
    for raw in spoilt:
        payload, judge = raw["payload"], raw["model"]
        place = (payload["job"], payload["turn"])
        before = real.get(place, {}).get(judge, [])
        after = _of_text(rubric, raw)
        missing = [verdict.reason for verdict in (*before, *after) if verdict.value is None] or ["not judged"]
        readings.append(
            Reading(
                judge=judge,
                control=Control(payload["control"]),
                sequence=sequences.get(payload["job"], payload["job"]),
                real=composite(rubric, before),
                spoilt=composite(rubric, after),
                reason=missing[0],
            )
        )
    return readings


def _injection_readings(rubric: Rubric, raws: Sequence[Raw], sequences: Mapping[str, str]) -> list[InjectionReading]:
    tried = [raw for raw in raws if raw["payload"].get("control") in set(Injection)]
    if rubric.method is Method.PAIRWISE:  # against the same reply without it: more than half is paid for by the attempt
        return [
            InjectionReading(
                judge=choice.judge,
                injection=Injection(choice.control),
                sequence=choice.sequence,
                without=0.5,
                injected=None if choice.real is None else 1 - choice.real,
                best=1.0,
                reason=choice.reason,
            )
            for choice in _checked_pairs(rubric, tried, sequences)
        ]
    by_id = {raw["_id"]: raw for raw in raws}
    _, best = rubric.ends
    readings = []
    for raw in tried:
        base = by_id.get(raw["payload"]["base"])
        before, after = (_of_text(rubric, job) if job else [] for job in (base, raw))
        missing = [verdict.reason for verdict in (*before, *after) if verdict.value is None] or ["not judged"]
        readings.append(
            InjectionReading(
                judge=raw["model"],
                injection=Injection(raw["payload"]["control"]),
                sequence=sequences.get(raw["payload"]["job"], raw["payload"]["job"]),
                without=composite(rubric, before),
                injected=composite(rubric, after),
                best=best,
                reason=missing[0],
            )
        )
    return readings


def _pair_readings(rubric: Rubric, spoilt: Iterable[Raw], sequences: Mapping[str, str]) -> list[Reading]:
    return [
        Reading(
            judge=choice.judge,
            control=Control(choice.control),
            sequence=choice.sequence,
            real=choice.real,
            spoilt=None if choice.real is None else 1 - choice.real,
            reason=choice.reason,
        )
        for choice in _checked_pairs(rubric, spoilt, sequences)
    ]


class _CheckedPair(NamedTuple):
    """One judge's choice between a real reply and what was made of it."""

    judge: str
    control: str
    sequence: str
    real: float | None
    """Share of the criteria by which the real one won, ties counting half."""
    reason: str


def _checked_pairs(rubric: Rubric, raws: Iterable[Raw], sequences: Mapping[str, str]) -> Iterator[_CheckedPair]:
    said = _opinions(rubric, raws, lambda payload: (payload["job"], payload["turn"], payload["control"]))
    for (job, _, control), by_judge in said.items():
        for judge, given in by_judge.items():
            points = [opinion.outcome.value for opinion in given if opinion.outcome is not None]
            real = sum(points) / len(points) if len(points) == len(given) else None
            reason = next((opinion.missing_reason for opinion in given if opinion.outcome is None), "")
            yield _CheckedPair(judge, control, sequences.get(job, job), real, reason)


def _replies(raw: Raw) -> tuple[dict[str, str], str | None]:
    """A judge job's replies by turn name, or the reason why there are none."""
    if raw["status"] != JobStatus.DONE:
        return {}, f"judge job is {raw['status']}: {raw.get('reason') or 'not finished'}"
    return {turn["name"]: turn["draws"][0]["reply"] for turn in raw["turns"]}, None


def _without(rubric: Rubric, reason: str) -> list[Verdict]:
    return [Verdict(criterion=criterion.name, value=None, reason=reason) for criterion in rubric.criteria]


def _no_choice(rubric: Rubric, reason: str) -> list[PairChoice]:
    return [PairChoice(criterion=criterion.name, shown=None, reason=reason) for criterion in rubric.criteria]


def _unreferenced(rubric: Rubric, sequences: Iterable[PromptSequence]) -> dict[str, frozenset[int]]:
    if rubric.reference is not Reference.REQUIRED:
        return {}
    return {
        sequence.id: frozenset(at for at, turn in enumerate(sequence.turns) if turn.reference is None)
        for sequence in sequences
    }
