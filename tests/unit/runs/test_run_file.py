"""The file of `nightjar run export`: what it refuses, what it compares, what it says to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nightjar.config.errors import NightjarError, UsageError
from nightjar.jobs.documents import Run, SequenceRef, SuiteVersion
from nightjar.jobs.identity import job_id
from nightjar.jobs.models import ModelFacts, flat_facts
from nightjar.jobs.sequences import sequence_key
from nightjar.jobs.states import RunStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.runs.run_file import (
    RunFile,
    UsedModel,
    how_to_get,
    model_differences,
    read_run_file,
    remarks,
    run_of,
)
from nightjar.pipeline.suites.content import SuiteContent
from tests import factories


@pytest.fixture(autouse=True)
def _documents_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beanie requires a connection to create a document, although creating one does not use it."""
    monkeypatch.setattr(Run, "get_pymongo_collection", classmethod(lambda cls: None))


CONTENT = SuiteContent(name="sample", sequences=tuple(factories.sequences()))


def data(**changes: Any) -> dict[str, Any]:
    """A whole file; a change names a field by its path, `run__seed`."""
    facts = factories.model_facts("amber-1b")
    run = {
        "id": "a" * 32,
        "name": "nightly",
        "seed": 7,
        "repeats": 2,
        "date": "2026-11-20",
        "sequences": ["sums", "train"],
        "set_parameters": {"temperature": 0.5},
        "nightjar_version": "0.1.0",
        "created_at": "2026-11-20T22:00:00Z",
    }
    load = factories.load_facts(60).model_dump(mode="json")
    model = {"name": "amber-1b", "digest": facts.digest, "facts": flat_facts(facts), "loads": [load]}
    whole: dict[str, Any] = {
        "nightjar_run": 1,
        "exported_at": "2026-11-21T00:00:00Z",
        "exported_by": "nightjar 0.1.0",
        "run": run,
        "suite": {"version": 3, "digest": CONTENT.digest, "content": CONTENT.model_dump(mode="json")},
        "prompts": {sequence.id: sequence.digest for sequence in CONTENT.sequences},
        "models": [model],
    }
    for path, value in changes.items():
        *steps, last = path.split("__")
        place = whole
        for step in steps:
            place = place[step]
        place[last] = value
    return whole


def read(**changes: Any) -> RunFile:
    return read_run_file(json.dumps(data(**changes)), "x.run.json")


def stored() -> SuiteVersion:
    references = [
        SequenceRef(id=s.id, digest=s.digest, document=sequence_key(s), turns=len(s.turns), mode=s.mode)
        for s in CONTENT.sequences
    ]
    version: SuiteVersion = SuiteVersion.model_construct(
        id=CONTENT.digest, name="sample", version=9, sequences=references, rubric=None, primary_metric=None
    )
    return version


def test_the_run_of_a_file_is_the_exported_one() -> None:
    """Id, seed, day and model file are those of the file, so that ids of jobs and seeds of turns are too."""
    run = run_of(read(), stored(), name=None, version="0.2.0")
    assert (run.id, run.name, run.seed, run.repeats, run.date) == ("a" * 32, "nightly", 7, 2, "2026-11-20")
    assert (run.status, run.suite_version, run.jobs_total) == (RunStatus.EXPANDING, 9, 4)
    assert run.sequences == ["sums", "train"]
    assert run.models[0].digest == factories.model_facts("amber-1b").digest
    assert job_id(run.id, "reply", "sums", "amber-1b", 1) == job_id("a" * 32, "reply", "sums", "amber-1b", 1)
    assert run_of(read(), stored(), name="again", version="0").name == "again"


def test_a_run_with_variants_is_repeated_with_them() -> None:
    """Given by --system, or the suite's own: in both cases the run's variants come back, and its jobs are as many."""
    tried = [{"name": "a", "system": "One."}, {"name": "b", "system": ""}]
    run = run_of(read(run__variants=tried), stored(), name=None, version="0")
    assert ([(v.name, v.system) for v in run.variants], run.jobs_total) == ([("a", "One."), ("b", "")], 8)
    of_suite = stored()
    of_suite.variants = (*run.variants, Variant(name="c"))
    assert [v.name for v in run_of(read(run__variants=tried), of_suite, name=None, version="0").variants] == ["a", "b"]
    assert "variants" not in read().model_dump(mode="json")["run"]  # a version without them reads the file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nightjar_run": 2}, "nightjar_run: Input should be 1"),  # a later format
        ({"run__id": "../x"}, "run.id: String should match"),
        ({"run__name": "a/b"}, "run.name"),
        ({"run__date": "today"}, "run.date"),
        ({"run__sequences": []}, "run.sequences"),
        ({"run__command": "rm"}, "run.command: Extra inputs"),
        ({"models": []}, "models"),
        ({"suite__content__name": "other"}, "its content has the digest"),  # changed by hand
        ({"suite__digest": "0" * 32}, "its content has the digest"),
    ],
)
def test_a_file_that_is_none_is_named_with_its_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**changes)
    assert str(caught.value).startswith("x.run.json: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "not json", '{"nightjar_run": 1}'])
def test_other_files_are_told_apart(text: str) -> None:
    with pytest.raises(UsageError, match=r"Is it a file of `nightjar run export`\?"):
        read_run_file(text, "x.run.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run__repeats": 0}, "--repeats"),
        ({"run__seed": -1}, "--seed"),
        ({"run__set_parameters": {"heat": 1}}, "Unknown parameter 'heat'"),
        ({"run__set_model_parameters": {"other": {"top_k": 1}}}, "other"),
        ({"run__sequences": ["absent"]}, "run.sequences names 'absent'"),
    ],
)
def test_what_no_run_may_be_is_refused_before_anything_is_written(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NightjarError) as caught:
        run_of(read(**changes), stored(), name=None, version="0")
    assert message in str(caught.value)


def facts(**changes: Any) -> ModelFacts:
    return factories.model_facts("amber-1b").model_copy(update=changes)


RENAMED = facts().file_facts.model_copy(update={"file_name": "renamed.gguf", "licence": "MIT"})


def test_a_models_facts_are_flat_in_the_file() -> None:
    """As they were before facts had a source: files of either age are read, and older versions read these."""
    file = read()
    assert file.models[0].facts == facts()
    written = json.loads(file.model_dump_json())["models"][0]["facts"]
    assert written == data()["models"][0]["facts"]
    assert {"file_name", "architecture", "licence"} <= set(written)
    assert not {"file", "source"} & set(written)
    assert read(models=[data()["models"][0] | {"facts": facts().model_dump(mode="json")}]) == file


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (facts(), []),
        (facts(digest="f" * 64), ["the file of amber-1b has SHA-256 ffff"]),
        (facts(template_digest="x"), ["the chat template of amber-1b is another one"]),
        (
            facts(registry_parameters={"top_k": 5}),
            ["models.toml gives amber-1b the parameters {'top_k': 5}"],
        ),
        (facts(file=RENAMED), []),  # the same file under another name
    ],
)
def test_differences_that_would_make_other_texts(found: ModelFacts, told: list[str]) -> None:
    differences = model_differences(read().models[0], found)
    assert len(differences) == len(told)
    assert all(difference.startswith(start) for difference, start in zip(differences, told, strict=True))


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"repo": "o/r", "commit": "abc", "file": "m.gguf"}, "`nightjar model pull o/r@abc:m.gguf --name m`; its"),
        ({"repo": "o/r"}, "`nightjar model pull o/r --name m`; its SHA-256 must be dddd"),
        ({"ollama": "llama3.2:1b"}, "`ollama pull llama3.2:1b`, then `nightjar model add ollama:llama3.2:1b --name m`"),
        ({"file": "m.gguf"}, "`nightjar model add m.gguf --name m`; its SHA-256 must be dddd"),
        (None, "`nightjar model add FILE.gguf --name m`; its SHA-256 must be dddd"),  # the exporting host had it not
    ],
)
def test_how_to_get_a_model(origin: dict[str, str] | None, command: str) -> None:
    assert how_to_get(UsedModel(name="m", digest="dddd", origin=origin)).startswith(command)


def test_remarks_say_what_the_run_ran_on() -> None:
    first, second = remarks(read(), "0.2.0")
    assert first == "The run was made by Nightjar 0.1.0; this is 0.2.0."
    assert "b7000 (abc1234): context 4096, 8 slots, flash attention on" in second
