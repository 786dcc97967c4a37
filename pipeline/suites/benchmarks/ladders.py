"""Long contexts that need no data: the same task at growing lengths, made by a seed. Pure.

Needle: a number said once in a long text. Needles: four of them. Variables: names that were set to each other, as in
RULER's variable tracking (Hsieh et al. 2024). Counting: how often a word was said.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nightjar.config.errors import UsageError, suggest
from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Expectation, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.suites.content import SuiteContent

CHARS_PER_TOKEN = 4
"""How long a text is made for a number of tokens: what English takes in common vocabularies, about."""
ROOM_TOKENS = 160
"""Of each length, left for template, question and reply."""
DEPTHS = (0, 25, 50, 75, 100)
"""Where a needle stands, in per cent of the text."""
PARAMETERS: dict[str, Any] = {"temperature": 0.0, "max_tokens": 96, "policy": "full"}
_PEOPLE = "keeper baker miller sailor painter gardener doctor teacher farmer weaver".split()
_DEEDS = "counted mended sold found carried painted lost cleaned hid remembered".split()
_THINGS = "boats lamps baskets letters apples ropes maps bells coins gloves".split()
_PLACES = "harbour market forest mill orchard library bridge tower valley garden".split()
_CITIES = "Lisbon Oslo Quito Hanoi Accra Perth Lima Cairo Turin Kyoto Dakar Bergen".split()


@dataclass(frozen=True, kw_only=True)
class LongTask:
    """A text's lines to hide, what is asked of them, and what the reply must be."""

    hidden: tuple[tuple[float, str], ...]
    """(where: 0 to 1, line)."""
    question: str
    expect: Expectation
    tags: tuple[str, ...] = ()


def _needle(source: random.Random, place: int) -> LongTask:
    depth = DEPTHS[place % len(DEPTHS)]
    city, number = source.choice(_CITIES), source.randint(10_000, 99_999)
    return LongTask(
        hidden=((depth / 100, _secret(city, number)),),
        question=f"What is the secret number of {city}? Answer with the number alone.",
        expect=Expectation(check="includes", value=str(number)),
        tags=(f"depth {depth}",),
    )


def _needles(source: random.Random, place: int) -> LongTask:
    cities = source.sample(_CITIES, 4)
    numbers = source.sample(range(10_000, 100_000), 4)
    hidden = tuple((source.random(), _secret(*each)) for each in zip(cities, numbers, strict=True))
    return LongTask(
        hidden=hidden,
        question=f"What are the secret numbers of {', '.join(cities)}? Answer with the four numbers alone.",
        expect=Expectation(check="includes", value=[str(number) for number in numbers]),
    )


def _secret(city: str, number: int) -> str:
    return f"The secret number of {city} is {number}."


def _variables(source: random.Random, place: int) -> LongTask:
    """Two chains of names; one value is asked for."""
    names = [f"V{number}" for number in source.sample(range(100, 1000), 8)]
    asked, other = source.sample(range(10_000, 100_000), 2)
    hidden: list[tuple[float, str]] = []
    for chain, value in ((names[:4], asked), (names[4:], other)):
        places = sorted(source.random() for _ in chain)
        lines = [
            f"{chain[0]} is {value}.",
            *(f"{now} is what {was} is." for was, now in pairwise(chain)),
        ]
        hidden += zip(places, lines, strict=True)
    return LongTask(
        hidden=tuple(hidden),
        question=f"Which four names of the form V123 stand for {asked}? Answer with the names alone.",
        expect=Expectation(check="includes", value=names[:4]),
    )


def _counting(source: random.Random, place: int) -> LongTask:
    count = source.randint(3, 12)
    return LongTask(
        hidden=tuple((source.random(), "An owl called in the night.") for _ in range(count)),
        question="How often did an owl call? Answer with the number alone.",
        expect=Expectation(check="numeric", value=count),
    )


LADDERS: dict[str, Callable[[random.Random, int], LongTask]] = {
    "needle": _needle,
    "needles": _needles,
    "variables": _variables,
    "counting": _counting,
}


def lengths_up_to(most: int) -> tuple[int, ...]:
    """1,024 tokens and its doubles, to the largest that is not above `most`. Raises UsageError below the first."""
    if most < 1024:
        raise UsageError(f"A ladder begins at 1,024 tokens, and --up-to is {most:,}.")
    lengths = [1024]
    while lengths[-1] * 2 <= most:
        lengths.append(lengths[-1] * 2)
    return tuple(lengths)


def filling(chars: int, source: random.Random) -> list[str]:
    """Sentences that say nothing of the question, of so many characters together or a little more."""
    lines: list[str] = []
    while chars > 0:
        line = (
            f"The {source.choice(_PEOPLE)} {source.choice(_DEEDS)} {source.randint(2, 99)} "
            f"{source.choice(_THINGS)} near the {source.choice(_PLACES)}."
        )
        lines.append(line)
        chars -= len(line) + 1
    return lines


def filling_sample() -> str:
    """Enough of the filling to count its tokens."""
    return " ".join(filling(20_000, random.Random(0)))  # noqa: S311


def ladder(
    kind: str, lengths: Sequence[int], *, each: int, seed: int, chars_per_token: float = CHARS_PER_TOKEN
) -> SuiteContent:
    """A suite with `each` sequences a length in tokens, tagged by length. Raises UsageError for an unknown kind.

    `chars_per_token`: of `filling`, in the vocabulary of the models that are to be asked.
    """
    if kind not in LADDERS:
        raise UsageError(f"There is no ladder {kind!r}. {suggest(kind, LADDERS, 'ladder')}")
    return SuiteContent(
        name=f"ladder-{kind}",
        description=f"{kind} at {', '.join(map(_thousands, lengths))} tokens, seed {seed}",
        tags=("ladder",),
        sequences=tuple(_rungs(kind, lengths, each, seed, chars_per_token)),
        primary_metric="numeric" if kind == "counting" else "includes",
        source=f"made by nightjar suite ladder {kind} (seed {seed})",
    )


def _rungs(kind: str, lengths: Sequence[int], each: int, seed: int, chars_per_token: float) -> Iterator[PromptSequence]:
    for length in lengths:
        for number in range(each):
            source = random.Random(digest("ladder", kind, length, number, seed))  # noqa: S311
            task = LADDERS[kind](source, number)
            chars = int((length - ROOM_TOKENS) * chars_per_token)
            turn = TurnSpec(prompt=_text(task, chars, source), expect=(task.expect,))
            yield PromptSequence(
                id=f"{_thousands(length)}-{number + 1}",
                turns=(turn,),
                tags=(_thousands(length), *task.tags),
                parameters=PARAMETERS,
            )


def _text(task: LongTask, chars: int, source: random.Random) -> str:
    """Filling with the hidden lines in their places, then the question."""
    lines = filling(chars - sum(len(line) + 1 for _, line in task.hidden), source)
    count = len(lines)
    placed = sorted(((round(where * count), at, line) for at, (where, line) in enumerate(task.hidden)), reverse=True)
    for place, _, line in placed:
        lines.insert(place, line)
    return f"Read this text and answer the question after it.\n\n{' '.join(lines)}\n\n{task.question}"


def _thousands(length: int) -> str:
    return f"{length // 1024}k"
