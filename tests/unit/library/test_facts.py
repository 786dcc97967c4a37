"""A model's facts: kind, quantisation, sampling defaults, split files, digests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import ModelFileError
from nightjar.jobs.models import ModelKind
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.gguf.metadata import read_metadata
from nightjar.workers.library.gguf.split import is_later_part, parts_of, split_names, stem
from nightjar.workers.library.inspect import inspect_file, kind_of, read_facts, sampling_defaults
from tests.gguf_files import CHATML, write_gguf

DEMO = Path(__file__).parents[3] / "config" / "models" / "nightjar-demo.gguf"
TEMPLATE = {"tokenizer.chat_template": CHATML}


@pytest.mark.parametrize(
    ("architecture", "values", "file", "kind"),
    [
        ("llama", TEMPLATE, "m.gguf", ModelKind.CHAT),
        ("llama", {}, "m.gguf", ModelKind.BASE),  # no template: completion only
        ("bert", {}, "m.gguf", ModelKind.EMBEDDING),  # by architecture
        ("bert", TEMPLATE, "chat.gguf", ModelKind.EMBEDDING),  # architecture before template and name
        ("qwen3", {"qwen3.pooling_type": 3, **TEMPLATE}, "m.gguf", ModelKind.EMBEDDING),  # last-token pooling
        ("qwen3", {"qwen3.pooling_type": 0, **TEMPLATE}, "m.gguf", ModelKind.CHAT),  # pooling type "none"
        ("qwen2", {"qwen2.attention.causal": False}, "m.gguf", ModelKind.EMBEDDING),  # sees both directions
        ("llama", {}, "my-embed-v1.gguf", ModelKind.EMBEDDING),  # the name, where nothing else decides
        ("llama", TEMPLATE, "embedded-story.gguf", ModelKind.CHAT),  # the name is only a hint
    ],
)
def test_kind(tmp_path: Path, architecture: str, values: dict[str, Any], file: str, kind: ModelKind) -> None:
    """Architecture and pooling decide before the template, the template before the name."""
    metadata = read_metadata(write_gguf(tmp_path / file, values, architecture=architecture))
    assert kind_of(metadata, file, metadata.values.get("tokenizer.chat_template")) is kind


def test_facts_of_the_demo_model(tmp_path: Path) -> None:
    """The bundled file's facts, its digest included."""
    facts = read_facts(DEMO, "nightjar-demo", digests=DigestCache(tmp_path / "digests.json"))
    assert facts.digest == hashlib.sha256(DEMO.read_bytes()).hexdigest()
    assert facts.kind is ModelKind.CHAT
    file = facts.file_facts
    assert (file.architecture, file.quantisation, file.licence) == ("llama", "Q8_0", "MIT")
    assert facts.template_digest is not None
    assert file.file_bytes == DEMO.stat().st_size
    assert min(file.parameters, file.vocabulary, file.context_train, file.layers) > 0


def test_a_registry_template_makes_a_base_model_chat(tmp_path: Path) -> None:
    """The override counts as the model's template, in kind and digest."""
    path = write_gguf(tmp_path / "base.gguf")
    cache = DigestCache(tmp_path / "d.json")
    assert read_facts(path, "base", digests=cache).kind is ModelKind.BASE
    facts = read_facts(path, "base", template=CHATML, registry_parameters={"top_k": 3}, digests=cache)
    assert facts.kind is ModelKind.CHAT
    assert facts.template_digest == hashlib.sha256(CHATML.encode()).hexdigest()
    assert facts.registry_parameters == {"top_k": 3}


def test_sampling_defaults_are_nightjars_parameters(tmp_path: Path) -> None:
    """Names are mapped, float32 noise is gone, and what is out of range or unknown is left out."""
    values = {
        "general.sampling.temp": 0.7,
        "general.sampling.top_k": 20,
        "general.sampling.penalty_repeat": 1.1,
        "general.sampling.penalty_last_n": 64,
        "general.sampling.top_p": 7.0,  # no probability
        "general.sampling.mirostat": 2,  # has no counterpart
        "general.sampling.min_p": "0.1",  # no number
    }
    metadata = read_metadata(write_gguf(tmp_path / "m.gguf", values))
    assert sampling_defaults(metadata) == {
        "temperature": 0.7,
        "top_k": 20,
        "repeat_penalty": 1.1,
        "repeat_last_n": 64,
    }


def test_split_names() -> None:
    """The name of a part gives the names of all parts; an unsplit file gives its own."""
    assert split_names("m-00002-of-00003.gguf") == tuple(f"m-0000{part}-of-00003.gguf" for part in (1, 2, 3))
    assert split_names("m.gguf") == ("m.gguf",)
    assert (stem("m-00001-of-00003.gguf"), stem("m.Q4_K_M.GGUF")) == ("m", "m.Q4_K_M")
    assert is_later_part("m-00002-of-00003.gguf")
    assert not is_later_part("m-00001-of-00003.gguf")


def test_a_split_model_is_one_model(tmp_path: Path) -> None:
    """Facts cover all parts, from whichever part is named; a missing part is named."""
    first = write_gguf(tmp_path / "m-00001-of-00002.gguf", TEMPLATE, tensors=2)
    second = write_gguf(tmp_path / "m-00002-of-00002.gguf", tensors=3)
    facts = read_facts(second, "m", digests=DigestCache(tmp_path / "d.json"))
    assert facts.file_facts.file_name == first.name
    assert facts.file_facts.file_bytes == first.stat().st_size + second.stat().st_size
    assert facts.file_facts.parameters == 5 * 4 * 32
    assert facts.digest == hashlib.sha256(first.read_bytes() + second.read_bytes()).hexdigest()
    assert facts.kind is ModelKind.CHAT
    second.unlink()
    with pytest.raises(ModelFileError, match=r"m-00002-of-00002\.gguf"):
        parts_of(first)


def test_metadata_of_a_split_model_is_the_first_parts(tmp_path: Path) -> None:
    """Later parts carry tensors only; the keys come from the first."""
    write_gguf(tmp_path / "m-00001-of-00002.gguf", {"llama.context_length": 77})
    write_gguf(tmp_path / "m-00002-of-00002.gguf", {"llama.context_length": 5})
    assert inspect_file(tmp_path / "m-00002-of-00002.gguf").metadata.of_architecture("context_length") == 77


def test_digests_are_computed_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    """The cache is used only for the same size, time and inode; a damaged cache is not an error."""
    file = tmp_path / "m.bin"
    file.write_bytes(b"one")
    cache = DigestCache(tmp_path / "home" / "digests.json")
    read: list[int] = []
    assert cache.digest([file], advance=read.append) == hashlib.sha256(b"one").hexdigest()
    assert cache.digest([file], advance=read.append) == hashlib.sha256(b"one").hexdigest()
    assert read == [3]
    status = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert cache.digest([file]) == hashlib.sha256(b"two").hexdigest()
    cache.file.write_text("{ broken")
    assert cache.digest([file]) == hashlib.sha256(b"two").hexdigest()
    cache.forget(file)
    assert cache.digest([file], advance=read.append) == hashlib.sha256(b"two").hexdigest()
    assert read == [3, 3]
