"""A hostile GGUF gives an error, or kills the process that loads it, but never a process that inspects it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightjar.config.errors import ModelFileError
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import facts_of, inspect_file
from tests.fuzz.amount import seeds
from tests.fuzz.child import Child
from tests.fuzz.hostile import DEMO, fields_of, killer, mutate

pytestmark = pytest.mark.timeout(1800)

LIMIT_S = 60.0
DATA = DEMO.read_bytes()
FIELDS = fields_of(DATA)


@pytest.fixture(scope="module")
def loader() -> Iterator[Child]:
    child = Child("tests.fuzz.loader")
    yield child
    child.close()


def test_the_fields_are_those_of_the_file() -> None:
    """Else nothing is hit: names are found where they stand, and every kind of field is there."""
    names = {field.name for field in FIELDS}
    assert {"version", "llama.block_count", "tokenizer.ggml.tokens.count", "token_embd.weight.shape0"} <= names
    (key,) = [field for field in FIELDS if field.name == "general.architecture"]
    assert DATA[key.at : key.at + key.width] == b"llama"


def look_at(file: Path) -> None:
    """As `model add` and `doctor` do: an error that names the file, or facts that MongoDB can hold."""
    try:
        inspection = inspect_file(file)
        facts = facts_of(inspection, "hostile", "0" * 64).file_facts
        shape_of(inspection.metadata)
        limits = max(facts.context_train, facts.layers, facts.vocabulary)
    except ModelFileError as error:
        if str(file) not in str(error):
            raise
        limits = 0
    assert limits < 2**63


def test_hostile_models_end_no_process_but_their_own(tmp_path: Path, loader: Child) -> None:
    """Each is looked at here, as `model add` and `doctor` do, and loaded in a child, as a worker does."""
    file, ends = tmp_path / "hostile.gguf", Counter[str]()
    for seed in seeds(300):
        content, changes = mutate(DATA, FIELDS, seed)
        file.write_bytes(content)
        look_at(file)
        answer = loader.ask(str(file), LIMIT_S)
        ends[answer["end"]] += 1
        assert answer["end"] in ("loaded", "refused", "died"), (seed, changes, answer)
        assert answer["end"] != "refused" or len(answer["said"].splitlines()) == 1, (seed, answer)
    print(dict(ends))
    assert ends["loaded"], "not one was sound: nothing behind the first check was tried"
    assert ends["refused"]


def test_a_process_that_died_is_told_and_replaced(tmp_path: Path, loader: Child) -> None:
    assert inspect_file(killer(tmp_path)).metadata.architecture == "llama"
    assert loader.ask(str(killer(tmp_path)), LIMIT_S) == {"end": "died", "said": "SIGABRT"}
    assert loader.ask(str(shutil.copy(DEMO, tmp_path)), LIMIT_S)["end"] == "loaded"
