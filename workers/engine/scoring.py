"""Texts that wait to be scored: in the engine's thread, piece by piece between the steps of what generates.

They are computed in a context of their own, made for the first of them and closed when there were none for a while. A
piece's rows of logits are read in another thread while the engine's goes on with conversations, so the next piece
waits for them. Where conversations go on beside, pieces are short, and those get as much time as the pieces take.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from nightjar.workers.engine.backend import Backend, ScoreDevice
from nightjar.workers.engine.request import ScoreResult
from nightjar.workers.engine.score_layouts import Branches, Resumed, ScoreLayout
from nightjar.workers.engine.score_rows import read_rows
from nightjar.workers.engine.score_texts import ScoreWork, TreeCell
from nightjar.workers.engine.ticket import ScoreTicket, TicketEvent
from nightjar.workers.library.fit.estimate import SCORING_ROWS

IDLE_S = 60.0
"""After so long without texts the context is closed."""
ALONE_S, BESIDE_S = 1.0, 0.1
"""How long a piece may take, about: by itself, and where conversations wait for the end of it."""
FIRST_PIECE, LEAST_PIECE = 64, 16
"""Cells in a piece: before the device's speed is known, and at least."""


class ScoreQueue:
    """First come, first served, but those that begin alike are computed together. Used by the engine's thread only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._tickets: dict[ScoreWork, ScoreTicket] = {}
        self._runs: deque[list[TreeCell]] = deque()
        self._device: ScoreDevice | None = None
        self._layout: ScoreLayout | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._reading: Future[None] | None = None
        self._cells_per_s: float | None = None
        self._rests_until = 0.0
        self._idle_since = 0.0

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def tickets(self) -> list[ScoreTicket]:
        return list(self._tickets.values())

    def closes_in(self, now: float) -> float | None:
        """Seconds until the context is to be closed, if nothing comes; None where there is none, or it is in use."""
        return None if self._device is None or self._tickets else max(0.0, self._idle_since + IDLE_S - now)

    def add(self, ticket: ScoreTicket) -> None:
        self._tickets[ScoreWork(ticket.asked)] = ticket

    def remove(self, ticket: ScoreTicket) -> None:
        """What only this one wanted is not computed any more."""
        work = next(work for work, other in self._tickets.items() if other is ticket)
        del self._tickets[work]
        work.dropped, work.texts = True, []
        self._runs = deque(run for run in ([cell for cell in run if cell.wanted] for run in self._runs) if run)
        self._rest()

    def due(self, now: float, *, beside: bool) -> bool:
        """Whether a piece is to be computed now; `beside`: conversations go on, and have a right to their time."""
        return bool(self._tickets) and (not beside or now >= self._rests_until)

    def score_next(self, *, beside: bool) -> tuple[list[TicketEvent], int]:
        """Computes the next piece: results that are complete by now, and how many cells were computed."""
        try:
            events = self._complete()
            run = self._next_run(beside=beside)
            if run:
                self._compute(run)
        except Exception as error:  # what is in the cache is not known any more; these texts fail, and no others
            return self._abandon(error), 0
        self._rest()
        return events, len(run)

    def close_if_idle(self, now: float) -> None:
        if self.closes_in(now) == 0:
            self.close()

    def set_threads(self, count: int) -> None:
        if self._device is not None:
            self._device.set_threads(count)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.shutdown()
        if self._device is not None:
            self._device.close()
        self._device = self._layout = self._reader = self._reading = None

    def _complete(self) -> list[TicketEvent]:
        """Waits for the rows of the last piece to be read: the next decode overwrites them."""
        reading, self._reading = self._reading, None
        if reading is None:
            return []
        reading.result()
        return [self._result(work) for work in list(self._tickets) if not work.missing]

    def _result(self, work: ScoreWork) -> TicketEvent:
        ticket = self._tickets.pop(work)
        assert self._layout is not None
        result = ScoreResult(
            scored=work.scored(),
            layout=self._layout.name,
            computed_tokens=work.computed,
            reused_tokens=max(0, work.tokens - work.computed),
        )
        return ticket, "", result

    def _next_run(self, *, beside: bool) -> list[TreeCell]:
        """What is decoded in one call; empty where nothing waits."""
        waiting = [work for work in self._tickets if work.texts]
        if not self._runs and self._layout is not None:
            self._layout.end()
        if not self._runs and waiting:
            self._runs = deque(self._opened().begin(waiting))
        if not self._runs:
            return []
        run = self._runs.popleft()
        if self._backend.limits.fixed_pieces:
            return run
        cut = _cut(run, self._most(beside=beside))
        if cut < len(run):
            self._runs.appendleft(run[cut:])
        return run[:cut]

    def _opened(self) -> ScoreLayout:
        if self._layout is None:
            limits = self._backend.limits
            self._device = self._backend.score_device()
            self._reader = ThreadPoolExecutor(1, "engine-scores")
            if limits.fixed_pieces or not limits.can_trim:
                width = min(limits.fixed_pieces or limits.n_batch, SCORING_ROWS)
                self._layout = Resumed(self._device, width=width, shares=limits.can_trim)
            else:
                self._layout = Branches(self._device)
        return self._layout

    def _most(self, *, beside: bool) -> int:
        """Cells in a piece, as the device shows how fast it is."""
        if self._cells_per_s is None:
            return FIRST_PIECE
        fitting = int(self._cells_per_s * (BESIDE_S if beside else ALONE_S)) // LEAST_PIECE * LEAST_PIECE
        return max(LEAST_PIECE, min(fitting, self._backend.limits.n_batch))

    def _compute(self, run: Sequence[TreeCell]) -> None:
        assert self._device is not None
        assert self._layout is not None
        assert self._reader is not None
        began = time.monotonic()
        rows = self._device.decode(run)
        took_s = time.monotonic() - began
        self._layout.computed(run)
        for cell in run:
            next(work for work in cell.works if not work.dropped).computed += 1
        if len(run) >= LEAST_PIECE:
            self._cells_per_s = len(run) / max(took_s, 1e-6)
        self._rests_until = began + 2 * took_s
        self._reading = self._reader.submit(read_rows, rows, run)

    def _abandon(self, error: Exception) -> list[TicketEvent]:
        """Fails those whose texts were begun, or all where none could be."""
        begun = {work for work in self._tickets if work.begun} or set(self._tickets)
        self._runs.clear()
        self._reading = None
        if self._device is not None and self._layout is not None:
            self._device.clear()
            self._layout.forget()
        self._rest()
        return [(self._tickets.pop(work), "", error) for work in list(self._tickets) if work in begun]

    def _rest(self) -> None:
        self._idle_since = time.monotonic()


def _cut(run: Sequence[TreeCell], most: int) -> int:
    """How many of the cells one decode takes."""
    rows = 0
    for at, cell in enumerate(run[:most]):
        rows += bool(cell.readings)
        if rows > SCORING_ROWS:
            return at
    return min(most, len(run))
