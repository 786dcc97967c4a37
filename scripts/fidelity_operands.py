"""What `nightjar fidelity` compares, as a person types it: models with load settings, texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import UsageError, suggest
from nightjar.config.load_settings import LoadSettings
from nightjar.workers.fidelity.loads import FidelityLoad
from nightjar.workers.library.find import ModelEntry, told_apart

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

ADAPTER = "adapter"
NOT_HERE = ("slots", "context")
"""Load settings that what is read decides."""
MOST_TEXT_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class LoadOperand:
    """MODEL[,KEY=VALUE]..."""

    model: str
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def suffix(self) -> str:
        """What the model is loaded with, as typed."""
        return "".join(f", {key}={value}" for key, value in self.changes)


def parse_operand(text: str) -> LoadOperand:
    """A file whose name holds a comma is taken whole. Raises UsageError."""
    model, *parts = [text] if Path(text).exists() else text.split(",")
    if not model.strip():
        raise UsageError(f"{text!r} names no model: give MODEL or MODEL,KEY=VALUE.")
    changes = []
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise UsageError(f"{text!r}: {part!r} is not KEY=VALUE, such as cache_type_k=q8_0.")
        changes.append((key, value))
    return LoadOperand(model=model.strip(), changes=tuple(changes))


def find_loads(texts: Sequence[str], settings: Settings) -> list[FidelityLoad]:
    """The models with what they are loaded with, each with a label of its own; fetched where they may be.

    Raises UsageError for bad input and for a file that is missing or no model, UnknownNameError, HubError.
    """
    from nightjar.jobs.machines.doing import Activity, Doing
    from nightjar.scripts.one_prompt import unusable_file
    from nightjar.scripts.views.model_pull import obtained
    from nightjar.scripts.views.saying import saying
    from nightjar.workers.library.inspect import entry_facts

    operands = [parse_operand(text) for text in texts]
    with unusable_file():
        entries = told_apart([obtained(operand.model, settings) for operand in operands])
        entries = [loaded_otherwise(entry, operand) for entry, operand in zip(entries, operands, strict=True)]
        with saying(Doing(task=Activity.READING)):
            facts = [entry_facts(entry) for entry in entries]
    labels = distinct_labels(
        [f"{entry.name}{operand.suffix}" for entry, operand in zip(entries, operands, strict=True)]
    )
    return [
        FidelityLoad(label=label, entry=entry, facts=known)
        for label, entry, known in zip(labels, entries, facts, strict=True)
    ]


def distinct_labels(labels: Sequence[str]) -> list[str]:
    """The labels, numbered where one comes again: a load may be compared with itself."""
    seen: Counter[str] = Counter()
    distinct = []
    for label in labels:
        seen[label] += 1
        distinct.append(label if seen[label] == 1 else f"{label} (no. {seen[label]})")
    return distinct


def loaded_otherwise(entry: ModelEntry, operand: LoadOperand) -> ModelEntry:
    """The entry with the operand's load settings and adapters over its own. Raises UsageError."""
    from pydantic import ValidationError

    values: dict[str, Any] = {}
    adapters = list(entry.adapters)
    known = [ADAPTER, *(name for name in LoadSettings.model_fields if name not in NOT_HERE)]
    for key, value in operand.changes:
        if key not in known:
            raise UsageError(f"{operand.model}{operand.suffix}: {key!r} is no load setting here. {suggest(key, known)}")
        if key == ADAPTER:
            adapters.append(_adapter(value))
        else:
            values[key] = value
    try:
        load = LoadSettings.model_validate({**entry.load.model_dump(exclude_unset=True), **values})
    except ValidationError as error:
        flaw = error.errors()[0]
        raise UsageError(
            f"{operand.model}{operand.suffix}: `{'.'.join(map(str, flaw['loc']))}`: {flaw['msg']}."
        ) from None
    return replace(entry, load=load, adapters=tuple(adapters))


def _adapter(text: str) -> tuple[Path, float]:
    """FILE or FILE@SCALE."""
    name, at, scale = text.rpartition("@")
    try:
        path, factor = (Path(name), float(scale)) if at else (Path(text), 1.0)
    except ValueError:
        path, factor = Path(text), 1.0
    path = path.expanduser()
    if not path.is_file():
        raise UsageError(f"The adapter {path} is not there, or is no file. Give the path of a LoRA adapter in GGUF.")
    return path.absolute(), factor


def read_texts(paths: Sequence[Path]) -> list[str]:
    """The texts of these files: a plain file is one, a .jsonl file one a line. Raises UsageError."""
    texts = [text for path in paths for text in _texts_of(path)]
    if not any(text.strip() for text in texts):
        raise UsageError(f"There is no text in {', '.join(map(str, paths))}. Give a file with text to read.")
    return texts


def _texts_of(path: Path) -> Iterator[str]:
    if path.is_dir():
        raise UsageError(f"--text {path} is a folder. Give a file; --text can be given several times.")
    try:
        size = path.stat().st_size
        if size > MOST_TEXT_BYTES:
            raise UsageError(
                f"--text {path} has {size:,} bytes, and {MOST_TEXT_BYTES:,} are the most that are read. Give a part of "
                "it: some hundred thousand tokens tell two quantisations apart."
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--text {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--text {path} is not valid UTF-8 at byte {error.start}. Convert it to UTF-8 (iconv does)."
        ) from None
    if path.suffix.lower() != ".jsonl":
        yield text
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise UsageError(f"--text {path}, line {number}: it is not a JSON object with a `text`.")
        yield row["text"]
