"""Four-choice questions under one header, scored by the engine and by what people run today."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

from nightjar.scripts.dev.bench import rows as lines
from nightjar.scripts.dev.bench.baselines import Apart
from nightjar.scripts.dev.bench.fidelity_memory import fidelity_memory
from nightjar.scripts.dev.bench.measures import CONTEXT, ENGINE, Setup, say
from nightjar.scripts.dev.bench.perplexity import perplexity_rates
from nightjar.scripts.dev.bench.rows import BenchRow, Goal, highest, not_measured, ratio
from nightjar.scripts.dev.bench.scoring_baselines import EchoScorer, SerialScorer
from nightjar.scripts.dev.bench.workloads import Ids, prompt_trie_size
from nightjar.workers.engine.engine import BatchEngine
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import ScoreRequest

HEADER, QUESTION, ANSWER, CHOICES = 600, 60, 8, 4
QUESTIONS = 8
"""In a round; the way harnesses go has time for one."""
UNIT = "continuations/s"
LARGE_VOCABULARY = 100_000
RESUMED, SERIAL, ECHO = "engine, reproducible", "serial loop", "create_completion(echo=True)"
_Question = tuple[Ids, tuple[Ids, ...]]


@dataclass(frozen=True, kw_only=True)
class Quiz:
    """Questions of one header: their contexts with it, and their answers."""

    header: Ids
    questions: tuple[_Question, ...]

    @property
    def continuations(self) -> int:
        return sum(len(answers) for _, answers in self.questions)

    @property
    def tree(self) -> int:
        """Cells that have to be computed where the header's are there: no answer's last id is."""
        texts = [(*context, *answer[:-1]) for context, answers in self.questions for answer in answers]
        return prompt_trie_size(texts) - len(self.header)


def quiz(vocabulary: int, number: int) -> Quiz:
    """Random ids under one header for all rounds."""
    header = tuple(_ids(random.Random("header"), HEADER, vocabulary))  # noqa: S311
    draw = random.Random(f"questions {number}")  # noqa: S311  # as a number, -1 and 1 would draw the same

    def question() -> _Question:
        stem = _ids(draw, QUESTION, vocabulary)
        return (*header, *stem), tuple(_ids(draw, ANSWER, vocabulary) for _ in range(CHOICES))

    return Quiz(header=header, questions=tuple(question() for _ in range(QUESTIONS)))


def _ids(draw: random.Random, length: int, vocabulary: int) -> Ids:
    return tuple(draw.randrange(300, vocabulary) for _ in range(length))


async def likelihoods(setup: Setup) -> list[BenchRow]:
    """The engine in both layouts against a serial loop with prefix reuse, and against `llama_cpp.Llama`'s own way; then
    perplexity, and the memory of a comparison."""
    goal = lines.SCORES_AGAINST_SERIAL_WORDY if setup.vocabulary > LARGE_VOCABULARY else lines.SCORES_AGAINST_SERIAL
    rates: dict[str, list[float]] = {name: [] for name in (ENGINE, RESUMED, SERIAL, ECHO)}
    computed: list[float] = []
    for number in count(1):
        serial = {name: rates[name] for name in (ENGINE, SERIAL)}
        if not lines.unsettled(serial, goal, setup.rounds):
            break
        taken = await _round(setup, number, computed, with_echo=number <= setup.rounds)
        for name, rate in taken.items():
            rates[name].append(rate)
        say(f"  four-choice questions, {UNIT}: {', '.join(f'{name} {rate:.2f}' for name, rate in taken.items())}")
    rows = _rows(rates, computed, goal)
    for row in rows:
        say(row.sentence())
    return [*rows, *await perplexity_rates(setup), *await fidelity_memory(setup)]


def _rows(rates: dict[str, list[float]], computed: Sequence[float], goal: Goal) -> list[BenchRow]:
    def against(own: str, other: str, goal: Goal | None) -> BenchRow:
        rounds = min(len(rates[own]), len(rates[other]))
        pair = {own: rates[own][:rounds], other: rates[other][:rounds]}
        return ratio(f"four-choice questions, {own} / {other}", pair, goal, UNIT)

    return [
        against(ENGINE, ECHO, lines.SCORES_AGAINST_ECHO),
        not_measured("four-choice questions, engine / Evalution 0.0.17", lines.SCORES_AGAINST_EVALUTION, EVALUTION),
        against(ENGINE, SERIAL, goal),
        against(RESUMED, SERIAL, None),
        highest("tokens computed / nodes of the token trie, header cached", computed, lines.COMPUTED),
    ]


EVALUTION = "it is no dependency of this project"


async def _round(setup: Setup, number: int, computed: list[float], *, with_echo: bool) -> dict[str, float]:
    """Continuations a second of each side, opened anew; every second round goes the other way round."""
    work = quiz(setup.vocabulary, number)
    rates: dict[str, float] = {}

    async def engine(name: str) -> None:
        settings = setup.load(1).model_copy(update={"reproducible": name == RESUMED})
        async with await load(setup.model, settings=settings) as side:
            await _score(side, quiz(setup.vocabulary, -number).questions[:1])  # the header, and kernels
            began = time.perf_counter()
            cells = await _score(side, work.questions)
            rates[name] = work.continuations / (time.perf_counter() - began)
        if name == ENGINE:
            computed.append(cells / work.tree)

    async def baseline(name: str) -> None:
        async with AsyncExitStack() as stack:
            side = Apart(SerialScorer if name == SERIAL else EchoScorer, setup.model, CONTEXT, setup.threads)
            stack.callback(side.close)
            questions = work.questions if name == SERIAL else work.questions[:1]
            rates[name] = sum(len(answers) for _, answers in questions) / side.run(work.header, questions)

    sides = [(engine, ENGINE), (baseline, SERIAL), (engine, RESUMED)]
    sides += [(baseline, ECHO)] * with_echo
    for run, name in sides if number % 2 else reversed(sides):
        await run(name)
    return rates


async def _score(engine: BatchEngine, questions: Sequence[_Question]) -> int:
    """How many cells were computed for them, all asked at once."""
    requests = [
        ScoreRequest(id=f"q{number}", context=context, continuations=answers)
        for number, (context, answers) in enumerate(questions)
    ]
    return sum(result.computed_tokens for result in await asyncio.gather(*map(engine.score, requests)))
