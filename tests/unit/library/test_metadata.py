"""The metadata reader: what it reads, and its errors for broken files."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightjar.config.errors import ModelFileError
from nightjar.workers.library.gguf.metadata import LongArray, read_metadata
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.gguf.tensor_types import BLOCKS, FILE_TYPES
from nightjar.workers.library.inspect import inspect_file
from tests.gguf_files import write_gguf

DEMO = Path(__file__).parents[3] / "config" / "models" / "nightjar-demo.gguf"


def test_values_equal_those_of_the_gguf_package(tmp_path: Path) -> None:
    """Every scalar and text of the demo model reads as the reference reader reads it."""
    from gguf import GGUFReader, GGUFValueType

    ours = read_metadata(DEMO)
    reference = GGUFReader(DEMO)
    compared = 0
    for key, field in reference.fields.items():
        if key.startswith("GGUF."):
            continue
        expected = field.contents()
        value = ours.values[key]
        assert list(value) == expected if field.types[0] == GGUFValueType.ARRAY else value == expected, key
        compared += 1
    assert compared == len(ours.values) > 20
    for tensor, theirs in zip(ours.tensors, reference.tensors, strict=True):
        assert (tensor.name, tensor.elements, tensor.bytes) == (theirs.name, theirs.n_elements, theirs.n_bytes)
        assert ours.data_offset + tensor.offset == theirs.data_offset


def test_type_tables_equal_those_of_the_gguf_package() -> None:
    """The tables are the package's, for every type it knows."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

    assert {int(kind): (kind.name, *GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType} == dict(BLOCKS)
    names = {int(kind): kind.name.replace("MOSTLY_", "").replace("ALL_", "") for kind in LlamaFileType}
    names.pop(LlamaFileType.GUESSED)
    assert names == dict(FILE_TYPES)


def test_long_arrays_are_counted_not_kept(tmp_path: Path) -> None:
    """A vocabulary of 20,000 with texts across buffer borders leaves its length."""
    path = write_gguf(tmp_path / "m.gguf", {"long.numbers": range(10_000)}, vocab=200_000)
    metadata = read_metadata(path)
    assert metadata.values["tokenizer.ggml.tokens"] == LongArray(length=200_000)
    assert metadata.values["long.numbers"] == LongArray(length=10_000)
    assert metadata.tensors[0].name == "tensor0.weight"


def _header(version: int = 3, tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def _key(name: bytes, type_id: int, payload: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", type_id) + payload


def _tensor(name: bytes, shape: tuple[int, ...], type_id: int, offset: int) -> bytes:
    return (
        struct.pack("<Q", len(name))
        + name
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", type_id, offset)
    )


HUGE = 2**60


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a GGUF file"),  # empty
        (b"GG", "not a GGUF file"),  # shorter than the magic
        (b"PK\x03\x04" + bytes(100), "zip archive"),  # a PyTorch checkpoint
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>", "web page"),  # a login page saved as a model
        (b"ggjt" + bytes(40), "older GGML format"),
        (b"GGUF", "needs 8 bytes"),  # nothing after the magic
        (_header(version=4), "GGUF version 4"),  # newer than this llama.cpp
        (_header(version=1), "too old"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (_header(tensors=HUGE), "tensors, more than"),  # a claim no file can hold
        (_header(keys=HUGE), "keys, more than"),
        (_header(keys=3), "needs"),  # fewer keys than claimed
        (_header(keys=1) + struct.pack("<Q", HUGE), "bytes in the text"),  # a key name of an exabyte
        (_header(keys=1) + _key(b"a", 99, b""), "unknown value type 99"),
        (_header(keys=1) + _key(b"a", 9, struct.pack("<IQ", 5, HUGE)), "elements in 'a'"),  # a huge array
        (_header(keys=1) + _key(b"a", 9, struct.pack("<IQ", 8, 60_000_000)), "truncated"),  # strings that are not there
        (_header(keys=1) + _key(b"a", 9, struct.pack("<IQ", 5, 60_000_000)), "truncated"),
        (_header(keys=1) + _key(b"a", 9, struct.pack("<IQ", 9, 1)), "nested element type"),
        (_header(keys=2) + _key(b"a", 4, bytes(4)) * 2, "'a' appears twice"),
        (_header(keys=1) + _key(b"general.alignment", 4, struct.pack("<I", 3)), "no power of two"),
        (_header(tensors=1) + _tensor(b"w", (32,), 0, 0), "its tensors need"),  # tensor data cut off
        (_header(tensors=1) + _tensor(b"w", (2**40, 2**40), 0, 0), "its tensors need"),  # a product beyond 64 bits
        (_header(tensors=1) + _tensor(b"w", (32,), 7777, 0), "unknown type 7777"),
        (_header(tensors=1) + _tensor(b"w", (33,), 8, 0) + bytes(200), "no multiple of its block"),
        (_header(tensors=1) + _tensor(b"w", (), 0, 0), "0 dimensions"),
        (_header(tensors=2) + _tensor(b"w", (1,), 0, 0) * 2 + bytes(200), "same name"),
    ],
)
def test_broken_files_are_described(tmp_path: Path, content: bytes, says: str) -> None:
    """Each error names the file and what is wrong with it."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_metadata(path)
    assert says in str(caught.value)
    assert "broken.gguf" in str(caught.value)


def test_missing_files_and_folders_are_described(tmp_path: Path) -> None:
    """No file, a folder, and a part of a path that is a file."""
    with pytest.raises(ModelFileError, match="There is no file"):
        read_metadata(tmp_path / "none.gguf")
    with pytest.raises(ModelFileError, match="is a folder"):
        read_metadata(tmp_path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"general.type": "adapter", "adapter.type": "lora"}, "LoRA adapter"),
        ({"general.type": "mmproj"}, "not a language model"),
    ],
)
def test_other_kinds_of_gguf_are_refused(tmp_path: Path, values: dict[str, str], says: str) -> None:
    """A valid GGUF that is not a model is distinguished from a broken one."""
    path = write_gguf(tmp_path / "other.gguf", values)
    with pytest.raises(ModelFileError, match=says):
        inspect_file(path)


def test_a_vocabulary_alone_is_no_model(tmp_path: Path) -> None:
    """Files with a tokenizer and no tensors exist (llama.cpp's ggml-vocab-*)."""
    path = write_gguf(tmp_path / "vocab.gguf", tensors=0)
    with pytest.raises(ModelFileError, match="no tensors"):
        inspect_file(path)


HEAD = DEMO.read_bytes()[:80_000]
"""The demo model's metadata and a little of its tensors."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, len(HEAD)),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=4),
)
def test_damaged_files_never_crash_the_reader(tmp_path: Path, cut: int, changes: list[tuple[int, bytes]]) -> None:
    """Bytes overwritten or the file cut anywhere: a result or a ModelFileError, using little memory."""
    content = bytearray(HEAD)
    for at, new in changes:
        content[at : at + len(new)] = new
    path = tmp_path / "damaged.gguf"
    path.write_bytes(bytes(content[:cut]))
    tracemalloc.start()
    try:
        shape_of(inspect_file(path).metadata)
    except ModelFileError:
        pass  # described; anything else fails the test
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 64 * 2**20
