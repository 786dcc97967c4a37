"""What `suite import` and `suite validate` are told of a file, and the suite that they read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.config.errors import UsageError

if TYPE_CHECKING:
    from nightjar.pipeline.suites.content import SuiteContent


@dataclass(frozen=True, kw_only=True)
class FileForm:
    """The form of a suite file, as the options say it. `format`: None to see it from the content."""

    format: str | None
    mapped: Sequence[str]
    skip_unsupported: bool
    data: Sequence[str]
    shots: int | None


def read_checked(file: Path, form: FileForm, name: str | None = None) -> SuiteContent:
    """The suite, whose turns can be held to what they ask for. Raises SuiteError, UsageError."""
    from nightjar.pipeline.suites.harness.task_suite import TaskData
    from nightjar.pipeline.suites.mapped import read_mapping
    from nightjar.pipeline.suites.read import read_suite
    from nightjar.scripts.enforceable import check_suite
    from nightjar.workers.conversation.row_template_process import RowTemplateProcess

    mapping = read_mapping(form.mapped) if form.mapped else None
    skip = form.skip_unsupported
    if not form.data:
        if form.shots is not None:
            raise UsageError("--shots is for a task of lm-evaluation-harness, with --data. Leave it out.")
        return check_suite(read_suite(file, form.format, name, mapping=mapping, skip_unsupported=skip))
    with RowTemplateProcess() as renderer:
        task = TaskData(files=form.data, renderer=renderer, shots=form.shots)
        return check_suite(read_suite(file, form.format, name, mapping=mapping, skip_unsupported=skip, task=task))
