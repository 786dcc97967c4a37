"""A synthetic run: several models, failures, empty replies, hostile texts. Deterministic."""

from __future__ import annotations

import random
from collections.abc import Sequence as Many
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from beanie import Document
from beanie.odm.utils.encoder import Encoder

from nightjar.jobs.documents import Run, RunModel, SequenceDocument, SequenceRef, SuiteVersion
from nightjar.jobs.identity import chain_digest, digest, job_id, turn_seed
from nightjar.jobs.machines.worker_documents import WorkerState
from nightjar.jobs.models import FileFacts, LoadFacts, ModelFacts, ModelKind, SpeedProbe
from nightjar.jobs.parameters import ParameterSource, resolve
from nightjar.jobs.records import Summary, Timings
from nightjar.jobs.run_outcome import RunOutcome
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.report.data.assemble import assemble
from nightjar.pipeline.report.data.inputs import models_of, provenance_of
from nightjar.pipeline.report.data.model import ModelInput
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.scoring.plugins import NO_SCORERS, UserScorers
from nightjar.pipeline.scoring.turn_scorer import (
    averages_of,
    line_names,
    metric_scales,
    score_job,
    scorer_versions,
    turn_lines,
    with_averages,
)
from nightjar.pipeline.transcripts import JobRow, RowReader
from tests.documents import a_job, a_run, a_turn

if TYPE_CHECKING:
    from nightjar.jobs.mongo import Database

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
HOSTILE = (
    '<script>alert("x")</script><img src=x onerror=alert(1)>\x1b[31mred\x07\u202egnp.exe'
    '\n</details></script>\n=HYPERLINK("http://x")'
)
WORDS = (
    "the keeper of the lighthouse counted ships at dusk while her brother mended nets and told the cat about storms "
    "nobody else remembered because the sea keeps its own diary and reads it aloud in winter when doors are closed"
).split()


def sequences() -> list[Sequence]:
    """Six sequences, some with expectations, in two tags."""
    made = []
    for number, (name, tag) in enumerate(
        [
            ("lighthouse", "story"),
            ("train", "story"),
            ("orchard", "story"),
            ("letter", "letter"),
            ("facts", "checkable"),
            ("sums", "checkable"),
        ]
    ):
        turns: list[dict[str, Any]] = [
            {
                "prompt": f"Write the opening of a story about the {name}.",
                "name": "opening",
                "expect": [{"check": "max_words", "value": 60}],
            },
            {
                "prompt": "Go on: something goes wrong.",
                "expect": [{"check": "includes", "value": "storms"}, {"check": "excludes", "value": "lorem ipsum"}],
            },
            {"prompt": "End it.", "name": "ending"},
        ]
        if name == "sums":
            turns = [
                {"prompt": f"What is {n} + {n}?", "expect": [{"check": "numeric", "value": 2 * n}]} for n in (3, 12, 40)
            ]
        made.append(
            Sequence.model_validate(
                {"id": name, "turns": turns, "tags": [tag, f"n{number % 2}"], "system": "You tell stories."}
            )
        )
    return made


def reply_text(source: random.Random, count: int) -> str:
    text = " ".join(source.choice(WORDS) for _ in range(count))
    return text[:1].upper() + text[1:] + "."


def turn(
    *,
    sequence: Sequence | None = None,
    index: int = 0,
    repeat: int = 0,
    reply: str = "A reply.",
    tokens: int | None = None,
    finish_reason: str = "stop",
    empty: str | None = None,
    degenerate: str | None = None,
    repeats_previous: str | None = None,
    reasoning: str = "",
    parameters: dict[str, Any] | None = None,
    source: ParameterSource = ParameterSource.SUITE,
    speed: float = 50.0,
    worker: str = "host:1:1",
    at: datetime = START,
    prompt_tokens: int = 40,
    reused_tokens: int = 0,
    prompt: str | None = None,
    summaries: tuple[Summary, ...] = (),
) -> dict[str, Any]:
    """A committed turn as MongoDB stores it. `speed`: tokens decoded per second."""
    ids = tuple(range(len(reply.split()) * 4 // 3 if tokens is None else tokens))
    resolved = resolve([(source, parameters or {})])
    text = prompt if prompt is not None else (sequence.prompt_text(index) if sequence else "A prompt.")
    prefill_s = (prompt_tokens - reused_tokens) / (speed * 20)
    record = a_turn(
        index,
        name=sequence.turns[index].name if sequence else None,
        prompt=text,
        seed=turn_seed(7, sequence.digest if sequence else "s", repeat, index),
        reply=reply,
        reasoning=reasoning,
        reply_ids=ids,
        finish_reason=finish_reason,
        reasoning_tokens=len(reasoning.split()),
        empty=empty,
        degenerate=degenerate,
        repeats_previous=repeats_previous,
        mean_logprob=-1.25,
        timings=Timings(
            queue_s=0.02,
            prefill_s=prefill_s,
            decode_s=len(ids) / speed,
            first_token_s=0.02 + prefill_s if ids else None,
        ),
        prompt_tokens=prompt_tokens,
        reused_tokens=reused_tokens,
        prompt_digest=digest(text),
        summaries=summaries,
        parameters=resolved.values.model_dump(mode="json"),
        sources=resolved.sources,
        chain=chain_digest("", index, text, list(ids)),
        worker=worker,
        committed_at=at,
    )
    row: dict[str, Any] = Encoder(to_db=True).encode(record)
    return row


def job(
    *,
    run: str = "run",
    model: str = "amber-1b",
    sequence: Sequence | None = None,
    repeat: int = 0,
    order: int = 0,
    turns: Many[dict[str, Any]] = (),
    status: JobStatus = JobStatus.DONE,
    reason: str | None = None,
    attempts: Many[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A reply job as MongoDB stores it."""
    about = sequence or sequences()[0]
    document = a_job(
        job_id(run, "reply", about.id, model, repeat),
        run=run,
        model=model,
        sequence=about.id,
        sequence_digest=about.digest,
        sequence_document=digest("sequence", about.model_dump(mode="json")),
        repeat=repeat,
        tags=about.tags,
        order=order,
        status=status,
        reason=reason,
        due_at=START,
        turns_total=len(about.turns),
        turns_committed=len(turns),
        created_at=START,
        finished_at=START if status is JobStatus.DONE else None,
    )
    return _stored(document) | {"turns": list(turns), "attempts": list(attempts)}


def _stored(document: Document) -> dict[str, Any]:
    """A document as MongoDB stores it; Beanie's own encoding would need a database."""
    encode = Encoder(to_db=True).encode
    fields = {name: encode(getattr(document, name)) for name in type(document).model_fields}
    return {"_id": fields.pop("id")} | {name: value for name, value in fields.items() if name != "revision_id"}


def model_facts(name: str) -> ModelFacts:
    file = FileFacts(
        file_name=f"{name}-q8_0.gguf",
        file_bytes=1_234_567_890,
        architecture="llama",
        parameters=1_100_000_000,
        quantisation="Q8_0",
        vocabulary=32000,
        context_train=8192,
        layers=22,
        licence="apache-2.0",
    )
    return ModelFacts(
        name=name, digest=digest(name) * 2, kind=ModelKind.CHAT, template_digest=digest("template"), file=file
    )


def load_facts(speed: float, *, gpu: bool = False) -> LoadFacts:
    return LoadFacts(
        device="NVIDIA L4 (GPU-1234)" if gpu else "CPU: 8 threads",
        offloaded_layers=22 if gpu else 0,
        context=4096,
        slots=8,
        n_batch=512,
        n_ubatch=256,
        threads=8,
        flash_attention=True,
        cache_type_k="f16",
        cache_type_v="f16",
        llama_cpp_build="b7000 (abc1234)",
        llama_cpp_python="0.3.36",
        load_s=1.93,
        probe=SpeedProbe(
            prompt_tokens=512,
            generated_tokens=128,
            slots=8,
            prefill_tokens_per_s=speed * 22,
            decode_tokens_per_s=speed,
            all_slots_decode_tokens_per_s=speed * 3.4,
        ),
    )


MODELS: dict[str, dict[str, Any]] = {
    "amber-1b": {"speed": 61.0, "fails": 0.02, "words": (20, 70), "parameters": {"temperature": 0.8}},
    "basalt-3b": {"speed": 24.0, "fails": 0.0, "words": (35, 90), "parameters": {"temperature": 0.7}},
    "cinder-0.5b-instruct": {"speed": 140.0, "fails": 0.25, "words": (2, 40), "parameters": {"temperature": 0.8}},
}


def synthetic_run(
    *, repeats: int = 2, status: RunStatus = RunStatus.DONE
) -> tuple[Run, SuiteVersion, list[SequenceDocument], list[dict[str, Any]], list[WorkerState]]:
    """A whole run: three models, six sequences, dead and cancelled jobs, empty, degenerate and hostile replies."""
    about = sequences()
    suite = _suite(about)
    run = _run(suite, repeats, status)
    jobs = [
        _job(run.id, name, how, sequence, repeat, order)
        for order, (name, how, sequence, repeat) in enumerate(
            (n, m, s, r) for n, m in MODELS.items() for s in about for r in range(repeats)
        )
    ]
    documents = [
        SequenceDocument.model_construct(id=ref.document, sequence=s)
        for ref, s in zip(suite.sequences, about, strict=True)
    ]
    return run, suite, documents, jobs, [_worker(name) for name in MODELS]


def _suite(about: Many[Sequence]) -> SuiteVersion:
    suite: SuiteVersion = SuiteVersion.model_construct(
        id=digest("suite"),
        name="sample",
        version=3,
        description="",
        licence="MIT",
        source="sample.yaml (yaml)",
        tags=(),
        sequences=[
            SequenceRef(
                id=s.id,
                digest=s.digest,
                document=digest("sequence", s.model_dump(mode="json")),
                tags=s.tags,
                turns=len(s.turns),
                mode=s.mode,
            )
            for s in about
        ],
        rubric=None,
        primary_metric=None,
        imported_at=START,
    )
    return suite


def _run(suite: SuiteVersion, repeats: int, status: RunStatus) -> Run:
    return a_run(
        digest("run"),
        name="nightly-2026-11-20",
        status=status,
        suite=suite.id,
        suite_name="sample",
        suite_version=3,
        sequences=[reference.id for reference in suite.sequences],
        models=[
            RunModel(
                name=n, digest=digest(n) * 2, facts=model_facts(n), loads=[load_facts(m["speed"], gpu=n == "basalt-3b")]
            )
            for n, m in MODELS.items()
        ],
        repeats=repeats,
        seed=7,
        date="2026-11-20",
        nightjar_version="0.1.0",
        content=digest("content"),
        created_at=START,
        outcome=RunOutcome(finished_at=START + timedelta(hours=2)),
        set_model_parameters={"basalt-3b": {"temperature": 0.7}},
        jobs_total=len(suite.sequences) * len(MODELS) * repeats,
    )


def _worker(model: str) -> WorkerState:
    on_gpu = model == "basalt-3b"
    worker: WorkerState = WorkerState.model_construct(
        id=f"{model}:1:1",
        host="host",
        pid=1,
        model=model,
        state="ready",
        device="",
        process_peak_bytes=2_400_000_000,
        gpu_peak_bytes=5_100_000_000 if on_gpu else None,
        gpu_utilisation=0.83 if on_gpu else None,
        gpu_energy_j=81_000.0 if on_gpu else None,
        started_at=START,
        beat_at=START,
    )
    return worker


def _job(run: str, model: str, how: dict[str, Any], sequence: Sequence, repeat: int, order: int) -> dict[str, Any]:
    source = random.Random(f"{model} {sequence.id} {repeat}")
    if model.startswith("cinder") and sequence.id == "train" and repeat == 1:
        error = {
            "fence": 3,
            "worker": "w",
            "host": "h",
            "started_at": START,
            "ended_at": START,
            "end": "error",
            "error": "ContextError: the prompt has 5,120 tokens, the context 4,096",
            "turns_committed": 1,
        }
        first = turn(sequence=sequence, reply=HOSTILE, tokens=30, worker=f"{model}:1:1", parameters=how["parameters"])
        return job(
            run=run,
            model=model,
            sequence=sequence,
            repeat=repeat,
            order=order,
            turns=[first],
            status=JobStatus.DEAD,
            reason="the prompt has 5,120 tokens, the context 4,096",
            attempts=[error],
        )
    turns = [_turn(source, model, how, sequence, repeat, index, order) for index in range(len(sequence.turns))]
    return job(run=run, model=model, sequence=sequence, repeat=repeat, order=order, turns=turns)


def _turn(
    source: random.Random, model: str, how: dict[str, Any], sequence: Sequence, repeat: int, index: int, order: int
) -> dict[str, Any]:
    reply: str = reply_text(source, source.randint(*how["words"]))
    extra: dict[str, Any] = {}
    if sequence.id == "sums":
        reply = f"That makes {2 * (3, 12, 40)[index] + source.choice([0, 0, 0, 1])}."
    if source.random() < how["fails"]:
        reply, extra = "", {"empty": "no text"}
    elif source.random() < how["fails"] / 2:
        reply, extra = "and then " * 40, {"degenerate": "20-token span 5 times running", "finish_reason": "length"}
    if model == "basalt-3b":
        extra["reasoning"] = "The reader wants a storm. Keep it short."
    prompt_tokens = 40 + 60 * index
    return turn(
        sequence=sequence,
        index=index,
        repeat=repeat,
        reply=reply,
        parameters=how["parameters"],
        speed=how["speed"] * source.uniform(0.8, 1.1),
        source=ParameterSource.SET_MODEL if model == "basalt-3b" else ParameterSource.SUITE,
        worker=f"{model}:1:1",
        at=START + timedelta(seconds=10 * order + 2 * index),
        prompt_tokens=prompt_tokens,
        reused_tokens=max(prompt_tokens - 45, 0),
        **extra,
    )


def synthetic_report(*, repeats: int = 2, status: RunStatus = RunStatus.DONE) -> RunReport:
    """The report of the synthetic run, made without a database."""
    run, suite, documents, raw, workers = synthetic_run(repeats=repeats, status=status)
    reader = RowReader()
    jobs = [reader.job({**row, "reply_tokens": [len(t["draws"][0]["reply_ids"]) for t in row["turns"]]}) for row in raw]
    by_id = {document.sequence.id: document.sequence for document in documents}
    scorers = {name: turn_lines(sequence) for name, sequence in by_id.items()}
    jobs = [row.scored(score_job(scorers[row.sequence], by_id[row.sequence], row)) for row in jobs]
    return assemble(
        provenance=provenance_of(run, suite),
        models=models_of(run, jobs, {worker.id: vars(worker) for worker in workers}),
        sequences=list(by_id.values()),
        jobs=jobs,
        lines={name: line_names(turns) for name, turns in scorers.items()},
        scales=metric_scales(),
        now=START + timedelta(hours=3),
        version="0.1.0",
        scorer_versions=scorer_versions(scorers.values()),
    )


READER = RowReader()


def row(
    sequence: Sequence,
    replies: Many[str],
    *,
    model: str = "m",
    repeat: int = 0,
    status: JobStatus = JobStatus.DONE,
    own: UserScorers = NO_SCORERS,
    variant: str | None = None,
    **each: Any,
) -> JobRow:
    """A scored job with these replies; `each` is passed to every turn."""
    turns = [turn(sequence=sequence, index=at, reply=reply, **each) for at, reply in enumerate(replies)]
    reason = "it broke" if status is JobStatus.DEAD else None
    raw = job(sequence=sequence, model=model, repeat=repeat, turns=turns, status=status, reason=reason)
    made = READER.job({**raw, "variant": variant, "reply_tokens": [len(t["draws"][0]["reply_ids"]) for t in turns]})
    return made.scored(score_job(turn_lines(sequence, own=own), sequence, made))


def report_of(
    jobs: Many[JobRow],
    about: Many[Sequence],
    *,
    status: RunStatus = RunStatus.DONE,
    repeats: int = 1,
    scales: dict[str, Scale] | None = None,
    own: UserScorers = NO_SCORERS,
    variants: Many[Variant] = (),
) -> RunReport:
    """The report of these jobs, with models of which nothing else is known; `scales` override the built-in ones.

    `variants`: those that the jobs name.
    """
    run, suite, *_ = synthetic_run(repeats=repeats, status=status)
    scorers = {sequence.id: turn_lines(sequence, own=own) for sequence in about}
    defined: dict[str | None, Variant] = {variant.name: variant for variant in variants}
    return assemble(
        provenance=provenance_of(run, suite),
        models=[
            ModelInput(name=name, digest=None, facts=None, loads=(), workers=(), variant=defined.get(variant))
            for name, variant in dict.fromkeys((job.model, job.variant) for job in jobs)
        ],
        sequences=about,
        jobs=jobs,
        lines={name: line_names(turns) for name, turns in scorers.items()},
        scales=with_averages((scales or {}) | metric_scales(scorers.values()), averages_of(about)),
        now=START,
        version="0",
        scorer_versions=scorer_versions(scorers.values()),
    )


async def store(
    database: Database, *, repeats: int = 2, status: RunStatus = RunStatus.DONE, name: str = "nightly-2026-11-20"
) -> Run:
    """Writes the synthetic run to MongoDB."""
    run, suite, documents, jobs, workers = synthetic_run(repeats=repeats, status=status)
    run.name = name
    for document in (suite, run, *documents, *workers):
        raw = _stored(document)
        await database.raw[document.get_collection_name()].replace_one({"_id": raw["_id"]}, raw, upsert=True)
    await database.jobs.insert_many(jobs)
    return run
