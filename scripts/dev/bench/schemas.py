"""What a JSON Schema costs: inside a long string against free text, and whole verdicts against llama-server.

Random weights say nothing about verdicts: give a real model (`--model`) for those.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from nightjar.scripts.dev.bench import rows as lines
from nightjar.scripts.dev.bench.engine_side import EngineSide
from nightjar.scripts.dev.bench.measures import CONTEXT, SLOTS, Setup, play_against, say, server_side
from nightjar.scripts.dev.bench.rows import Row, median_of, ratio
from nightjar.scripts.dev.bench.workloads import BenchChat, Workload, judge_shaped

AT_ONCE = 8
STRING_TOKENS, TURNS = 128, 2
LONG_STRING: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string", "minLength": 20_000}},
    "required": ["text"],
}
"""No reply leaves the string before it is cut off."""
EVEN_VERDICT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "minLength": 60, "maxLength": 60},
        "score": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["reason", "score"],
    "additionalProperties": False,
}
"""Of the same length on all sides."""
VERDICT_TOKENS = 160
"""Where each character of the reason is a token, and some are two, it is whole all the same."""
HELD, FREE = "held to a schema", "free"


async def under_schemas(setup: Setup) -> list[Row]:
    """The speed inside a long string over that of free text; what verdicts are made of; verdicts over the server's."""
    rows = [await _inside_a_string(setup), *await _tokens_of_verdicts(setup)]
    for row in rows:
        say(row.sentence())
    make = partial(judge_shaped, setup.vocabulary, SLOTS, replies=2, schema=EVEN_VERDICT, reply_tokens=VERDICT_TOKENS)
    goal = lines.REAL_VERDICTS_AGAINST_SERVER
    return [*rows, *await play_against(setup, make, [(partial(server_side, setup), goal)], [])]


async def _inside_a_string(setup: Setup) -> Row:
    """Sampled tokens a second, forced ones left out; the two alternate within a round."""
    samples: dict[str, list[float]] = {HELD: [], FREE: []}
    for number in count():
        if not lines.unsettled(samples, lines.SCHEMA_AGAINST_FREE, setup.rounds):
            break
        async with EngineSide.loaded(setup.model, setup.load(AT_ONCE, CONTEXT)) as side:
            rates: dict[str, list[float]] = {HELD: [], FREE: []}
            for schema in (LONG_STRING, None):  # grammar and kernels are made ready
                await side.run(_texts(setup.vocabulary, -1, schema, 8))
            for turn in range(TURNS):
                for name in (HELD, FREE) if (turn + number) % 2 else (FREE, HELD):
                    schema = LONG_STRING if name == HELD else None
                    forced = side.engine.stats().forced_tokens
                    outcome = (await side.run(_texts(setup.vocabulary, turn, schema, STRING_TOKENS))).outcome
                    drawn = outcome.reply_tokens - (side.engine.stats().forced_tokens - forced)
                    rates[name].append(drawn / outcome.seconds)
        for name, of_turns in rates.items():
            samples[name].append(sum(of_turns) / len(of_turns))
        say(f"  inside a long string: {samples[HELD][-1]:.0f}/s, free {samples[FREE][-1]:.0f}/s")
    return ratio(f"inside a long string, {AT_ONCE} slots / free text", samples, lines.SCHEMA_AGAINST_FREE)


def _texts(vocabulary: int, turn: int, schema: dict[str, Any] | None, tokens: int) -> Workload:
    """As many conversations as slots, on prompts that are computed already from their second turn on."""
    chats = tuple(
        BenchChat(turns=(tuple(300 + (slot * 31 + i * 7) % min(1000, vocabulary - 300) for i in range(32)),), seed=seed)
        for slot in range(AT_ONCE)
        for seed in (100 * (turn + 1) + slot,)
    )
    return Workload(name="a long string", chats=chats, reply_tokens=tokens, at_once=AT_ONCE, json_schema=schema)


async def _tokens_of_verdicts(setup: Setup) -> list[Row]:
    """Of whole verdicts, prompts included in the time: tokens a second that were forced, and that were drawn."""
    forced_rates, drawn_rates = [], []
    for number in range(setup.rounds):
        async with EngineSide.loaded(setup.model, setup.load()) as side:
            work = judge_shaped(
                setup.vocabulary, SLOTS, number, replies=2, schema=EVEN_VERDICT, reply_tokens=VERDICT_TOKENS
            )
            await side.run(replace(work, chats=work.chats[:2]))
            before = side.engine.stats().forced_tokens
            outcome = (await side.run(work)).outcome
            forced = side.engine.stats().forced_tokens - before
        forced_rates.append(forced / outcome.seconds)
        drawn_rates.append((outcome.reply_tokens - forced) / outcome.seconds)
    return [
        median_of("tokens of verdicts that were forced", forced_rates, None, "tokens/s", ""),
        median_of("tokens of verdicts that were drawn", drawn_rates, None, "tokens/s", ""),
    ]
