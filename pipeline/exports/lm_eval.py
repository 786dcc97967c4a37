"""lm-evaluation-harness's results and samples, with the field names of lm_eval 0.4.13. Pure.

One folder per model: `results_<date>.json` and `samples_<task>_<date>.jsonl`, where the suite is the task and every
reply is a sample. Metrics carry the filter "none", as the harness's own unfiltered ones do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.exports.conversation import AskedSequences, prompt_of
from nightjar.pipeline.exports.file import ExportFile, ExportOptions, ascii_json, json_lines, safe_name
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.provenance import model_provenance, provenance
from nightjar.pipeline.scores import Direction, Scale
from nightjar.pipeline.scoring.turn_scorer import metric_of
from nightjar.pipeline.transcripts import JobRow, TurnRow

FILTER = "none"
GEN_KWARGS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "max_tokens": "max_gen_toks",
    "stop": "until",
}
"""Nightjar's parameter -> the harness's."""


def lm_eval_files(report: RunReport, stem: str, _: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.lm-eval/MODEL/results_<date>.json` and `samples_<task>_<date>.jsonl`."""
    date = report.provenance.created_at.strftime("%Y-%m-%dT%H-%M-%S.%f")
    task = safe_name(report.provenance.suite_name).replace("_", "-")
    for model in report.models:
        folder = f"{stem}.lm-eval/{safe_name(model.name)}"
        samples = list(_samples(report, model.name))
        results = ascii_json(_results(report, model, task, samples), indent=2)
        yield ExportFile(path=f"{folder}/results_{date}.json", pieces=[results + "\n"])
        yield ExportFile(path=f"{folder}/samples_{task}_{date}.jsonl", pieces=json_lines(samples))


def _results(report: RunReport, model: ModelReport, task: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    run = report.provenance
    facts = model.input.facts
    hashes = "".join(sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"] for sample in samples)
    scored = bool(report.sequences) and all(sequence.scored for sequence in report.sequences)
    kind = "multiple_choice" if scored else "generate_until"
    expected = sum(len(sequence.turns) for sequence in report.sequences) * run.repeats
    return {
        "results": {task: {"alias": task, **_metrics(model), "name": task, "sample_len": len(samples)}},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "output_type": kind}},
        "versions": {task: run.suite_version},
        "n-shot": {task: 0},
        "higher_is_better": {task: {name: _higher(report.scales.get(name)) for name in model.total.metrics}},
        "n-samples": {task: {"original": expected, "effective": len(samples)}},
        "config": _config(report, model),
        "date": run.created_at.timestamp(),
        "model_source": "nightjar",
        "model_name": model.name,
        "model_name_sanitized": safe_name(model.name),
        "system_instruction": None,
        "chat_template_sha": facts.template_digest if facts else None,
        "task_hashes": {task: _hash(hashes)},
        "total_evaluation_time_seconds": str(model.total.speed.busy_s),
        "nightjar": {**provenance(report), "models": [model_provenance(model)]},
    }


def _config(report: RunReport, model: ModelReport) -> dict[str, Any]:
    """What is known about the model and how it ran."""
    file = model.input.facts.file if model.input.facts else None
    load = model.input.loads[0] if model.input.loads else None
    config = {
        "model": "nightjar",
        "model_args": {"model": model.name, "sha256": model.input.digest or "unknown"},
        "model_num_parameters": file.parameters if file else None,
        "model_dtype": file.quantisation if file else None,
        "model_sha": model.input.digest,
        "batch_size": str(load.slots) if load else None,
        "device": load.device if load else None,
        "gen_kwargs": {name: uses[0].value for name, uses in model.parameters.items()},
        "random_seed": report.provenance.seed,
    }
    return {name: value for name, value in config.items() if value is not None}


def _metrics(model: ModelReport) -> dict[str, Any]:
    """`name,filter` -> mean over sequences, and its standard error if there is one."""
    means: dict[str, Any] = {}
    for name, metric in model.total.metrics.items():
        if metric.mean is not None:
            means[f"{name},{FILTER}"] = metric.mean
            if metric.stderr is not None:
                means[f"{name}_stderr,{FILTER}"] = metric.stderr
    return means


def _higher(scale: Scale | None) -> bool | None:
    if scale is None or scale.direction is Direction.NONE:
        return None
    return scale.direction is Direction.HIGHER


def _samples(report: RunReport, model: str) -> Iterator[dict[str, Any]]:
    asked = AskedSequences(report)
    first: dict[str, int] = {}
    count = 0
    for sequence in report.sequences:
        first[sequence.id] = count
        count += len(sequence.turns)
    for job in report.jobs:
        if job.contestant == model:
            for turn in job.turns:
                yield _sample(job, turn, asked.of(job.contestant, job.sequence), first[job.sequence] + turn.index)


def _sample(job: JobRow, turn: TurnRow, sequence: PromptSequence, doc_id: int) -> dict[str, Any]:
    reference = sequence.turns[turn.index].reference
    doc = {
        "sequence": job.sequence,
        "turn": turn.index,
        "prompt": turn.prompt,
        "tags": list(job.tags),
        "digest": job.sequence_digest,
    }
    prompt = json.dumps(prompt_of(sequence, job.turns, turn.index), ensure_ascii=False)
    kwargs = {**_gen_kwargs(turn.parameters), "seed": turn.seed, "repeat": job.repeat}
    metrics = _values(turn)
    choices = sequence.turns[turn.index].choices
    arguments: dict[str, Any] = {"gen_args_0": {"arg_0": prompt, "arg_1": kwargs}}
    responses: list[Any] = [turn.reply]
    target: Any = reference or ""
    if turn.likelihoods is not None and choices is not None:
        contexts = choices.contexts or (prompt,) * len(choices.texts)
        given = [(context, choices.delimiter + text) for context, text in zip(contexts, choices.texts, strict=True)]
        arguments = {f"gen_args_{at}": {"arg_0": each[0], "arg_1": each[1]} for at, each in enumerate(given)}
        responses = [[choice.logprob, choice.greedy] for choice in turn.likelihoods.choices]
        target = choices.right[0] if len(choices.right) == 1 else list(choices.right)
    return {
        "doc_id": doc_id,
        "doc": doc,
        "target": target,
        "arguments": arguments,
        "resps": [[response] for response in responses],
        "filtered_resps": responses,
        "filter": FILTER,
        "metrics": list(metrics),
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(str(target)),
        **metrics,
    }


def _values(turn: TurnRow) -> dict[str, float]:
    """Metric -> value, the mean of several checks of one kind. A missing value is left out, never zero."""
    by_metric: dict[str, list[float]] = {}
    for name, score in turn.scores.items():
        if score.value is not None:
            by_metric.setdefault(metric_of(name), []).append(score.value)
    return {name: sum(values) / len(values) for name, values in by_metric.items()}


def _gen_kwargs(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {theirs: parameters[ours] for ours, theirs in GEN_KWARGS.items() if ours in parameters}


def _hash(text: str) -> str:
    """The harness's own `hash_string`: SHA-256 of the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
