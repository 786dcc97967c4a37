"""Policy summarise: what is compressed, when, how it is asked for and recorded, and that it can be replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from nightjar.config.errors import ContextError
from nightjar.jobs.parameters import FinishReason, Policy, resolve
from nightjar.jobs.records import Summary, Timings
from nightjar.workers.conversation import compression
from nightjar.workers.conversation.compression import Task, plan_compression, summary_record
from nightjar.workers.conversation.plan import PromptPlan, ask, draft, replay
from nightjar.workers.conversation.prompt_ids import DOCUMENTS, SUMMARISED
from nightjar.workers.conversation.summaries import plan_turn
from nightjar.workers.engine.fake import ByteTokenizer
from nightjar.workers.engine.request import Generation, Request

T = TypeVar("T")


class Summariser:
    """A model that writes the same summary to everything it is asked."""

    def __init__(self, text: str = "They met.", finish_reason: FinishReason = "stop") -> None:
        self.text = text
        self.finish_reason = finish_reason
        self.requests: list[Request] = []

    async def generate(self, request: Request) -> Generation:
        self.requests.append(request)
        return replace(generation(self.text, len(request.prompt)), finish_reason=self.finish_reason)

    def asked(self, number: int) -> str:
        return ByteTokenizer().detokenize(self.requests[number].prompt)


async def think(work: Callable[[], T]) -> T:
    return work()


def generation(text: str, prompt_tokens: int) -> Generation:
    return Generation(
        token_ids=tuple(text.encode()),
        text=text,
        finish_reason="stop",
        prompt_tokens=prompt_tokens,
        reused_tokens=0,
        timings=Timings(queue_s=0, prefill_s=0, decode_s=0),
    )


async def planned(told: Any, model: Summariser) -> tuple[PromptPlan, tuple[Summary, ...]]:
    """The next turn's plan, as a worker makes it."""
    previous = told.plans[-1] if told.plans else None
    asked = ask(told.conversation, len(told.history), told.history, told.resolved.values, previous)
    return await plan_turn(asked, told.resolved, model.generate, think, id="r", seed=7)


@pytest.fixture
def long_talk(talk: Callable[..., Any]) -> Any:
    """Five committed turns that no longer fit with a sixth."""
    told = talk([f"question {n}" for n in range(8)], system="S", context=1000, max_tokens=60, policy=Policy.SUMMARISE)
    for n in range(5):
        told.say(f"reply {n} " + "r" * 160)
    return told


async def test_old_exchanges_become_a_summary(long_talk: Any) -> None:
    """The first turn and the latest stay; the record says what the summary replaces and what it saved."""
    model = Summariser()
    plan, made = await planned(long_talk, model)
    assert plan.fits
    assert plan.dropped_turns == (1, 2, 3)
    assert "question 0" in plan.text
    assert "question 4" in plan.text
    assert "Summary of our conversation so far: They met.\nThey met.\n\nquestion 4" in plan.text
    assert "question 2" not in plan.text
    assert plan.reprefill_reason == SUMMARISED
    assert [(s.turns, s.part) for s in made] == [((1, 2, 3), 0), ((1, 2, 3), 1)]
    assert sum(s.tokens_before for s in made) > sum(s.tokens_after for s in made) == 18
    assert "User: question 1\n\nAssistant: reply 1" in model.asked(0)
    assert model.requests[0].max_tokens <= compression.HISTORY_TOKENS
    assert model.requests[0].seed == 8


async def test_a_prompt_that_fits_asks_for_nothing(talk: Callable[..., Any]) -> None:
    told = talk(["one", "two"], policy=Policy.SUMMARISE)
    told.say("a")
    model = Summariser()
    plan, made = await planned(told, model)
    assert (plan, made, model.requests) == (told.plan(), (), [])


async def test_later_turns_go_on_with_the_summary_and_extend(long_talk: Any) -> None:
    plan, made = await planned(long_talk, Summariser())
    long_talk.say("ok", plan=plan, summaries=made)
    later, none = await planned(long_talk, Summariser())
    assert none == ()
    assert later.dropped_turns == plan.dropped_turns
    assert later.reprefill_reason is None
    assert later.ids[: len(plan.ids)] == plan.ids


async def test_the_next_summary_holds_the_one_before(long_talk: Any) -> None:
    plan, made = await planned(long_talk, Summariser())
    long_talk.say("s" * 250, plan=plan, summaries=made)
    plan, made = await planned(long_talk, Summariser())
    if not made:
        long_talk.say("t" * 250, plan=plan, summaries=made)
        plan, made = await planned(long_talk, model := Summariser("And parted."))
        assert "Earlier: They met." in model.asked(0)
    assert set(made[0].turns) > {1, 2, 3}
    assert plan.text.count("Summary of our conversation so far") == 1


async def test_a_transcript_with_summaries_replays(long_talk: Any) -> None:
    """From the records alone, without asking the model again."""
    plan, made = await planned(long_talk, Summariser())
    long_talk.say("ok", plan=plan, summaries=made)
    assert replay(long_talk.conversation, long_talk.history) == plan


async def test_documents_are_compressed_in_parts(talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part is a generation of its own; the rest of the prompt stays."""
    monkeypatch.setattr(compression, "PART_TOKENS", 300)
    document = "The old house stood alone. " * 36
    told = talk(
        ["Read: {{ documents.house }} And now?"],
        documents=[("house", document)],
        context=1000,
        max_tokens=60,
        policy=Policy.SUMMARISE,
    )
    model = Summariser("A house.")
    plan, made = await planned(told, model)
    assert plan.prompt == "Read: A house.\nA house.\nA house.\nA house. And now?"
    assert [(s.document, s.part, s.turns) for s in made] == [("house", n, ()) for n in range(4)]
    assert sum(s.tokens_before for s in made) == len(document)
    assert all(s.tokens_before <= 300 for s in made)
    told.say("ok", plan=plan, summaries=made)
    assert replay(told.conversation, told.history) == plan


async def test_a_document_compressed_later_changes_the_first_turn(talk: Callable[..., Any]) -> None:
    told = talk(
        ["Read: {{ documents.house }}", "And?"],
        documents=[("house", "The old house. " * 55)],
        context=1000,
        max_tokens=60,
        policy=Policy.SUMMARISE,
    )
    told.say("r" * 160)
    plan, _ = await planned(told, Summariser("A house."))
    assert "Read: A house.\nA house.«" in plan.text.replace("<|im_end|>", "«")
    assert plan.reprefill_reason == DOCUMENTS


async def test_a_model_that_writes_nothing_leaves_the_texts_beginning(long_talk: Any) -> None:
    plan, made = await planned(long_talk, Summariser(""))
    assert plan.fits
    assert made[0].text.startswith("User: question 1")
    assert made[0].tokens_after <= compression.HISTORY_TOKENS


async def test_a_model_that_writes_too_much_is_cut_at_its_target(long_talk: Any) -> None:
    """A model that reasons has room for its thoughts, and may write on in it."""
    model = Summariser("They met again and again. " * 40)
    plan, made = await planned(long_talk, model)
    assert plan.fits
    assert all(0 < each.tokens_after <= compression.HISTORY_TOKENS for each in made)
    assert made[0].text.endswith(("They", "met", "again", "and", "again."))
    assert all(request.final for request in model.requests)


async def test_a_summary_that_leaves_no_room_is_left_out_at_last(talk: Callable[..., Any]) -> None:
    """A long question: what policy trim would answer, summarise answers too."""
    told = talk([*(f"question {n}" for n in range(5)), "x" * 570], context=800, max_tokens=60, policy=Policy.SUMMARISE)
    for n in range(5):
        told.say(f"reply {n} " + "r" * 100)
    plan, made = await planned(told, Summariser("They met. " * 20))
    assert made
    assert plan.fits
    assert "They met" not in plan.text
    assert plan.dropped_turns == (1, 2, 3, 4)
    told.say("ok", plan=plan, summaries=made)
    assert replay(told.conversation, told.history) == plan


async def test_what_cannot_be_compressed_is_trimmed_or_refused(talk: Callable[..., Any]) -> None:
    told = talk(["one", "x" * 900], context=700, max_tokens=60, policy=Policy.SUMMARISE)
    told.say("a")
    with pytest.raises(ContextError, match="context holds 700"):
        await planned(told, Summariser())


def test_other_policies_never_ask_for_a_summary(talk: Callable[..., Any]) -> None:
    told = talk([f"question {n}" for n in range(6)], context=400, max_tokens=60, policy=Policy.TRIM)
    for n in range(5):
        told.say(f"reply {n} " + "r" * 160)
    asked = ask(told.conversation, 5, told.history, told.resolved.values, told.plans[-1])
    assert not draft(asked).fits
    assert isinstance(plan_compression(asked, told.resolved), PromptPlan)


def test_a_summary_of_a_thinking_model_is_its_reply_only(talk: Callable[..., Any]) -> None:
    """Thoughts get room of their own and are not part of the summary."""
    template = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}{# <think> #}"
    told = talk(
        [f"question {n}" for n in range(6)],
        template=template,
        context=850,
        max_tokens=60,
        policy=Policy.SUMMARISE,
        temperature=0.0,
        stop=["."],
    )
    for n in range(5):
        told.say(f"reply {n} " + "r" * 160)
    asked = ask(told.conversation, 5, told.history, told.resolved.values, told.plans[-1])
    task = plan_compression(asked, told.resolved)
    assert isinstance(task, Task)
    values = task.parts[0].resolved.values
    assert values.max_tokens == compression.HISTORY_TOKENS // 4 + compression.THINKING_TOKENS
    assert (values.stop, values.temperature) == ((), 0.0)
    made = summary_record(task, 0, generation("<think>Hm.</think> They met. ", 10), seed=1)
    assert made.text == "They met."


def test_a_summary_holds_what_was_said_whatever_the_turn_samples(talk: Callable[..., Any]) -> None:
    """The likeliest tokens, without the turn's structure; what else was asked for stays."""
    given = resolve([]).values.model_copy(
        update={"json_schema": {}, "retry_empty": 3, "temperature": 0.9, "repeat_penalty": 1.1}
    )
    made = compression.aside_parameters(given, 200, thinks=False)
    assert (made.json_schema, made.retry_empty, made.temperature, made.max_tokens) == (None, 0, 0.0, 200)
    assert made.repeat_penalty == 1.1


async def test_the_instruction_comes_after_the_text(long_talk: Any) -> None:
    """Small models forget what stood before a long text."""
    model = Summariser()
    await planned(long_talk, model)
    asked = model.asked(0)
    assert asked.index("reply 1") < asked.index("Summarise the conversation above")


@pytest.mark.parametrize(
    ("wrote", "kept"),
    [
        ("The mill cost 1,247 coins and the scho", "The mill cost 1,247 coins and the"),  # the word is half
        ("The mill cost 1,2", "The mill cost"),  # so may the number be
        ("The mill cost 97", "The mill cost"),  # and this one, though it looks whole
        ("Mill", "Mill"),  # nothing else is there
        ("磨坊花了很多钱而且学", "磨坊花了很多钱而且"),  # no blanks in this writing
    ],
)
async def test_a_summary_that_ended_for_want_of_room_ends_with_a_word(long_talk: Any, wrote: str, kept: str) -> None:
    model = Summariser(wrote, finish_reason="length")
    _, made = await planned(long_talk, model)
    assert {summary.text for summary in made} == {kept}


async def test_parts_are_summarised_side_by_side(long_talk: Any) -> None:
    """All of them wait for the model at once; their order in the prompt is the text's."""
    model = Summariser()
    waiting, all_asked = 0, asyncio.Event()

    async def generate(request: Request) -> Generation:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            all_asked.set()
        await asyncio.wait_for(all_asked.wait(), 5)
        return await Summariser(f"Part {request.id[-1]}.").generate(request)

    model.generate = generate  # type: ignore[method-assign]
    plan, made = await planned(long_talk, model)
    assert [summary.part for summary in made] == [0, 1]
    assert "so far: Part 0.\nPart 1." in plan.text


@pytest.mark.parametrize(
    ("tokens", "target"),
    [(1_500, 200), (3_000, 200), (750, 100), (10, 50)],  # whole, never more, in proportion, a quarter at least
)
def test_short_parts_get_short_summaries(tokens: int, target: int) -> None:
    assert compression._target(tokens, compression.HISTORY_TOKENS) == target
