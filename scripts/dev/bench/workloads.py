"""What is run: conversations of token ids, made from a seed. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Ids = tuple[int, ...]

SAMPLING: dict[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
"""The same on all sides."""


@dataclass(frozen=True, kw_only=True)
class BenchChat:
    """`turns` are the ids each turn adds; a turn's prompt is everything before it, replies included."""

    turns: tuple[Ids, ...]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Workload:
    name: str
    chats: tuple[BenchChat, ...]
    reply_tokens: int
    at_once: int
    """Conversations at once; a conversation's turns follow each other."""
    json_schema: dict[str, Any] | None = None
    streaming: bool = False
    """The engine streams its text; the other sides return whole replies."""

    @property
    def unit(self) -> str:
        """What sides are compared by. JSON ends by itself, and one side's blanks in it are no work worth counting."""
        return "tokens/s" if self.json_schema is None else "replies/s"

    def counts(self, text: str) -> bool:
        """Whether a reply is one of those that sides are compared by: JSON that was cut off is none."""
        if self.json_schema is None:
            return True
        try:
            json.loads(text)
        except ValueError:
            return False
        return True

    def rate(self, outcome: Delivered) -> float:
        """In `unit`."""
        return (outcome.reply_tokens if self.json_schema is None else outcome.replies) / outcome.seconds


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What one side did with a workload."""

    seconds: float
    replies: int
    """Whole ones: those that count, see `Workload.counts`."""
    reply_tokens: int
    prompt_tokens_computed: int | None = None

    @property
    def tokens_per_s(self) -> float:
        return self.reply_tokens / self.seconds


def alone(vocabulary: int, round_number: int, prompt_tokens: int, reply_tokens: int) -> Workload:
    """One conversation of one turn."""
    chat = BenchChat(turns=(_words(vocabulary, 14, round_number)(prompt_tokens),), seed=round_number)
    return Workload(name="one conversation", chats=(chat,), reply_tokens=reply_tokens, at_once=1)


def two_turn_chats(vocabulary: int, at_once: int, round_number: int, *, chats: int = 64) -> Workload:
    """Short questions after one short system prompt, two turns each."""
    words = _words(vocabulary, 11, round_number)
    system = words(8)
    made = tuple(BenchChat(turns=(system + words(40), words(30)), seed=number) for number in range(chats))
    return Workload(name="two-turn chats", chats=made, reply_tokens=64, at_once=at_once)


def repeats(vocabulary: int, at_once: int, round_number: int, *, sequences: int = 4, times: int = 8) -> Workload:
    """Every sequence several times over, with other seeds."""
    words = _words(vocabulary, 12, round_number)
    prompts = [words(800) for _ in range(sequences)]
    made = tuple(BenchChat(turns=(prompt,), seed=time) for prompt in prompts for time in range(times))
    return Workload(name="8 repeats of 800-token prompts", chats=made, reply_tokens=64, at_once=at_once)


def judge_shaped(
    vocabulary: int,
    at_once: int,
    round_number: int,
    *,
    replies: int = 6,
    criteria: int = 7,
    schema: dict[str, Any] | None = None,
    reply_tokens: int = 60,
) -> Workload:
    """One rubric, several replies, several criteria each; rubric and reply first, criterion last."""
    words = _words(vocabulary, 13, round_number)
    rubric, questions = words(1200), [words(15) for _ in range(criteria)]
    judged = [words(200) for _ in range(replies)]
    made = tuple(
        BenchChat(turns=(rubric + reply + question,), seed=number)
        for number, (reply, question) in enumerate((r, q) for r in judged for q in questions)
    )
    name = "judge-shaped, JSON Schema" if schema else "judge-shaped"
    return Workload(name=name, chats=made, reply_tokens=reply_tokens, at_once=at_once, json_schema=schema)


def prompt_trie_size(prompts: list[Ids]) -> int:
    """Distinct beginnings of the submitted prompts: what must be computed at least once."""
    total = 0
    previous: Ids = ()
    for prompt in sorted(prompts):
        shared = next((i for i, (a, b) in enumerate(zip(prompt, previous, strict=False)) if a != b), None)
        total += len(prompt) - (min(len(prompt), len(previous)) if shared is None else shared)
        previous = prompt
    return total


def _words(vocabulary: int, kind: int, round_number: int) -> Callable[[int], Ids]:
    """Different words in every round: nothing from the last one may be in a cache."""
    chooser = random.Random(1000 * kind + round_number)  # noqa: S311  # a seeded workload is the point
    return lambda count: tuple(chooser.randrange(300, vocabulary) for _ in range(count))
