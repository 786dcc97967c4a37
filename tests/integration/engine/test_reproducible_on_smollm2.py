"""`reproducible` on a real model: ids and log-probabilities do not depend on who joins and leaves."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Generation, Request
from tests.smollm2 import smollm2

JOINS, AT_ONCE, SEED = 200, 6, 23
TEXT = (
    "Tell me about the sea, and why the ships that sail on it are made of iron and wood. Some are small, others carry "
    "a thousand people and their dogs from one end of the world to the other, through storms, in the dark, past whales."
)


@dataclass(frozen=True)
class Chat:
    """A prompt, and what is asked after its reply."""

    first: tuple[int, ...]
    then: tuple[int, ...]
    tokens: int


def chats(engine: BatchEngine) -> list[Chat]:
    """Two turns each: prompts of 1 to 20 tokens, some of which begin alike, and replies of 1 to 3."""
    chooser = random.Random(SEED)
    ids = engine.tokenizer.tokenize(TEXT * 3, parse_special=False)

    def some(most: int) -> tuple[int, ...]:
        start = chooser.choice([0, 0, chooser.randrange(len(ids) - most)])
        return tuple(ids[start : start + chooser.choice([1, 2, 13, chooser.randint(1, most)])])

    return [Chat(some(20), some(13), chooser.randint(1, 3)) for _ in range(JOINS // 2)]


async def opened(slots: int) -> BatchEngine:
    settings = LoadSettings(slots=slots, context=256, reproducible=True, threads=1)
    return await load(smollm2(), settings=settings, gpu="none")


async def replies(engine: BatchEngine, number: int, chat: Chat) -> list[Generation]:
    """Both turns, greedy, with the log-probability of each token."""
    parameters = Parameters(max_tokens=chat.tokens, temperature=0, top_logprobs=1)

    async def turn(prompt: tuple[int, ...], spans: tuple[tuple[int, int], ...]) -> Generation:
        request = Request(
            id=f"{number}.{len(spans)}",
            prompt=prompt,
            max_tokens=chat.tokens,
            parameters=parameters,
            seed=1,
            replies=spans,
            ignore_end=True,
        )
        return await engine.generate(request)

    one = await turn(chat.first, ())
    span = len(chat.first), len(chat.first) + len(one.token_ids)
    return [one, await turn((*chat.first, *one.token_ids, *chat.then), (span,))]


def bits(turns: list[Generation]) -> list[object]:
    return [(turn.token_ids, turn.logprobs) for turn in turns]


async def test_two_hundred_joins_change_no_bit() -> None:
    """100 conversations of two turns through four slots, each joining others wherever these are, and the same ones one
    after the other on a single slot: the same ids, and log-probabilities equal to the last bit."""
    places = asyncio.Semaphore(AT_ONCE)
    crowd = await opened(4)
    asked = chats(crowd)

    async def joining(number: int, chat: Chat) -> list[Generation]:
        async with places:
            return await replies(crowd, number, chat)

    together = await asyncio.gather(*(joining(number, chat) for number, chat in enumerate(asked)))
    crowd.check_integrity()
    steps, alone = crowd.stats().steps, crowd.load.reproducible_alone
    await crowd.close()

    single = await opened(1)
    differing = []
    for number, chat in enumerate(asked):
        apart = await replies(single, number, chat)
        if bits(together[number]) != bits(apart):
            differing.append(number)
    print(f"{steps} steps with four slots, {single.stats().steps} with one; one conversation per decode: {alone}")
    await single.close()
    assert differing == []
