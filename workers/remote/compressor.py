"""What shortens a prompt before an endpoint is sent it, as `RemoteReplier` sees it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.parameters import Resolved
from nightjar.jobs.records import Summary, TurnRecord
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.prompts import Compression
from nightjar.workers.conversation.replier import Watch


@dataclass(frozen=True, kw_only=True)
class TurnToCompress:
    """The turn after `history`, with the parameters of its reply."""

    job: Job
    run: Run
    sequence: PromptSequence
    history: Sequence[TurnRecord]
    resolved: Resolved


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """What stands for documents and old turns, and what of it was made for this turn."""

    compression: Compression = field(default_factory=Compression)
    sequence: PromptSequence | None = None
    """What is sent in the place of the job's own: a live request, of which old messages are compressed."""
    summaries: tuple[Summary, ...] = ()


class Compressor(Protocol):
    """The real one is `workers.remote.chain.ChainCompressor`."""

    async def compress(self, turn: TurnToCompress, watch: Watch, *, seed: int) -> Compressed:
        """`seed` is the turn's. Raises TemplateError, EngineError, and LeaseLostError from `watch`."""
