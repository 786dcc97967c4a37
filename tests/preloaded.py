"""What `tests.forked_commands` has imported before the first command: what most commands need."""

from __future__ import annotations

from importlib import import_module

MODULES = """
jobs.lookup jobs.queue jobs.status.overview jobs.status.run pipeline.collect.collector pipeline.compare.baseline
pipeline.exports.formats pipeline.exports.write pipeline.judging.start pipeline.runs.producer pipeline.runs.this_home
pipeline.suites.catalogue pipeline.suites.importer pipeline.suites.read scripts.cli scripts.commands.compare
scripts.commands.evaluate scripts.commands.judge scripts.commands.report scripts.commands.run scripts.commands.status
scripts.commands.suite scripts.enforceable scripts.keeper scripts.session scripts.standby scripts.whole_evaluation
workers.library.find workers.library.inspect
""".split()

for name in MODULES:
    import_module(f"nightjar.{name}")
import_module("tests.forked_commands")
