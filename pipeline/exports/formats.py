"""The exports by name: what `nightjar report --format` knows besides the reports. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import cast

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
"""Format -> module of this package and function."""


def export(report: RunReport, form: str, stem: str, options: ExportOptions) -> Iterator[ExportFile]:
    """The files of one format. `stem` is the run's name as a file name. Raises UsageError for what cannot be made."""
    check_thresholds(report, options)
    module, _, function = BUILDERS[form].partition(":")
    build = cast(Builder, getattr(import_module(f"nightjar.pipeline.exports.{module}"), function))
    return build(report, stem, options)
