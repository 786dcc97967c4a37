"""MT-bench's answers and judgments, as FastChat's `llm_judge` reads them. Pure.

`model_answer/MODEL.jsonl`: a line per question; repeats are its `choices`. `model_judgment/JUDGE_single.jsonl`: a
line per judged reply, turns counted from 1; a reply without a verdict has FastChat's score -1, which its
`show_result` leaves out. The scores are on the rubric's own scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.states import JobStatus
from pipeline.exports.conversation import complete
from pipeline.exports.file import ExportFile, ExportOptions, json_lines, json_text, safe_name
from pipeline.exports.provenance import provenance
from pipeline.report.data import RunReport
from pipeline.scoring.scorer import Score
from pipeline.scoring.verdicts import COMPOSITE
from pipeline.transcripts import JobRow

NO_SCORE = -1
"""FastChat's mark of a judgment without a rating."""


def mt_bench_files(report: RunReport, stem: str, _: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.mt-bench/` with questions, answers, judgments, and where they come from."""
    folder = f"{stem}.mt-bench"
    yield ExportFile(path=f"{folder}/question.jsonl", pieces=json_lines(_questions(report)))
    for model in report.models:
        path = f"{folder}/model_answer/{safe_name(model.name)}.jsonl"
        yield ExportFile(path=path, pieces=json_lines(_answers(report, model.name)))
    if report.provenance.judges and COMPOSITE in report.metrics:
        judge = "+".join(report.provenance.judges)
        path = f"{folder}/model_judgment/{safe_name(judge)}_single.jsonl"
        yield ExportFile(path=path, pieces=json_lines(_judgments(report, judge)))
    about = {**provenance(report), "left_out": _left_out(report)}
    yield ExportFile(path=f"{folder}/provenance.json", pieces=[json_text(about, indent=1) + "\n"])


def question_id(sequence: str) -> int | str:
    """FastChat's ids are numbers; a sequence whose id is none keeps its text."""
    return int(sequence) if sequence.isascii() and sequence.isdecimal() and len(sequence) < 16 else sequence


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
    """Whole conversations only: an answer with a turn missing would be judged as if it were short."""
    for sequence in report.sequences:
        jobs = [job for job in report.jobs_of(model, sequence.id) if _answered(job)]
        if jobs:
            yield {
                "question_id": question_id(sequence.id),
                "answer_id": jobs[0].id[:22],
                "model_id": safe_name(model),
                "choices": [{"index": job.repeat, "turns": [turn.reply for turn in job.turns]} for job in jobs],
                "tstamp": jobs[-1].turns[-1].committed_at.timestamp(),
            }


def _judgments(report: RunReport, judge: str) -> Iterator[dict[str, Any]]:
    rubric = report.provenance.rubric or {}
    for job in report.jobs:
        for turn in job.turns:
            score = turn.scores.get(COMPOSITE)
            if score is None or not _answered(job):
                continue
            yield {
                "question_id": question_id(job.sequence),
                "model": safe_name(job.model),
                "judge": [judge, str(rubric.get("name") or "rubric")],
                "user_prompt": turn.prompt,
                "judgment": _judgment(score, turn.scores),
                "score": NO_SCORE if score.value is None else score.value,
                "turn": turn.index + 1,
                "tstamp": turn.committed_at.timestamp(),
                "repeat": job.repeat,
            }


def _judgment(score: Score, scores: Mapping[str, Score]) -> str:
    """What the judges said, criterion by criterion."""
    said = [f"{name}: {one.value}. {one.reason or ''}" for name, one in scores.items() if _is_criterion(name)]
    return "\n".join([*said, score.reason or ""]).strip()


def _is_criterion(name: str) -> bool:
    return name.startswith(f"{COMPOSITE}.")


def _answered(job: JobRow) -> bool:
    return job.status is JobStatus.DONE and complete(job)


def _left_out(report: RunReport) -> list[dict[str, Any]]:
    """Conversations that are not there, and why."""
    return [
        {
            "question_id": question_id(job.sequence),
            "model": job.model,
            "repeat": job.repeat,
            "reason": job.missing_reason,
        }
        for job in report.jobs
        if not _answered(job)
    ]
