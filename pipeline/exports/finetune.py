"""JSON Lines for fine-tuning, in the conversational formats of TRL's trainers and `datasets`. Pure.

SFT: `messages`, a conversation up to its last good reply; it ends before the first reply that is not good, so that no
such reply is learned. DPO: `prompt`, `chosen`, `rejected`, where both replies answered the very same messages.
Base-model sequences (mode completion) have no messages and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import PLAIN, Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.exports.conversation import AskedSequences, ExportedMessage, jobs_by_sequence, message, prompt_of
from nightjar.pipeline.exports.file import ExportFile, ExportOptions, ascii_json, json_lines
from nightjar.pipeline.exports.quality import Quality, quality
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.provenance import provenance
from nightjar.pipeline.transcripts import JobRow, TurnRow


def sft_files(report: RunReport, stem: str, options: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.sft.jsonl` and a file with its provenance."""
    wanted = quality(report, options)
    yield ExportFile(path=f"{stem}.sft.jsonl", pieces=json_lines(_sft(report, wanted)))
    yield _about(report, f"{stem}.sft.provenance.json", wanted, {"at_least": wanted.at_least})


def dpo_files(report: RunReport, stem: str, options: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.dpo.jsonl` and a file with its provenance."""
    wanted = quality(report, options)
    yield ExportFile(path=f"{stem}.dpo.jsonl", pieces=json_lines(_dpo(report, wanted)))
    yield _about(report, f"{stem}.dpo.provenance.json", wanted, {"margin": wanted.margin})


def _about(report: RunReport, path: str, wanted: Quality, limit: Mapping[str, float]) -> ExportFile:
    choice = {"metric": wanted.metric, "scale": wanted.scale, **limit}
    return ExportFile(path=path, pieces=[ascii_json({**provenance(report), "chosen_by": choice}, indent=1) + "\n"])


def _sft(report: RunReport, wanted: Quality) -> Iterator[dict[str, Any]]:
    asked = AskedSequences(report)
    for job in report.jobs:
        sequence = asked.of(job.contestant, job.sequence)
        if not _is_chat(sequence):
            continue
        for turn in _ends(job, sequence, wanted):
            yield {
                "messages": [*prompt_of(sequence, job.turns, turn.index), _reply(turn)],
                "source": _source(job, turn, wanted),
            }


def _is_chat(sequence: PromptSequence) -> bool:
    """Whether its replies are messages that a model wrote: neither plain text nor chosen among given ones."""
    return sequence.mode not in PLAIN and not sequence.scored


def _ends(job: JobRow, sequence: PromptSequence, wanted: Quality) -> list[TurnRow]:
    """The turns that end an example: every good turn if turns are independent, else the last good one.

    A turn that the metric does not apply to neither ends a conversation nor counts as good.
    """
    if sequence.mode is Mode.INDEPENDENT:
        return [turn for turn in job.turns if wanted.good(turn)]
    last: list[TurnRow] = []
    for turn in job.turns:
        if turn.failure is not None or (wanted.asked(turn) and not wanted.good(turn)):
            break
        if wanted.asked(turn):
            last = [turn]
    return last


def _dpo(report: RunReport, wanted: Quality) -> Iterator[dict[str, Any]]:
    """Every pair of a model's repeats that answered the same messages and differ by at least the margin."""
    asked = AskedSequences(report)
    for model in report.models:
        for name, jobs in jobs_by_sequence(report, model.name).items():
            if _is_chat(asked.of(model.name, name)):
                yield from _pairs(jobs, asked.of(model.name, name), wanted)


def _pairs(jobs: Sequence[JobRow], sequence: PromptSequence, wanted: Quality) -> Iterator[dict[str, Any]]:
    alike: dict[str, list[tuple[JobRow, TurnRow, float]]] = {}
    prompts: dict[str, list[ExportedMessage]] = {}
    for job in jobs:
        for turn in job.turns:
            value = wanted.value(turn)
            if value is not None:
                prompt = prompt_of(sequence, job.turns, turn.index)
                key = digest(prompt)
                prompts[key] = prompt
                alike.setdefault(key, []).append((job, turn, value))
    for key, answers in alike.items():
        for first, second in combinations(answers, 2):
            better, worse = (first, second) if wanted.gain(first[2], second[2]) > 0 else (second, first)
            if wanted.gain(better[2], worse[2]) >= wanted.margin and better[1].failure is None:
                yield {
                    "prompt": prompts[key],
                    "chosen": [_reply(better[1])],
                    "rejected": [_reply(worse[1])],
                    "score_chosen": better[2],
                    "score_rejected": worse[2],
                    "source": _source(better[0], better[1], wanted) | {"rejected_repeat": worse[0].repeat},
                }


def _reply(turn: TurnRow) -> ExportedMessage:
    return message("assistant", turn.reply)


def _source(job: JobRow, turn: TurnRow, wanted: Quality) -> dict[str, Any]:
    return {
        "job": job.id,
        "model": job.contestant,
        "sequence": job.sequence,
        "prompt_digest": job.sequence_digest,
        "repeat": job.repeat,
        "turn": turn.index,
        "seed": turn.seed,
        "metric": wanted.metric,
        "score": wanted.value(turn),
    }
