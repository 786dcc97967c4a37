"""Inspect AI's eval log (JSON, format version 2): one log per model, one sample per sequence and repeat. Pure.

Field names are those of `inspect_ai.log.EvalLog` 0.3.285. A repeat is Inspect's epoch, counted from 1. A turn's
scores lie in the metadata of its sample's score, whose value is the mean over turns, as in Nightjar's report; a
score without a value is NaN with its reason, which Inspect leaves out of every mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from jobs.identity import digest
from jobs.sequences import Mode
from jobs.sequences import Sequence as PromptSequence
from jobs.states import JobStatus, RunStatus
from pipeline.exports.conversation import Message, by_id, message
from pipeline.exports.file import ExportFile, ExportOptions, safe_name
from pipeline.exports.provenance import judging, model_provenance, provenance
from pipeline.report.data import ModelReport, RunReport
from pipeline.report.json_ import encode
from pipeline.report.metric import Metric
from pipeline.scoring.scorer import Score, ScoreState
from pipeline.scoring.sheet import metric_of
from pipeline.transcripts import JobRow, TurnRow

LOG_VERSION = 2
STATUS = {RunStatus.DONE: "success", RunStatus.CANCELLED: "cancelled", RunStatus.STOPPED: "error"}
STOP_REASONS = {"stop": "stop", "length": "max_tokens", "context": "model_length"}
CONFIG = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
"""Nightjar's parameter -> Inspect's; only where one value served every turn."""


def inspect_logs(report: RunReport, stem: str, _: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.inspect/<time>_<suite>_<model>.json`, one log per model."""
    moment = report.provenance.created_at.strftime("%Y-%m-%dT%H-%M-%S-00-00")
    suite = safe_name(report.provenance.suite_name)
    for model in report.models:
        name = f"{moment}_{suite}_{safe_name(model.name)}.json"
        yield ExportFile(path=f"{stem}.inspect/{name}", pieces=_log(report, model))


def _log(report: RunReport, model: ModelReport) -> Iterator[str]:
    """The head, then sample by sample: a log of a night need not fit into memory twice."""
    head = json.dumps(_head(report, model), default=encode, indent=1).removesuffix("\n}")
    yield head + ',\n "samples": ['
    sequences = by_id(report.sequences)
    jobs = (job for job in report.jobs if job.model == model.name and job.finished)
    for number, job in enumerate(jobs):
        yield (",\n  " if number else "\n  ") + json.dumps(_sample(job, sequences[job.sequence]), default=encode)
    yield "\n ]\n}\n"


def _head(report: RunReport, model: ModelReport) -> dict[str, Any]:
    run = report.provenance
    jobs = [job for job in report.jobs if job.model == model.name]
    status = STATUS.get(run.status, "started")
    head: dict[str, Any] = {"version": LOG_VERSION, "status": status, "eval": _spec(report, model)}
    head["plan"] = {"name": "plan", "steps": [{"solver": "nightjar", "params": {}}], "config": _config(model)}
    head["results"] = {
        "total_samples": len(report.sequences) * run.repeats,
        "completed_samples": sum(job.status is JobStatus.DONE for job in jobs),
        "scores": [_result(metric, report) for metric in model.total.metrics.values()],
        **({"headline": {"scorer": report.headline, "metric": "mean"}} if report.headline else {}),
    }
    ends = [turn.committed_at for job in jobs for turn in job.turns]
    head["stats"] = {
        "started_at": _time(run.created_at),
        "completed_at": _time(max(ends)) if ends else "",
        "model_usage": {model.name: _usage(turn for job in jobs for turn in job.turns)},
    }
    if status == "error":
        head["error"] = _error(run.status_reason or "the run was stopped")
    return head


def _spec(report: RunReport, model: ModelReport) -> dict[str, Any]:
    run = report.provenance
    builds = dict.fromkeys(load.llama_cpp_build for load in model.input.loads)
    drivers = dict.fromkeys(load.llama_cpp_python for load in model.input.loads)
    about = provenance(report)
    return {
        "eval_id": digest("inspect eval", run.id, model.name)[:22],
        "run_id": run.id[:22],
        "created": _time(run.created_at),
        "task": run.suite_name,
        "task_id": run.suite_digest[:22],
        "task_version": run.suite_version,
        "tags": [],
        "dataset": {
            "name": run.suite_name,
            "location": run.suite_source,
            "samples": len(report.sequences),
            "sample_ids": [sequence.id for sequence in report.sequences],
            "shuffled": False,
        },
        "model": model.name,
        "model_generate_config": _config(model),
        "model_args": {"digest": model.input.digest},
        "config": {"epochs": run.repeats, "epochs_reducer": ["mean"]},
        "packages": {
            "nightjar": run.nightjar_version,
            **({"llama.cpp": ", ".join(builds)} if builds else {}),
            **({"llama-cpp-python": ", ".join(drivers)} if drivers else {}),
        },
        "metadata": {"nightjar": {**about, "models": [model_provenance(model)]}},
        "scorers": [{"name": name} for name in model.total.metrics],
        **({"headline_metric": {"scorer": report.headline, "metric": "mean"}} if report.headline else {}),
    }


def _config(model: ModelReport) -> dict[str, Any]:
    """Generation parameters that were the same for every turn."""
    uses = model.parameters
    config = {name: uses[ours][0].value for ours, name in CONFIG.items() if len(uses.get(ours, ())) == 1}
    stops = uses.get("stop", ())
    return config | ({"stop_seqs": list(stops[0].value)} if len(stops) == 1 and stops[0].value else {})


def _result(metric: Metric, report: RunReport) -> dict[str, Any]:
    numbers = {"mean": metric.mean, "stderr": metric.stderr}
    return {
        "name": metric.name,
        "scorer": metric.name,
        "reducer": "mean",
        "scored_samples": metric.n,
        "metrics": {name: {"name": name, "value": value} for name, value in numbers.items() if value is not None},
        "metadata": {
            "unit_of_analysis": "sequence",
            "interval": [metric.interval.low, metric.interval.high] if metric.interval else None,
            "turns": metric.values,
            "worst": metric.worst,
            "unscored": metric.unscored,
            "failed": metric.failed,
            "missing": metric.missing,
            "reason": metric.reason,
            "scale": report.scales.get(metric.name),
            "judging": judging(report) if metric.name.partition(".")[0] == "judge" else None,
        },
    }


def _sample(job: JobRow, sequence: PromptSequence) -> dict[str, Any]:
    turns = job.turns
    first = [message("user", sequence.prompt_text(0) if not turns else turns[0].prompt)]
    start = [message("system", sequence.system)] if sequence.system is not None else []
    messages = _messages(start, job)
    sample: dict[str, Any] = {
        "id": job.sequence,
        "epoch": job.repeat + 1,
        "input": [{**one, "source": "input"} for one in start + first],
        "target": [turn.reference for turn in sequence.turns if turn.reference is not None] or "",
        "messages": messages,
        "output": _output(turns[-1], messages[-1], job.model) if turns else {"model": job.model, "choices": []},
        "events": _events(job, sequence, messages),
        "scores": _scores(turns),
        "metadata": _about(job, sequence),
        "model_usage": {job.model: _usage(turns)},
        "turn_count": len(turns),
        "uuid": job.id[:22],
        "total_time": sum(turn.total_s for turn in turns),
        "working_time": sum(turn.total_s - turn.queue_s for turn in turns),
    }
    if turns:
        sample["completed_at"] = _time(turns[-1].committed_at)
    if job.status is not JobStatus.DONE:
        sample["error"] = _error(job.missing_reason)
    return sample


def _messages(start: Sequence[Message], job: JobRow) -> list[dict[str, Any]]:
    """The whole conversation, each message with an id of its own, as the events repeat them."""
    messages: list[dict[str, Any]] = [{**one, "source": "input"} for one in start]
    for turn in job.turns:
        messages += [{**message("user", turn.prompt), "source": "input"}, _reply(turn, job.model)]
    return [{"id": digest(job.id, number)[:22], **one} for number, one in enumerate(messages)]


def _events(job: JobRow, sequence: PromptSequence, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A call of the model per turn: what it was given, with which parameters, and how long it took."""
    events = []
    system = len(messages) - 2 * len(job.turns)
    for number, turn in enumerate(job.turns):
        at = system + 2 * number + 1
        given = messages[:system] if sequence.mode is Mode.INDEPENDENT else messages[: at - 1]
        events.append(
            {
                "event": "model",
                "uuid": digest(job.id, "event", number)[:22],
                "timestamp": _time(turn.committed_at - timedelta(seconds=turn.total_s)),
                "completed": _time(turn.committed_at),
                "working_start": sum(before.total_s - before.queue_s for before in job.turns[:number]),
                "working_time": turn.total_s - turn.queue_s,
                "model": job.model,
                "input": [*given, messages[at - 1]],
                "tools": [],
                "tool_choice": "none",
                "config": {**_given(turn.parameters), "seed": turn.seed},
                "output": _output(turn, messages[at], job.model),
            }
        )
    return events


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    stops = {"stop_seqs": list(parameters["stop"])} if parameters.get("stop") else {}
    return {theirs: parameters[ours] for ours, theirs in CONFIG.items() if ours in parameters} | stops


def _reply(turn: TurnRow, model: str) -> dict[str, Any]:
    thought = [{"type": "reasoning", "reasoning": turn.reasoning}] if turn.reasoning else []
    content = [*thought, {"type": "text", "text": turn.reply}] if thought else turn.reply
    failure = {"metadata": {"failure": turn.failure}} if turn.failure else {}
    return {"role": "assistant", "content": content, "source": "generate", "model": model, **failure}


def _output(turn: TurnRow, reply: Mapping[str, Any], model: str) -> dict[str, Any]:
    return {
        "model": model,
        "choices": [{"message": reply, "stop_reason": STOP_REASONS.get(turn.finish_reason, "unknown")}],
        "completion": turn.reply,
        "usage": _usage([turn]),
        "time": turn.total_s,
    }


def _usage(turns: Iterable[TurnRow]) -> dict[str, int]:
    total = dict.fromkeys(("input_tokens", "input_tokens_cache_read", "output_tokens", "reasoning_tokens"), 0)
    for turn in turns:
        total["input_tokens"] += turn.prompt_tokens - turn.reused_tokens
        total["input_tokens_cache_read"] += turn.reused_tokens
        total["output_tokens"] += turn.reply_tokens
        total["reasoning_tokens"] += turn.reasoning_tokens
    spent = total["input_tokens"] + total["input_tokens_cache_read"] + total["output_tokens"]
    return {**total, "total_tokens": spent}


def _scores(turns: Sequence[TurnRow]) -> dict[str, dict[str, Any]]:
    """Metric -> Inspect's Score: the mean over the turns that have a value, NaN where none has."""
    found: dict[str, list[tuple[TurnRow, str, Score]]] = {}
    for turn in turns:
        for line, score in turn.scores.items():
            found.setdefault(metric_of(line), []).append((turn, line, score))
    return {name: _score(given) for name, given in found.items()}


def _score(given: Sequence[tuple[TurnRow, str, Score]]) -> dict[str, Any]:
    values = [score.value for _, _, score in given if score.value is not None]
    reasons = [f"turn {turn.index}: {score.reason}" for turn, _, score in given if score.reason]
    answers = [score.answer for _, _, score in given if score.answer is not None]
    failed = any(score.state is ScoreState.FAILED for _, _, score in given)
    return {
        "value": fmean(values) if values else float("nan"),
        "answer": "; ".join(answers) or None,
        "explanation": "\n".join(reasons) or None,
        **({} if values else {"reason": "scoring_failed" if failed else "unscored"}),
        "metadata": {
            "turns": [
                {"turn": turn.index, "name": line, "value": score.value, "state": score.state.value}
                for turn, line, score in given
            ]
        },
    }


def _about(job: JobRow, sequence: PromptSequence) -> Mapping[str, Any]:
    return {
        "job": job.id,
        "status": job.status.value,
        "mode": Mode(sequence.mode).value,
        "tags": list(job.tags),
        "prompt_digest": job.sequence_digest,
        "seeds": [turn.seed for turn in job.turns],
        "tries": job.tries,
    }


def _error(text: str) -> dict[str, str]:
    return {"message": text, "traceback": "", "traceback_ansi": ""}


def _time(moment: datetime) -> str:
    return moment.isoformat()
