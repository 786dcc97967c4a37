"""MT-bench's questions and answers, as FastChat's `llm_judge` reads them. Pure.

`model_answer/MODEL.jsonl` has a line per question; repeats are its `choices`. The judgments are in
`mt_bench_judgments`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nightjar.jobs.states import JobStatus
from nightjar.pipeline.exports.conversation import complete, jobs_by_sequence, question_id
from nightjar.pipeline.exports.file import ExportFile, ExportOptions, ascii_json, json_lines, safe_name
from nightjar.pipeline.exports.mt_bench_judgments import judgment_files
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.provenance import provenance
from nightjar.pipeline.transcripts import JobRow


def mt_bench_files(report: RunReport, stem: str, _: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.mt-bench/` with questions, answers, judgments and their provenance."""
    folder = f"{stem}.mt-bench"
    yield ExportFile(path=f"{folder}/question.jsonl", pieces=json_lines(_questions(report)))
    for model in report.models:
        path = f"{folder}/model_answer/{safe_name(model.name)}.jsonl"
        yield ExportFile(path=path, pieces=json_lines(_answers(report, model.name)))
    yield from judgment_files(report, folder)
    about = {**provenance(report), "left_out": _left_out(report)}
    yield ExportFile(path=f"{folder}/provenance.json", pieces=[ascii_json(about, indent=1) + "\n"])


def _questions(report: RunReport) -> Iterator[dict[str, Any]]:
    for sequence in report.sequences:
        references = [turn.reference for turn in sequence.turns]
        yield {
            "question_id": question_id(sequence.id),
            "category": sequence.tags[0] if sequence.tags else "general",
            "turns": [sequence.prompt_text(turn) for turn in range(len(sequence.turns))],
            **({"reference": [text or "" for text in references]} if any(references) else {}),
        }


def _answers(report: RunReport, model: str) -> Iterator[dict[str, Any]]:
    """Complete conversations only: an answer with a missing turn would be judged as if it were short."""
    of = jobs_by_sequence(report, model)
    for sequence in report.sequences:
        jobs = [job for job in of.get(sequence.id, ()) if _answered(job)]
        if jobs:
            yield {
                "question_id": question_id(sequence.id),
                "answer_id": jobs[0].id[:22],
                "model_id": safe_name(model),
                "choices": [{"index": job.repeat, "turns": [turn.reply for turn in job.turns]} for job in jobs],
                "tstamp": jobs[-1].turns[-1].committed_at.timestamp(),
            }


def _answered(job: JobRow) -> bool:
    return job.status is JobStatus.DONE and complete(job)


def _left_out(report: RunReport) -> list[dict[str, Any]]:
    """The conversations left out, and why."""
    return [
        {
            "question_id": question_id(job.sequence),
            "model": job.contestant,
            "repeat": job.repeat,
            "reason": job.missing_reason,
        }
        for job in report.jobs
        if not _answered(job)
    ]
