"""Texts that wait to be embedded: in the engine's thread, as many of all callers' texts in one call as it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from nightjar.workers.engine.backend import Backend
from nightjar.workers.engine.ticket import Outcome, TextTicket, TicketEvent


class TextQueue:
    """First come, first served. Used by the engine's thread only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: deque[TextTicket] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def tickets(self) -> list[TextTicket]:
        return list(self._waiting)

    def add(self, ticket: TextTicket) -> None:
        self._waiting.append(ticket)

    def remove(self, ticket: TextTicket) -> None:
        self._waiting.remove(ticket)

    def embed_next(self) -> tuple[list[TicketEvent], int]:
        """Embeds the next texts in one call: their results, and how many tokens were computed."""
        group = self._next_group()
        outcomes: Sequence[Outcome]
        try:
            outcomes = self._backend.embed([ticket.asked.ids for ticket in group])
            tokens = sum(len(ticket.asked.ids) for ticket in group)
        except Exception as error:  # these texts' fault; the others go on
            outcomes, tokens = [error] * len(group), 0
        for _ in group:
            self._waiting.popleft()
        return [(ticket, "", outcome) for ticket, outcome in zip(group, outcomes, strict=True)], tokens

    def _next_group(self) -> list[TextTicket]:
        """As many of the waiting texts as one call takes, and at least one."""
        limits = self._backend.limits
        group: list[TextTicket] = []
        tokens = 0
        for ticket in islice(self._waiting, limits.slots):
            tokens += len(ticket.asked.ids)
            if group and tokens > limits.n_batch:
                break
            group.append(ticket)
        return group
