"""Ten thousand requests under schemas, some called off: memory stays flat, and every reply that ends is valid."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import psutil
import pytest
from jsonschema import Draft202012Validator

from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.request import Request
from tests.demo_engine import demo_engine
from tests.schema_lists import WITHIN

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

REQUESTS, FIRST, AT_ONCE = 10_000, 4_000, 40
MOST_GROWN = 16 * 2**20
SOAKED = WITHIN[::10]
"""More of them than are kept ready would be built again and again."""


async def test_ten_thousand_requests_under_schemas() -> None:
    chooser = random.Random(11)
    async with demo_engine(slots=8, context=256) as engine:
        prompt = tuple(engine.tokenizer.tokenize("<|im_start|>assistant\n", parse_special=True))

        async def one(number: int) -> int:
            """How many replies it was that ended by themselves."""
            schema: dict[str, Any] = SOAKED[number % len(SOAKED)]
            most = chooser.randint(1, 120)
            request = Request(
                id=str(number),
                prompt=prompt,
                max_tokens=most,
                parameters=Parameters(max_tokens=most, json_schema=schema, temperature=chooser.choice([0, 1, 2])),
                seed=number,
                final=number % 2 == 0,
            )
            task = asyncio.ensure_future(engine.generate(request))
            if number % 6 == 0:
                await asyncio.sleep(chooser.choice([0, 0.002]))
                task.cancel()
                return 0
            reply = await task
            assert reply.finish_reason in ("stop", "length")
            if reply.finish_reason == "stop":
                Draft202012Validator(schema).validate(json.loads(reply.text))
            return int(reply.finish_reason == "stop")

        async def many(first: int, last: int) -> int:
            ended = 0
            for number in range(first, last, AT_ONCE):
                ended += sum(await asyncio.gather(*(one(n) for n in range(number, min(last, number + AT_ONCE)))))
            return ended

        ended = await many(0, FIRST)
        before = psutil.Process().memory_info().rss
        ended += await many(FIRST, REQUESTS)
        assert psutil.Process().memory_info().rss - before < MOST_GROWN
        assert ended > REQUESTS / 20
        await engine.generate(
            Request(id="last", prompt=prompt, max_tokens=1, parameters=Parameters(max_tokens=1), seed=1)
        )  # what was called off before it is gone by now
        assert engine.stats().slots_used == 0
