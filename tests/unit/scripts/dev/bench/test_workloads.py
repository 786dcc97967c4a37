"""The shapes of the work that all sides do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nightjar.scripts.dev.bench.workloads import (
    BenchChat,
    Delivered,
    Ids,
    Workload,
    judge_shaped,
    prompt_trie_size,
    repeats,
    two_turn_chats,
)

VOCABULARY, AT_ONCE = 32_000, 16


def shared_beginning(prompts: list[Ids]) -> int:
    return next(n for n, column in enumerate(zip(*prompts, strict=False)) if len(set(column)) > 1)


def test_64_chats_of_two_turns_share_a_short_beginning() -> None:
    chats = two_turn_chats(VOCABULARY, AT_ONCE, 0).chats
    assert len(chats) == 64
    assert [len(chat.turns) for chat in chats] == [2] * 64
    assert {tuple(map(len, chat.turns)) for chat in chats} == {(48, 30)}
    assert shared_beginning([chat.turns[0] for chat in chats]) == 8


def test_every_sequence_of_800_tokens_is_asked_8_times_with_other_seeds() -> None:
    chats = repeats(VOCABULARY, AT_ONCE, 0).chats
    seeds: dict[Ids, list[int]] = {}
    for chat in chats:
        (prompt,) = chat.turns
        assert len(prompt) == 800
        seeds.setdefault(prompt, []).append(chat.seed)
    assert len(seeds) == 4
    assert all(sorted(own) == list(range(8)) for own in seeds.values())


def test_7_criteria_share_a_rubric_of_1200_and_a_reply_of_200_tokens() -> None:
    prompts = [chat.turns[0] for chat in judge_shaped(VOCABULARY, AT_ONCE, 0).chats]
    assert len(prompts) == 6 * 7
    assert {len(prompt) for prompt in prompts} == {1200 + 200 + 15}
    assert len({prompt[:1200] for prompt in prompts}) == 1
    replies = [prompt[1200:1400] for prompt in prompts]
    assert {reply: replies.count(reply) for reply in replies} == dict.fromkeys(replies, 7)
    assert len({prompt[1400:] for prompt in prompts}) == 7


@pytest.mark.parametrize("make", [two_turn_chats, repeats, judge_shaped])
def test_rounds_share_nothing_and_the_same_round_is_the_same_work(make: Callable[[int, int, int], Workload]) -> None:
    """Nothing of the last round may be in a cache, and all sides get the same."""
    first, again, second = (make(VOCABULARY, AT_ONCE, number) for number in (0, 0, 1))
    assert first == again
    prompts = [[chat.turns[0] for chat in work.chats] for work in (first, second)]
    assert prompt_trie_size(prompts[0] + prompts[1]) > 0.99 * sum(map(prompt_trie_size, prompts))
    assert all(300 <= token < VOCABULARY for prompt in prompts[0] for token in prompt)


@pytest.mark.parametrize(
    ("prompts", "size"),
    [
        ([], 0),
        ([()], 0),
        ([(1, 2, 3)], 3),
        ([(1, 2, 3), (1, 2, 3)], 3),  # the same prompt again
        ([(1, 2), (1, 2, 3)], 3),  # one goes on from the other, in either order
        ([(1, 2, 3), (1, 2)], 3),
        ([(1, 2, 3), (1, 2, 4), (1, 5)], 5),
        ([(1, 2), (3, 4)], 4),  # nothing in common
        ([(1, 2), (3, 2)], 4),  # a like end is no like beginning
    ],
)
def test_distinct_beginnings_are_counted_once(prompts: list[Ids], size: int) -> None:
    assert prompt_trie_size(prompts) == size


@pytest.mark.parametrize(
    ("schema", "rate", "unit"),
    [
        (None, 60.0, "tokens/s"),
        ({"type": "object"}, 2.0, "replies/s"),  # replies end by themselves, at other lengths on other sides
    ],
)
def test_sides_are_compared_by_work_that_is_the_same_for_all(
    schema: dict[str, str] | None, rate: float, unit: str
) -> None:
    work = Workload(name="w", chats=(BenchChat(turns=((1,),), seed=0),), reply_tokens=60, at_once=1, json_schema=schema)
    assert work.rate(Delivered(seconds=2.0, replies=4, reply_tokens=120)) == rate
    assert work.unit == unit


def test_json_that_was_cut_off_is_no_reply_to_be_compared_by() -> None:
    held, free = (judge_shaped(VOCABULARY, AT_ONCE, 0, schema=schema) for schema in ({"type": "object"}, None))
    assert [held.counts(text) for text in ('{"score": 1}', '{"sco', "")] == [True, False, False]
    assert free.counts('{"sco')
