"""Inspect AI's eval log (JSON, format version 2): one log per model, one sample per sequence and repeat. Pure.

Field names are those of `inspect_ai.log.EvalLog` 0.3.285. A repeat is Inspect's epoch, counted from 1. A turn's
scores lie in the metadata of its sample's score, whose value is the mean over turns, as in Nightjar's report; a
score without a value is NaN with its reason, which Inspect leaves out of every mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nightjar.jobs.identity import digest
from nightjar.jobs.states import JobStatus, RunStatus
from nightjar.pipeline.exports.conversation import AskedSequences
from nightjar.pipeline.exports.file import ExportFile, ExportOptions, safe_name
from nightjar.pipeline.exports.inspect_sample import config_of, error_of, sample_of, timestamp, usage_of
from nightjar.pipeline.report.data.metric import Metric
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.json_ import to_json
from nightjar.pipeline.report.formats.provenance import judging, model_provenance, provenance

LOG_VERSION = 2
STATUS = {RunStatus.DONE: "success", RunStatus.CANCELLED: "cancelled", RunStatus.STOPPED: "error"}


def inspect_logs(report: RunReport, stem: str, _: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.inspect/<time>_<suite>_<model>.json`, one log per model."""
    moment = report.provenance.created_at.strftime("%Y-%m-%dT%H-%M-%S-00-00")
    suite = safe_name(report.provenance.suite_name)
    for model in report.models:
        name = f"{moment}_{suite}_{safe_name(model.name)}.json"
        yield ExportFile(path=f"{stem}.inspect/{name}", pieces=_log(report, model))


def _log(report: RunReport, model: ModelReport) -> Iterator[str]:
    """The head, then sample by sample: a log of a night need not fit into memory twice."""
    head = json.dumps(_head(report, model), default=to_json, indent=1).removesuffix("\n}")
    yield head + ',\n "samples": ['
    asked = AskedSequences(report)
    jobs = (job for job in report.jobs if job.contestant == model.name and job.finished)
    for number, job in enumerate(jobs):
        yield (",\n  " if number else "\n  ") + json.dumps(
            sample_of(job, asked.of(job.contestant, job.sequence)), default=to_json
        )
    yield "\n ]\n}\n"


def _head(report: RunReport, model: ModelReport) -> dict[str, Any]:
    run = report.provenance
    jobs = [job for job in report.jobs if job.contestant == model.name]
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
        "started_at": timestamp(run.created_at),
        "completed_at": timestamp(max(ends)) if ends else "",
        "model_usage": {model.name: usage_of(turn for job in jobs for turn in job.turns)},
    }
    if status == "error":
        head["error"] = error_of(run.status_reason or "the run was stopped")
    return head


def _spec(report: RunReport, model: ModelReport) -> dict[str, Any]:
    run = report.provenance
    builds = dict.fromkeys(load.llama_cpp_build for load in model.input.loads)
    drivers = dict.fromkeys(load.llama_cpp_python for load in model.input.loads)
    about = provenance(report)
    return {
        "eval_id": digest("inspect eval", run.id, model.name)[:22],
        "run_id": run.id[:22],
        "created": timestamp(run.created_at),
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
    return config_of({name: uses[0].value for name, uses in model.parameters.items() if len(uses) == 1})


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
