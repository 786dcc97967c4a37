"""The engine plays a workload the way a worker does: one task per conversation, text streamed to asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.scripts.dev.bench.workloads import SAMPLING, BenchChat, Delivered, Ids, Workload, prompt_trie_size
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request

OBSERVED_EVERY_S = 0.01


@dataclass
class Transcript:
    """What one conversation submitted and got."""

    prompts: list[Ids] = field(default_factory=list)
    replies: list[Ids] = field(default_factory=list)
    reply_tokens_in_prompts: int = 0
    counted: int = 0
    """Of the replies, those that the workload counts."""

    @property
    def reply_tokens(self) -> int:
        return sum(map(len, self.replies))


@dataclass(frozen=True, kw_only=True)
class Played:
    outcome: Delivered
    replies: tuple[tuple[Ids, ...], ...]
    """Of each conversation, in the workload's order."""
    needed_tokens: int
    """Distinct beginnings of the submitted prompts, less the replies in them: what had to be computed."""
    stalls_s: list[float]
    """How late the event loop was at each check; empty if none was made."""


class EngineSide:
    def __init__(self, engine: BatchEngine) -> None:
        self.engine = engine

    @classmethod
    @asynccontextmanager
    async def loaded(cls, path: Path, settings: LoadSettings) -> AsyncIterator[EngineSide]:
        async with await load(path, settings=settings) as engine:
            yield cls(engine)

    async def run(self, workload: Workload, *, observed: bool = False) -> Played:
        """With `observed`, the event loop is looked at meanwhile: each look takes a core from the engine for half a
        millisecond, so speeds are taken without it."""
        gate = asyncio.Semaphore(workload.at_once)
        before = self.engine.stats().prefill_tokens
        stalls: list[float] = []
        observer = asyncio.create_task(_observe(stalls)) if observed else None
        began = time.perf_counter()
        transcripts = await asyncio.gather(*(self._play(chat, workload, gate) for chat in workload.chats))
        seconds = time.perf_counter() - began
        if observer is not None:
            observer.cancel()
        trie = prompt_trie_size([prompt for transcript in transcripts for prompt in transcript.prompts])
        return Played(
            outcome=Delivered(
                seconds=seconds,
                replies=sum(transcript.counted for transcript in transcripts),
                reply_tokens=sum(transcript.reply_tokens for transcript in transcripts),
                prompt_tokens_computed=self.engine.stats().prefill_tokens - before,
            ),
            replies=tuple(tuple(transcript.replies) for transcript in transcripts),
            needed_tokens=trie - sum(transcript.reply_tokens_in_prompts for transcript in transcripts),
            stalls_s=stalls,
        )

    async def decode(self, slots: int, prompt_tokens: int, generated: int, *, observed: bool = False) -> Played:
        """Text streamed to asyncio, with every slot decoding from the first step on."""
        chats = tuple(
            BenchChat(turns=(tuple(300 + (slot * 31 + i * 7) % 1000 for i in range(prompt_tokens)),), seed=slot)
            for slot in range(slots)
        )
        await self.run(Workload(name="prefill", chats=chats, reply_tokens=1, at_once=slots))
        workload = Workload(name="decode", chats=chats, reply_tokens=generated, at_once=slots, streaming=True)
        return await self.run(workload, observed=observed)

    async def _play(self, chat: BenchChat, workload: Workload, gate: asyncio.Semaphore) -> Transcript:
        transcript, known_reply = Transcript(), 0
        ids: Ids = ()
        async with gate:
            for number, turn in enumerate(chat.turns):
                ids += turn
                transcript.prompts.append(ids)
                transcript.reply_tokens_in_prompts = known_reply
                request = _request(ids, chat.seed, workload, final=number == len(chat.turns) - 1)
                ticket = self.engine.start(request, streaming=workload.streaming)
                if workload.streaming:
                    async for _ in ticket:
                        pass
                generation = await ticket
                reply = generation.token_ids
                transcript.counted += workload.counts(generation.text)
                ids += reply
                known_reply += len(reply)
                transcript.replies.append(reply)
        return transcript


def _request(ids: Ids, seed: int, workload: Workload, *, final: bool) -> Request:
    return Request(
        id=f"{workload.name}-{seed}",
        prompt=ids,
        max_tokens=workload.reply_tokens,
        parameters=Parameters(max_tokens=workload.reply_tokens, json_schema=workload.json_schema, **SAMPLING),
        seed=seed,
        final=final,
        ignore_end=workload.json_schema is None,
    )


async def _observe(stalls: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(OBSERVED_EVERY_S)
        stalls.append(time.perf_counter() - before - OBSERVED_EVERY_S)
