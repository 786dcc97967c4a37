"""The run as a Parquet table: one row per turn, including missing turns, with the columns of the CSV. Pure.

pyarrow is an extra: `pip install 'nightjar-eval[parquet]'`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from nightjar.jobs.records import FAULTS
from nightjar.pipeline.exports.file import ExportFile, ExportOptions, ascii_json
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.formats.provenance import provenance
from nightjar.pipeline.transcripts import JobRow, TurnRow

if TYPE_CHECKING:
    import pyarrow

ROWS = 10_000
"""The number of rows in a row group."""
_TEXTS = (
    "run model variant sequence sequence_digest job_id job_status job_reason turn_name prompt reply reasoning".split()
)
_ENDS = ("finish_reason", *FAULTS, *"policy reprefill_reason parameters sources worker missing".split())
_COUNTS = "repeat turn prompt_tokens reused_tokens reply_tokens reasoning_tokens seed draws".split()
_SECONDS = "queue_s prefill_s decode_s first_token_s mean_logprob".split()


def parquet_file(report: RunReport, stem: str, _: ExportOptions) -> Iterator[ExportFile]:
    """`STEM.parquet`. The file's metadata holds the provenance under the key `nightjar`."""
    import pyarrow.parquet

    buffer = io.BytesIO()
    names = list(dict.fromkeys(name for job in report.jobs for turn in job.turns for name in turn.scores))
    schema = _schema(names, {"nightjar": ascii_json(provenance(report))})
    rows = (row for job in report.jobs for row in _rows(report.provenance.name, job, names))
    with pyarrow.parquet.ParquetWriter(buffer, schema, compression="zstd") as writer:
        while batch := list(islice(rows, ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
    yield ExportFile(path=f"{stem}.parquet", pieces=[buffer.getvalue()])


def _schema(names: Sequence[str], metadata: dict[str, str]) -> pyarrow.Schema:
    import pyarrow as pa

    fields = [
        *((name, pa.string()) for name in (*_TEXTS, *_ENDS)),
        *((name, pa.int64()) for name in _COUNTS),
        *((name, pa.float64()) for name in _SECONDS),
        ("tags", pa.list_(pa.string())),
        ("dropped_turns", pa.list_(pa.int64())),
        ("recalled_turns", pa.list_(pa.int64())),
        ("summaries", pa.list_(pa.string())),
        ("committed_at", pa.timestamp("ms", tz="UTC")),
        *((f"score.{name}", pa.float64()) for name in names),
        *((f"state.{name}", pa.string()) for name in names),
        *((f"reason.{name}", pa.string()) for name in names),
    ]
    return pa.schema(fields, metadata=metadata)


def _rows(run: str, job: JobRow, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    there = {turn.index: turn for turn in job.turns}
    for index in range(job.turns_total):
        row = {
            "run": run,
            "model": job.contestant,
            "variant": job.variant,
            "sequence": job.sequence,
            "sequence_digest": job.sequence_digest,
            "tags": list(job.tags),
            "repeat": job.repeat,
            "turn": index,
            "job_id": job.id,
            "job_status": job.status.value,
            "job_reason": job.reason,
        }
        turn = there.get(index)
        yield {**row, "missing": f"not generated: {job.missing_reason}"} if turn is None else {**row, **_turn(turn)}


def _turn(turn: TurnRow) -> dict[str, Any]:
    same = (*_COUNTS[2:], *_SECONDS, "prompt", "reply", "reasoning", "finish_reason", *FAULTS)
    row = {name: getattr(turn, name) for name in (*same, "policy", "reprefill_reason", "worker", "committed_at")}
    row |= {
        "turn_name": turn.name,
        "dropped_turns": list(turn.dropped_turns),
        "recalled_turns": list(turn.recalled_turns),
        "summaries": [summary.text for summary in turn.summaries],
        "parameters": json.dumps(turn.parameters),
        "sources": json.dumps(turn.sources),
    }
    for name, score in turn.scores.items():
        row |= {f"score.{name}": score.value, f"state.{name}": score.state.value, f"reason.{name}": score.reason}
    return row
