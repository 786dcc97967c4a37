"""Policy recall: what is put back, where, within which budget; that it is recorded, replayed, and computed once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import ContextError, ModelError
from nightjar.jobs.parameters import Policy
from nightjar.jobs.search.text_embedder import TextEmbedder
from nightjar.workers.conversation.plan import PromptPlan, ask, replay
from nightjar.workers.conversation.prompt_ids import RECALLED, TRIMMED
from nightjar.workers.conversation.recall import BEGIN, END, FloatVector, LeftOutExchange, nearest_exchanges
from nightjar.workers.conversation.recalling import Quoting
from tests.word_embedder import WordEmbedder

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors

T = TypeVar("T")
DIGEST = WordEmbedder().facts.digest
FACTS = ["The cat is called Minka", "We meet at Harbour Street", "The code is 4711", "Ida bakes rye bread"]
CONTEXT = 1000
MAX_TOKENS = 60
MOST = CONTEXT - MAX_TOKENS


class AbsentEmbedder(WordEmbedder):
    """Its helper process has died."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        raise ModelError("The embedding helper does not answer.")


async def think(work: Callable[[], T]) -> T:
    return work()


async def planned(told: Any, embedder: TextEmbedder | None) -> tuple[PromptPlan, str | None]:
    """The next turn's plan, as a worker makes it after a crash: nothing is known but the records."""
    previous = replay(told.conversation, told.history)
    asked = ask(told.conversation, len(told.history), told.history, told.resolved.values, previous)
    return await Quoting(embedder, think).plan_turn(asked)


async def say(told: Any, reply: str, embedder: TextEmbedder) -> PromptPlan:
    plan, by = await planned(told, embedder)
    told.say(reply, plan=plan, recalled_by=by)
    return plan


@pytest.fixture
def opened(talk: Callable[..., Any]) -> Callable[..., Any]:
    """A conversation that begins with facts, is filled with talk of weather, and then asks `questions`."""

    def open_talk(questions: list[str], *, fillers: int = 8, **parameters: Any) -> Any:
        prompts = ["Hello", *FACTS, *(f"weather number {n} " + "w" * 60 for n in range(fillers)), *questions]
        given = {"context": CONTEXT, "max_tokens": MAX_TOKENS, "system": "S", "policy": Policy.RECALL} | parameters
        return talk(prompts, **given)

    return open_talk


async def to_the_questions(told: Any, embedder: TextEmbedder, fillers: int = 8) -> list[PromptPlan]:
    return [await say(told, f"reply {n}", embedder) for n in range(1 + len(FACTS) + fillers)]


async def test_the_exchange_that_is_asked_about_stands_in_front_of_the_question(opened: Callable[..., Any]) -> None:
    told = opened(["What is the cat called?"])
    await to_the_questions(told, WordEmbedder())
    plan, by = await planned(told, WordEmbedder())
    assert 1 in plan.recalled_turns
    assert set(plan.recalled_turns) <= set(plan.dropped_turns)
    quoted = plan.text.rpartition(BEGIN)[2].partition(END)[0]
    assert "User: The cat is called Minka\n\nAssistant: reply 1" in quoted
    assert plan.text.index(END) < plan.text.index("What is the cat called?")
    assert plan.prompt == "What is the cat called?"
    assert by == DIGEST
    assert plan.fits


async def test_what_is_recalled_keeps_its_order_whatever_is_nearest(opened: Callable[..., Any]) -> None:
    told = opened(["The bread, the code, and the cat: who bakes, which code, what is it called?"], recall_share=0.4)
    await to_the_questions(told, WordEmbedder())
    plan, _ = await planned(told, WordEmbedder())
    assert plan.recalled_turns == tuple(sorted(plan.recalled_turns))
    assert {1, 3, 4} <= set(plan.recalled_turns)
    assert plan.text.index("Minka") < plan.text.index("4711") < plan.text.index("rye")


@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
async def test_the_split_is_kept(opened: Callable[..., Any], share: float) -> None:
    """From the first overflow on, the rest leaves the share free, and what is recalled takes no more than it."""
    told = opened(["What is the cat called?"], recall_share=share)
    for plan in [*await to_the_questions(told, WordEmbedder()), (await planned(told, WordEmbedder()))[0]]:
        window = plan.unquoted or plan
        assert len(plan.ids) <= MOST
        assert len(plan.ids) - len(window.ids) <= int(MOST * share)
        assert len(window.ids) <= (MOST - int(MOST * share) if window.dropped_turns else MOST)
    assert plan.dropped_turns


async def test_only_the_last_exchange_is_computed_again(opened: Callable[..., Any]) -> None:
    """A prompt without its quotation begins the next prompt; the oldest turns are left out in steps, not one by one."""
    told = opened(["What is the cat called?"], fillers=14)
    plans = await to_the_questions(told, WordEmbedder(), fillers=14)
    quoting = [(before, plan) for before, plan in itertools.pairwise(plans) if before.recalled_turns]
    extended = [(before, plan) for before, plan in quoting if before.dropped_turns == plan.dropped_turns]
    assert len(quoting) > len(extended) >= 2 * (len(quoting) - len(extended))
    for before, plan in extended:
        assert before.unquoted is not None
        reply = told.history[before.turn].draw.reply_ids
        assert plan.ids[: len(before.unquoted.ids) + len(reply)] == (*before.unquoted.ids, *reply)
        assert plan.reprefill_reason == RECALLED
        assert plan.replies
    assert {plan.reprefill_reason for plan in plans} == {None, TRIMMED, RECALLED}


async def test_after_a_crash_the_same_prompts_follow(opened: Callable[..., Any]) -> None:
    """Every plan of `planned` is made from the records alone; a conversation that went through has the same ones."""
    told, embedder = opened(["What is the cat called?"]), WordEmbedder()
    quoting = Quoting(embedder, think)
    plans: list[PromptPlan] = []
    for n in range(1 + len(FACTS) + 8):
        previous = plans[-1] if plans else None
        asked = ask(told.conversation, n, told.history, told.resolved.values, previous)
        plan, by = await quoting.plan_turn(asked)
        told.say(f"reply {n}", plan=plan, recalled_by=by)
        plans.append(plan)
    assert plans[-1].recalled_turns
    assert replay(told.conversation, told.history) == plans[-1]
    again = opened(["What is the cat called?"])
    assert await to_the_questions(again, WordEmbedder()) == plans
    assert [r.recalled_turns for r in again.history] == [p.recalled_turns for p in plans]
    assert {r.recalled_by for r in again.history} == {None, DIGEST}
    quoted = [text for text in embedder.texts if text.startswith("User: ")]
    assert len(quoted) == len(set(quoted)), "every exchange is embedded once"


async def test_a_conversation_that_fits_asks_for_nothing(talk: Callable[..., Any]) -> None:
    told, embedder = talk(["one", "two"], policy=Policy.RECALL), WordEmbedder()
    await say(told, "a", embedder)
    plan, by = await planned(told, embedder)
    assert (plan.recalled_turns, plan.dropped_turns, by, embedder.texts) == ((), (), None, [])


async def test_a_context_too_small_to_recall_anything_trims(opened: Callable[..., Any]) -> None:
    """The share holds no exchange: the prompt is what policy trim would make smaller, and that is recorded."""
    told = opened(["What is the cat called?"], recall_share=0.05)
    await to_the_questions(told, WordEmbedder())
    plan, by = await planned(told, WordEmbedder())
    assert plan.recalled_turns == ()
    assert plan.dropped_turns
    assert BEGIN not in plan.text
    assert by == DIGEST


async def test_a_long_question_takes_the_place_of_what_would_be_recalled(opened: Callable[..., Any]) -> None:
    told = opened(["cat " * 200])
    await to_the_questions(told, WordEmbedder())
    plan, _ = await planned(told, WordEmbedder())
    assert plan.fits
    assert plan.recalled_turns == ()


async def test_what_does_not_fit_alone_is_refused_with_the_numbers(opened: Callable[..., Any]) -> None:
    told = opened(["cat " * 300])
    await to_the_questions(told, WordEmbedder())
    with pytest.raises(ContextError, match="context holds 1,000"):
        await planned(told, WordEmbedder())


async def test_an_empty_reply_has_nothing_to_say_again(opened: Callable[..., Any]) -> None:
    told = opened(["What is the cat called?"])
    for n in range(1 + len(FACTS) + 8):
        await say(told, "" if n == 1 else f"reply {n}", WordEmbedder())
    plan, _ = await planned(told, WordEmbedder())
    assert 1 in plan.dropped_turns
    assert 1 not in plan.recalled_turns


async def test_completions_quote_too(opened: Callable[..., Any]) -> None:
    told = opened(["What is the cat called?"], template=None, context=700)
    await to_the_questions(told, WordEmbedder())
    plan, _ = await planned(told, WordEmbedder())
    assert plan.text.endswith(f"{END}\n\nWhat is the cat called?")


@pytest.mark.parametrize(
    ("embedder", "says"),
    [(None, "memory_model"), (AbsentEmbedder(), "does not answer")],  # not configured; configured and gone
)
async def test_without_an_embedder_it_is_refused(
    opened: Callable[..., Any], embedder: TextEmbedder | None, says: str
) -> None:
    told = opened(["What is the cat called?"])
    await to_the_questions(told, WordEmbedder())
    with pytest.raises(ModelError, match=says):
        await planned(told, embedder)


UNIT = st.sampled_from([(1.0, 0.0), (0.0, 1.0), (0.8, 0.6), (0.6, 0.8), (-1.0, 0.0)]).map(
    lambda v: np.array(v, np.float32)
)
EXCHANGES = st.lists(st.tuples(UNIT, st.integers(1, 50)), max_size=12).map(
    lambda drawn: [
        LeftOutExchange(turn=n + 1, vector=vector, tokens=tokens) for n, (vector, tokens) in enumerate(drawn)
    ]
)


@given(UNIT, EXCHANGES, st.integers(-5, 200), st.randoms())
def test_the_choice_fits_and_is_full_and_does_not_depend_on_the_order(
    query: FloatVector, exchanges: list[LeftOutExchange], budget: int, random: Any
) -> None:
    chosen = nearest_exchanges(query, exchanges, budget)
    tokens = {exchange.turn: exchange.tokens for exchange in exchanges}
    used = sum(tokens[turn] for turn in chosen)
    assert len(set(chosen)) == len(chosen)
    assert used <= max(budget, 0)
    assert all(used + tokens[turn] > budget for turn in tokens if turn not in chosen), "no room is left unused"
    shuffled = random.sample(exchanges, len(exchanges))
    assert nearest_exchanges(query, shuffled, budget) == chosen


@given(UNIT, EXCHANGES)
def test_with_room_for_all_they_come_by_nearness(query: FloatVector, exchanges: list[LeftOutExchange]) -> None:
    chosen = nearest_exchanges(query, exchanges, 10_000)
    near = {e.turn: float(query @ e.vector) for e in exchanges}
    assert sorted(chosen) == sorted(near)
    assert all(near[a] > near[b] - 1e-4 for a, b in itertools.pairwise(chosen))
