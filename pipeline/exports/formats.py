"""The exports by name: the formats of `nightjar report --format` other than reports. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from nightjar.config.errors import UsageError
from nightjar.config.installation import extra_line
from nightjar.pipeline.exports.file import ExportFile, ExportOptions, check_thresholds
from nightjar.pipeline.report.data.run_report import RunReport

Builder = Callable[[RunReport, str, ExportOptions], Iterator[ExportFile]]
BUILDERS = {
    "inspect": "inspect_log:inspect_logs",
    "mt-bench": "mt_bench:mt_bench_files",
    "parquet": "parquet:parquet_file",
    "junit": "junit:junit_file",
    "lm-eval": "lm_eval:lm_eval_files",
    "sft": "finetune:sft_files",
    "dpo": "finetune:dpo_files",
}
"""Format -> "module:function" within this package."""
PACKAGES = {"parquet": "pyarrow"}
"""Format -> the package that it needs; it is an extra of Nightjar's with the name of the format."""


def missing_package(form: str) -> str | None:
    """What to install for a format; None where everything is there."""
    package = PACKAGES.get(form)
    if package is None or find_spec(package) is not None:
        return None
    return f"The format {form} needs {package}, which is not installed. Install it with: {extra_line(form)}"


def export(report: RunReport, form: str, stem: str, options: ExportOptions) -> Iterator[ExportFile]:
    """The files of one format. `stem` is the run's name as a file name.

    Raises UsageError if the export cannot be made of this run.
    """
    if (problem := missing_package(form)) is not None:
        raise UsageError(problem)
    check_thresholds(report, options)
    module, _, function = BUILDERS[form].partition(":")
    build = cast(Builder, getattr(import_module(f"nightjar.pipeline.exports.{module}"), function))
    return build(report, stem, options)
