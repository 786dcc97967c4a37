"""The report as JSON: docs/report.schema.json. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from nightjar.pipeline.ascii_numbers import plain_numbers
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.depths import depth_steps
from nightjar.pipeline.report.data.fidelity import FidelityResult, fidelity_data
from nightjar.pipeline.report.data.fingerprints import prompts_digest
from nightjar.pipeline.report.data.group import Counts, Group
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import SCHEMA_VERSION, Provenance, RunReport
from nightjar.pipeline.report.formats.judge_json import judging_json
from nightjar.pipeline.report.formats.provenance import model_identity
from nightjar.pipeline.scores import Score
from nightjar.pipeline.transcripts import JobRow, RouteRow, TurnRow

COUNTED = ("turns", "turns_expected", "turns_missing", "failed", "empty", "degenerate", "tokens")


def render_json(report: RunReport) -> Iterator[str]:
    """The document in pieces: its head, then the jobs one by one. ASCII only, so that it cannot control a terminal."""
    sets = _ParameterSets()
    for turn in (turn for job in report.jobs for turn in job.turns):
        sets.number(turn)
    head = {**head_of(report), "parameter_sets": sets.all}
    encoder = json.JSONEncoder(default=to_json, allow_nan=False)
    yield json.dumps(head, default=to_json, indent=1, allow_nan=False).removesuffix("\n}") + ',\n "jobs": ['
    for number, job in enumerate(report.jobs):
        yield (",\n  " if number else "\n  ") + encoder.encode(job_of(job, sets))
    yield "\n ]\n}\n"


class _ParameterSets:
    """The distinct sets of generation parameters, each written once; turns refer to them by number."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._numbers: dict[tuple[int, int], int] = {}

    def number(self, turn: TurnRow) -> int:
        key = (id(turn.parameters), id(turn.sources))  # rows of equal values share one object
        if key not in self._numbers:
            self._numbers[key] = len(self.all)
            self.all.append({"values": turn.parameters, "sources": turn.sources})
        return self._numbers[key]


def head_of(report: RunReport) -> dict[str, Any]:
    """Everything but the parameter sets and the jobs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "generated_at": report.generated_at,
        "generated_by": f"nightjar {report.generated_by}",
        "partial": report.provenance.partial,
        "answer": plain_numbers(answer(report)),
        "notices": [{**_fields(notice), "text": plain_numbers(notice.text)} for notice in report.notices],
        "run": {**_run(report.provenance), "prompts_digest": prompts_digest(report)},
        "scales": {name: _fields(scale) for name, scale in report.scales.items() if name in report.metrics},
        "scorer_versions": report.scorer_versions,
        "ranking": report.ranking,
        "gates": _gates(report),
        "changes": report.changes,
        "waves": report.waves,
        "costs": [_fields(cost) for cost in report.costs],
        "judging": judging_json(report.judging),
        "models": [_model(model) for model in report.models],
        "fidelity": None if report.fidelity is None else _fidelity(report.fidelity),
        "depths": [asdict(step) for step in depth_steps(report)],
        "routes": [_fields(share) for share in report.routes],
        "sequence_costs": [_fields(cost) for cost in report.sequence_costs],
        "answers": [_fields(each) for each in report.answers],
    }


def numbers_of(report: RunReport) -> dict[str, Any]:
    """What a script wants of a report: what it says first, and every model's scores with their intervals; no
    transcripts. The keys are those of the whole document."""
    whole = json.loads(json.dumps(head_of(report), default=to_json, allow_nan=False))
    kept = ("partial", "answer", "notices", "scales", "ranking", "changes", "waves", "judging", "costs")
    models = [
        {key: model[key] for key in ("name", *COUNTED, "throughput", "metrics") if key in model}
        for model in whole["models"]
    ]
    return {
        **{key: whole[key] for key in kept},
        "models": models,
        "fidelity": whole["fidelity"],
        "depths": whole["depths"],
        "routes": whole["routes"],
    }


def job_of(job: JobRow, sets: _ParameterSets) -> dict[str, Any]:
    """One job with its transcript."""
    return {
        "id": job.id,
        "sequence": job.sequence,
        "sequence_digest": job.sequence_digest,
        "model": job.contestant,
        "variant": job.variant,
        "repeat": job.repeat,
        "tags": job.tags,
        "status": job.status.value,
        "reason": job.reason,
        "turns_total": job.turns_total,
        "tries": job.tries,
        "lapses": job.lapses,
        "crashes": job.crashes,
        "attempts": job.attempts,
        "turns": [_turn(turn, sets) for turn in job.turns],
        "route": None if job.route is None else _route(job.route),
    }


def _route(route: RouteRow) -> dict[str, Any]:
    steps = [{"model": model, "reason": reason, "turn": turn} for model, reason, turn in route.steps]
    return {"policy": route.policy, "steps": steps}


def to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no place in a report")


def _fidelity(result: FidelityResult) -> dict[str, Any]:
    """As `nightjar fidelity --json` shows it, without what stands at the head of this document."""
    left_out = ("schema_version", "generated_by", "generated_at", "gates")
    data = {key: value for key, value in fidelity_data(result).items() if key not in left_out}
    return {**data, "notices": [plain_numbers(notice) for notice in data["notices"]]}


def _gates(report: RunReport) -> dict[str, Any] | None:
    verdict = report.verdict
    if verdict is None:
        return None
    told = verdict.told()
    results = [{**result, "reason": plain_numbers(result["reason"])} for result in told["results"]]
    return {**told, "results": results, "at": verdict.at}


def _run(run: Provenance) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status.value,
        "status_reason": run.status_reason,
        "suite": {
            "name": run.suite_name,
            "version": run.suite_version,
            "digest": run.suite_digest,
            "source": run.suite_source,
            "licence": run.suite_licence,
            "primary_metric": run.primary_metric,
        },
        "repeats": run.repeats,
        "seed": run.seed,
        "date": run.date,
        "set_parameters": run.set_parameters,
        "set_model_parameters": run.set_model_parameters,
        "judges": run.judges,
        "rubric_digest": run.rubric_digest,
        "content": run.content,
        "nightjar_version": run.nightjar_version,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "judging": run.judging,
    }


def _model(model: ModelReport) -> dict[str, Any]:
    return {
        **model_identity(model),
        **_group(model.total),
        "details": {name: _fields(detail, without="name") for name, detail in model.details.items()},
        "resources": {
            **_fields(model.resources, without="probe"),
            "threads": model.resources.threads.model_dump() if model.resources.threads else None,
            "probe": model.resources.probe.shown() if model.resources.probe else None,
        },
        "parameters": {name: [_fields(use) for use in uses] for name, uses in model.parameters.items()},
        "by_tag": {tag: _group(group) for tag, group in model.by_tag.items()},
        "by_sequence": {name: _group(group) for name, group in model.by_sequence.items()},
        "by_turn": {str(turn): _group(group) for turn, group in model.by_turn.items()},
        "by_repeat": {str(repeat): _group(group) for repeat, group in model.by_repeat.items()},
    }


def _group(group: Group) -> dict[str, Any]:
    metrics = {name: _fields(metric, without="name") for name, metric in group.metrics.items()}
    return {**_counts(group.counts), "throughput": _fields(group.speed), "metrics": metrics}


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "jobs": dict(counts.jobs),
        "turns": counts.turns,
        "turns_expected": counts.turns_expected,
        "turns_missing": counts.turns_missing,
        "failed": counts.failed,
        "empty": counts.empty,
        "degenerate": counts.degenerate,
        "repeats_previous": counts.repeats_previous,
        "truncated_length": counts.truncated_length,
        "truncated_context": counts.truncated_context,
        "timeout": counts.timeout,
        "redrawn": counts.redrawn,
        "dropped": counts.dropped,
        "recalled": counts.recalled,
        "tokens": {
            "prompt": counts.prompt_tokens,
            "reused": counts.reused_tokens,
            "reply": counts.reply_tokens,
            "reasoning": counts.reasoning_tokens,
        },
        "failures": dict(counts.failures),
    }


def _turn(turn: TurnRow, sets: _ParameterSets) -> dict[str, Any]:
    return {
        "index": turn.index,
        "name": turn.name,
        "prompt": turn.prompt,
        "reply": turn.reply,
        "reasoning": turn.reasoning,
        "prompt_tokens": turn.prompt_tokens,
        "reused_tokens": turn.reused_tokens,
        "reply_tokens": turn.reply_tokens,
        "reasoning_tokens": turn.reasoning_tokens,
        "finish_reason": turn.finish_reason,
        "empty": turn.empty,
        "degenerate": turn.degenerate,
        "repeats_previous": turn.repeats_previous,
        "queue_s": turn.queue_s,
        "prefill_s": turn.prefill_s,
        "decode_s": turn.decode_s,
        "first_token_s": turn.first_token_s,
        "mean_logprob": turn.mean_logprob,
        "seed": turn.seed,
        "draws": turn.draws,
        "policy": turn.policy,
        "dropped_turns": turn.dropped_turns,
        "recalled_turns": turn.recalled_turns,
        "memory": turn.memory,
        "summaries": [_fields(summary) for summary in turn.summaries],
        "reprefill_reason": turn.reprefill_reason,
        "system_merged": turn.system_merged,
        "parameter_set": sets.number(turn),
        "worker": turn.worker,
        "committed_at": turn.committed_at,
        "likelihoods": None if turn.likelihoods is None else asdict(turn.likelihoods),
        "scores": {name: _score(score) for name, score in turn.scores.items()},
    }


def _score(score: Score) -> dict[str, Any]:
    return {"value": score.value, "state": score.state.value, "answer": score.answer, "reason": score.reason}


def _fields(value: Any, without: str = "") -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name != without}
