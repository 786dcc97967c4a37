"""One worker process per GPU: starts them pinned, restarts them with backoff, and records what happened to their jobs.

A process that dies of a fatal signal leaves suspects behind; one that was killed from outside leaves jobs that are not
to blame. Both are given back at once, without waiting for their leases to lapse.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, time

import structlog

from nightjar.config.errors import NightjarError
from nightjar.config.interpreter import NIGHTJAR
from nightjar.config.redact import redact_text
from nightjar.config.stopping import OVERDUE_S, end_signals
from nightjar.jobs import backlog
from nightjar.jobs.backlog import HeldJob
from nightjar.jobs.machines.workers import record_death, worker_id
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.jobs.ownership import apply_decision
from nightjar.jobs.records import AttemptEnd
from nightjar.jobs.retry import Again, Decision, Fault, decide
from nightjar.jobs.states import JobStatus
from nightjar.workers.process.exit_codes import BROKEN, CANNOT, WRONG_USAGE
from nightjar.workers.process.gpus import Pin
from nightjar.workers.process.meters import memory_kills

STDERR_BYTES = 16_384
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0
"""After a process ran this long, its backoff starts from the beginning."""
BURST_STARTS = 8
BURST_LOADS = 3
"""In burst mode somebody is waiting: after this many starts, or this many crashes while loading, give up."""
CRASH_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP})
_TOLD = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
"""Exit codes of a process that had not yet learned to drain when it was told to end."""
_log = structlog.get_logger()


@dataclass(eq=False)
class WorkerChild:
    """A worker process of one pin."""

    pin: Pin
    process: asyncio.subprocess.Process
    worker: str
    began: float
    memory_kills: int
    stderr: bytes = b""
    """The last part of what it wrote."""


class Supervisor:
    """Runs a worker process for every pin until a signal ends it."""

    def __init__(
        self,
        arguments: Sequence[str],
        pins: Sequence[Pin],
        database: Database,
        *,
        burst: bool,
        drain_s: float = 30,
        command: Sequence[str] = (*NIGHTJAR, "worker"),
    ) -> None:
        self._arguments = arguments
        self._pins = pins
        self._database = database
        self._burst = burst
        self._drain_s = drain_s
        self._command = command
        self._stop = asyncio.Event()
        self._children: set[WorkerChild] = set()

    @property
    def told(self) -> bool:
        """Whether a signal has told it to end."""
        return self._stop.is_set()

    async def run(self) -> int:
        """Returns 0, or 1 if a worker could not do its work."""
        for signum in end_signals():
            asyncio.get_running_loop().add_signal_handler(signum, self._pass_on, signum)
        return max(await asyncio.gather(*(self._keep(pin) for pin in self._pins)))

    def _pass_on(self, signum: signal.Signals) -> None:
        if not self._stop.is_set():
            asyncio.get_running_loop().call_later(self._drain_s + OVERDUE_S, self._send, signal.SIGKILL)
        self._stop.set()
        self._send(signum)

    def _send(self, signum: signal.Signals) -> None:
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signum)

    async def _keep(self, pin: Pin) -> int:
        """Keeps one worker process alive; returns 0 after a signal or at the end of a burst."""
        pause_s, starts, loads = FIRST_PAUSE_S, 0, 0
        while not self._stop.is_set():
            child = await self._start(pin)
            starts += 1
            code = await self._wait(child)
            told = self._stop.is_set() and code in _TOLD
            if (code < 0 or code == BROKEN) and not told:
                loads += await self._tell(child, code)
            if self._stop.is_set() or (code == 0 and self._burst):
                return 0
            if code in (CANNOT, WRONG_USAGE) or (self._burst and (starts >= BURST_STARTS or loads >= BURST_LOADS)):
                return 1
            own_fault = code > 0 or -code in CRASH_SIGNALS
            steady = monotonic() - child.began > STEADY_S
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2) if own_fault and not steady else FIRST_PAUSE_S
            _log.warning("worker_restarts", worker=child.worker, code=code, again_in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)
        return 0

    async def _start(self, pin: Pin) -> WorkerChild:
        started_ms = int(time() * 1000)
        options = ["--single", "--started-ms", str(started_ms), "--parent", str(os.getpid())]
        options += ["--gpu", pin.gpu] if pin.gpu else []
        environment = os.environ | pin.environment()
        if sys.stderr.isatty():
            environment.setdefault("NIGHTJAR_LOG_FORMAT", "console")
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *self._arguments,
            *options,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches only this process, which passes it on
        )
        child = WorkerChild(
            pin=pin,
            process=process,
            worker=worker_id(process.pid, started_ms),
            began=monotonic(),
            memory_kills=memory_kills(),
        )
        self._children.add(child)
        if self._stop.is_set():
            process.terminate()
        return child

    async def _wait(self, child: WorkerChild) -> int:
        assert child.process.stderr is not None
        while data := await child.process.stderr.read(65_536):
            child.stderr = (child.stderr + data)[-STDERR_BYTES:]
            sys.stderr.write(data.decode("utf-8", "replace"))
            sys.stderr.flush()
        code = await child.process.wait()
        self._children.discard(child)
        return code

    async def _tell(self, child: WorkerChild, code: int) -> bool:
        """Writes down a death, and gives back what the process held. True where it crashed while it loaded."""
        end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        for_memory = -code == signal.SIGKILL and memory_kills() > child.memory_kills
        crashed = -code in CRASH_SIGNALS or for_memory
        reason = f"died of {end}{' for want of memory' if for_memory else ''}"
        _log.error("worker_died", worker=child.worker, end=end, crashed=crashed)
        try:
            held = await backlog.owned(child.worker, self._database)
            for job in held:
                await self._give_back(job, reason, crashed=crashed, alone=len(held) == 1)
            stderr = redact_text(child.stderr.decode("utf-8", "replace"))
            loading = await record_death(child.worker, reason, [job.id for job in held], stderr, self._database)
            return loading and crashed
        except (NightjarError, DatabaseError) as error:
            _log.warning("death_not_told", worker=child.worker, error=str(error))  # the leases lapse by themselves
            return False

    async def _give_back(self, job: HeldJob, reason: str, *, crashed: bool, alone: bool) -> None:
        decision: Decision = Again(delay_s=0, counted=())
        if crashed:
            limits = await backlog.limits(job.run, self._database)
            fault = Fault.CRASHED_ALONE if alone else Fault.CRASHED
            decision = decide(fault, f"its worker {reason} while running it alone", job.counters, limits, jitter=0)
        query = {"_id": job.id, "fence": job.fence, "status": JobStatus.RUNNING}
        end = AttemptEnd.CRASHED if crashed else AttemptEnd.LAPSED
        await apply_decision(query, decision, end, f"its worker {reason}", self._database)
