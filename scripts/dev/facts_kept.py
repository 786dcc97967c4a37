"""How much a summary keeps: of ten facts in a text of about 1,500 tokens, those that are in 100 or 200 tokens of it."""

from __future__ import annotations

import argparse
import asyncio
import random
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.parameters import ParameterSource, resolve
from nightjar.jobs.sequences import Document, Sequence, TurnSpec
from nightjar.web.service.prompts import compression_prompt, summary_prompt, whole_sentences
from nightjar.workers.conversation.local import conversation_on
from nightjar.workers.conversation.plan import ask
from nightjar.workers.conversation.summaries import plan_turn
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.conversation.turns import turn_draw, turn_request
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Tokenizer

FACTS = 10
TEXT_TOKENS, CONTEXT = 1_500, 1_900
"""Beside the room that is kept for a reply, a quarter of the context, the text never fits."""
ROOMY_CONTEXT = 2_560
"""The routes of the service are asked for the whole text at once."""
VILLAGES = "Arden Boll Cray Dunn Esk Ferrow Glin Harth Ister Jorl Kell Lorn Marsk Nevin Orrin".split()
BUILT = "mill school bridge bakery library harbour chapel market well tower inn dairy forge barn lighthouse".split()
FILLER = (
    "The road there is long, and in winter few people take it.",
    "Those who do speak of the wind and of the light in the evening.",
    "Much has been written about it since, and most of it is forgotten.",
    "The children of the valley know the songs, though they know no dates.",
    "In spring the river rises and the meadows stand under water for weeks.",
    "A traveller once called it the quietest place that he had ever seen.",
    "Old people still argue about who came first and who stayed.",
    "There is a fair in autumn, with honey, wool and good bread.",
)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A village and the number that is told of it."""

    village: str
    number: int
    sentence: str

    def kept_in(self, summary: str) -> bool:
        """Whether both are there."""
        plain = summary.replace(",", "")
        return self.village in summary and re.search(rf"\b{self.number}\b", plain) is not None


def make_text(number: int, tokenizer: Tokenizer) -> tuple[str, list[Fact]]:
    """Ten facts, evenly spread over filling sentences; other ones for each number."""
    source = random.Random(number)  # noqa: S311 a seeded generator is the point
    villages, built = source.sample(VILLAGES, FACTS), source.sample(BUILT, FACTS)
    facts = []
    for village, thing in zip(villages, built, strict=True):
        cost = source.randrange(120, 980)
        facts.append(
            Fact(village=village, number=cost, sentence=f"The {thing} of {village} was built for {cost} silver coins.")
        )
    paragraphs = [fact.sentence for fact in facts]
    turn = 0
    while len(tokenizer.tokenize(" ".join(paragraphs), parse_special=False)) < TEXT_TOKENS:
        paragraphs[turn % FACTS] += " " + source.choice(FILLER)
        turn += 1
    return " ".join(paragraphs), facts


async def summarise(engine: BatchEngine, text: str) -> str:
    """The summary that a conversation gets that does not fit with the text."""
    sequence = Sequence(
        id="facts",
        turns=(TurnSpec(prompt="{{ documents.chronicle }}\n\nWhat did the villages build?"),),
        documents=(Document(name="chronicle", text=text),),
    )
    source = engine.chat_template
    template = source and ChatTemplate(source, bos_text=engine.bos_text, eos_text=engine.eos_text, date="2026-03-14")
    conversation = conversation_on(engine, sequence, template or None)
    resolved = resolve([(ParameterSource.SUITE, {"policy": "summarise", "max_tokens": 1_000})])
    asked = ask(conversation, 0, [], resolved.values, None)
    _, summaries = await plan_turn(asked, resolved, engine.generate, asyncio.to_thread, id="facts", seed=1)
    assert summaries, "the text fits, and there is nothing to measure"
    return "\n".join(summary.text for summary in summaries)


async def route_reply(engine: BatchEngine, prompt: str, most_tokens: int) -> str:
    """What a route of the service answers, cut as there."""
    sequence = Sequence(id="facts", turns=(TurnSpec(prompt=prompt),))
    source = engine.chat_template
    template = source and ChatTemplate(source, bos_text=engine.bos_text, eos_text=engine.eos_text, date="2026-03-14")
    conversation = conversation_on(engine, sequence, template or None)
    resolved = resolve([(ParameterSource.SUITE, {"temperature": 0, "max_tokens": most_tokens})])
    asked = ask(conversation, 0, [], resolved.values, None)
    plan, _ = await plan_turn(asked, resolved, engine.generate, asyncio.to_thread, id="facts", seed=1)
    generation = await engine.generate(turn_request(conversation, plan, resolved, id="facts", seed=1))
    reply = turn_draw(conversation, plan, resolved, generation, seed=1).reply
    return reply if generation.finish_reason == "stop" else whole_sentences(reply)


async def condensed(engine: BatchEngine, text: str, way: str, most_tokens: int) -> str:
    if way == "conversation":
        return await summarise(engine, text)
    prompt = summary_prompt if way == "summarize" else compression_prompt
    return await route_reply(engine, prompt(text, most_tokens), most_tokens)


async def measure(model: Path, texts: int, *, way: str, most_tokens: int, threads: int | None, show: bool) -> None:
    """Prints the facts kept of each text, and their mean."""
    context = CONTEXT if way == "conversation" else ROOMY_CONTEXT
    settings = LoadSettings(slots=1, context=context, threads=threads or "auto")
    engine = await load(model, settings=settings, gpu="none")
    try:
        kept = []
        for number in range(texts):
            text, facts = make_text(number, engine.tokenizer)
            summary = await condensed(engine, text, way, most_tokens)
            kept.append(sum(fact.kept_in(summary) for fact in facts))
            print(f"text {number + 1}: {kept[-1]} of {FACTS}" + (f"\n{summary}\n" if show else ""), flush=True)
        print(f"{model.name}, {way}: {fmean(kept):.1f} of {FACTS} facts kept, mean of {texts}")
    finally:
        await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a chat model, GGUF")
    parser.add_argument("--way", choices=("conversation", "summarize", "compress"), default="conversation")
    parser.add_argument("--tokens", type=int, default=100, help="of a summary by a route; a conversation chooses")
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--threads", type=int, help="default: the cores, fewer while others need them")
    parser.add_argument("--show", action="store_true", help="print the summaries")
    given = parser.parse_args()
    way, most_tokens = given.way, given.tokens
    asyncio.run(
        measure(given.model, given.texts, way=way, most_tokens=most_tokens, threads=given.threads, show=given.show)
    )


if __name__ == "__main__":
    main()
