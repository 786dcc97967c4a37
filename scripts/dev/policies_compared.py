"""What context policies bring: the suite of long conversations on one model, with each: right answers, tokens, time.

Run it with nothing beside it where seconds are to mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightjar.config.errors import ContextError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.identity import turn_seed
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.parameters import ParameterSource, Policy, Resolved, resolve
from nightjar.jobs.records import Summary, TurnRecord
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.scoring.turn_scorer import TurnScorer, score, turn_lines
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.pipeline.suites.read import read_suite
from nightjar.workers.conversation.local import conversation_on
from nightjar.workers.conversation.local_embedder import LocalEmbedder
from nightjar.workers.conversation.plan import PromptPlan, ask
from nightjar.workers.conversation.recalling import Quoting
from nightjar.workers.conversation.summaries import plan_turn
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.conversation.turns import turn_draw, turn_record, turn_reply, turn_request
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors

SUITE = "long-memory"
ROWS = 4
"""Of each kind of conversation in the suite."""


@dataclass
class PolicyTally:
    """Of one policy."""

    asked: int = 0
    """Questions that were replied to."""
    right: int = 0
    refused: int = 0
    """Questions that were never reached: a turn before them, or they themselves, did not fit."""
    recalled: int = 0
    summaries: int = 0
    prompt_tokens: int = 0
    computed_tokens: int = 0
    """Of those, not found in the cache; with the prompts of summaries."""
    generated_tokens: int = 0
    """Replies and summaries."""
    seconds: float = 0.0

    def line(self, policy: Policy) -> str:
        """As a row of a table in Markdown."""
        cells = [policy, f"{self.right} of {self.asked}", self.refused, self.recalled, self.summaries]
        cells += [f"{n:,}" for n in (self.prompt_tokens, self.computed_tokens, self.generated_tokens)]
        return "| " + " | ".join(map(str, [*cells, f"{self.seconds:.0f}"])) + " |"


class InProcessEmbedder:
    """A `TextEmbedder` on a model of this process."""

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._embedder = embedder

    @property
    def facts(self) -> ModelFacts:
        return self._embedder.facts

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return np.array([embedding.vector for embedding in await self._embedder.embed(texts)], np.float32)


async def converse(
    engine: BatchEngine, sequence: PromptSequence, resolved: Resolved, embedder: TextEmbedder | None, tally: PolicyTally
) -> None:
    """One conversation to its end, as a worker makes it, and what its checks say."""
    source = engine.chat_template
    template = source and ChatTemplate(source, bos_text=engine.bos_text, eos_text=engine.eos_text, date="2026-03-14")
    conversation = conversation_on(engine, sequence, template or None)
    quoting = Quoting(embedder, asyncio.to_thread)
    scorers = turn_lines(sequence)
    history: list[TurnRecord] = []
    previous: PromptPlan | None = None
    for turn in range(len(sequence.turns)):
        name, seed = f"{sequence.id}.{turn}", turn_seed(1, sequence.digest, 0, turn)
        asked = ask(conversation, turn, history, resolved.values, previous)
        summaries: tuple[Summary, ...] = ()
        try:
            if resolved.values.policy is Policy.RECALL:
                plan, _ = await quoting.plan_turn(asked)
            else:
                plan, summaries = await plan_turn(
                    asked, resolved, engine.generate, asyncio.to_thread, id=name, seed=seed
                )
        except ContextError:
            tally.refused += sum(bool(spec.expect) for spec in sequence.turns[turn:])
            return
        request = turn_request(conversation, plan, resolved, id=name, seed=seed)
        generation = await engine.generate(request)
        draw = turn_draw(conversation, plan, resolved, generation, seed=seed)
        reply = turn_reply(plan, resolved, [draw], generation, summaries)
        history.append(turn_record(reply, sequence, history, fence=1, worker="dev", now=utc_now()))
        previous = plan
        tally.prompt_tokens += generation.prompt_tokens
        tally.computed_tokens += generation.prompt_tokens - generation.reused_tokens
        tally.computed_tokens += sum(summary.tokens_before for summary in summaries)
        tally.generated_tokens += draw.reply_tokens + sum(summary.tokens_after for summary in summaries)
        tally.recalled += len(plan.recalled_turns)
        tally.summaries += len(summaries)
        if sequence.turns[turn].expect:
            tally.asked += 1
            tally.right += met(scorers[turn], draw.reply)


def met(scorers: Sequence[TurnScorer], reply: str) -> bool:
    """Whether all checks of a turn are met."""
    scores = score(scorers, Context(prompt="", reply=reply))
    return all(scores[scorer.name].value == 1 for scorer in scorers if scorer.check)


def chosen_conversations(each: int) -> list[PromptSequence]:
    """So many of each kind, out of the bundled suite."""
    sequences = read_suite(bundled()[SUITE]).sequences
    return [sequence for at, sequence in enumerate(sequences) if at % ROWS < each]


async def compare_policies(given: argparse.Namespace) -> None:
    """Prints a line of the table for each policy."""
    settings = LoadSettings(slots=given.slots, context=given.context, threads=given.threads or "auto")
    chosen = chosen_conversations(given.each)[: given.limit]
    print(f"{given.model.name}: {len(chosen)} conversations, context {given.context}, {given.slots} slots", flush=True)
    print("| policy | right | refused | recalled | summaries | prompt | computed | generated | s |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    small = await load(given.embedder, settings=LoadSettings(slots=4, threads=1), gpu="none")
    embedder = InProcessEmbedder(LocalEmbedder(small))
    try:
        for policy in given.policy or list(Policy):
            tally = PolicyTally()
            values = {"policy": policy, "temperature": 0, "max_tokens": given.max_tokens}
            resolved = resolve([(ParameterSource.SUITE, values)])
            engine = await load(given.model, settings=settings, gpu="none")
            gate = asyncio.Semaphore(given.slots)

            async def run(sequence: PromptSequence) -> None:
                async with gate:  # noqa: B023 awaited before the next
                    await converse(engine, sequence, resolved, embedder, tally)  # noqa: B023

            begun = time.monotonic()
            await asyncio.gather(*map(run, chosen))
            tally.seconds = time.monotonic() - begun
            await engine.close()
            print(tally.line(policy), flush=True)
    finally:
        await small.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a chat model, GGUF")
    parser.add_argument("embedder", type=Path, help="a small embedding model, GGUF")
    parser.add_argument("--each", type=int, default=ROWS, help=f"conversations of each kind, at most {ROWS}")
    parser.add_argument("--limit", type=int, help="conversations in all")
    parser.add_argument("--policy", type=Policy, action="append", help="only this one; repeatable")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--max-tokens", type=int, default=80)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--threads", type=int, help="default: the cores, fewer while others need them")
    asyncio.run(compare_policies(parser.parse_args()))


if __name__ == "__main__":
    main()
