"""What a person types after `nightjar fidelity`: models with load settings, texts; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.errors import UsageError
from nightjar.config.load_settings import LoadSettings
from nightjar.scripts.fidelity_operands import distinct_labels, loaded_otherwise, parse_operand, read_texts
from nightjar.workers.fidelity.vocabularies import vocabulary_difference
from nightjar.workers.library.find import ModelEntry

ENTRY = ModelEntry(
    name="m", path=Path("m.gguf"), load=LoadSettings(threads=2), parameters={}, template=None, reasoning=None
)


def test_load_settings_come_after_commas() -> None:
    operand = parse_operand("m.gguf,cache_type_k=q8_0, flash_attention=false")
    assert (operand.model, operand.suffix) == ("m.gguf", ", cache_type_k=q8_0, flash_attention=false")
    load = loaded_otherwise(ENTRY, operand).load
    assert (load.cache_type_k, load.flash_attention, load.threads) == ("q8_0", False, 2)


def test_a_file_whose_name_holds_a_comma_is_taken_whole(tmp_path: Path) -> None:
    file = tmp_path / "a,b=c.gguf"
    file.touch()
    assert parse_operand(str(file)).model == str(file)


def test_adapters_are_files_with_a_scale(tmp_path: Path) -> None:
    adapter = tmp_path / "lora.gguf"
    adapter.touch()
    entry = loaded_otherwise(ENTRY, parse_operand(f"m,adapter={adapter},adapter={adapter}@0.5"))
    assert entry.adapters == ((adapter, 1.0), (adapter, 0.5))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no model"),
        (",cache_type_k=q8_0", "names no model"),
        ("m,q8_0", "KEY=VALUE"),
        ("m,cache_type_k=", "KEY=VALUE"),
        ("m,cache_typ_k=q8_0", "'cache_type_k'"),
        ("m,cache_type_k=q9", "cache_type_k"),
        ("m,slots=4", "load setting"),  # what is read decides that
        ("m,context=99", "load setting"),
        ("m,adapter=nowhere.gguf", "nowhere.gguf"),
    ],
)
def test_what_is_no_load(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        loaded_otherwise(ENTRY, parse_operand(text))


def test_a_load_may_be_compared_with_itself() -> None:
    assert distinct_labels(["m", "m", "k", "m"]) == ["m", "m (no. 2)", "k", "m (no. 3)"]


def test_a_line_of_jsonl_is_a_text(tmp_path: Path) -> None:
    plain, rows = tmp_path / "a.txt", tmp_path / "b.jsonl"
    plain.write_text("One text,\nwhatever its lines.\n", "utf-8")
    rows.write_text('{"text": "two"}\n\n{"text": "three\\n", "id": 3}\n', "utf-8")
    assert read_texts([plain, rows]) == ["One text,\nwhatever its lines.\n", "two", "three\n"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.txt", None, "cannot be read: No such file"),
        ("empty.txt", b" \n", "no text"),
        ("latin.txt", b"caf\xe9", "not valid UTF-8 at byte 3"),
        ("bad.jsonl", b'{"text": "a"}\n{"prompt": "b"}\n', "line 2"),
        ("worse.jsonl", b"[[[", "line 1"),
    ],
)
def test_what_is_no_text(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_texts([tmp_path / name])
    with pytest.raises(UsageError, match="is a folder"):
        read_texts([tmp_path])


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ([b"a", b"b"], [b"a", b"b"], None),
        ([b"a", b"b"], [b"a", b"b", b"c"], "2 and 3 entries, alike as far as both go"),
        ([b"a", b"b"], [b"a", b"x"], "2 and 2 entries; the first that differs is token 1, 'b' and 'x'"),
        ([b"a", b"\xff"], [b"a"], "2 and 1 entries, alike as far as both go"),
    ],
)
def test_how_vocabularies_differ(one: list[bytes], two: list[bytes], said: str | None) -> None:
    assert vocabulary_difference(one, two) == said
