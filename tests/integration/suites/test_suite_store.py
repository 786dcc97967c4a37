"""Storing suites on a real MongoDB: immutable versions, all or nothing, under races too."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import SuiteError, UnknownNameError
from nightjar.jobs.documents import SequenceDocument, SuiteVersion
from nightjar.jobs.mongo import Database
from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.suites.catalogue import bundled, take_suite
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.export import export_yaml
from nightjar.pipeline.suites.importer import import_suite, load_content
from nightjar.pipeline.suites.read import read_suite


def content(*prompts: str, name: str = "tales", **changes: Any) -> SuiteContent:
    sequences = tuple(Sequence.model_validate({"id": f"s{n}", "turns": [{"prompt": p}]}) for n, p in enumerate(prompts))
    return SuiteContent(name=name, sequences=sequences, **changes)


async def test_the_same_content_is_stored_once(database: Database) -> None:
    first, created = await import_suite(content("a", "b"), database)
    again, created_again = await import_suite(content("a", "b", source="elsewhere"), database)
    assert (created, created_again) == (True, False)
    assert (first.id, first.version) == (again.id, again.version) == (content("a", "b").digest, 1)
    assert await SuiteVersion.count() == 1
    assert await SequenceDocument.count() == 2


async def test_changed_content_is_the_next_version_and_the_old_one_stays(database: Database) -> None:
    await import_suite(content("a", "b"), database)
    second, _ = await import_suite(content("a", "c"), database)
    assert second.version == 2
    assert await SequenceDocument.count() == 3  # what both have is stored once
    old, created = await import_suite(content("a", "b"), database)
    assert (old.version, created) == (1, False)
    assert (await load_content(old, database)).digest == content("a", "b").digest
    assert (await take_suite("tales", database))[0].version == 2
    assert (await take_suite("tales@1", database))[0].version == 1


async def test_equal_content_under_another_name_is_another_suite(database: Database) -> None:
    one, _ = await import_suite(content("a"), database)
    other, _ = await import_suite(content("a", name="other"), database)
    assert one.id != other.id
    assert (one.version, other.version) == (1, 1)


async def test_a_race_of_imports_gives_every_content_one_version(database: Database) -> None:
    """Twelve imports at once, four contents: versions 1 to 4, each created by exactly one import."""
    contents = [content("shared", f"own {n % 4}") for n in range(12)]
    results = await asyncio.gather(*(import_suite(c, database) for c in contents))
    assert sum(created for _, created in results) == 4
    stored = await SuiteVersion.find_all().to_list()
    assert sorted(v.version for v in stored) == [1, 2, 3, 4]
    assert {v.id for v, _ in results} == {v.id for v in stored}


async def test_a_suite_whose_list_was_not_written_is_finished_by_importing_again(database: Database) -> None:
    """A crash after the sequences and before the version leaves no suite; the next import completes it."""
    whole = content(*(f"prompt {n}" for n in range(2500)))
    from nightjar.pipeline.suites import importer

    await importer._store_sequences(whole, database)
    assert await SuiteVersion.count() == 0
    version, created = await import_suite(whole, database)
    assert created
    assert (await load_content(version, database)).digest == whole.digest


async def test_a_broken_file_stores_nothing(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "question.jsonl"
    good = {"question_id": 1, "category": "writing", "turns": ["x"]}
    file.write_text(json.dumps(good) + "\n" + json.dumps(good | {"turns": [""]}) + "\n", encoding="utf-8")
    with pytest.raises(SuiteError, match="line 2"):
        await import_suite(read_suite(file), database)
    assert await SequenceDocument.count() == 0


async def test_what_mongodb_finds_special_comes_back_as_it_was(database: Database) -> None:
    """Dollar signs and dots in names of fields, NULs and big numbers in values."""
    schema = {"$schema": "x", "$defs": {"a.b": {"const": 2**62}}, "type": "object"}
    expect = [{"check": "json_schema", "value": schema}, {"check": "includes", "value": "$set\x00."}]
    sequence = Sequence.model_validate({"id": "a", "turns": [{"prompt": "$where", "expect": expect}]})
    suite = SuiteContent(name="odd", sequences=(sequence,), rubric={"criteria": [{"name": "$a.b"}]})
    version, _ = await import_suite(suite, database)
    again = await load_content(version, database)
    assert again == suite
    assert again.digest == suite.digest


async def test_a_bundled_suite_is_imported_on_first_use(database: Database, tmp_path: Path) -> None:
    version, imported = await take_suite("story-starters", database)
    assert (version.name, imported) == ("story-starters", True)
    assert await take_suite("story-starters", database) == (version, False)
    file = tmp_path / "again.yaml"
    file.write_text(export_yaml(await load_content(version, database)), encoding="utf-8")
    assert read_suite(file).digest == read_suite(bundled()["story-starters"]).digest == version.id


async def test_an_imported_suite_goes_before_a_bundled_one(database: Database) -> None:
    await import_suite(content("my own", name="story-starters"), database)
    version, imported = await take_suite("story-starters", database)
    assert (len(version.sequences), imported) == (1, False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("story-starter", "Did you mean 'story-starters'"),  # a bundled one
        ("tale", "Did you mean 'tales'"),  # an imported one
        ("mine.yaml", "nightjar suite import mine.yaml"),
        ("tales@7", "no suite 'tales@7'"),
    ],
)
async def test_an_unknown_suite_is_told_the_nearest_names(database: Database, name: str, said: str) -> None:
    await import_suite(content("a"), database)
    with pytest.raises(UnknownNameError, match=said):
        await take_suite(name, database)
