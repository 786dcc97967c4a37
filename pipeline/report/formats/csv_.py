"""The report as CSV: one row per turn, including missing turns. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import cell
from nightjar.pipeline.report.formats.judge_json import answer_cells, answer_columns
from nightjar.pipeline.report.formats.provenance import flat
from nightjar.pipeline.transcripts import JobRow, TurnRow

COLUMNS = (
    "run model sequence tags repeat turn turn_name job_status job_reason prompt reply reasoning finish_reason empty "
    "degenerate repeats_previous prompt_tokens reused_tokens reply_tokens reasoning_tokens queue_s prefill_s decode_s "
    "first_token_s mean_logprob seed draws policy dropped_turns recalled_turns summaries "
    "reprefill_reason worker committed_at"
).split()

ORIGINS = (
    "run.id run.seed nightjar.version suite.digest prompts.digest rubric.digest model.digest model.file "
    "model.template_digest llama.cpp device variant"
).split()
"""Keys of `provenance.flat`; the column `parameters` joins the model's parameters."""

FIDELITY = ("reference", "kld", "kld_low", "kld_high", "same_top", "perplexity_ratio", "tokens")
TAG_SEPARATOR = "; "
"""A tag may hold blanks and commas, and no semicolon."""

_Cell = str | int | float | None


def render_csv(report: RunReport) -> Iterator[str]:
    """Rows as text, header first; RFC 4180, UTF-8.

    After COLUMNS come `score.NAME`, `reason.NAME` for scorers that gave reasons, `answer.NAME` if several judged,
    `missing` (why the turn is missing), `from.NAME` (the row's provenance) and `fidelity.NAME` (of the row's model,
    where the run is held against a reference).
    """
    names, reasoned = _names(report)
    parts = answer_columns(report)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    scores = [f"score.{name}" for name in names]
    scores += [f"reason.{name}" for name in reasoned] + [f"answer.{name}" for name in parts]
    origins = {model.name: _origin(report, model) for model in report.models}
    origin_columns = [f"from.{name}" for name in (*ORIGINS, "parameters")]
    fidelity = FIDELITY if report.fidelity is not None else ()
    columns = (*COLUMNS, *scores, "missing", *origin_columns, *(f"fidelity.{name}" for name in fidelity))
    writer.writerow([cell(column) for column in columns])
    for job in report.jobs:
        for row in _rows(report.provenance.name, job, names, reasoned, parts):
            writer.writerow(
                [cell(value) if isinstance(value, str) else value for value in (*row, *origins[job.contestant])]
            )
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _origin(report: RunReport, model: ModelReport) -> list[_Cell]:
    known = flat(report, model)
    parameters = (f"{key.partition('.')[2]}={value}" for key, value in known.items() if key.startswith("parameter."))
    return [*map(known.get, ORIGINS), "; ".join(parameters), *_fidelity(report, model)]


def _fidelity(report: RunReport, model: ModelReport) -> list[_Cell]:
    """Empty cells for the reference, and where nothing was measured; none in a run without a reference."""
    result = report.fidelity
    if result is None:
        return []
    rows = (row for row in result.candidates if row.label == model.input.name)
    row = next((row for row in rows if row.numbers is not None), None)
    if row is None or row.numbers is None:
        return [result.reference.label, *([None] * (len(FIDELITY) - 1))]
    kld, ends = row.numbers.kld, row.numbers.kld.interval
    interval: list[_Cell] = [None, None] if ends is None else [ends.low, ends.high]
    rest: list[_Cell] = [row.numbers.same_top.value, row.numbers.perplexity_ratio.value, row.numbers.tokens]
    return [result.reference.label, kld.value, *interval, *rest]


def _names(report: RunReport) -> tuple[list[str], list[str]]:
    """Names of all scores, and of those that have a reason in at least one turn."""
    names: dict[str, bool] = {}
    for turn in (turn for job in report.jobs for turn in job.turns):
        for name, score in turn.scores.items():
            names[name] = names.get(name, False) or score.reason is not None
    return list(names), [name for name, has_reason in names.items() if has_reason]


def _rows(
    run: str, job: JobRow, names: Sequence[str], reasoned: Sequence[str], parts: Sequence[str]
) -> Iterator[list[_Cell]]:
    there = {turn.index: turn for turn in job.turns}
    for index in range(job.turns_total):
        turn = there.get(index)
        head: list[_Cell] = [run, job.contestant, job.sequence, TAG_SEPARATOR.join(job.tags), job.repeat, index]
        head += [turn.name if turn else None, job.status.value, job.reason]
        if turn is None:
            blank: list[_Cell] = [None] * (len(COLUMNS) - len(head) + len(names) + len(reasoned) + len(parts))
            yield [*head, *blank, f"not generated: {job.missing_reason}"]
        else:
            scores = turn.scores
            values: list[_Cell] = [scores[name].value if name in scores else None for name in names]
            reasons: list[_Cell] = [scores[name].reason if name in scores else None for name in reasoned]
            yield [*head, *_turn(turn), *values, *reasons, *answer_cells(turn, parts), None]


def _turn(turn: TurnRow) -> list[_Cell]:
    return [
        turn.prompt,
        turn.reply,
        turn.reasoning,
        turn.finish_reason,
        turn.empty,
        turn.degenerate,
        turn.repeats_previous,
        turn.prompt_tokens,
        turn.reused_tokens,
        turn.reply_tokens,
        turn.reasoning_tokens,
        turn.queue_s,
        turn.prefill_s,
        turn.decode_s,
        turn.first_token_s,
        turn.mean_logprob,
        turn.seed,
        turn.draws,
        turn.policy,
        " ".join(map(str, turn.dropped_turns)),
        " ".join(map(str, turn.recalled_turns)),
        "\n\n".join(summary.text for summary in turn.summaries),
        turn.reprefill_reason,
        turn.worker,
        turn.committed_at.isoformat(),
    ]
