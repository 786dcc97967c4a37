"""Says in a worker's log what it is doing, so that silence never has to be explained."""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic

import structlog

from nightjar.jobs.machines.doing import STILL_S, Activity, Reporter
from nightjar.workers.process.heartbeat import Heartbeat

SAY_EVERY_S = 1.0
_log = structlog.get_logger()


class Narrator:
    """A line at each turn of events, and every ten seconds. On a terminal waiting is said once."""

    def __init__(self, beat: Heartbeat, *, watched: bool) -> None:
        """`watched`: what is said goes to a terminal, where the last line stays in view."""
        self._beat = beat
        self._watched = watched
        self._reporter = Reporter()
        self._waits_since: float | None = None
        self._began = monotonic()

    async def say(self) -> None:
        """Call it every second."""
        now, doing = monotonic(), self._beat.doing()
        if now - self._began < STILL_S:
            return
        if doing.task is not Activity.WAITING:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        if doing.task is Activity.WAITING and now - (self._waits_since or now) < STILL_S:
            return  # between two jobs
        working = doing.task in (Activity.PREFILL, Activity.GENERATING)
        event: Hashable = "working" if working else (doing.task, doing.why)
        if self._watched and doing.task is Activity.WAITING and event == self._reporter.event:
            return
        if self._reporter.due(event, now):
            stats = self._beat.stats()
            _log.info("doing", doing=doing.sentence, turns=self._beat.tally.turns_done, tokens=stats.decode_tokens)
