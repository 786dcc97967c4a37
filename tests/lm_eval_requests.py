"""The requests that lm-evaluation-harness makes of rows, and those of our sequences, in one form."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from nightjar.jobs.sequences import Sequence

Rows = list[dict[str, Any]]


@cache
def _manager() -> Any:
    import lm_eval.tasks

    return lm_eval.tasks.TaskManager()


def task_file_of(task: str) -> Path:
    """The file of one of the harness' own tasks."""
    return Path(_manager().task_index[task].yaml_path)


def rows_files(splits: dict[str, Rows], folder: Path) -> dict[str, str]:
    """A file of JSON Lines for each split."""
    files = {}
    for split, rows in splits.items():
        files[split] = str(folder / f"{split}.jsonl")
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


def harness_task(file: Path, splits: dict[str, Rows], shots: int | None, folder: Path) -> Any:
    """The harness' task of that file, its requests built of these rows."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    override: dict[str, Any] = {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": rows_files(splits, folder)},
    }
    config = load_yaml(file) | override | ({} if shots is None else {"num_fewshot": shots})
    task = ConfigurableTask(config={key: value for key, value in config.items() if key != "tag"})
    task.set_fewshot_seed(1234)
    task.build_all_requests()
    return task


def their_requests(file: Path, splits: dict[str, Rows], shots: int | None, folder: Path) -> list[tuple[str, str]]:
    """(context, continuation) of each request, in order; a generated one has no continuation, a text no context."""
    return _pairs(harness_task(file, splits, shots, folder))


def requests_of(task: Any) -> list[tuple[str, str]]:
    """The same of a task of the harness that is loaded already."""
    task.set_fewshot_seed(1234)
    task.build_all_requests()
    return _pairs(task)


def _pairs(task: Any) -> list[tuple[str, str]]:
    args = [each.args for each in task.instances]
    pairs = [(one[0], one[1]) if len(one) > 1 else ("", one[0]) for one in args]
    return [(context, text if isinstance(text, str) else "") for context, text in pairs]


def our_requests(sequences: tuple[Sequence, ...]) -> list[tuple[str, str]]:
    """The same of our sequences: what stands before each choice, and the choice."""
    pairs = []
    for sequence in sequences:
        (turn,) = sequence.turns
        before = sequence.system or ""
        if sequence.scored and turn.choices is None:
            pairs.append(("", turn.prompt))
        elif turn.choices is None:
            pairs.append((before + turn.prompt, ""))
        else:
            contexts = turn.choices.contexts or (turn.prompt,) * len(turn.choices.texts)
            texts = zip(contexts, turn.choices.texts, strict=True)
            pairs += [(before + context, turn.choices.delimiter + text) for context, text in texts]
    return pairs
