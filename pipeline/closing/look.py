"""A look at a run that stops when it is decided, once its waves so far are generated and judged.

Any number of dispatchers may take it, and any of them may die in it: what was found is stored together with what
becomes of the run, and the jobs of the next wave can be written by anybody.
"""

from __future__ import annotations

import structlog

from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.runs.wave_moves import record_look
from nightjar.pipeline.collect.collector import gather
from nightjar.pipeline.collect.gc_paused import gc_paused
from nightjar.pipeline.compare.looks import take_look
from nightjar.pipeline.runs.write_jobs import finish_expansion

_log = structlog.get_logger()


async def goes_on(run: Run, database: Database) -> bool:
    """Looks at a run whose jobs have all ended; True where it has been given its next wave, or was changed meanwhile.

    False for a run that is to be closed: one that is decided, has no wave left, or never had any. Raises ScoringError.
    """
    waves = run.waves
    if waves is None or waves.over:
        return False
    with gc_paused():
        report, _ = await gather(run, database)
    look = take_look(report.models, report.scales[waves.plan.metric], waves, report.generated_at)
    more = (waves.plan.asked(waves.opened + 1) - waves.asked) * len(run.contestants) * run.repeats
    stored = await record_look(run, look, more_jobs=more, database=database)
    found = {f"{pair.first} / {pair.second}": pair.state.value for pair in look.pairs}
    _log.info("run_looked_at", run=run.id, name=run.name, sequences=look.sequences, pairs=found, stored=stored)
    if not stored:
        return True  # the next round sees what became of it
    if look.decided or waves.opened == waves.plan.count:
        return False
    opened = await Run.get(run.id)
    if opened is not None:
        await finish_expansion(opened, database)
    return True
