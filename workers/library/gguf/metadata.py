"""The metadata of a GGUF file: keys, values and the table of tensors, never the tensors themselves.

A reader of its own, because the `gguf` package's builds one array per vocabulary entry (seconds for a large one) and
answers a broken file with whatever numpy raises. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from nightjar.config.errors import ModelFileError
from nightjar.workers.library.gguf.tensor_types import BLOCKS, tensor_bytes

READABLE_VERSIONS = (2, 3)
"""GGUF versions this llama.cpp loads."""
KEPT_ELEMENTS = 4096
"""Arrays up to this length are kept (per-layer settings, tags); longer ones (vocabularies) are only counted."""
TEMPLATE = "tokenizer.chat_template"
MAX_KEYS = 65_536
MAX_TENSORS = 1_000_000
MAX_ELEMENTS = 64_000_000
MAX_STRING_BYTES = 64 * 2**20
_READ_BYTES = 2**20
_DEFAULT_ALIGNMENT = 32

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, kw_only=True)
class LongArray:
    """An array that was counted and skipped."""

    length: int


@dataclass(frozen=True, kw_only=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    """Bytes from the start of the tensor data."""

    @property
    def elements(self) -> int:
        product = 1
        for width in self.shape:
            product *= width
        return product

    @property
    def bytes(self) -> int:
        return tensor_bytes(self.type_id, self.elements)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What one GGUF file says about itself."""

    version: int
    values: dict[str, Any]
    """Scalars, strings, tuples (short arrays) and `LongArray`s by key."""
    tensors: tuple[Tensor, ...]
    data_offset: int
    """Bytes before the tensor data."""
    file_bytes: int

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", "unknown"))

    def of_architecture(self, key: str) -> Any:
        """The value of `{architecture}.key`, or None."""
        return self.values.get(f"{self.architecture}.{key}")

    @property
    def tensors_bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors)


def read_metadata(path: Path) -> Metadata:
    """Reads one file (one part of a split model). Raises ModelFileError: what is wrong, where, the remedy."""
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except FileNotFoundError:
        raise ModelFileError(f"There is no file {path}. Check the path, or `nightjar model list`.") from None
    except IsADirectoryError:
        raise ModelFileError(f"{path} is a folder; name a .gguf file inside it.") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from None


class _Reader:
    """A cursor over the file's head; every length is checked against what the file still holds before it is used."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.size = file.seek(0, 2)
        self.at = 0
        self.base = 0
        self.buffer = b""

    def read(self) -> Metadata:
        version = self._version()
        tensor_count, key_count = self._scalar("<Q", "the tensor count"), self._scalar("<Q", "the key count")
        self._limit(tensor_count, MAX_TENSORS, "tensors")
        self._limit(key_count, MAX_KEYS, "keys")
        values = self._values(key_count)
        tensors = tuple(self._tensor() for _ in range(tensor_count))
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise self._broken("two tensors have the same name")
        alignment = values.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise self._broken(f"general.alignment is {alignment!r}, which is no power of two")
        data_offset = -(-self.at // alignment) * alignment
        needed = max((data_offset + tensor.offset + tensor.bytes for tensor in tensors), default=0)
        if needed > self.size:
            raise ModelFileError(
                f"{self.path} is truncated: its tensors need {needed:,} bytes and it has {self.size:,}. "
                "Fetch it again (`nightjar model pull`, or copy it again)."
            )
        return Metadata(version=version, values=values, tensors=tensors, data_offset=data_offset, file_bytes=self.size)

    def _version(self) -> int:
        magic = self._bytes(4, "the magic") if self.size >= 4 else b""
        if magic != b"GGUF":
            raise ModelFileError(
                f"{self.path} is not a GGUF file: it begins with {magic!r}, not b'GGUF'. "
                f"{_guess(magic)}Nightjar loads GGUF files only."
            )
        version: int = self._scalar("<I", "the version")
        if version & 0xFFFF == 0:
            raise self._broken("it was written for big-endian machines; convert it with gguf's convert_endian")
        if version > max(READABLE_VERSIONS):
            raise ModelFileError(
                f"{self.path} is GGUF version {version}, and this llama.cpp reads up to version "
                f"{max(READABLE_VERSIONS)}. Update llama-cpp-python, or take a file of version 3."
            )
        if version not in READABLE_VERSIONS:
            raise ModelFileError(f"{self.path} is GGUF version {version}, too old to be loaded. Take a newer file.")
        return version

    def _values(self, count: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(count):
            start = self.at
            key = self._string("a key")
            if key in values:
                raise self._broken(f"the key {key!r} appears twice", start)
            values[key] = self._value(self._scalar("<I", f"the type of {key!r}"), key)
        return values

    def _value(self, type_id: int, key: str) -> Any:
        if type_id in _SCALARS:
            return self._scalar(_SCALARS[type_id], key)
        if type_id == _STRING:
            return self._string(key)
        if type_id == _ARRAY:
            return self._array(key)
        raise self._broken(f"the key {key!r} has the unknown value type {type_id}", self.at - 4)

    def _array(self, key: str) -> Any:
        type_id, length = self._scalar("<I", key), self._scalar("<Q", key)
        self._limit(length, MAX_ELEMENTS, f"elements in {key!r}")
        if type_id == _STRING:
            if length > KEPT_ELEMENTS:
                self._skip_strings(length, key)
                return LongArray(length=length)
            return tuple(self._string(key) for _ in range(length))
        if type_id not in _SCALARS:
            raise self._broken(f"the array {key!r} has the unknown or nested element type {type_id}")
        form = _SCALARS[type_id]
        width = struct.calcsize(form)
        self._need(length * width, key)
        if length > KEPT_ELEMENTS:
            self.at += length * width
            return LongArray(length=length)
        return struct.unpack(f"<{length}{form[1]}", self._bytes(length * width, key))

    def _skip_strings(self, count: int, key: str) -> None:
        """Passes over strings without a call or an object for each: vocabularies have hundreds of thousands."""
        self._need(8 * count, key)
        unpack = struct.Struct("<Q").unpack_from
        at, base, buffer = self.at, self.base, self.buffer
        for _ in range(count):
            start = at - base
            if start < 0 or start + 8 > len(buffer):
                self.at = at
                self._fill(8, key)
                base, buffer = self.base, self.buffer
                start = at - base
            at += 8 + unpack(buffer, start)[0]
            if at > self.size:
                raise self._cut(key, at)
        self.at = at

    def _tensor(self) -> Tensor:
        start = self.at
        name = self._string("a tensor's name")
        dimensions = self._scalar("<I", f"the shape of {name!r}")
        if not 1 <= dimensions <= 4:
            raise self._broken(f"the tensor {name!r} has {dimensions} dimensions", start)
        shape = struct.unpack(f"<{dimensions}Q", self._bytes(8 * dimensions, f"the shape of {name!r}"))
        type_id = self._scalar("<I", f"the type of {name!r}")
        if type_id not in BLOCKS:
            raise self._broken(
                f"the tensor {name!r} has the unknown type {type_id} (a newer quantisation? update llama-cpp-python)",
                start,
            )
        offset = self._scalar("<Q", f"the offset of {name!r}")
        if shape[0] % BLOCKS[type_id][1]:
            raise self._broken(f"the rows of {name!r} ({shape[0]}) are no multiple of its block size", start)
        return Tensor(name=name, shape=shape, type_id=type_id, offset=offset)

    def _scalar(self, form: str, what: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form), what))[0]

    def _string(self, what: str) -> str:
        length = self._scalar("<Q", what)
        self._limit(length, MAX_STRING_BYTES, f"bytes in the text of {what}")
        return self._bytes(length, what).decode("utf-8", "replace")

    def _bytes(self, count: int, what: str) -> bytes:
        start = self.at - self.base
        if start < 0 or start + count > len(self.buffer):
            self._fill(count, what)
            start = 0
        self.at += count
        return self.buffer[start : start + count]

    def _fill(self, count: int, what: str) -> None:
        """Buffers the file from the cursor on: at least `count` bytes."""
        self._need(count, what)
        self.file.seek(self.at)
        self.base, self.buffer = self.at, self.file.read(max(count, _READ_BYTES))
        if len(self.buffer) < count:
            raise self._cut(what, self.at + count)

    def _need(self, count: int, what: str) -> None:
        if self.at + count > self.size:
            raise self._cut(what, self.at + count)

    def _limit(self, count: int, most: int, what: str) -> None:
        if count > most:
            raise self._broken(f"it claims {count:,} {what}, more than the {most:,} that Nightjar reads")

    def _cut(self, what: str, needed: int) -> ModelFileError:
        return ModelFileError(
            f"{self.path} is truncated or damaged: reading {what} at byte {self.at:,} needs {needed:,} bytes and the "
            f"file has {self.size:,}. Fetch it again (`nightjar model pull`, or copy it again)."
        )

    def _broken(self, what: str, at: int | None = None) -> ModelFileError:
        return ModelFileError(
            f"{self.path} is no sound GGUF file: {what} (byte {self.at if at is None else at:,}). "
            "Fetch it again, or convert it again."
        )


def _guess(magic: bytes) -> str:
    """What a file that is not a GGUF may be instead."""
    if magic in (b"ggml", b"ggjt", b"ggla", b"lmgg", b"tjgg", b"algg"):
        return "It is in an older GGML format; convert it. "
    if magic[:2] == b"PK":
        return "It looks like a zip archive or a PyTorch checkpoint. "
    if magic == b"vers":
        return "It looks like a Git LFS pointer: the download brought the pointer, not the file. "
    if magic[:1] in (b"<", b"{"):
        return "It looks like a web page or an error message saved under this name. "
    return ""


def template_key(keys: Iterable[str]) -> str | None:
    """The key of the chat template; of several named ones the default, else the first for no special task."""
    given = sorted(key for key in keys if key == TEMPLATE or key.startswith(f"{TEMPLATE}."))
    general = [key for key in given if not key.endswith((".tool_use", ".rag"))]
    preferred = [key for key in (TEMPLATE, f"{TEMPLATE}.default") if key in given]
    return next(iter([*preferred, *general, *given]), None)
