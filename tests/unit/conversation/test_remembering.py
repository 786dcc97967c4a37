"""Memory across conversations: what is given within its budget, how it stands in the prompt, what a reply names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import ContextError, ParameterError
from nightjar.jobs.memory import MemoryScope, memory_scope
from nightjar.jobs.parameters import Parameters, ParameterSource, resolve
from nightjar.jobs.records import GivenFact
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.sequences import TurnSpec
from nightjar.workers.conversation.recall import FloatVector
from nightjar.workers.conversation.remembering import (
    HEAD,
    MOST_FROM_TURN,
    SCHEMA,
    StoredFact,
    extracted,
    memory_budget,
    nearest_facts,
    plan_extraction,
    remembering,
)

UNIT = st.sampled_from([(1.0, 0.0), (0.0, 1.0), (0.8, 0.6), (0.6, 0.8)]).map(np.array)
FACTS = st.lists(st.tuples(UNIT, st.text("ab ", min_size=1, max_size=30)), max_size=10).map(
    lambda drawn: [StoredFact(id=str(n), text=text, vector=vector) for n, (vector, text) in enumerate(drawn)]
)


@given(UNIT, FACTS, st.integers(-5, 300))
def test_what_is_given_fits_its_budget_and_keeps_its_order(
    query: FloatVector, facts: Sequence[StoredFact], budget: int
) -> None:
    """Counted in characters here: all that stands in the prompt, the heading included."""
    chosen = nearest_facts(query, facts, len, budget)
    text = "\n".join([HEAD, *(f"- {fact.text}" for fact in chosen)])
    assert not chosen or len(text) <= budget
    assert [fact.id for fact in chosen] == sorted((fact.id for fact in chosen), key=int)
    left = budget - len(text)
    assert all(len(f"\n- {fact.text}") > left for fact in facts if GivenFact(id=fact.id, text=fact.text) not in chosen)


def test_the_nearest_go_first() -> None:
    near = StoredFact(id="near", text="n" * 20, vector=np.array([1.0, 0.0]))
    far = StoredFact(id="far", text="f" * 20, vector=np.array([0.0, 1.0]))
    budget = len(HEAD) + 25
    assert [fact.id for fact in nearest_facts(np.array([0.9, 0.1]), [far, near], len, budget)] == ["near"]


@pytest.mark.parametrize(
    ("system", "of_template", "expected"),
    [
        ("Be brief.", None, f"Be brief.\n\n{HEAD}\n- The cat is Minka."),
        (None, "You are M.", f"You are M.\n\n{HEAD}\n- The cat is Minka."),  # the template's own is not lost
        (None, None, f"{HEAD}\n- The cat is Minka."),
    ],
)
def test_facts_stand_behind_the_system_prompt(system: str | None, of_template: str | None, expected: str) -> None:
    sequence = PromptSequence(id="s", system=system, turns=(TurnSpec(prompt="Hello"),))
    facts = [GivenFact(id="1", text="The cat is Minka.")]
    assert remembering(sequence, facts, of_template).system == expected
    assert remembering(sequence, [], of_template) == sequence


@pytest.mark.parametrize(
    ("reply", "facts"),
    [
        ('{"facts": ["The cat is Minka.", "It is  red."]}', ("The cat is Minka.", "It is red.")),
        ('{"facts": []}', ()),
        ('{"facts": ["a", "a", " "]}', ("a",)),  # said twice, and nothing
        ('{"facts": ["a", "b", "c", "d"]}', ("a", "b", "c")),  # more than asked for
        ('{"facts": "a"}', ()),
        ('{"facts": ["The cat', ()),  # a limit was reached in it
        ("[1]", ()),
        ("No facts.", ()),
    ],
)
def test_what_a_reply_names(reply: str, facts: tuple[str, ...]) -> None:
    assert extracted(reply) == facts
    assert len(facts) <= MOST_FROM_TURN


def test_the_longest_answer_that_the_schema_allows_has_room() -> None:
    """A tokenizer of four characters a token at the least: the answer is never cut in the middle."""
    item = SCHEMA["properties"]["facts"]["items"]
    longest = json.dumps({"facts": ["x" * item["maxLength"]] * SCHEMA["properties"]["facts"]["maxItems"]})
    assert len(longest) / 2 < 256


def test_facts_are_asked_for_beside_the_turn(talk: Callable[..., Any]) -> None:
    """At temperature 0 and under the schema, whatever the turn has; a long exchange loses its end."""
    told = talk(["one"], context=2000, temperature=0.9, stop=("x",))
    extraction = plan_extraction(told.conversation, "My cat is Minka. " + "w" * 3000, "I see.", told.resolved)
    assert extraction.plan.fits
    assert extraction.resolved.values.temperature == 0
    assert extraction.resolved.values.json_schema == SCHEMA
    assert extraction.resolved.values.stop == ()
    assert "My cat is Minka." in extraction.plan.text
    with pytest.raises(ContextError):
        plan_extraction(talk(["one"], context=300).conversation, "My cat is Minka.", "I see.", told.resolved)


def test_the_budget_is_a_share_of_what_a_prompt_may_have() -> None:
    resolved = resolve([(ParameterSource.SET, {"max_tokens": 100, "memory_share": 0.1})])
    assert memory_budget(resolved, 1100) == 100


@pytest.mark.parametrize(
    ("name", "user", "scope"),
    [
        ("notes", None, MemoryScope(name="run/night/model+brief/notes", writes=True, run="r")),
        ("notes", "ann", MemoryScope(name="user/ann/notes", writes=True, user="ann")),
        ("shared/house", None, MemoryScope(name="shared/house", writes=False)),
        ("shared/house", "ann", MemoryScope(name="shared/house", writes=False)),
    ],
)
def test_whose_memory_a_name_means(name: str, user: str | None, scope: MemoryScope) -> None:
    assert memory_scope(name, run="r", run_name="night", contestant="model+brief", user=user) == scope


@pytest.mark.parametrize("name", ["", "a b", "shared/", "user/ann/notes", "../x", "x" * 70])
def test_names_of_memories_are_checked(name: str) -> None:
    """Nobody names another user's."""
    with pytest.raises(ParameterError, match="memory"):
        resolve([(ParameterSource.SET, {"memory": name})])
    assert Parameters().memory is None
