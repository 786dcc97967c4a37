"""Facts in MongoDB: kept exactly once, whoever repeats a turn; written, changed and removed by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs import memory
from nightjar.jobs.memory import (
    KeptTurn,
    MemoryScope,
    add_fact,
    check_memory,
    edit_fact,
    facts_of_memory,
    find_fact,
    forget_memory,
    keep_facts,
    memories,
)
from nightjar.jobs.mongo import Database

NOW = datetime(2026, 3, 14, tzinfo=UTC)
SCOPE = MemoryScope(name="run/night/m/notes", writes=True, run="r")


async def keep(database: Database, *texts: str, job: str = "j", turn: int = 0, fence: int = 1) -> tuple[str, ...]:
    key = KeptTurn(job=job, turn=turn, fence=fence, model="m")
    return await keep_facts(SCOPE, key, [(text, b"\0\0\0\0") for text in texts], "e", NOW, database)


async def texts(database: Database) -> list[str]:
    return [fact.text for fact in await facts_of_memory(SCOPE.name, database)]


async def test_a_turn_that_is_made_again_writes_over_its_facts(database: Database) -> None:
    """A crash before the commit: the next owner's reply may name other facts, and fewer."""
    assert await keep(database, "a", "b", "c") == ("a", "b", "c")
    assert await keep(database, "a", "b", "c") == ("a", "b", "c")
    assert await keep(database, "a", "d", fence=2) == ("a", "d")
    assert await texts(database) == ["a", "d"]


async def test_a_late_owner_changes_nothing(database: Database) -> None:
    await keep(database, "new", fence=3)
    assert await keep(database, "old", "older", fence=2) == ()
    await keep(database, fence=2)
    assert await texts(database) == ["new"]


async def test_what_another_turn_said_is_not_kept_twice(database: Database) -> None:
    await keep(database, "The cat is Minka.")
    assert await keep(database, "the cat is minka.", "It is red.", turn=1) == ("It is red.",)
    assert await keep(database, "It is red.", job="k") == ()
    assert await texts(database) == ["The cat is Minka.", "It is red."]


async def test_a_full_memory_keeps_nothing_more(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_FACTS", 3)
    assert await keep(database, "a", "b") == ("a", "b")
    assert await keep(database, "c", "d", turn=1) == ("c",)
    with pytest.raises(UsageError, match="full"):
        await add_fact(SCOPE.name, "e", NOW, database)


async def test_memories_are_apart(database: Database) -> None:
    await keep(database, "a")
    await add_fact("shared/house", "a", NOW, database)
    assert await memories(database) == {SCOPE.name: 1, "shared/house": 1}
    assert await forget_memory("shared/house", database) == 1
    assert await texts(database) == ["a"]


async def test_a_person_writes_changes_and_removes(database: Database) -> None:
    """A changed text is embedded again when it is next looked for; a fact added to a run's memory goes with the run."""
    await keep(database, "The cat is Minka.")
    [fact] = await facts_of_memory(SCOPE.name, database)
    changed = await edit_fact(SCOPE.name, fact.id[:8], "The cat  is Mia.", NOW, database)
    assert (changed.text, changed.vector, changed.edited_at) == ("The cat is Mia.", None, NOW)
    added = await add_fact(SCOPE.name, "It is red.", NOW, database)
    assert added.run == "r"
    assert (await find_fact(SCOPE.name, added.id[:6], database)).text == "It is red."


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("shared/house", "x" * 301, "301 characters"),
        ("shared/house", "  ", "empty"),
        ("shared/a b", "fact", "no name"),
        ("user/ann/notes", "fact", "There is no memory|No memory|memory"),  # nobody begins another's
    ],
)
async def test_what_cannot_be_added(database: Database, name: str, text: str, says: str) -> None:
    with pytest.raises((UsageError, UnknownNameError), match=says):
        await add_fact(name, text, NOW, database)
    assert await memories(database) == {}


async def test_names_that_are_not_there_are_named(database: Database) -> None:
    await add_fact("shared/house", "a", NOW, database)
    with pytest.raises(UnknownNameError, match="shared/house"):
        await check_memory("shared/hose", database)
    with pytest.raises(UnknownNameError, match="memory show"):
        await find_fact("shared/house", "zz", database)


async def test_no_fact_is_written_twice(database: Database) -> None:
    """Letter case and white space aside, by hand as by conversations; a fact may be written anew in its own place."""
    cat = await add_fact("shared/house", "The cat is Minka.", NOW, database)
    dog = await add_fact("shared/house", "The dog is Otto.", NOW, database)
    with pytest.raises(UsageError, match=cat.id[:10]):
        await add_fact("shared/house", " the cat  is minka.", NOW, database)
    with pytest.raises(UsageError, match=cat.id[:10]):
        await edit_fact("shared/house", dog.id, "The cat is Minka.", NOW, database)
    assert (await edit_fact("shared/house", cat.id, "The CAT is Minka.", NOW, database)).text == "The CAT is Minka."
    assert len(await facts_of_memory("shared/house", database)) == 2
