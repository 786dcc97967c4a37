"""Reading a suite file of any known format from disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from nightjar.config.errors import SuiteError, UsageError, suggest
from nightjar.jobs.names import made_name
from nightjar.pipeline.suites.content import NAME_PATTERN, SuiteContent
from nightjar.pipeline.suites.csv_text import parse_csv
from nightjar.pipeline.suites.eq_bench import read_eq_bench
from nightjar.pipeline.suites.file_text import MAX_FILE_BYTES, file_text
from nightjar.pipeline.suites.harness.task_suite import TaskData, read_harness
from nightjar.pipeline.suites.inspect_dataset import read_inspect
from nightjar.pipeline.suites.json_text import parse_json, parse_json_lines
from nightjar.pipeline.suites.located import Located, suite_error
from nightjar.pipeline.suites.mapped import read_mapped
from nightjar.pipeline.suites.mt_bench import read_mt_bench
from nightjar.pipeline.suites.native import read_native
from nightjar.pipeline.suites.parquet_rows import read_parquet
from nightjar.pipeline.suites.promptfoo import read_promptfoo
from nightjar.pipeline.suites.storybench import read_storybench
from nightjar.pipeline.suites.yaml_text import parse_yaml

JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet",)
MAX_DOCUMENT_BYTES = 4 * 2**20
TASK_NEEDS_DATA = (
    "A task of lm-evaluation-harness needs its rows: `nightjar suite import FILE --format lm-eval --data "
    "test=ROWS.parquet --data train=MORE.jsonl`."
)
MAX_SEQUENCE_CHARS = 4 * 2**20
"""Largest sequence, in characters; MongoDB allows 16 MB, and a character may take 4 bytes."""


class Format(StrEnum):
    """The formats that suites can be read from."""

    NATIVE = "native"
    MT_BENCH = "mt-bench"
    STORYBENCH = "storybench"
    INSPECT = "inspect"
    EQ_BENCH = "eq-bench"
    PROMPTFOO = "promptfoo"
    LM_EVAL = "lm-eval"
    """A task of lm-evaluation-harness, with `--data`."""
    MAPPED = "mapped"
    """Rows of any file, with `--map`."""


def read_suite(
    path: Path,
    format: str | None = None,
    name: str | None = None,
    *,
    mapping: Mapping[str, str] | None = None,
    skip_unsupported: bool = False,
    task: TaskData | None = None,
) -> SuiteContent:
    """The validated content of a suite file.

    `format`: one of `Format`; None: detected from the content. `name` replaces the suite's own name.
    `mapping`: which field of a row is what, for rows of any file.
    `task`: the file is a task of lm-evaluation-harness, whose rows are here.
    `skip_unsupported`: what another tool would do with its file and Nightjar can't is left out and listed.
    Raises SuiteError that names file, line and field of every error; UsageError for an unknown format or a bad name.
    """
    if format is not None and format not in list(Format):
        raise UsageError(f"There is no suite format {format!r}. {suggest(format, map(str, Format), 'format')}")
    if name is not None and not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"The name {name!r} is not allowed: use letters, digits, '.', '_' and '-', at most 100.")
    if mapping and format not in (None, Format.MAPPED):
        raise UsageError(f"--map reads rows of any file; it cannot be given with --format {format}. Leave one out.")
    if format == Format.MAPPED and not mapping:
        raise UsageError("--format mapped needs --map, as in --map prompt=question --map answer=answer.")
    kind = Format.MAPPED if mapping else None if format is None else Format(format)
    if task is not None and kind not in (None, Format.LM_EVAL):
        raise UsageError("--data is for tasks of lm-evaluation-harness (--format lm-eval). Leave it out.")
    if kind is Format.LM_EVAL and task is None:
        raise UsageError(TASK_NEEDS_DATA)
    source, kind = _locate(path, kind if task is None else Format.LM_EVAL)
    source.gathered.skipping = skip_unsupported
    default_name = name or _name_of(path)
    content = _content(kind, source, path, default_name, mapping or {}, task)
    for sequence in content.sequences:
        if len(sequence.model_dump_json()) > MAX_SEQUENCE_CHARS:
            raise suite_error(path.name, None, f"sequence {sequence.id!r} is larger than {MAX_SEQUENCE_CHARS:,} bytes.")
    renamed = {} if name is None else {"name": name}
    left_out = tuple(source.gathered.left_out)
    from_ = f"{path.name} ({kind})" + (f", {content.source}" if content.source else "")
    return content.model_copy(update={"source": from_, "left_out": left_out, **renamed})


def _content(
    kind: Format, source: Located, path: Path, name: str, mapping: Mapping[str, str], task: TaskData | None
) -> SuiteContent:
    match kind:
        case Format.MAPPED:
            return read_mapped(source, name, mapping, table=_is_table(path))
        case Format.NATIVE:
            return read_native(source, name, lambda file: _document_text(path, file))
        case Format.MT_BENCH:
            return read_mt_bench(source, name)
        case Format.STORYBENCH:
            return read_storybench(source, name)
        case Format.INSPECT:
            return read_inspect(source, name, table=_is_table(path))
        case Format.EQ_BENCH:
            return read_eq_bench(source, name)
        case Format.PROMPTFOO:
            return read_promptfoo(source, name)
        case Format.LM_EVAL:
            if task is None:
                raise UsageError(TASK_NEEDS_DATA)
            return read_harness(source, path, task)


def _locate(path: Path, format: Format | None) -> tuple[Located, Format]:
    suffix = path.suffix.lower()
    text = "" if suffix in PARQUET else file_text(path, path.name, MAX_FILE_BYTES)
    if suffix in PARQUET:
        source = Located(file=path.name, data=read_parquet(path, MAX_FILE_BYTES))
    elif _is_table(path):
        source = parse_csv(text, path.name)
    elif suffix in JSON_LINES or format is Format.MT_BENCH:
        source = parse_json_lines(text, path.name)
    elif suffix == ".json" or format in (Format.STORYBENCH, Format.EQ_BENCH):
        source = parse_json(text, path.name)
    else:
        source = parse_yaml(text, path.name, code=format is Format.LM_EVAL)
    kind = format or _guess(source.data)
    if kind is None:
        raise suite_error(
            path.name,
            None,
            "this is not a suite format that Nightjar recognises. " + _what_else(source.data),
        )
    return source, kind


def _guess(data: object) -> Format | None:
    if isinstance(data, Mapping) and "nightjar" in data:
        return Format.NATIVE
    if isinstance(data, list) and data and all(_is_question(row) for row in data):
        return Format.MT_BENCH
    if isinstance(data, list) and data and all(isinstance(row, Mapping) and "input" in row for row in data):
        return Format.INSPECT
    if isinstance(data, Mapping) and "prompts" in data and {"tests", "providers", "defaultTest"} & data.keys():
        return Format.PROMPTFOO
    if (
        isinstance(data, Mapping)
        and "task" in data
        and {"group", "include", "dataset_path", "doc_to_text"} & data.keys()
    ):
        return Format.LM_EVAL
    if isinstance(data, Mapping) and data and all(_is_writing_prompt(value) for value in data.values()):
        return Format.EQ_BENCH
    if isinstance(data, Mapping) and data and all(_is_prompt_list(value) for value in data.values()):
        return Format.STORYBENCH
    return None


def _what_else(data: object) -> str:
    first = data[0] if isinstance(data, list) and data else None
    if isinstance(first, Mapping):
        fields = ", ".join(str(name) for name in list(first)[:12])
        return (
            f"Its rows have the fields {fields}. Import it with the one that is the prompt, and the answer if there is "
            "one: `nightjar suite import FILE --map prompt=FIELD --map answer=FIELD`."
        )
    return f"Name its format with --format: {', '.join(Format)}. A native suite begins with `nightjar: 1`."


def _is_question(row: object) -> bool:
    if not isinstance(row, Mapping):
        return False
    return "question_id" in row or ("prompt" in row and ("prompt_id" in row or "uid" in row))


def _is_prompt_list(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, Mapping) and "text" in x for x in value)


def _is_writing_prompt(value: object) -> bool:
    return isinstance(value, Mapping) and "writing_prompt" in value


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _document_text(suite_file: Path, name: str) -> str:
    """The text of a document beside the suite file or below it. Raises ValueError for any other place."""
    folder = suite_file.resolve().parent
    target = (folder / name).resolve()
    if not target.is_relative_to(folder) or target == folder:
        raise ValueError(f"{name!r} lies outside the suite file's folder; documents must be inside it.")
    try:
        text = file_text(target, name, MAX_DOCUMENT_BYTES)
    except SuiteError as error:
        raise ValueError(str(error)) from None
    if not text.strip():
        raise ValueError(f"{name!r} is empty.")
    return text


def _name_of(path: Path) -> str:
    return made_name(path.stem, marks="._-", longest=100, otherwise="suite").rstrip("._-")
