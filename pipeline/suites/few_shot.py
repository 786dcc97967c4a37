"""Examples before a question: fixed, or drawn from a pool by a seed, never the question itself. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nightjar.config.counting import how_many
from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import PLAIN, FixedMessage, MessageRole, Mode

SEPARATOR = "\n\n"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A question with its answer."""

    prompt: str
    answer: str


def draw_examples(
    pool: Sequence[Example], count: int, *, first: bool, seed: int, sequence: str, asked: Collection[str]
) -> list[Example]:
    """`count` examples for a sequence of that id whose prompts are `asked`.

    The first ones of the pool, or drawn: a function of seed and id, so that no other sequence changes them.
    Raises ValueError where the pool has too few beside what is asked.
    """
    others = [example for example in pool if example.prompt.strip() not in asked]
    if len(others) < count:
        raise ValueError(f"the pool has {how_many(len(others), 'other question')}, and {count} are asked for.")
    if first:
        return others[:count]
    return random.Random(digest("examples", seed, sequence)).sample(others, count)  # noqa: S311


def put_before(
    examples: Sequence[Example],
    *,
    mode: Mode,
    system: str | None,
    messages: tuple[FixedMessage, ...],
    delimiter: str,
    separator: str = SEPARATOR,
) -> tuple[str | None, tuple[FixedMessage, ...]]:
    """A sequence's system text and fixed messages with the examples at their end: as text where no template is used."""
    if not examples:
        return system, messages
    if mode in PLAIN:
        before = system or ""
        before += "" if not before or before.endswith("\n") else SEPARATOR
        return before + "".join(one.prompt + delimiter + one.answer + separator for one in examples), messages
    said = [
        message
        for example in examples
        for message in (
            FixedMessage(role=MessageRole.USER, text=example.prompt),
            FixedMessage(role=MessageRole.ASSISTANT, text=example.answer),
        )
    ]
    return system, (*messages, *said)
