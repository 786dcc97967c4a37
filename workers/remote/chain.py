"""A chain: a model of this process compresses documents and old turns, and a model at an endpoint replies.

What is compressed, and how, is policy summarise's: `workers/conversation/compression.py`. Its summaries are kept in the
turn that they were made for and stay in force; a worker that is killed between them and the reply has paid nothing yet,
and one that is killed during the reply has its entry in the ledger.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.models import LoadFacts, ModelFacts
from nightjar.jobs.parameters import Policy, Resolved
from nightjar.jobs.records import Summary
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.local import LocalReplier
from nightjar.workers.conversation.plan import Asked, ask
from nightjar.workers.conversation.prompts import Compression
from nightjar.workers.conversation.replier import Watch
from nightjar.workers.conversation.summaries import compress_turn
from nightjar.workers.engine.request import EngineStats
from nightjar.workers.remote.compressor import Compressed, TurnToCompress
from nightjar.workers.remote.given_history import history_of, with_compression
from nightjar.workers.remote.replier import RemoteDialogue, RemoteReplier


class ChainCompressor:
    """A `Compressor` on a model that is loaded here. `budget`: tokens of a prompt, as that model counts."""

    def __init__(self, local: LocalReplier, budget: int) -> None:
        self._local = local
        self._budget = budget

    async def compress(self, turn: TurnToCompress, watch: Watch, *, seed: int) -> Compressed:
        """See `Compressor.compress`. A prompt within the budget is left as it is."""
        given = history_of(turn.sequence) if turn.job.live is not None else None
        if given is None:
            compression, summaries = await self._compress(turn, watch, seed)
            return Compressed(compression=compression, summaries=summaries)
        said = replace(turn, sequence=given.sequence, history=given.history)
        compression, summaries = await self._compress(said, watch, seed)
        sent = with_compression(turn.sequence, given, compression)
        return Compressed(sequence=sent, summaries=summaries)

    async def _compress(self, turn: TurnToCompress, watch: Watch, seed: int) -> tuple[Compression, tuple[Summary, ...]]:
        local = self._local
        values = turn.resolved.values.model_copy(update={"policy": Policy.SUMMARISE, "template": {}})
        resolved = Resolved(values=values, sources={})
        asked = await local.plan(partial(self._asked, turn, resolved))

        summarise = partial(local.summarise, turn.job, turn.run, watch)
        name = f"{turn.job.id}.{turn.job.fence}.{len(turn.history)}"
        return await compress_turn(asked, resolved, summarise, local.plan, id=name, seed=seed)

    def _asked(self, turn: TurnToCompress, resolved: Resolved) -> Asked:
        conversation = self._local.conversation(turn.sequence, turn.run)
        asked = ask(conversation, len(turn.history), turn.history, resolved.values)
        return replace(asked, limit=self._budget)


class ChainReplier:
    """A `Replier` made of two: `remote` is sent what `local` has compressed."""

    def __init__(self, remote: RemoteReplier, local: LocalReplier, budget: int) -> None:
        self._remote = remote
        self._local = local
        remote.compressor = ChainCompressor(local, budget)

    @property
    def facts(self) -> ModelFacts:
        return self._remote.facts

    @property
    def load(self) -> LoadFacts:
        """How the model that compresses is loaded, and how many conversations are held at once."""
        here, there = self._local.load, self._remote.load
        return here.model_copy(update={"device": f"{here.device}, then {there.device}", "slots": there.slots})

    async def open(self, job: Job, run: Run, sequence: PromptSequence, watch: Watch) -> RemoteDialogue:
        """See `Replier.open`."""
        return await self._remote.open(job, run, sequence, watch)

    def stats(self) -> EngineStats:
        """Both: a request that one of them holds makes progress."""
        here, there = self._local.stats(), self._remote.stats()
        return replace(
            there,
            holding=here.holding | there.holding,
            slots_used=min(there.slots, here.slots_used + there.slots_used),
            steps=here.steps,
            last_step_age_s=here.last_step_age_s if here.holding else 0.0,
            prefill_tokens=here.prefill_tokens + there.prefill_tokens,
            decode_tokens=here.decode_tokens + there.decode_tokens,
            threads=here.threads,
            failure=here.failure,
        )

    async def probe(self) -> None:
        """The half of its speed that is the network's would be measured, too."""

    async def look_again(self) -> None:
        """See `Pausing`."""
        await self._remote.look_again()

    async def close(self) -> None:
        await asyncio.gather(self._remote.close(), self._local.close())
